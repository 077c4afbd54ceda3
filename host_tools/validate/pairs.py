"""Readings beside their reference: what every study of a vital sign has of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass
class Pairs:
    """A reading each: end of its window (s), best guess (NaN: none), reference (NaN: unknown), quality (percent), is
    it shown, and the window's start (s)."""

    end_s: np.ndarray
    value: np.ndarray
    reference: np.ndarray
    quality: np.ndarray
    shown: np.ndarray
    start_s: np.ndarray

    @staticmethod
    def joined(parts: Sequence[Pairs]) -> Pairs:
        """All recordings' readings in one."""
        return Pairs(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Pairs)))

    @property
    def counted(self) -> np.ndarray:
        """Mask of the readings that are shown and have a reference."""
        return self.shown & np.isfinite(self.value) & np.isfinite(self.reference)

    def within_pct(self, limit: float) -> float:
        """Share of the counted readings that are at most `limit` off; NaN where there is none."""
        error = np.abs(self.value - self.reference)[self.counted]
        return float(100 * (error <= limit).mean()) if len(error) else float("nan")


def events_rate(events_s: np.ndarray, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
    """Rate a minute of events (beats, breaths) in each window: events less one over the time from first to last.

    NaN with fewer than three events.
    """
    events_s = np.sort(np.asarray(events_s, float))
    first, last = (
        np.searchsorted(events_s, start_s),
        np.searchsorted(events_s, end_s, side="right"),
    )
    return np.array(
        [
            60 * (b - a - 1) / (events_s[b - 1] - events_s[a]) if b - a > 2 else np.nan
            for a, b in zip(first, last, strict=True)
        ]
    )
