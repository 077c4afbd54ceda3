"""A pulse disturbed by a moving arm: real or synthetic acceleration that leaks into the light, and what is no
acceleration's doing.

Each axis reaches the light through a random path of its own (0..0.24 s, changing slowly as the strap shifts), the
magnitude of the acceleration through another, and noise of the movement's strength that no sensor saw is added.

Model limits: tissue is a sum of delays, the pulse itself is not changed by motion, and both wavelengths are as
unlike as two sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import ndimage, signal

from signal_models.recording import Recording
from signal_models.synth.ppg import FULL_SCALE, ppg

PATHS = 4  # delays a path has
PATH_S = 0.08  # apart
DRIFT_S = 12.0  # in which a path changes by about its size
AT_REST = (0.3, -0.2, 0.93)  # gravity, g


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
    return g * push * strength[:, None] + AT_REST


def strokes(
    n: int,
    fs: float,
    rng: np.random.Generator,
    *,
    per_min: float,
    g: float,
    width_s: float,
    jitter: float,
    spread: float,
) -> np.ndarray:
    """Acceleration (n, 3) in g of strokes: to and fro in width_s, along one direction that varies by `spread`.

    jitter: of the intervals between them, share.
    """
    out = np.zeros((n, 3))
    along = _direction(rng.normal(size=3))
    at = 0
    while at < n:
        width = max(2, round(fs * width_s * rng.uniform(0.7, 1.3)))
        turn = np.linspace(0, 1, 2 * width, endpoint=False)
        push = np.sin(2 * np.pi * turn) * np.sin(np.pi * turn) + 0.3 * np.hanning(2 * width)
        push = push[: n - at] * rng.uniform(0.6, 1.4)
        out[at : at + len(push)] += push[:, None] * (along + spread * rng.normal(size=3))
        at += max(1, round(fs * 60 / per_min * max(0.3, 1 + jitter * rng.normal())))
    return g * out


def jumps(n: int, fs: float, rng: np.random.Generator, *, per_min: float, g: float) -> np.ndarray:
    """Acceleration (n, 3) in g of jumps: in the air half of the time, where there is no weight, then the impact."""
    out = np.zeros((n, 3))
    at = 0
    while at < n:
        span = round(fs * 60 / per_min * max(0.5, 1 + 0.03 * rng.normal()))
        turn = np.linspace(0, 1, span, endpoint=False)
        push = np.where(turn < 0.5, -1.0, 2.2 * np.sin(2 * np.pi * turn) ** 2) * rng.uniform(0.85, 1.15)
        push = push[: n - at]
        out[at : at + len(push)] += push[:, None] * (np.array([0.2, 0.3, 0.93]) + 0.15 * rng.normal(size=3))
        at += span
    return g * out


def disturbed(
    pulse: np.ndarray, accel: np.ndarray, fs: float, rng: np.random.Generator, *, snr_db: float, unseen: float = 0.5
) -> np.ndarray:
    """pulse (n,) with the leak of accel (n, 3) on it, both at fs Hz: rms of the pulse over the leak's is snr_db."""
    return _unit(pulse) * 10 ** (snr_db / 20) + leak(accel, fs, rng, unseen=unseen)


# What an arm does apart from running: n samples at fs Hz, each time of a strength and pace of their own.
MOVES: dict[str, Callable[[int, float, np.random.Generator], np.ndarray]] = {
    "boxing": lambda n, fs, r: strokes(
        n, fs, r, per_min=r.uniform(70, 150), g=r.uniform(1, 2.5), width_s=0.12, jitter=0.15, spread=0.5
    ),
    "jumps": lambda n, fs, r: jumps(n, fs, r, per_min=r.uniform(95, 150), g=r.uniform(0.8, 1.3)),
    "push-ups": lambda n, fs, r: strokes(
        n, fs, r, per_min=r.uniform(25, 50), g=r.uniform(0.3, 0.7), width_s=0.5, jitter=0.08, spread=0.3
    ),
    "forearm": lambda n, fs, r: strokes(
        n, fs, r, per_min=r.uniform(90, 220), g=r.uniform(0.4, 1.2), width_s=0.1, jitter=0.08, spread=0.4
    ),
    "work": lambda n, fs, r: irregular_arm(n / fs, fs, r, g=r.uniform(0.4, 1.2)) - AT_REST,
}

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
    bpm = np.empty(n)
    now = rates[0, 0]
    for i, k in enumerate(part):
        now += (rates[k, 0] - now) / (rates[k, 1] * fs)
        bpm[i] = now
    light = ppg(n / fs, rng, _beats(bpm, fs), fs=fs, perfusion_pct=perfusion_pct).counts.astype(float)
    smooth = ndimage.gaussian_filter1d(rates[part, 2:], 0.5 * fs, axis=0, mode="nearest")
    swing = 2 * np.pi * np.cumsum(smooth[:, 0] * (1 + 0.01 * _slow(n, fs, rng))) / 120 / fs
    arm = np.stack([np.sin(swing), 0.6 * np.sin(2 * swing + 1), 0.3 * np.sin(3 * swing + 2)], axis=1)
    accel = smooth[:, 1:2] * arm + AT_REST + 0.004 * rng.standard_normal((n, 3))
    for column in range(2):
        moved = smooth[:, 2] * leak(accel * (smooth[:, 1:2] > 0.02), fs, rng)
        light[:, column] *= 1 - perfusion_pct / 100 * moved
    return _recording(f"exerciser-{seed}", light, accel, bpm, fs, seed)


