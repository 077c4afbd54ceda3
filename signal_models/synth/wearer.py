"""A synthetic wearer: one heart seen by an ECG lead and by red and infrared light, with all that is true of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signal_models.recording import Recording
from signal_models.synth.ecg import ecg
from signal_models.synth.ppg import ppg

ECG_FS, PPG_FS = 250.0, 100.0


def wearer(
    duration_s: float,
    seed: int = 1,
    *,
    rate_bpm: tuple[float, float] = (58.0, 96.0),
    spo2_pct: tuple[float, float] = (88.0, 99.0),
    perfusion_pct: tuple[float, float] = (1.0, 3.0),
    breaths_min: tuple[float, float] = (12.0, 20.0),
    motion: float = 0.0,
    noise_mv: float = 0.01,
    off_s: Sequence[tuple[float, float]] = (),
    name: str | None = None,
) -> Recording:
    """A recording of duration_s whose rates, saturation and perfusion wander slowly within the ranges given.

    seed: names the wearer; the same seed gives the same recording. motion: disturbance of the light in pulse
    amplitudes. noise_mv: muscle noise of the ECG. off_s: (start, length) stretches with the light off the skin.
    Truth: heart_rate, pulse_rate, spo2, perfusion_index, resp_rate on grids of 0.25 s; beats_s holds the R peaks.
    """
    rng = np.random.default_rng(seed)
    n = round(duration_s * PPG_FS)
    t_s = np.arange(n) / PPG_FS
    rate, spo2, perfusion, breaths = (
        _wander(t_s, low, high, rng) for low, high in (rate_bpm, spo2_pct, perfusion_pct, breaths_min)
    )
    every = round(PPG_FS)
    steps = list(zip(t_s[::every].tolist(), rate[::every].tolist(), strict=True))
    phase = 2 * np.pi * np.cumsum(breaths) / 60 / PPG_FS
    breath = np.interp(np.arange(round(duration_s * ECG_FS)) / ECG_FS, t_s, phase)
    heart = ecg(duration_s, rng, fs=ECG_FS, rate_bpm=steps, muscle_mv=noise_mv, breath=breath)
    beats_s = _extended(heart.beats_s, duration_s)
    light = ppg(
        duration_s,
        rng,
        beats_s,
        fs=PPG_FS,
        spo2_pct=spo2,
        perfusion_pct=perfusion,
        breaths_min=breaths,
        motion=motion,
        off_s=off_s,
    )
    grid = slice(None, None, round(PPG_FS / 4))
    return Recording(
        name or f"synthetic-{seed}",
        ecg=heart.ecg,
        ecg_fs=ECG_FS,
        ppg=light.counts,
        ppg_fs=PPG_FS,
        truth={
            "heart_rate": heart.heart_rate,
            "pulse_rate": light.pulse_rate,
            "spo2": (t_s[grid], spo2[grid]),
            "perfusion_index": (t_s[grid], perfusion[grid]),
            "resp_rate": (t_s[grid], breaths[grid]),
        },
        beats_s=heart.beats_s,
        meta={"data set": "synthetic", "seed": str(seed)},
    )


def _wander(t_s: np.ndarray, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """A slow curve within low..high: three sines of 40-200 s, of random phase."""
    periods_s, phases = rng.uniform((40, 70, 120), (70, 120, 200)), rng.uniform(0, 2 * np.pi, 3)
    swing = sum(np.sin(2 * np.pi * t_s / p + q) for p, q in zip(periods_s, phases, strict=True))
    return (low + high) / 2 + (high - low) / 2 * np.clip(swing / 2.2, -1, 1)


def _extended(beats_s: np.ndarray, duration_s: float) -> np.ndarray:
    """The beats with two of the same rhythm before the first and after the last, so that the light starts seamless."""
    if len(beats_s) < 2:
        return np.array([-1.0, duration_s + 1.0])
    first, last = beats_s[1] - beats_s[0], beats_s[-1] - beats_s[-2]
    before = beats_s[0] - first * np.arange(3, 0, -1)
    return np.concatenate([before, beats_s, beats_s[-1] + last * np.arange(1, 4)])
