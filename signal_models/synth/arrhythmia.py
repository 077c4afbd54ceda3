"""Hearts that heart-rate monitors are accepted by, and what disturbs them (IEC 60601-2-27, ANSI/AAMI EC13).

Each heart is a Recording of one lead with its beats, their classes (WFDB symbols: N normal, V ventricular, A atrial
fibrillation's, / paced) and the rate that a monitor should read, as truth `heart_rate`. Disturbances take a recording
and give a disturbed one of the same truth. The four irregular rhythms are after the figure of the standard: their
order, polarity and mean rate are the standard's, the single intervals are ours. Randomness comes from the generator
passed in and from nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from signal_models.metrics.beats import heart_rate_series
from signal_models.recording import Recording
from signal_models.synth.ecg import ECTOPIC, NORMAL, Wave, add_wave, band_noise, motion_noise, peak_shift_s

FS = 250.0
_LEAD_S = 2.0  # beats before the start and after the end, so that no wave is cut
_SPIKE_S = 0.0015  # standard deviation of a pacing pulse behind a front end of 100 Hz

TURNED = tuple(replace(w, height=-w.height) for w in ECTOPIC)  # ventricular, from another focus
PACED = (
    Wave("S", -0.9, 0.045, 0.026),
    Wave("R", 0.25, 0.115, 0.022),
    Wave("T", 0.45, 0.33, 0.055, True),
)
SHAPES = {"N": NORMAL, "A": NORMAL[1:], "V": ECTOPIC, "W": TURNED, "/": PACED}
_LABELS = {"W": "V"}


def steady(duration_s: float, bpm: float, *, t_wave_mv: float | None = None, amplitude_mv: float = 1.0) -> Recording:
    """A rate of 15..300/min without any variation. t_wave_mv: height of T, else a quarter of R."""
    times = _every(duration_s, [60 / bpm])
    return lay(f"steady {bpm:g}", duration_s, times, "N", amplitude_mv=amplitude_mv, t_wave_mv=t_wave_mv)


def step(duration_s: float, from_bpm: float, to_bpm: float, at_s: float) -> Recording:
    """from_bpm, and to_bpm from the first beat after at_s on."""
    before = _every(duration_s, [60 / from_bpm])
    before = before[before <= at_s]
    after = before[-1] + 60 / to_bpm * np.arange(1, int((duration_s + _LEAD_S) * to_bpm / 60))
    return lay(f"{from_bpm:g} to {to_bpm:g}", duration_s, np.concatenate([before, after]), "N")


def bigeminy(duration_s: float, bpm: float = 80.0) -> Recording:
    """Ventricular bigeminy: each normal beat is followed by an early ventricular one. bpm counts both."""
    rr = 60 / bpm
    return lay("ventricular bigeminy", duration_s, _every(duration_s, [0.7 * rr, 1.3 * rr]), "NV", bpm=bpm)


def alternating_bigeminy(duration_s: float, bpm: float) -> Recording:
    """Alternating ventricular bigeminy: the coupling of the ventricular beat changes from pair to pair. The standard
    has a slow one of 60/min and a rapid one of 120/min."""
    intervals = [60 / bpm * f for f in (0.6, 1.4, 0.8, 1.2)]
    return lay(f"alternating bigeminy {bpm:g}", duration_s, _every(duration_s, intervals), "NV", bpm=bpm)


def bidirectional(duration_s: float, bpm: float = 90.0) -> Recording:
    """Bidirectional systoles: ventricular beats whose QRS points up and down in turn."""
    rr = 60 / bpm
    return lay("bidirectional systoles", duration_s, _every(duration_s, [0.95 * rr, 1.05 * rr]), "VW", bpm=bpm)


def fibrillation(duration_s: float, rng: np.random.Generator, bpm: float = 90.0, f_mv: float = 0.06) -> Recording:
    """Atrial fibrillation: RR without order (gamma, a fifth of its mean), no P, f waves of 4-9 Hz."""
    n = int((duration_s + 3 * _LEAD_S) * bpm / 60 * 1.5)
    rr = 60 / bpm * np.maximum(0.45, rng.gamma(25, 1 / 25, n))
    heart = lay("atrial fibrillation", duration_s, _upto(duration_s, np.cumsum(rr) - _LEAD_S), "A")
    assert heart.ecg is not None
    return replace(heart, ecg=heart.ecg + f_mv * band_noise(len(heart.ecg), FS, rng, 4, 9))


def ectopy(duration_s: float, rng: np.random.Generator, bpm: float = 72.0, share: float = 0.1) -> Recording:
    """Sinus rhythm in which `share` of the beats are ventricular: early, wide, T against QRS, with a compensatory
    pause; two never follow one another."""
    t, times, kinds = -_LEAD_S, [], ""
    while t < duration_s + _LEAD_S:
        rr = 60 / bpm * (1 + 0.03 * np.sin(2 * np.pi * 0.25 * t) + 0.01 * rng.normal())
        if kinds[-1:] != "V" and rng.random() < share:
            times.append(t - 0.4 * rr)
            kinds += "V"
        else:
            times.append(t)
            kinds += "N"
        t += rr
    return lay("ventricular ectopy", duration_s, np.array(times), kinds)


def pauses(
    duration_s: float, rng: np.random.Generator, bpm: float = 70.0, pauses_s: Sequence[tuple[float, float]] = ((20, 3),)
) -> Recording:
    """Sinus rhythm that stops: pauses_s holds (start, length) of stretches without a beat."""
    t, times = -_LEAD_S, []
    while t < duration_s + _LEAD_S:
        times.append(t)
        t += 60 / bpm * (1 + 0.02 * np.sin(2 * np.pi * 0.25 * t) + 0.01 * rng.normal())
        for start_s, length_s in pauses_s:
            if start_s <= t < start_s + length_s:
                t = max(t, times[-1] + length_s)
    return lay("pauses", duration_s, np.array(times), "N")


def paced(duration_s: float, bpm: float = 70.0, pulse_mv: float = 2.0) -> Recording:
    """Ventricular pacing: a pulse (pulse_mv high once it has passed a front end of 100 Hz), then a wide QRS."""
    times = _every(duration_s, [60 / bpm])
    heart = lay("paced", duration_s, times, "/", bpm=bpm)
    assert heart.ecg is not None
    for t in times:
        add_wave(heart.ecg, FS, t, _SPIKE_S, pulse_mv)
    return heart


def disturbed(
    heart: Recording,
    rng: np.random.Generator,
    *,
    powerline_mv: float = 0.0,
    powerline_hz: float = 50.0,
    wander_mv: float = 0.0,
    muscle_mv: float = 0.0,
    motion_mv: float = 0.0,
) -> Recording:
    """Add what a lead picks up: mains of an amplitude, baseline wander (below 0.5 Hz), muscle (wide-band) and
    electrode motion (steps that fade, 1-10 Hz) of a standard deviation, millivolts."""
    assert heart.ecg is not None and heart.ecg_fs
    n, fs = len(heart.ecg), heart.ecg_fs
    ecg = heart.ecg + powerline_mv * np.sin(2 * np.pi * (powerline_hz * np.arange(n) / fs + rng.random()))
    ecg += wander_mv * band_noise(n, fs, rng, 0.05, 0.5) + muscle_mv * band_noise(n, fs, rng, 15, 0.45 * fs)
    return replace(heart, ecg=ecg + motion_mv * motion_noise(n, fs, rng))


def lead_off(heart: Recording, from_s: float, to_s: float) -> Recording:
    """An electrode is off: no samples (NaN) in the stretch."""
    return _overlaid(heart, from_s, to_s, float("nan"))


def saturated(heart: Recording, from_s: float, to_s: float, rail_mv: float = 40.0) -> Recording:
    """The amplifier stands at its rail in the stretch; 40 mV is beyond what int16 microvolts hold."""
    return _overlaid(heart, from_s, to_s, rail_mv)


def lay(
    name: str,
    duration_s: float,
    times_s: np.ndarray,
    kinds: str,
    *,
    bpm: float | None = None,
    amplitude_mv: float = 1.0,
    t_wave_mv: float | None = None,
) -> Recording:
    """Lay the beats `kinds` (keys of SHAPES, repeated as needed) at times_s.

    bpm: what a monitor should read, else 60 over each interval.
    """
    ecg = np.zeros(round(duration_s * FS))
    kinds = (kinds * (len(times_s) // len(kinds) + 1))[: len(times_s)]
    rr = np.diff(times_s, append=2 * times_s[-1] - times_s[-2])
    before = np.concatenate([rr[:1], rr[:-1]])
    for t, kind, after_s, before_s in zip(times_s, kinds, rr, before, strict=True):
        for wave in SHAPES[kind]:
            span_s = min(after_s if wave.centre_s > 0 else before_s, 1.5)
            scale = np.sqrt(span_s) if wave.scales else 1.0
            height = wave.height * amplitude_mv
            if wave.name == "T" and t_wave_mv is not None:
                height = np.copysign(t_wave_mv, height)
            add_wave(ecg, FS, t + wave.centre_s * scale, wave.width_s * scale, height)
    shift = {kind: _shift_s(SHAPES[kind]) for kind in set(kinds)}
    beats = times_s + np.array([shift[kind] for kind in kinds])
    grid, rate = heart_rate_series(beats)
    inside = (beats >= 0) & (beats < duration_s)
    return Recording(
        name,
        ecg=ecg,
        ecg_fs=FS,
        truth={"heart_rate": (grid, rate if bpm is None else np.full(len(grid), float(bpm)))},
        beats_s=beats[inside],
        beat_labels=[_LABELS.get(k, k) for k, keep in zip(kinds, inside, strict=True) if keep],
        meta={"data set": "synthetic"},
    )


def _shift_s(waves: tuple[Wave, ...]) -> float:
    """Where the QRS has its largest excursion, seconds after the beat's time."""
    largest = max((w for w in waves if not w.scales), key=lambda w: abs(w.height))
    around = tuple(replace(w, centre_s=w.centre_s - largest.centre_s) for w in waves)
    return largest.centre_s + peak_shift_s(tuple(replace(w, height=w.height * np.sign(largest.height)) for w in around))


def _every(duration_s: float, intervals_s: Sequence[float]) -> np.ndarray:
    """Beats at the intervals given, over and over, from before the start to after the end."""
    n = int((duration_s + 3 * _LEAD_S) / np.mean(intervals_s)) + len(intervals_s)
    rr = np.tile(intervals_s, n // len(intervals_s) + 1)
    start_s = -_LEAD_S - 0.3 * float(np.mean(intervals_s))
    return _upto(duration_s, start_s + np.concatenate([[0], np.cumsum(rr)]))


def _upto(duration_s: float, times_s: np.ndarray) -> np.ndarray:
    return times_s[times_s < duration_s + _LEAD_S]


def _overlaid(heart: Recording, from_s: float, to_s: float, value_mv: float) -> Recording:
    assert heart.ecg is not None and heart.ecg_fs
    ecg = heart.ecg.copy()
    ecg[round(from_s * heart.ecg_fs) : round(to_s * heart.ecg_fs)] = value_mv
    return replace(heart, ecg=ecg)
