"""Recorded pulses at rates they never had, disturbed by recorded or synthetic movement of others.

A pulse of a resting wearer (a recording and its onsets) is played faster or slower so that its rate follows a given
track; what a runner's movement did to his light is that light without what follows his own heart. So the rate, its
changes and the strength of the movement can be chosen, and pulse shapes, movement and acceleration are real.

Model limits: a pulse played faster keeps the shape it had at rest, and its noise is played faster as well; of the
runner's movement what lay within 6 a minute of his own pulse and its harmonics is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, signal

from signal_models.recording import Recording
from signal_models.synth.motion import AT_REST

FS = 100.0
WINDOW_S, STEP_S = 8.0, 2.0  # of the truth
NOTCH_HZ = 0.1  # half width of what is taken from a runner's light round his pulse and its harmonics
HARMONICS = 3
BAND_HZ = (0.5, 8.0)  # in which strengths are compared
FOOT_TO_PEAK = 3.5  # of a pulse, in its rms
DC_COUNTS = np.array([90_000.0, 120_000.0])  # red, infrared
NOISE_COUNTS = 8.0  # the converter's


def rate_track(knots: Sequence[tuple[float, float]], duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """Heart rate (n,) at FS through knots (s, bpm), smoothed over 4 s, with a variation of about 1.5 %."""
    t_s = np.arange(round(duration_s * FS)) / FS
    bpm = ndimage.gaussian_filter1d(np.interp(t_s, *np.array(knots).T), 4 * FS, mode="nearest")
    slow = ndimage.gaussian_filter1d(rng.standard_normal(len(t_s)), 2 * FS)
    return bpm * (1 + 0.015 * slow / slow.std())


def played(x: np.ndarray, fs: float, onsets_s: np.ndarray, bpm: np.ndarray, first: int = 0) -> np.ndarray:
    """The light x (n,) with pulses at onsets_s, played so that its rate is bpm (m,) at FS: (m,) of rms 1 in the band.

    It begins with onset `first`, and again with the first one when the recording is over.
    """
    turns = (first + np.cumsum(bpm) / 60 / FS) % (len(onsets_s) - 1)
    at_s = np.interp(turns, np.arange(len(onsets_s)), onsets_s)
    return _unit(np.interp(at_s, np.arange(len(x)) / fs, x))


def residue(runner: Recording) -> np.ndarray:
    """A runner's light (n, k) at its own rate less what follows his heart: the fundamental and its harmonics."""
    assert runner.ppg is not None and runner.ppg_fs
    fs = runner.ppg_fs
    t_s = np.arange(len(runner.ppg)) / fs
    phase = 2 * np.pi * np.cumsum(np.interp(t_s, *runner.truth["heart_rate"])) / 60 / fs
    low = signal.butter(2, NOTCH_HZ, fs=fs, output="sos")
    x = signal.sosfiltfilt(signal.butter(2, BAND_HZ, "bandpass", fs=fs, output="sos"), runner.ppg, axis=0)
    for h in range(1, HARMONICS + 1):
        turn = np.exp(-1j * h * phase)[:, None]
        x = x - 2 * np.real(signal.sosfiltfilt(low, x * turn, axis=0) * np.conj(turn))
    return x


def mixture(
    pulse: np.ndarray,
    moved: np.ndarray,
    accel: np.ndarray,
    bpm: np.ndarray,
    *,
    ratio: float | np.ndarray,
    rng: np.random.Generator,
    noise: float = 0.0,
    perfusion_pct: float | None = None,
) -> Recording:
    """A wearer at FS: the pulse (n,) in each of two columns, and moved (n, 2) times `ratio` (rms over its own) on it.

    accel: (n, 3) g. noise: white, rms over the pulse's. perfusion_pct: red and infrared counts of that perfusion;
    None: a relative pulse in two green columns. Truth: heart_rate over WINDOW_S each STEP_S, at the middle.
    """
    light = pulse[:, None] + np.reshape(ratio, (-1, 1)) * moved
    light = light + noise * rng.standard_normal(light.shape)
    width, step = round(WINDOW_S * FS), round(STEP_S * FS)
    ends = np.arange(width, len(bpm) + 1, step)
    total = np.pad(np.cumsum(bpm), (1, 0))
    truth = (ends / FS - WINDOW_S / 2, (total[ends] - total[ends - width]) / width)
    parts: dict = {"ppg": light, "ppg_channels": ("green", "green"), "ppg_unit": "relative"}
    if perfusion_pct is not None:
        counts = DC_COUNTS * (1 - perfusion_pct / 100 * light / FOOT_TO_PEAK) + NOISE_COUNTS * rng.normal(
            size=light.shape
        )
        parts = {"ppg": np.rint(counts)}
    return Recording("", ppg_fs=FS, accel=accel, accel_fs=FS, truth={"heart_rate": truth}, **parts)


def at_rest(n: int, rng: np.random.Generator) -> np.ndarray:
    """Acceleration (n, 3) in g of an arm that lies still, with the part's noise."""
    return AT_REST + 0.004 * rng.standard_normal((n, 3))


def _unit(x: np.ndarray) -> np.ndarray:
    sos = signal.butter(2, BAND_HZ, "bandpass", fs=FS, output="sos")
    x = x - np.mean(x)
    return x / (np.std(signal.sosfiltfilt(sos, x)) or 1.0)
