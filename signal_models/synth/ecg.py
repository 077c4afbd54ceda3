"""A synthetic ECG with known beats, after the dynamical model of McSharry 2003 (doi 10.1109/TBME.2003.808805).

Each beat is a sum of Gaussians (P, Q, R, S, T) along its cycle and the RR intervals follow a tachogram with power at
0.1 Hz and 0.25 Hz, as in that model; its equation is solved in closed form for each beat instead of integrated, so
that waves of different beats (ectopic, fibrillating, paused) can be laid one over the other. QRS widths stay, P and T
move with the square root of the RR interval. Randomness comes from the generator passed in and from nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from signal_models.metrics.beats import heart_rate_series


class SyntheticEcg(NamedTuple):
    """ecg: mV at fs. beats_s: R peaks. heart_rate: (t_s, bpm), the truth on a uniform grid. ectopic: per beat."""

    ecg: np.ndarray
    beats_s: np.ndarray
    heart_rate: tuple[np.ndarray, np.ndarray]
    ectopic: np.ndarray


@dataclass(frozen=True)
class Wave:
    """One Gaussian: height in mV for an R of 1 mV, centre and width (standard deviation) in seconds.

    scales: does its centre move with the square root of the RR interval (P, T)?
    """

    name: str
    height: float
    centre_s: float
    width_s: float
    scales: bool = False


NORMAL = (
    Wave("P", 0.12, -0.17, 0.022, True),
    Wave("Q", -0.12, -0.026, 0.009),
    Wave("R", 1.0, 0.0, 0.0115),
    Wave("S", -0.22, 0.028, 0.010),
    Wave("T", 0.25, 0.26, 0.045, True),
)
ECTOPIC = (  # ventricular: no P wave, wide and tall, T against it
    Wave("R", 1.3, 0.0, 0.032),
    Wave("S", -0.55, 0.085, 0.034),
    Wave("T", -0.4, 0.27, 0.055, True),
)


def ecg(
    duration_s: float,
    rng: np.random.Generator,
    *,
    fs: float = 250.0,
    rate_bpm: float | Sequence[tuple[float, float]] = 70.0,
    hrv_s: float = 0.025,
    amplitude_mv: float = 1.0,
    t_wave_mv: float | None = None,
    wander_mv: float = 0.05,
    powerline_mv: float = 0.0,
    powerline_hz: float = 50.0,
    muscle_mv: float = 0.01,
    motion_mv: float = 0.0,
    ectopic_share: float = 0.0,
    fibrillating: bool = False,
    pauses_s: Sequence[tuple[float, float]] = (),
    breath: np.ndarray | None = None,
) -> SyntheticEcg:
    """One lead.

    rate_bpm: 15..300, one rate or steps [(from second, rate), ...]. hrv_s: standard deviation of RR at 60/min (it
    scales with RR). amplitude_mv: height of R, negative for a turned lead. t_wave_mv: height of T, else a quarter of
    R. wander_mv, motion_mv: standard deviation of baseline wander (below 0.5 Hz) and of electrode motion (steps that
    fade, 1-10 Hz); powerline_mv: amplitude; muscle_mv: standard deviation of wide-band noise. ectopic_share: share of
    beats that are ventricular and early, with a compensatory pause. fibrillating: RR without order, no P, f waves.
    pauses_s: (start, length) stretches without a beat. breath: phase of breathing in radians at fs, which sways RR and
    the height of the beats (6 %); without it RR sways 15 times a minute and the height does not.
    """
    times, ectopic = _beat_times(duration_s, rng, rate_bpm, hrv_s, ectopic_share, fibrillating, pauses_s, breath, fs)
    n = round(duration_s * fs)
    signal = np.zeros(n)
    rr_s = np.diff(times, append=times[-1] + 1.0) if len(times) else np.zeros(0)
    before_s = np.concatenate([rr_s[:1], rr_s[:-1]])
    for at, rr, earlier, odd in zip(times, rr_s, before_s, ectopic, strict=True):
        for wave in ECTOPIC if odd else NORMAL:
            if wave.name == "P" and fibrillating:
                continue
            height = wave.height * amplitude_mv
            if breath is not None:
                height *= 1 + 0.06 * np.sin(_at(breath, fs, at))
            if wave.name == "T" and t_wave_mv is not None:
                height = np.copysign(t_wave_mv, height)
            span = min(rr if wave.centre_s > 0 else earlier, 1.5)
            scale = np.sqrt(span) if wave.scales else 1.0
            add_wave(signal, fs, at + wave.centre_s * scale, wave.width_s * scale, height)
    if fibrillating:
        signal += 0.04 * abs(amplitude_mv) * band_noise(n, fs, rng, 4, 9)
    t = np.arange(n) / fs
    signal += wander_mv * band_noise(n, fs, rng, 0.05, 0.5) + muscle_mv * band_noise(n, fs, rng, 15, 0.45 * fs)
    signal += powerline_mv * np.sin(2 * np.pi * (powerline_hz * t + rng.random()))
    signal += motion_mv * motion_noise(n, fs, rng)
    inside = (times >= 0) & (times < duration_s)
    shift = np.where(ectopic, peak_shift_s(ECTOPIC), peak_shift_s(NORMAL))
    return SyntheticEcg(signal, (times + shift)[inside], heart_rate_series(times + shift), ectopic[inside])


def _at(phase, fs, t_s):
    return phase[min(max(round(t_s * fs), 0), len(phase) - 1)]


def _beat_times(duration_s, rng, rate_bpm, hrv_s, ectopic_share, fibrillating, pauses_s, breath, fs):
    """R centres from before the start to after the end, and which are ectopic."""
    steps = [(0.0, float(rate_bpm))] if isinstance(rate_bpm, (int, float)) else sorted(rate_bpm)
    low, high = 2 * np.pi * 0.1, 2 * np.pi * 0.25
    phase = rng.uniform(0, 2 * np.pi, 2)
    t = -rng.uniform(0.5, 1.0) * 60 / steps[0][1]
    times, ectopic = [t], [False]
    while t < duration_s + 2:
        rate = next((r for from_s, r in reversed(steps) if t >= from_s), steps[0][1])
        rr = 60 / rate
        if fibrillating:
            interval = rr * max(0.45, rng.gamma(25, 1 / 25))
        else:
            breathing = high * t + phase[1] if breath is None else _at(breath, fs, t)
            swing = (np.sin(low * t + phase[0]) + np.sin(breathing)) * rr
            interval = rr + hrv_s * (swing + 0.2 * rng.normal() * rr)
        interval = max(interval, 0.18)
        early = ectopic_share > 0 and not ectopic[-1] and rng.random() < ectopic_share
        if early:
            times.append(t + max(0.28, 0.6 * interval))
            ectopic.append(True)
            interval *= 2  # compensatory: the next sinus beat comes where the one after would have come
        for start, length in pauses_s:
            if start <= t + interval < start + length:
                interval = start + length - t
        t += interval
        times.append(t)
        ectopic.append(False)
    return np.array(times), np.array(ectopic)


def add_wave(signal: np.ndarray, fs: float, centre_s: float, width_s: float, height: float) -> None:
    """Add a Gaussian in place, four widths to either side."""
    a = max(0, int(np.ceil((centre_s - 4 * width_s) * fs)))
    b = min(len(signal), int(np.floor((centre_s + 4 * width_s) * fs)) + 1)
    if a < b:
        signal[a:b] += height * np.exp(-0.5 * ((np.arange(a, b) / fs - centre_s) / width_s) ** 2)


def peak_shift_s(waves: tuple[Wave, ...]) -> float:
    """Where the extremum of the QRS lies against the centre of its R wave: Q and S pull it."""
    t = np.arange(-0.02, 0.02, 1e-5)
    qrs = sum(w.height * np.exp(-0.5 * ((t - w.centre_s) / w.width_s) ** 2) for w in waves if not w.scales)
    return float(t[np.argmax(qrs)])


def band_noise(n: int, fs: float, rng: np.random.Generator, low_hz: float, high_hz: float) -> np.ndarray:
    """Gaussian noise between two frequencies, standard deviation 1."""
    f = np.fft.rfftfreq(n, 1 / fs)
    spectrum = np.where((f >= low_hz) & (f <= high_hz), rng.normal(size=len(f)) + 1j * rng.normal(size=len(f)), 0)
    noise = np.fft.irfft(spectrum, n)
    return noise / (noise.std() or 1.0)


def motion_noise(n: int, fs: float, rng: np.random.Generator) -> np.ndarray:
    """Electrode motion: steps at random times that fade within a second, standard deviation 1."""
    kicks = np.where(rng.random(n) < 1.5 / fs, rng.normal(size=n), 0)
    t = np.arange(round(2 * fs)) / fs
    fading = (1 - np.exp(-t / 0.05)) * np.exp(-t / 0.3)
    noise = np.convolve(kicks, fading)[:n] + 0.1 * band_noise(n, fs, rng, 1, 10)
    return noise / (noise.std() or 1.0)
