"""int64 mirror of the firmware's beat classes: the specification in the docstrings of vigil.dsp.beat_shape and
vigil.estimators.beat_class again, a whole record at a time. Equal to the firmware bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NORMAL, VENTRICULAR, UNKNOWN = range(3)
BEFORE, POINTS, SLACK = 11, 27, 3  # halved samples before the R peak, of a shape, on either side of it
WAVE, WAVE_BEFORE = 21, 30  # halved samples of the wave before a beat; its first one before the R peak


@dataclass(frozen=True)
class Rules:
    """The numbers of the specification, under names, so that they can be varied in a study."""

    kinds: int = 6
    join_q8: int = 220
    least_amp_q8: int = 128
    most_amp_q8: int = 512
    slow: int = 8
    early_q8: int = 223
    fade_beats: int = 64
    keep_q2: int = 5
    first: int = 8
    doubtful_pct: int = 50
    same_q8: int = 246
    odd_q8: int = 128
    wider_x10: int = 11
    much_wider_q8: int = 512
    mean_early_q8: int = 232
    late_q8: int = 282
    opposite_q8: int = -77
    large_q1: int = 1
    known_kind: int = 8


RULES = Rules()


def halved(x: np.ndarray) -> np.ndarray:
    """Means of pairs of samples (floor)."""
    x = x[: len(x) // 2 * 2].astype(np.int64)
    return (x[::2] + x[1::2]) >> 1


def _root(x: np.ndarray | int) -> np.ndarray:
    return np.sqrt(np.asarray(x, float)).astype(np.int64)


def norm_q4(v: np.ndarray) -> np.ndarray:
    """16 times the root of the sum of squares, of rows less their means."""
    total = np.maximum((v * v).sum(-1) - POINTS * (v.sum(-1) // POINTS) ** 2, 0)
    return np.maximum(16, np.where(total < 1 << 20, _root(total << 8), _root(total) << 4))


def widths(v: np.ndarray) -> tuple[int, int]:
    """Height over steepest slope, and area over height, of a shape; 1/256 samples of the halved signal."""
    steep = int(np.abs(v[2:] - v[:-2]).max())
    level = (int(v[:3].sum()) + int(v[-3:].sum())) // 6
    u = np.abs(v - level)
    return (int(v.max() - v.min()) << 8) // max(1, steep), (int(u.sum()) << 8) // max(1, int(u.max()))


@dataclass
class Classes:
    """codes: NORMAL, VENTRICULAR or UNKNOWN. atrial: what comes before the beats (0 not known, 1 nothing, 2 a wave).

    The rest is what was measured, for studies: likeness to the normal kind, the kind's number.
    """

    codes: np.ndarray
    alike_q8: np.ndarray
    kind: np.ndarray
    atrial: np.ndarray


class Kinds:
    """The specification of vigil.estimators.beat_class, beat by beat."""

    def __init__(self, r: Rules = RULES) -> None:
        self.r = r
        self.sums = np.zeros((r.kinds, POINTS), np.int64)
        self.shapes = np.zeros((r.kinds, POINTS), np.int64)
        self.norm = np.zeros(r.kinds, np.int64)
        self.count = [0] * r.kinds
        self.weight = [0] * r.kinds
        self.used = [0] * r.kinds
        self.early = [256] * r.kinds
        self.rr: list[int] = []
        self.seen = 0
        self.normal = 0

    def alike(self, rows: np.ndarray, norms: np.ndarray, kinds: slice) -> np.ndarray:
        """Cosines of rows and the shapes of kinds, in 1/256."""
        return (rows @ self.shapes[kinds].T << 8) // ((127 * norms[:, None]) >> 4)

    def learn(self, k: int, v: np.ndarray) -> None:
        """Let a shape enter kind k."""
        part = min(self.count[k], self.r.slow)
        self.sums[k] += ((v << 4) - self.sums[k]) // part
        mean = self.sums[k] >> 4
        self.norm[k] = norm_q4(mean)
        self.shapes[k] = np.clip(mean * 127 * 16 // self.norm[k], -127, 127)

    def push(self, w: np.ndarray, rr_n: int, quality_pct: int) -> tuple[int, int, int]:
        """w: POINTS + 2 SLACK values about the peak, in 4 uV; rr_n: the interval before it in samples, 0: unknown."""
        r = self.r
        last = sorted(self.rr[-8:])
        local = last[len(last) // 2] if last else rr_n
        early = min(1023, (rr_n << 8) // local) if local and rr_n else 256
        if rr_n:
            self.rr.append(rr_n)
        if quality_pct < r.doubtful_pct:
            return UNKNOWN, 0, -1
        rows = np.stack([w[s : s + POINTS] for s in range(2 * SLACK + 1)])
        norms = norm_q4(rows)
        found = self.alike(rows[1:-1], norms[1:-1], slice(None))
        found[:, [n == 0 for n in self.count]] = -1024
        k = int(found.max(axis=0).argmax())
        s = 1 + int(found[:, k].argmax())
        amp = (int(norms[s]) << 8) // max(1, int(self.norm[k]))
        if found[s - 1, k] < r.join_q8 or not r.least_amp_q8 <= amp <= r.most_amp_q8:
            s = SLACK
            keep = [
                -1 if not self.count[i] else (self.weight[i] * r.keep_q2 >> 2) + self.used[i] for i in range(r.kinds)
            ]
            if self.seen:
                keep[self.normal] = 1 << 29
            k = keep.index(min(keep))
            self.count[k] = self.weight[k] = 0
            self.early[k] = early
            self.sums[k] = 0
        self.count[k] = min(self.count[k] + 1, 255)
        self.learn(k, rows[s])
        self.early[k] += (early - self.early[k]) // min(self.count[k], r.slow)
        self.used[k] = self.seen
        self.seen += 1
        if self.seen % r.fade_beats == 0:
            self.weight = [x - (x >> 3) for x in self.weight]
        if early >= r.early_q8:
            self.weight[k] += 16
        self.normal = self.weight.index(max(self.weight))
        n = self.normal
        alike = int(self.alike(rows, norms, slice(n, n + 1)).max())
        if self.seen < r.first:
            return UNKNOWN, alike, k
        if k == n or alike >= r.same_q8:
            return NORMAL, alike, k
        a, b = widths(rows[SLACK])
        na, nb = widths(self.sums[n] >> 4)
        odd = alike < r.odd_q8 or 10 * a > r.wider_x10 * na or 10 * b > r.wider_x10 * nb
        early_kind = self.early[k] < r.mean_early_q8 and early < r.late_q8
        opposite = alike < r.opposite_q8 and int(norms[SLACK]) << r.large_q1 > int(self.norm[n])
        wide = ((a << 8) // max(1, na)) * ((b << 8) // max(1, nb)) > r.much_wider_q8 << 8
        if odd and (early_kind or opposite or wide):
            return VENTRICULAR, alike, k
        return (UNKNOWN if odd and self.count[k] < r.known_kind else NORMAL), alike, k


class Atrial:
    """The specification of vigil.estimators.atrial, beat by beat."""

    def __init__(self) -> None:
        self.sums = np.zeros(WAVE, np.int64)
        self.n = 0
        self.agreement_q12 = 0

    def push(self, v: np.ndarray) -> None:
        """v: the halved lead's 21 points before the beat."""
        low, high = int(v[:3].sum()) // 3, int(v[-3:].sum()) // 3
        v = v - low - (high - low) * (np.arange(WAVE) - 1) // 18
        v -= v.sum() // WAVE
        most = int(np.abs(v).max())
        v >>= max(0, most.bit_length() - 11)
        squares = int((v * v).sum())
        norm = max(16, int(_root(squares << 8) if squares < 1 << 20 else _root(squares) << 4))
        v = np.clip(v * 2032 // norm, -127, 127)
        alike = (int(v @ self.sums) << 8) // (127 * max(1, int(_root((self.sums * self.sums).sum()))))
        self.n += 1
        self.sums += ((v << 4) - self.sums) // min(self.n, 16)
        if self.n > 3:
            self.agreement_q12 += ((alike << 4) - self.agreement_q12) // min(self.n - 3, 32)

    @property
    def state(self) -> int:
        """0 not known, 1 nothing comes before the beats, 2 a wave does."""
        if self.n < 6:
            return 0
        return 2 if self.agreement_q12 > 135 << 4 else 1 if self.agreement_q12 < 130 << 4 else 0


def classify(
    x: np.ndarray, at: npt.ArrayLike, rr_n: npt.ArrayLike, quality_pct: npt.ArrayLike, r: Rules = RULES
) -> Classes:
    """Classes of the beats at input samples `at` of a record of int16 microvolts at 250 Hz.

    rr_n: samples since the beat before, 0 where that is unknown.
    """
    y = halved(x)
    kinds, atrial = Kinds(r), Atrial()
    rows = []
    for i, n, q in zip(*(np.asarray(v).tolist() for v in (at, rr_n, quality_pct)), strict=True):
        places = (i >> 1) - BEFORE - SLACK + np.arange(POINTS + 2 * SLACK)
        w = np.where(places < 0, 0, y[np.clip(places, 0, len(y) - 1)])
        w = np.clip((w - w[SLACK:-SLACK].sum() // POINTS) >> 2, -2047, 2047)
        code, alike, kind = kinds.push(w, n, q)
        if code != VENTRICULAR and q >= r.doubtful_pct and i >> 1 >= 40:
            atrial.push(y[(i >> 1) - WAVE_BEFORE :][:WAVE])
        rows.append((code, alike, kind, atrial.state))
    return Classes(*np.array(rows, int).reshape(-1, 4).T)
