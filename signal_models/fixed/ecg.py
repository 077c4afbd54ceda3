"""int64 mirror of the firmware's ECG chain: the specification in the docstrings of vigil.dsp.ecg and
vigil.estimators.qrs again, whole records at a time. Equal to the firmware bit for bit, and a thousand times faster.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from signal_models.design import ecg as design
from signal_models.design import quantise

QRS_Q15 = quantise(design.qrs_band(), 15, total=0)
WIDE_Q15 = quantise(design.wide_low_pass(), 15, total=1 << 15)


def _int16(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -32768, 32767)


def _fir(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Causal, rounded, int16; before its first sample x had stood at its value for ever."""
    before = np.full(len(taps) - 1, x[0], np.int64)
    return _int16((np.convolve(np.concatenate([before, x]), taps, "valid") + 16384) >> 15)


def _running_sum(x: np.ndarray, n: int, before: int) -> np.ndarray:
    total = np.cumsum(np.concatenate([np.full(n, before, np.int64), x]))
    return total[n:] - total[:-n]


def qrs_view(x: np.ndarray) -> np.ndarray:
    """d of the specification, from int16 microvolts."""
    return _fir(x.astype(np.int64), QRS_Q15)


def energy(x: np.ndarray) -> np.ndarray:
    """e of the specification."""
    return _running_sum(np.abs(qrs_view(x)), 20, 0)


def wide_view(x: np.ndarray) -> np.ndarray:
    """w of the specification."""
    low = _fir(x.astype(np.int64), WIDE_Q15)
    late = np.concatenate([np.full(20, x[0], np.int64), low])[: len(low)]
    return _int16((41 * late - _running_sum(low, 41, int(x[0])) + 16) >> 5)


@dataclass
class Candidates:
    """Arrays with one entry a candidate; at: sample of the R peak in input time."""

    c: np.ndarray
    e: np.ndarray
    h: np.ndarray
    s: np.ndarray
    at: np.ndarray
    frac_q8: np.ndarray
    known: int  # the last sample that could be a known candidate

    def __len__(self) -> int:
        return len(self.c)


