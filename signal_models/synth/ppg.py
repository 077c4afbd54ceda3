"""A synthetic two-wavelength PPG in raw counts, with known onsets, SpO2 and perfusion.

Each pulse is a systolic wave and a dicrotic one, both of the form (t / p)^2 exp(2 - 2 t / p), laid over those before
it; they start at the onset, so that the onset is exact. Breathing modulates amplitude and baseline (and the rate,
through the beats passed in). The light is DC (1 - perfusion * pulse): more blood, fewer counts. The red pulse is the
infrared one times R, with R from the inverse of the calibration that the firmware ships (signal_models/design/ppg).
Randomness comes from the generator passed in and from nowhere else.

Model limits: the pulse has one shape for both wavelengths, no venous pulsation, no tissue that scatters; motion is
band-limited noise with its own ratio of ratios, not a mechanical model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from signal_models.design.ppg import ratio_of
from signal_models.metrics.beats import heart_rate_series

FULL_SCALE = 0x3FFFF  # 18-bit converter
MOTION_RATIO = 1.0  # ratio of ratios of what motion does to both wavelengths: it pulls SpO2 to about 80 %


class SyntheticPpg(NamedTuple):
    """counts: (n, 2) red, infrared, integers. onsets_s: pulse onsets. pulse_rate: (t_s, bpm), the truth."""

    counts: np.ndarray
    onsets_s: np.ndarray
    pulse_rate: tuple[np.ndarray, np.ndarray]


def wave(t_s: np.ndarray, peak_s: float) -> np.ndarray:
    """One wave of height 1: starts at 0, highest at peak_s."""
    x = np.maximum(t_s, 0) / peak_s
    return x * x * np.exp(2 - 2 * x)


def regular_beats(duration_s: float, rate_bpm: float, *, breaths_min: float = 15, depth: float = 0.03) -> np.ndarray:
    """Beat times of a steady heart, from before 0 to after the end; breathing changes the intervals by +-depth."""
    beats = [-2.0]
    while beats[-1] < duration_s + 2:
        beats.append(beats[-1] + 60 / rate_bpm * (1 + depth * np.sin(2 * np.pi * breaths_min / 60 * beats[-1])))
    return np.array(beats)


def pulse(onsets_s: np.ndarray, t_s: np.ndarray, *, notch: float = 0.35, amplitude: npt.ArrayLike = 1.0) -> np.ndarray:
    """The pulse wave at times t_s, about 1 from foot to peak at 60 bpm. notch: height of the dicrotic wave, 0..1.

    amplitude: one for all or one an onset. Widths follow the square root of the interval, as the heart's do.
    """
    out = np.zeros(len(t_s))
    if len(onsets_s) < 2:
        return out
    heights = np.broadcast_to(np.asarray(amplitude, float), onsets_s.shape)
    spans = np.clip(np.diff(onsets_s, append=2 * onsets_s[-1] - onsets_s[-2]), 0.2, 2.0)
    for on, span, height in zip(onsets_s, spans, heights, strict=True):
        a, b = np.searchsorted(t_s, (on, on + 2.5))
        if a == b:
            continue
        scale = np.sqrt(span)
        t = t_s[a:b] - on
        out[a:b] += height * (wave(t, 0.16 * scale) + notch * wave(t - 0.28 * scale, 0.14 * scale))
    return out


def ppg(
    duration_s: float,
    rng: np.random.Generator,
    beats_s: np.ndarray,
    *,
    fs: float = 100.0,
    transit_s: float = 0.20,
    spo2_pct: npt.ArrayLike = 97.0,
    perfusion_pct: npt.ArrayLike = 2.0,
    red_counts: float = 90_000,
    ir_counts: float = 120_000,
    notch: float = 0.35,
    breaths_min: npt.ArrayLike = 15.0,
    breath_amplitude: float = 0.1,
    breath_baseline: float = 0.3,
    wander: float = 0.1,
    snr_db: float | None = None,
    noise_counts: float = 8.0,
    motion: float = 0.0,
    ambient_counts: float = 0.0,
    mains_counts: float = 0.0,
    mains_hz: float = 50.0,
    off_s: Sequence[tuple[float, float]] = (),
) -> SyntheticPpg:
    """Red and infrared counts at fs.

    beats_s: R peaks (from before 0 to after the end for a seamless start); onsets follow transit_s later.
    spo2_pct, perfusion_pct (infrared, foot to peak over DC), breaths_min: one value, or (n,) over the samples.
    red_counts, ir_counts: DC. notch: dicrotic height. breath_amplitude: share by which breathing changes the pulse;
    breath_baseline, wander: standard deviations of the baseline's breathing and of its drift below 0.15 Hz, in pulse
    amplitudes, alike in both wavelengths. snr_db: white noise against the pulse's variance at fs, in each
    wavelength; noise_counts: the converter's own. motion: standard deviation of disturbance at 0.5-5 Hz in pulse
    amplitudes. ambient_counts: light that the LED does not make. mains_counts: its flicker. off_s: (start, length)
    off the skin: ambient light and noise alone.
    """
    n = round(duration_s * fs)
    t_s = np.arange(n) / fs
    breath = 2 * np.pi * np.cumsum(np.broadcast_to(np.asarray(breaths_min, float), (n,))) / 60 / fs
    onsets_s = np.asarray(beats_s, float) + transit_s
    heights = 1 + breath_amplitude * np.sin(np.interp(onsets_s, t_s, breath))
    shape = pulse(onsets_s, t_s, notch=notch, amplitude=heights)
    shape /= _foot_to_peak(shape, fs, onsets_s)
    ratio = ratio_of(np.minimum(np.asarray(spo2_pct, float), 100.0))
    depth = np.asarray(perfusion_pct, float) / 100
    common = breath_baseline * np.sqrt(2) * np.sin(breath + 1.0) + wander * _band(n, fs, rng, 0.02, 0.15)
    disturbance = motion * _band(n, fs, rng, 0.5, 5.0)
    swing = shape.std() or 1.0
    columns = []
    for dc, r in ((red_counts, ratio), (ir_counts, 1.0)):
        moved = MOTION_RATIO if np.ndim(r) or r != 1.0 else 1.0
        light = dc * (1 - depth * (r * shape + common * r + moved * disturbance))
        if snr_db is not None:
            light += dc * np.mean(depth * r) * swing * 10 ** (-snr_db / 20) * rng.normal(size=n)
        columns.append(light)
    counts = np.stack(columns, axis=1)
    for start, length in off_s:
        counts[(t_s >= start) & (t_s < start + length)] = 400.0
    counts += ambient_counts + mains_counts * np.sin(2 * np.pi * mains_hz * t_s + 1.0)[:, None]
    counts += noise_counts * rng.normal(size=counts.shape)
    counts = np.clip(np.rint(counts), 0, FULL_SCALE).astype(np.int32)
    inside = (onsets_s >= 0) & (onsets_s < duration_s)
    return SyntheticPpg(counts, onsets_s[inside], heart_rate_series(onsets_s))


def _foot_to_peak(shape: np.ndarray, fs: float, onsets_s: np.ndarray) -> float:
    """Median of peak minus foot over the pulses."""
    edges = np.round(onsets_s * fs).astype(int)
    edges = edges[(edges >= 0) & (edges < len(shape))]
    spans = [np.ptp(shape[a:b]) for a, b in pairwise(edges) if b > a]
    return float(np.median(spans)) if spans else 1.0


def _band(n: int, fs: float, rng: np.random.Generator, low_hz: float, high_hz: float) -> np.ndarray:
    """Gaussian noise between two frequencies, standard deviation 1 (0 where the band holds no line)."""
    f = np.fft.rfftfreq(n, 1 / fs)
    spectrum = np.where((f >= low_hz) & (f <= high_hz), rng.normal(size=len(f)) + 1j * rng.normal(size=len(f)), 0)
    noise = np.fft.irfft(spectrum, n)
    return noise / (noise.std() or 1.0)
