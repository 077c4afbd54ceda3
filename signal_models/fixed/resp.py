"""int64 mirror of the firmware's respiration rate, from the specification in vigil.estimators.resp_rate.

Equal to the firmware bit for bit. All windows of a recording go through each step together; only the belief, which
feeds back, is a loop. Signals are taken to have no gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signal_models.design import resp as design
from signal_models.fixed import motion

PULSE_SLOT, ECG_SLOT = 8, 80  # samples of 25 and 250 Hz
WINDOW, FIRST, BINS = design.WINDOW, design.FIRST_BIN, design.BINS
LONGEST = 12 << 8  # slots, Q8, that two beats may be apart
NEAR = 6  # bins each side of the best one that belong to it
LAST = 313  # bins of a spectrum
APART = 20  # bins between two lines that can be told from each other


@dataclass
class Stretch:
    """A line between two beats: its slope in slots first..last, known from sample `known` on."""

    known: int
    first: int
    last: int
    slope: int


@dataclass
class Views:
    """Slopes of each view of one sensor. slot: samples of one. slow: a slope each slot, or None. beats: per view."""

    slot: int
    slow: np.ndarray | None
    beats: list[list[Stretch]]
    interval_q8: list[tuple[int, int]]  # (known, smoothed interval in slots)

    def windows(self, samples: Sequence[int]) -> np.ndarray:
        """(evaluations, views in the order of design.VIEWS, WINDOW): the slots before each number of samples."""
        out = []
        for n in samples:
            now = n // self.slot
            rows = np.zeros((len(self.beats), now + 1), np.int64)
            for row, stretches in zip(rows, self.beats, strict=True):
                for s in stretches:
                    if s.known <= n and s.last > now - 2 * WINDOW:
                        row[s.first : s.last + 1] = s.slope
            if self.slow is not None:
                rows = np.concatenate([np.pad(self.slow[:now], (0, 1))[None], rows])
            rows = np.pad(rows[:, :now], ((0, 0), (max(0, WINDOW - now), 0)))
            rows = rows[:, -WINDOW:]
            if self.slow is not None:  # the amplitude: peak less foot
                rows = np.insert(rows, 3, np.clip(rows[1] - rows[2], -32767, 32767), axis=0)
            out.append(rows)
        return np.array(out)

    def interval_at(self, n: int) -> int:
        """Smoothed interval between beats, slots in Q8, as known with n samples; 0 for none."""
        known = [v for at, v in self.interval_q8 if at <= n]
        return known[-1] if known else 0


def _lines(events: Sequence[tuple[int, int, Sequence[int]]]) -> tuple[list[list[Stretch]], list[tuple[int, int]]]:
    """events: (known, place in slots Q8, values). The last value of each is followed by the interval's own view."""
    views = len(events[0][2]) + 1 if events else 0
    out: list[list[Stretch]] = [[] for _ in range(views)]
    smoothed: list[tuple[int, int]] = []
    last_at, last_values, last_interval, usual = -1, None, 0, 0
    for known, at, values in events:
        if last_values is not None:
            apart = at - last_at
            if apart <= 0:
                continue
            if apart <= LONGEST:
                usual = usual + ((apart - usual) >> 3) if usual else apart
                smoothed.append((known, usual))
                steps = [v - w for v, w in zip(values, last_values, strict=True)]
                steps.append((apart - last_interval) << 4 if last_interval else 0)
                for view, step in zip(out, steps, strict=True):
                    slope = min(max(min(max(step, -(1 << 18)), 1 << 18) * 256 // apart, -32767), 32767)
                    view.append(Stretch(known, (last_at >> 8) + 1, at >> 8, slope))
                last_interval = apart
            else:
                last_interval = 0
        last_at, last_values = at, values
    return out, smoothed


def of_pulse(x: np.ndarray, beats: Sequence[tuple[int, int]], *, relative: bool) -> Views:
    """x: decimated sums (m,) of the pulse column. beats: (samples there were when certain, onset's age Q8)."""
    upright = np.asarray(x, np.int64) * (1 if relative else -1)
    sums = upright[: len(upright) // PULSE_SLOT * PULSE_SLOT].reshape(-1, PULSE_SLOT).sum(axis=1)
    slow = np.zeros(len(sums), np.int64)
    slow[2:] = np.clip((sums[2:] - sums[:-2]) >> 5, -32767, 32767)
    events = []
    for n, back_q8 in beats:
        onset = n - (back_q8 >> 8)  # of the last 32 samples
        first = max(onset - 2, n - 32, 0)
        window = upright[first : min(onset + 11, n)]
        foot, peak = int(window[:3].min()), int(window.max())
        events.append((n, ((n << 8) - back_q8) >> 3, (peak >> 2, foot >> 2)))
    lines, interval = _lines(events)
    if not lines:
        return Views(PULSE_SLOT, slow, [[], [], []], [])
    return Views(PULSE_SLOT, slow, lines, interval)


def of_ecg(beats: Sequence[tuple[int, int, int, int]]) -> Views:
    """beats: (samples there were when it became certain, R peak's sample, its refinement Q8, its height)."""
    events = []
    for n, at, frac_q8, height in beats:
        slot, rest = divmod(at, ECG_SLOT)
        events.append((n, (slot << 8) + ((rest << 8) + frac_q8) // ECG_SLOT, (height,)))
    lines, interval = _lines(events)
    return Views(ECG_SLOT, None, lines or [[], []], interval)


def normalised(x: np.ndarray) -> np.ndarray:
    """(..., WINDOW) slopes, held to four times their mean magnitude and less their mean, 1024..2047 at most."""
    limit = np.abs(x).sum(axis=-1, keepdims=True) // 25 + 1
    x = np.clip(x, -limit, limit)
    x = x - x.sum(axis=-1, keepdims=True) // WINDOW
    return motion.normalise(x)


def spectra(x: np.ndarray) -> np.ndarray:
    """(n, WINDOW) slopes to (n, LAST) log power, 16 an octave, 0..160, the largest of the rates at 160."""
    re, im = motion.transform(np.repeat(normalised(x), 2, axis=-1))
    i = np.arange(1, LAST)
    m = 512 - i
    c, s = motion._twiddle(i)
    dr, di = (im[:, i] + im[:, m]) >> 1, (re[:, m] - re[:, i]) >> 1
    xr = (re[:, i] + re[:, m] + ((c * dr + s * di + 4096) >> 13)) >> 1
    xi = (im[:, i] - im[:, m] + ((c * di - s * dr + 4096) >> 13)) >> 1
    p = np.pad(xr * xr + xi * xi, ((0, 0), (1, 0)))
    e = np.frexp(np.maximum(p, 1).astype(float))[1] - 1
    part = np.where(e >= 4, p >> np.maximum(e - 4, 0), p << np.maximum(4 - e, 0))
    log = np.where(p > 0, 16 * e + part - 16, 0)
    return np.clip(log + 160 - log[:, FIRST : FIRST + BINS].max(axis=1, keepdims=True), 0, 160)


def inputs(spectrum: np.ndarray) -> np.ndarray:
    """(..., LAST) to (..., BINS, 3): the spectrum at each rate, at its double and at its half.

    A double below 2 * APART bins that does not stand above what lies between is the flank of the rate's own line: 0.
    """
    b = np.arange(FIRST, FIRST + BINS)
    double = spectrum[..., 2 * b]
    flank = (b < APART) & (spectrum[..., 3 * b >> 1] >= double)
    return np.stack([spectrum[..., b], np.where(flank, 0, double), spectrum[..., b >> 1]], axis=-1)


def score(spectra_of_views: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, views, LAST) and (views, 3) to (n, BINS); each view's say is rounded down by itself."""
    return ((inputs(spectra_of_views) * weights[:, None, :]).sum(axis=-1) >> 5).sum(axis=1)


def highest(interval_q8: int) -> int:
    """Index of half of the beats' rate, the last one that is believed in; the interval in slots, 0 for unknown."""
    return min(max((512 << 7) // interval_q8 - FIRST, 0), BINS - 1) if interval_q8 else BINS - 1


def follow(scores: np.ndarray, interval_q8: Sequence[int]) -> np.ndarray:
    """The belief (n, BINS), 0 at its best, after each evaluation. interval_q8: of the beats, slots; 0 for unknown."""
    distance = design.STEP * np.abs(np.arange(BINS)[:, None] - np.arange(BINS)[None])
    belief = np.zeros(BINS, np.int64)
    out = []
    for s, interval in zip(scores, interval_q8, strict=True):
        belief = np.maximum(belief, -design.JUMP)
        belief = (belief[None] - distance).max(axis=1) + s
        if interval:
            top = highest(interval)
            belief[top + 1 :] = belief[: top + 1].max() - design.JUMP
        belief = np.maximum(belief - belief.max(), -2 * design.JUMP)
        out.append(belief)
    return np.array(out)


def read(belief: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, BINS) to the rate in 0.1 breaths a minute and the margin over every other rate."""
    best = belief.argmax(axis=1)
    rate, margin = [], []
    for b, i in zip(belief, best, strict=True):
        near = np.arange(max(0, i - NEAR), min(BINS, i + NEAR + 1))
        weight = np.maximum(b[near] + 128, 0)
        place_q8 = ((i + FIRST) << 8) + int((weight * (near - i)).sum()) * 256 // int(weight.sum())
        rate.append(place_q8 * 1875 >> 17)
        rest = np.delete(b, near)
        margin.append(-int(rest.max()))
    return np.array(rate), np.array(margin)


def quality(belief: np.ndarray, scores: np.ndarray, interval_q8: Sequence[int], *, light: bool = True) -> np.ndarray:
    """Quality (percent, n) of each reading: of the margin and of the smoothed evidence against no breath at all.

    light: it is heard, and not the ECG alone.
    """
    _, margin = read(belief)
    out, evidence_q4 = [], 0
    for i, (b, s, interval) in enumerate(zip(belief, scores, interval_q8, strict=True)):
        upto = s[: highest(interval) + 1]
        here_q4 = (int(s[b.argmax()]) - int(upto.sum()) // len(upto)) << (4 if light else 5)
        evidence_q4 += (here_q4 - evidence_q4) >> min(i, 4)
        out.append(max(0, min(40 + (int(margin[i]) >> 3), 27 + (evidence_q4 >> 4), 99)))
    return np.array(out)
