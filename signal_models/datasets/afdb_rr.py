"""MIT-BIH AF Database as RR intervals of its machine detector, with rhythm annotations. Not a Recording: no signal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TICKS_PER_S = 250


@dataclass(frozen=True)
class Intervals:
    """beats_s: time of each beat. rr_s: the interval that ends there. rhythm: (seconds, label) at each change."""

    name: str
    beats_s: np.ndarray
    rr_s: np.ndarray
    rhythm: list[tuple[float, str]]

    def in_af(self) -> np.ndarray:
        """True for each beat annotated as atrial fibrillation."""
        starts = np.array([t for t, _ in self.rhythm])
        flags = np.array([label == "(AFIB" for _, label in self.rhythm])
        i = np.searchsorted(starts, self.beats_s, side="right") - 1
        return np.where(i >= 0, flags[np.maximum(i, 0)], False)


def load(path: Path) -> Intervals:
    """Read `qrs<record>.txt` (columns: start tick, RR in s, end tick) and the `atr<record>.txt` beside it."""
    rows = np.loadtxt(path, ndmin=2)
    rhythm = []
    for line in path.with_name(path.name.replace("qrs", "atr")).read_text().splitlines()[1:]:
        words = line.split()
        if words and words[-1].startswith("("):
            numbers = [w for w in words if w.isdigit()]
            rhythm.append((int(numbers[0]) / _TICKS_PER_S, words[-1]))
    return Intervals(path.stem.removeprefix("qrs"), rows[:, 2] / _TICKS_PER_S, rows[:, 1], rhythm)
