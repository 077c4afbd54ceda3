"""How far a measured rate or saturation is from its reference, and how much of the time it is there at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

COVERAGES = (1.0, 0.95, 0.9, 0.8)
QUALITIES = (0, 15, 30, 40, 50, 70, 100)


@dataclass(frozen=True)
class Agreement:
    """Of n pairs that were due, `shown` were shown; the errors are of those.

    bias, sd: mean and standard deviation of measured minus reference. mae: mean absolute error. arms: root mean
    square error (ISO 80601-2-61). low, high: Bland-Altman limits of agreement, bias -+ 1.96 sd. worst: largest
    absolute error. coverage: shown / n. NaN where nothing was shown.
    """

    n: int
    shown: int
    bias: float
    sd: float
    mae: float
    arms: float
    low: float
    high: float
    worst: float

    @property
    def coverage(self) -> float:
        """Share of the due pairs that were shown, 0..1; NaN when none was due."""
        return self.shown / self.n if self.n else float("nan")


def agreement(measured: npt.ArrayLike, reference: npt.ArrayLike, shown: npt.ArrayLike | None = None) -> Agreement:
    """Compare pairs. Pairs without a reference (NaN) are not due. shown: mask, all by default; NaN is never shown."""
    m, r = np.asarray(measured, float), np.asarray(reference, float)
    due = np.isfinite(r)
    mask = due & np.isfinite(m) & (np.ones(len(m), bool) if shown is None else np.asarray(shown, bool))
    e = m[mask] - r[mask]
    if not len(e):
        return Agreement(int(due.sum()), 0, *[float("nan")] * 7)
    bias, sd = float(e.mean()), float(e.std())
    return Agreement(
        n=int(due.sum()),
        shown=len(e),
        bias=bias,
        sd=sd,
        mae=float(np.abs(e).mean()),
        arms=float(np.sqrt((e**2).mean())),
        low=bias - 1.96 * sd,
        high=bias + 1.96 * sd,
        worst=float(np.abs(e).max()),
    )


def error_against_coverage(
    measured: npt.ArrayLike, reference: npt.ArrayLike, quality: npt.ArrayLike, coverages: Sequence[float] = COVERAGES
) -> dict[float, float]:
    """Mean absolute error of the best `c` of all due pairs by quality, for each c; NaN where fewer have a guess."""
    m, r, q = (np.asarray(x, float) for x in (measured, reference, quality))
    due = np.isfinite(r)
    known = due & np.isfinite(m)
    order = np.argsort(-q[known], kind="stable")
    e = np.abs(m[known] - r[known])[order]
    take = {c: round(c * int(due.sum())) for c in coverages}
    return {c: float(e[:k].mean()) if 0 < k <= len(e) else float("nan") for c, k in take.items()}


def right_by_quality(error: npt.ArrayLike, quality: npt.ArrayLike, limit: float) -> str:
    """In words: the share of errors up to `limit`, and of how many, for each step of quality (QUALITIES)."""
    e, q = np.asarray(error, float), np.asarray(quality, float)
    steps = [(a, b, e[np.isfinite(e) & (q >= a) & (q < b)]) for a, b in pairwise(QUALITIES)]
    told = (f"{a}-{b - 1}: {100 * (x <= limit).mean():.1f} % of {len(x)}" for a, b, x in steps if len(x))
    return f"within {limit:g} by quality  " + "  ".join(told)


def mean_of(parts: Iterable[Agreement], field: str) -> float:
    """Mean of one field over records that have it (each record counts alike)."""
    values = np.array([getattr(p, field) for p in parts], float)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
