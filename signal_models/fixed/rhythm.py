"""int64 mirror of the firmware's rhythm rule: the specification in the docstring of vigil.estimators.rhythm again,
a whole series of intervals at a time. Equal to the firmware bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SINUS, AF, OTHER, UNKNOWN = range(4)
LABELS = ("sinus", "af", "other", "unknown")


@dataclass(frozen=True)
class Rules:
    """The numbers of the specification, under names, so that they can be varied in a study."""

    window: int = 128
    first: int = 12
    long: int = 96
    least_ms: int = 240
    most_ms: int = 3000
    local: int = 17
    lags: int = 4
    raw_part: int = 20
    smooth_part: int = 50
    search: int = 24
    search_part: int = 40
    run: int = 5
    raw_search_part: int = 16
    raw_run: int = 3
    again_long_q8: int = 168
    again_short_q8: int = 198
    spread_lags: tuple[int, ...] = (4, 12, 20, 28, 36, 44, 52, 60)
    spread_cap_q8: int = 154
    spread_limit_q8: int = 84
    implausible_q8: int = 60
    back_long_q8: int = 80
    back_short_q8: int = 118
    free_q8: int = 226
    free_absent_q8: int = 178
    back_absent_long_q8: int = 100
    back_absent_short_q8: int = 200
    again_absent_long_q8: int = 180
    again_absent_short_q8: int = 230
    jumps_q8: int = 40


RULES = Rules()


@dataclass
class Views:
    """What the rule looks at: sums over the window that ends with each beat. seen: beats in it."""

    seen: np.ndarray
    free: np.ndarray
    back: np.ndarray
    again: np.ndarray
    spread: np.ndarray
    jumps: np.ndarray
    implausible: np.ndarray


def _back(x: np.ndarray, k: int) -> np.ndarray:
    """x one lag ago; before the first value there is the first."""
    return np.concatenate([np.full(min(k, len(x)), x[0]), x[: max(0, len(x) - k)]])


def views(rr_ms: npt.ArrayLike, r: Rules = RULES) -> Views:
    """All windows of a series of intervals in milliseconds."""
    raw = np.asarray(rr_ms, np.int64).ravel()
    n = np.arange(len(raw))
    rr = raw.clip(r.least_ms, r.most_ms)
    local = np.array([np.sort(rr[max(0, i - r.local + 1) : i + 1])[min(i + 1, r.local) // 2] for i in range(len(rr))])
    one, two = _back(rr, 1), _back(rr, 2)
    if len(rr) > 1:
        two[1] = one[1]
    smooth = np.sort(np.stack([two, one, rr]), axis=0)[1]

    def window(x: np.ndarray) -> np.ndarray:
        total = np.cumsum(x)
        return total - np.concatenate([np.zeros(min(r.window, len(x)), np.int64), total[: -r.window]])

    def free(x: np.ndarray, part: int) -> np.ndarray:
        return np.min(
            [window((n >= k) & (part * np.abs(x - _back(x, k)) > local)) for k in range(1, r.lags + 1)], axis=0
        )

    def runs(x: np.ndarray, k: int, part: int) -> np.ndarray:
        same = (n >= k) & (part * np.abs(x - _back(x, k)) <= local)
        return n - np.maximum.accumulate(np.where(same, -1, n))

    known = np.full(len(rr), len(rr) + r.window)  # the beat at which it is known that this one was marked
    again = np.zeros(len(rr), bool)
    for k in range(1, r.search + 1):
        again |= runs(rr, k, r.raw_search_part) >= r.raw_run
        found = np.flatnonzero(runs(smooth, k, r.search_part) >= r.run)
        known[found] = found
        np.minimum.at(known, found - k, found)
    steps = np.zeros(len(rr) + 2 * r.window + 1, np.int64)
    in_time = np.flatnonzero(known < n + r.window)
    np.add.at(steps, known[in_time], 1)
    np.add.at(steps, in_time + r.window, -1)

    total, lags = np.zeros(len(rr), np.int64), np.zeros(len(rr), np.int64)
    for k in r.spread_lags:
        total += np.where(n >= k, np.minimum(r.spread_cap_q8, (np.abs(rr - _back(rr, k)) << 8) // local), 0)
        lags += n >= k
    return Views(
        seen=np.minimum(n + 1, r.window),
        free=free(rr, r.raw_part) + free(smooth, r.smooth_part),
        back=np.cumsum(steps)[: len(rr)],
        again=window(again),
        spread=window(total // np.maximum(lags, 1)),
        jumps=window(8 * np.abs(rr - one) > local),
        implausible=window(raw != rr),
    )


def decide(v: Views, r: Rules = RULES, atrial: npt.ArrayLike = 0) -> np.ndarray:
    """Label code after each interval; atrial: what comes before the beats (0 not known, 1 nothing, 2 a wave)."""
    seen = v.seen
    unknown = (seen < r.first) | (256 * v.implausible > r.implausible_q8 * seen) | (v.spread > r.spread_limit_q8 * seen)
    back = np.where(seen >= r.long, r.back_long_q8, r.back_short_q8)
    again = np.where(seen >= r.long, r.again_long_q8, r.again_short_q8)
    absent = np.asarray(atrial) == 1
    back = np.where(absent, np.where(seen >= r.long, r.back_absent_long_q8, r.back_absent_short_q8), back)
    again = np.where(absent, np.where(seen >= r.long, r.again_absent_long_q8, r.again_absent_short_q8), again)
    free = np.where(absent, r.free_absent_q8, r.free_q8)
    af = (256 * v.back < back * seen) & (256 * v.free > free * seen) & (256 * v.again < again * seen)
    other = 256 * v.jumps > r.jumps_q8 * seen
    irregular = np.where(np.asarray(atrial) == 2, OTHER, AF)
    return np.where(unknown, UNKNOWN, np.where(af, irregular, np.where(other, OTHER, SINUS)))


def rhythm(rr_ms: npt.ArrayLike, r: Rules = RULES) -> np.ndarray:
    """Label code after each interval of a series in milliseconds."""
    return decide(views(rr_ms, r), r)


def worn(
    rr_ms: npt.ArrayLike,
    quality_pct: npt.ArrayLike,
    ventricular: npt.ArrayLike,
    unclassed: npt.ArrayLike,
    atrial: npt.ArrayLike,
    r: Rules = RULES,
) -> np.ndarray:
    """Label code after each interval as the wearer's device tells it (vigil.estimators.heart_rhythm), without pauses
    and rates: UNKNOWN where it is withheld.

    Each interval comes with the quality and class of the beat that ends it and what comes before the beats.
    """
    rows = [np.asarray(a).astype(np.int64).tolist() for a in (rr_ms, quality_pct, ventricular, unclassed, atrial)]
    pushed: list[int] = []
    evidence: list[int] = []
    after: list[int] = []
    frequent: list[bool] = []
    doubtful: list[bool] = []
    poor: list[bool] = []
    share = odd = total = beats = 0
    quality_q4 = -1
    for i, (rr, q, v, u, a) in enumerate(zip(*rows, strict=True)):
        quality_q4 = q << 4 if quality_q4 < 0 else quality_q4 + (((q << 4) - quality_q4) >> 3)
        share += (1024 * v - share) // 16
        if i >= 7:
            odd += (1024 * (v | u) - odd) // min(i - 6, 16)
        total += min(rr, 65535)
        beats += 1
        if not v:
            if beats <= 3:
                pushed += [total // beats if q >= 75 else 0] * beats
                evidence += [a] * beats
            total = beats = 0
        after.append(len(pushed))
        frequent.append(share >= 128)
        doubtful.append(odd > 400)
        poor.append(quality_q4 >> 4 < 80)
    if not pushed:
        return np.full(len(after), UNKNOWN)
    codes = decide(views(pushed, r), r, evidence)
    label = np.where(np.array(after) > 0, codes[np.maximum(np.array(after) - 1, 0)], UNKNOWN)
    label = np.where((label == SINUS) & frequent, OTHER, label)
    return np.where(((label == AF) & doubtful) | poor, UNKNOWN, label)