def workout(
    seed: int = 1,
    moves: Sequence[str] = tuple(MOVES),
    *,
    each_s: float = 30.0,
    leak_rms: tuple[float, float] = (0.4, 2.2),
    unseen: tuple[float, float] = (0.4, 0.9),
    perfusion_pct: float = 1.5,
) -> Recording:
    """A wearer who does MOVES of each_s, in an order of chance, with 10 s of rest before and after and 4 s in each.

    leak_rms (in pulse amplitudes), unseen: between which both lie by chance. Otherwise as `exerciser`; the heart is
    at 85-165 bpm and changes by some 10 bpm in 20 s.
    """
    fs, rng = 100.0, np.random.default_rng(seed)
    order = list(rng.permutation(list(moves)))
    n = round((20 + len(order) * each_s) * fs)
    accel, strength = np.zeros((n, 3)), np.zeros(n)
    span, at = round(each_s * fs), round(10 * fs)
    for move in order:
        acts = np.ones(span)
        pause = rng.integers(span // 3, 2 * span // 3)
        moved = MOVES[move](span, fs, rng)
        acts[pause : pause + round(4 * fs)] = 0
        acts = ndimage.gaussian_filter1d(acts, 0.3 * fs)
        accel[at : at + span] = moved * acts[:, None]
        strength[at : at + span] = acts * rng.uniform(*leak_rms)
        at += span
    knots_s = np.arange(0, n / fs + 20, 20.0)
    aims = np.clip(rng.uniform(85, 165) + np.cumsum(rng.normal(0, 10, len(knots_s))), 70, 175)
    bpm = ndimage.gaussian_filter1d(np.interp(np.arange(n) / fs, knots_s, aims), 4 * fs)
    counts = ppg(n / fs, rng, _beats(bpm, fs), fs=fs, perfusion_pct=perfusion_pct, breaths_min=25).counts
    light = counts.astype(float)
    accel += AT_REST + 0.004 * rng.standard_normal((n, 3))
    strength = ndimage.gaussian_filter1d(strength, 0.3 * fs)
    for column in range(2):
        light[:, column] *= 1 - perfusion_pct / 100 * strength * leak(accel, fs, rng, unseen=rng.uniform(*unseen))
    return _recording(f"workout-{seed}", light, np.clip(accel, -8, 8), bpm, fs, seed)


def _beats(bpm: np.ndarray, fs: float) -> np.ndarray:
    """Beat times (s) of a heart at bpm (n,), from before 0 on."""
    turns = np.cumsum(bpm) / 60 / fs
    beats_s = np.interp(np.arange(-3, turns[-1] + 3), turns, np.arange(len(bpm)) / fs)
    beats_s[:3] = beats_s[3] - 60 / bpm[0] * np.arange(3, 0, -1)
    return np.unique(beats_s)


def _recording(name: str, light: np.ndarray, accel: np.ndarray, bpm: np.ndarray, fs: float, seed: int) -> Recording:
    """All at fs Hz; the acceleration is kept at half of it, the rate each 0.25 s."""
    rate = (np.arange(len(bpm))[::25] / fs, bpm[::25])
    return Recording(
        name,
        ppg=np.clip(np.rint(light), 0, FULL_SCALE),
        ppg_fs=fs,
        accel=accel[::2],
        accel_fs=fs / 2,
        truth={"heart_rate": rate, "pulse_rate": rate},
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


def _direction(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def _unit(x: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(x))))
    return x / rms if rms > 0 else x
