"""Beat detection by ANSI/AAMI EC57: which detections belong to which beats, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

WINDOW_S = 0.150  # EC57's match window
LEARNING_S = 300.0  # EC57: the first five minutes are not scored


@dataclass
class BeatScore:
    """Counts of one or more records. errors_s: detection minus annotation, seconds, of every matched pair."""

    tp: int = 0
    fn: int = 0
    fp: int = 0
    errors_s: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __add__(self, other: BeatScore) -> BeatScore:
        return BeatScore(
            self.tp + other.tp,
            self.fn + other.fn,
            self.fp + other.fp,
            np.concatenate([self.errors_s, other.errors_s]),
        )

    @property
    def se_pct(self) -> float:
        """Sensitivity TP / (TP + FN), percent; NaN without beats."""
        return 100 * self.tp / (self.tp + self.fn) if self.tp + self.fn else float("nan")

    @property
    def ppv_pct(self) -> float:
        """Positive predictive value TP / (TP + FP), percent; NaN without detections."""
        return 100 * self.tp / (self.tp + self.fp) if self.tp + self.fp else float("nan")

    @property
    def f1_pct(self) -> float:
        """Harmonic mean of both, percent."""
        total = 2 * self.tp + self.fn + self.fp
        return 200 * self.tp / total if total else float("nan")

    @property
    def sd_ms(self) -> float:
        """Standard deviation of the location error, ms (its mean is not removed by any score above)."""
        return float(1e3 * np.std(self.errors_s)) if len(self.errors_s) else float("nan")

    @property
    def bias_ms(self) -> float:
        """Mean location error, ms; positive: late."""
        return float(1e3 * np.mean(self.errors_s)) if len(self.errors_s) else float("nan")


def match(reference_s: np.ndarray, detected_s: np.ndarray, window_s: float = WINDOW_S) -> list[tuple[int, int]]:
    """Pairs (reference, detection) of sorted times, at most window_s apart, each used once, in time order.

    Walks both lists: a pair is made when the next of neither list would be a closer partner, so that a doubled
    detection costs one false positive and does not shift the pairs after it.
    """
    pairs = []
    i = j = 0
    while i < len(reference_s) and j < len(detected_s):
        gap = detected_s[j] - reference_s[i]
        if gap < -window_s:
            j += 1
        elif gap > window_s:
            i += 1
        elif j + 1 < len(detected_s) and abs(detected_s[j + 1] - reference_s[i]) < abs(gap):
            j += 1
        elif i + 1 < len(reference_s) and abs(detected_s[j] - reference_s[i + 1]) < abs(gap):
            i += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def score(
    reference_s: np.ndarray,
    detected_s: np.ndarray,
    window_s: float = WINDOW_S,
    start_s: float = 0.0,
    end_s: float = np.inf,
    excluded_s: list[tuple[float, float]] | None = None,
) -> BeatScore:
    """Score detections between start_s and end_s, outside the stretches excluded_s.

    Matching sees everything, so that a pair across an edge is not torn; a pair counts where its beat lies.
    """

    def inside(t: np.ndarray) -> np.ndarray:
        keep = (t >= start_s) & (t <= end_s)
        for a, b in excluded_s or []:
            keep &= (t < a) | (t > b)
        return keep

    reference_s, detected_s = np.sort(reference_s), np.sort(detected_s)
    pairs = np.array(match(reference_s, detected_s, window_s), int).reshape(-1, 2)
    scored = inside(reference_s)
    kept = pairs[scored[pairs[:, 0]]]
    lonely = np.ones(len(detected_s), bool)
    lonely[pairs[:, 1]] = False
    tp = len(kept)
    return BeatScore(
        tp,
        int(scored.sum()) - tp,
        int((lonely & inside(detected_s)).sum()),
        detected_s[kept[:, 1]] - reference_s[kept[:, 0]],
    )


def heart_rate_series(beats_s: np.ndarray, step_s: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Reference heart rate (t_s, bpm) on a uniform grid: 60 / RR of the interval that holds each time.

    Its mean over a window is the number of (fractional) beats there, which averaging over beats would not be.
    """
    if len(beats_s) < 2:
        return np.zeros(0), np.zeros(0)
    t = np.arange(np.ceil(beats_s[0] / step_s), np.floor(beats_s[-1] / step_s) + 1) * step_s
    t = t[(t >= beats_s[0]) & (t < beats_s[-1])]
    rr = np.diff(beats_s)
    i = np.searchsorted(beats_s, t, side="right") - 1
    return t, 60.0 / np.maximum(rr[i], 1e-3)