def candidates(x: np.ndarray) -> Candidates:
    """All candidates of a record of int16 microvolts, with their refined peaks."""
    e, w = energy(x), wide_view(x)
    padded = np.concatenate([np.zeros(25, np.int64), e])  # before the first sample there was no energy
    spans = sliding_window_view(padded, 51)  # of c = 0 .. len - 26
    centre = spans[:, 25]
    is_candidate = (centre >= 60) & (centre > spans[:, :25].max(axis=1)) & (centre >= spans[:, 26:].max(axis=1))
    is_candidate[0] = False
    c = np.flatnonzero(is_candidate)
    before = np.concatenate([np.zeros(40, np.int64), w])
    around = before[(c[:, None] + 40) + np.arange(-33, 22)]  # w[c-33] .. w[c+21]
    slope = np.abs(around[:, 3:54] - around[:, :51]).max(axis=1)
    peak = np.abs(around[:, 3:54]).argmax(axis=1) + 3
    rows = np.arange(len(c))
    v = around[rows, peak]
    sign = np.where(v < 0, -1, 1)
    a, b = sign * around[rows, peak - 1], sign * around[rows, peak + 1]
    curve = 2 * np.abs(v) - a - b
    frac = np.where(curve > 0, ((b - a) * 128) // np.maximum(curve, 1), 0).clip(-128, 128)
    return Candidates(c, e[c], np.abs(v), slope, c + peak - 33 - 35, frac, len(x) - 26)


@dataclass(frozen=True)
class Rules:
    """The numbers of the specification, under names, so that they can be varied in a study."""

    weight_e: int = 154
    weight_h: int = 77
    weight_s: int = 25
    level_rank: int = 3
    level_high_rank: int = 6
    level_high_part: int = 2
    level_cap: int = 8
    relearn_n: int = 200
    refractory_n: int = 45
    noise_rank: int = 5
    noise_cap: int = 160
    threshold_least: int = 36
    threshold_noise_x2: int = 3
    threshold_most: int = 230
    back_rr_x2: int = 3
    back_far_rr_x2: int = 5
    back_q8: int = 180
    back_far_q8: int = 102
    t_wave_n: int = 90
    t_wave_q8: int = 90
    t_late_n: int = 130
    t_late_q8: int = 70
    echo_n: int = 75
    echo_rr: int = 112
    echo_q8: int = 210
    ahead_n: int = 60


RULES = Rules()


@dataclass
class Beats:
    """at: sample of the R peak; frac_q8: -128..128; quality_pct; candidate: its number."""

    at: np.ndarray
    frac_q8: np.ndarray
    quality_pct: np.ndarray
    candidate: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        """R peaks in seconds at the nominal rate."""
        return (self.at + self.frac_q8 / 256) / design.FS_HZ


def decide(found: Candidates, rules: Rules = RULES) -> Beats:
    """The specification of vigil.estimators.qrs over a whole record."""
    c, e, h, s = (a.tolist() for a in (found.c, found.e, found.h, found.s))
    r = rules
    levels: list[list[int]] = []
    me = mh = ms = 1
    noise, clutter = [25] * 8, [25] * 8
    rr: list[int] = []
    beats: list[int] = []
    quality: list[int] = []
    first = entered = rejected = cluttered = relearnt = 0

    def measure() -> None:
        nonlocal me, mh, ms
        me, mh, ms = (
            max(1, sorted(v)[r.level_rank], sorted(v)[r.level_high_rank] // r.level_high_part) for v in levels
        )

    def enter(k: int) -> None:
        nonlocal entered
        for values, v, m in zip(levels, (e[k], h[k], s[k]), (me, mh, ms), strict=True):
            values[entered % 8] = min(v, r.level_cap * m)
        entered += 1
        measure()

    def size(k: int) -> int:
        return r.weight_e * e[k] // me + r.weight_h * h[k] // mh + r.weight_s * s[k] // ms

    def t_wave(k: int) -> bool:
        if not beats:
            return False
        d, before = c[k] - c[beats[-1]], s[beats[-1]]
        return (d < r.t_wave_n and 256 * s[k] < r.t_wave_q8 * before) or (
            d < r.t_late_n and 256 * s[k] < r.t_late_q8 * before
        )

    def accept(k: int) -> None:
        nonlocal first
        if beats:
            rr.append(c[k] - c[beats[-1]])
        quality.append(max(0, 100 - min(r.noise_cap, sorted(clutter)[r.noise_rank]) * 100 // 128))
        beats.append(k)
        enter(k)
        first = k + 1

    def typical_rr() -> int:
        last = sorted(rr[-8:])
        return last[len(last) // 2] if last else 250

    for k in range(len(c)):
        if max(c[k] + r.ahead_n, 750 if not k else 0) > found.known:
            break
        if not k:
            until = max(c[0] + r.ahead_n, 750)
            early = [e[j] for j in range(len(c)) if c[j] <= until]
            most, second = [*sorted(early, reverse=True), 0][:2]
            from_one = early.index(second if 2 * second >= most else most)
            levels = [[values[from_one]] * 8 for values in (e, h, s)]
            measure()
        first = max(first, k - 24)
        level = min(r.noise_cap, sorted(noise)[r.noise_rank])
        threshold = min(r.threshold_most, r.threshold_least + r.threshold_noise_x2 * level // 2)
        typical = typical_rr()
        while beats and 2 * (c[k] - c[beats[-1]]) > r.back_rr_x2 * typical:
            gap = c[k] - c[beats[-1]]
            least = threshold * (r.back_far_q8 if 2 * gap > r.back_far_rr_x2 * typical else r.back_q8) >> 8
            possible = [
                j
                for j in range(first, k)
                if c[j] - c[beats[-1]] >= r.refractory_n
                and 5 * (c[j] - c[beats[-1]]) >= 2 * typical
                and c[k] - c[j] >= r.refractory_n
                and not t_wave(j)
                and size(j) > least
            ]
            if not possible:
                break
            accept(max(possible, key=lambda j: (size(j), -j)))
            typical = typical_rr()
        d = c[k] - c[beats[-1]] if beats else 1 << 20
        if d < r.refractory_n:
            continue
        q = size(k)
        late = t_wave(k) or (d < r.echo_n and typical > r.echo_rr and 256 * e[k] < r.echo_q8 * e[beats[-1]])
        beat, eclipsed = q > threshold and not late, False
        if beat and k + 1 < len(c) and c[k + 1] - c[k] < r.ahead_n:
            after = size(k + 1)
            if (c[k + 1] - c[k] < 50 and 5 * after > 6 * q) or (
                typical > 150 and (10 * after > 11 * q or (2 * s[k + 1] > 3 * s[k] and 4 * after > 3 * q))
            ):
                beat, eclipsed = False, typical > 150 and 2 * s[k + 1] > 3 * s[k]
        if beat:
            accept(k)
            continue
        if not eclipsed:
            noise[rejected % 8] = min(q, 256)
            rejected += 1
        if not late and not eclipsed:
            clutter[cluttered % 8] = min(q, 256)
            cluttered += 1
        if c[k] - (c[beats[-1]] if beats else 0) > 1000 and c[k] - relearnt >= r.relearn_n:
            relearnt = c[k]
            enter(k)
    kept = np.array(beats, int)
    return Beats(found.at[kept], found.frac_q8[kept], np.array(quality, int), kept)


def detect(x: np.ndarray, rules: Rules = RULES) -> Beats:
    """Beats of a record of int16 microvolts at 250 Hz, as the firmware finds them without gaps."""
    if len(x) < 60:
        return Beats(*(np.zeros(0, int) for _ in fields(Beats)))
    return decide(candidates(x), rules)
