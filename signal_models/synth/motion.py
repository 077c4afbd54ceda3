"""A pulse disturbed by a moving arm: real or synthetic acceleration that leaks into the light, and what is no
acceleration's doing.

Each axis reaches the light through a random path of its own (0..0.24 s, changing slowly as the strap shifts), the
magnitude of the acceleration through another, and noise of the movement's strength that no sensor saw is added.

Model limits: tissue is a sum of delays, the pulse itself is not changed by motion, and both wavelengths are as
unlike as two sites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage, signal

from signal_models.recording import Recording
from signal_models.synth.ppg import FULL_SCALE, ppg

PATHS = 4  # delays a path has
PATH_S = 0.08  # apart
DRIFT_S = 12.0  # in which a path changes by about its size


def leak(accel: np.ndarray, fs: float, rng: np.random.Generator, *, unseen: float = 0.5) -> np.ndarray:
    """What a movement does to the light: accel (n, 3) g at fs Hz to (n,), rms 1 where there is any.

    unseen: share (rms) that no linear path explains: half from the magnitude, half noise as strong as the movement.
    """
    n = len(accel)
    sos = signal.butter(2, [0.4, 6.0], "bandpass", fs=fs, output="sos")
    axes = signal.sosfiltfilt(sos, accel, axis=0)
    magnitude = signal.sosfiltfilt(sos, np.linalg.norm(accel, axis=1))
    linear = sum(_path(axes[:, a], fs, rng) for a in range(3))
    energy = ndimage.uniform_filter1d((axes**2).sum(axis=1), round(2 * fs), mode="nearest")
    strength = np.sqrt(np.maximum(energy, 0))  # rounding may leave a silent stretch just below 0
    noise = signal.sosfiltfilt(sos, rng.standard_normal(n)) * strength
    other = _unit(_path(magnitude, fs, rng)) + _unit(noise)
    return _unit(_unit(np.asarray(linear)) * np.sqrt(1 - unseen**2) + _unit(other) * unseen)


def irregular_arm(duration_s: float, fs: float, rng: np.random.Generator, *, g: float = 0.6) -> np.ndarray:
    """Acceleration (n, 3) in g of an arm that works: bouts of strokes of no fixed rhythm, and jolts, over gravity."""
    n = round(duration_s * fs)
    t_s, strength = 0.0, np.zeros(n)
    push = np.zeros((n, 3))
    while t_s < duration_s:
        at = round(t_s * fs)
        width = max(2, round(fs * rng.uniform(0.08, 0.4)))
        stroke = np.hanning(2 * width)[: max(0, n - at)]
        push[at : at + len(stroke)] += stroke[:, None] * rng.normal(size=3) * rng.exponential(1.0)
        t_s += rng.gamma(2.0, 0.22)
    bouts = ndimage.gaussian_filter1d(rng.standard_normal(n), 4 * fs)
    strength = np.clip(0.7 + bouts / (bouts.std() + 1e-9), 0.1, 2)
    return g * push * strength[:, None] + [0.3, -0.2, 0.93]


def disturbed(
    pulse: np.ndarray, accel: np.ndarray, fs: float, rng: np.random.Generator, *, snr_db: float, unseen: float = 0.5
) -> np.ndarray:
    """pulse (n,) with the leak of accel (n, 3) on it, both at fs Hz: rms of the pulse over the leak's is snr_db."""
    return _unit(pulse) * 10 ** (snr_db / 20) + leak(accel, fs, rng, unseen=unseen)


# Of each phase: heart rate it tends to (bpm) with its time constant (s), steps a minute, swing of the arm (g), and leak
# into the light (rms, in pulse amplitudes).
PHASES = {
    "rest": (70.0, 40.0, 0.0, 0.0, 0.0),
    "walk": (95.0, 30.0, 112.0, 0.25, 0.5),
    "run": (152.0, 45.0, 166.0, 1.2, 1.2),
}
WALK_RUN_REST = (("rest", 25.0), ("walk", 30.0), ("run", 60.0), ("rest", 60.0))


def exerciser(
    phases: Sequence[tuple[str, float]] = WALK_RUN_REST,
    seed: int = 1,
    *,
    perfusion_pct: float = 1.5,
    kinds: Mapping[str, tuple[float, float, float, float, float]] = PHASES,
) -> Recording:
    """A wearer who goes through phases (name, seconds): red and infrared counts at 100 Hz, acceleration at 50 Hz.

    kinds: what a phase is. Truth: heart_rate and pulse_rate each 0.25 s. The arm swings once every two steps.
    """
    fs, rng = 100.0, np.random.default_rng(seed)
    rates = np.array([kinds[name] for name, _ in phases])
    part = np.repeat(np.arange(len(phases)), [round(s * fs) for _, s in phases])
    n = len(part)
    t_s = np.arange(n) / fs
    bpm = np.empty(n)
    now = rates[0, 0]
    for i, k in enumerate(part):
        now += (rates[k, 0] - now) / (rates[k, 1] * fs)
        bpm[i] = now
    turns = np.cumsum(bpm) / 60 / fs
    beats_s = np.interp(np.arange(-3, turns[-1] + 3), turns, t_s)
    beats_s[:3] = beats_s[3] - 60 / bpm[0] * np.arange(3, 0, -1)
    light = ppg(n / fs, rng, np.unique(beats_s), fs=fs, perfusion_pct=perfusion_pct).counts.astype(float)
    smooth = ndimage.gaussian_filter1d(rates[part, 2:], 0.5 * fs, axis=0, mode="nearest")
    swing = 2 * np.pi * np.cumsum(smooth[:, 0] * (1 + 0.01 * _slow(n, fs, rng))) / 120 / fs
    arm = np.stack([np.sin(swing), 0.6 * np.sin(2 * swing + 1), 0.3 * np.sin(3 * swing + 2)], axis=1)
    accel = smooth[:, 1:2] * arm + [0.3, -0.2, 0.93] + 0.004 * rng.standard_normal((n, 3))
    for column in range(2):
        moved = smooth[:, 2] * leak(accel * (smooth[:, 1:2] > 0.02), fs, rng)
        light[:, column] *= 1 - perfusion_pct / 100 * moved
    grid = slice(None, None, 25)
    truth = {"heart_rate": (t_s[grid], bpm[grid]), "pulse_rate": (t_s[grid], bpm[grid])}
    counts = np.clip(np.rint(light), 0, FULL_SCALE)
    return Recording(
        f"exerciser-{seed}",
        ppg=counts,
        ppg_fs=fs,
        accel=accel[::2],
        accel_fs=fs / 2,
        truth=truth,
        meta={"seed": str(seed)},
    )


def _slow(n: int, fs: float, rng: np.random.Generator) -> np.ndarray:
    drift = ndimage.gaussian_filter1d(rng.standard_normal(n), 5 * fs)
    return drift / (drift.std() + 1e-9)


def _path(x: np.ndarray, fs: float, rng: np.random.Generator) -> np.ndarray:
    """x through PATHS delays whose weights drift."""
    out = np.zeros(len(x))
    for k in range(PATHS):
        drift = ndimage.gaussian_filter1d(rng.standard_normal(len(x)), DRIFT_S * fs, mode="wrap")
        weight = rng.normal() + 0.5 * drift / (drift.std() + 1e-9)
        out += weight * np.roll(x, round(k * PATH_S * fs))
    return out


def _unit(x: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(x))))
    return x / rms if rms > 0 else x
