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
    valley: np.ndarray
    at: np.ndarray
    frac_q8: np.ndarray
    span: np.ndarray  # the wide view at c-54 .. c+41, shifted
    shift: np.ndarray
    rho: np.ndarray  # correlation of 16 points about c-6 with those 1 and 2 points before, q12
    shape: np.ndarray  # 16 points at the R peak, norm 127
    known: int  # the last sample that could be a known candidate

    def __len__(self) -> int:
        return len(self.c)


def candidates(x: np.ndarray) -> Candidates:
    """All candidates of a record of int16 microvolts, with their refined peaks."""
    e, w = energy(x), wide_view(x)
    padded = np.concatenate([np.zeros(25, np.int64), e[:-17]])  # known when 42 more samples are there
    spans = sliding_window_view(padded, 51)  # of c = 0 .. len - 43
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
    valley = sliding_window_view(np.concatenate([np.zeros(40, np.int64), e]), 41).min(axis=1)[c]

    before = np.concatenate([np.zeros(54, np.int64), w])
    span = before[(c[:, None] + 54) + np.arange(-54, 42)] if len(c) else np.zeros((0, 96), np.int64)
    shift = np.maximum(0, np.ceil(np.log2(np.abs(span).max(axis=1, initial=0) + 1)).astype(int) - 11)
    span >>= shift[:, None]
    around = span[:, 54 - 6 + POINTS]
    power = np.maximum(1, (around * around).sum(axis=1))
    scale = np.maximum(0, np.ceil(np.log2(power + 1)).astype(int) - 14)
    products = ((around[:, k:] * around[:, :-k]).sum(axis=1) >> scale for k in (1, 2))
    rho = np.array([(p * n // (power >> scale)).clip(-4095, 4095) for p, n in zip(products, RHO_Q12, strict=True)]).T
    own = span[rows[:, None], 54 + (peak - 33)[:, None] + POINTS[None, :]]
    shape = own * 127 // np.maximum(1, _norm(own))[:, None]
    at = c + peak - 33 - 35
    return Candidates(c, e[c], np.abs(v), slope, valley, at, frac, span, shift, rho, shape, len(x) - 43)


PLACES = np.arange(-26, 19, 2)  # where a QRS complex is sought, relative to c in the wide view
POINTS = np.arange(-24, 22, 3)  # of a shape, relative to the R peak
WINDOWS = 54 + PLACES[:, None] + POINTS[None, 2:]  # in the span
RHO_Q12 = (4369, 4681)  # 16/15 and 16/14: fewer products than squares


def _norm(v: np.ndarray) -> np.ndarray:
    """Square root of the sum of squares (< 2**27, so that float64 rounds it down exactly)."""
    return np.sqrt((v * v).sum(axis=-1)).astype(np.int64)


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
    ahead_n: int = 150
    echo_ahead_n: int = 60
    least_q8: int = 300
    floor_rank: int = 5
    floor_least: int = 18
    noisy_n: int = 32
    signal_rank: int = 3
    part_q8: int = 120
    early_q8: int = 190
    early_less: int = 96
    same_q8: int = 192
    learn_floor: int = 24
    mature_n: int = 3
    ridge: int = 1040
    fitted_most: int = 320
    extra_q8: int = 120
    extra_gain_q8: int = 384
    extra_rr_q8: int = 282
    even_q8: int = 32


RULES = Rules()


@dataclass
class Beats:
    """at: sample of the R peak; frac_q8: -128..128; quality_pct; candidate: its number; floor, alike: see there."""

    at: np.ndarray
    frac_q8: np.ndarray
    quality_pct: np.ndarray
    candidate: np.ndarray
    floor: np.ndarray
    alike: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        """R peaks in seconds at the nominal rate."""
        return (self.at + self.frac_q8 / 256) / design.FS_HZ


def decide(found: Candidates, rules: Rules = RULES) -> Beats:
    """The specification of vigil.estimators.qrs over a whole record."""
    c, e, h, s, valley = (a.tolist() for a in (found.c, found.e, found.h, found.s, found.valley))
    r = rules
    levels: list[list[int]] = []
    me = mh = ms = 1
    noise, valleys, sizes = [25] * 8, [0] * 8, [256] * 8
    rr: list[int] = []
    beats: list[int] = []
    quality: list[int] = []
    floors: list[int] = []
    first = entered = rejected = relearnt = taken = 0
    noisy = floor = 0
    typical = 250
    likeness = [256] * len(c)
    fitted = list(h)
    mf = 1
    rho, ar_q8 = [0, 0], [0, 0]
    sums = np.zeros((2, 16), np.int64)
    shapes = np.zeros((2, 16), np.int64)
    used = [0, 0]

    def measure() -> None:
        nonlocal me, mh, ms, mf
        me, mh, ms, mf = (
            max(1, sorted(v)[r.level_rank], sorted(v)[r.level_high_rank] // r.level_high_part) for v in levels
        )

    def enter(k: int) -> None:
        nonlocal entered
        for values, v, m in zip(levels, (e[k], h[k], s[k], fitted[k]), (me, mh, ms, mf), strict=True):
            values[entered % 8] = min(v, r.level_cap * m)
        entered += 1
        measure()

    def whitened(v: np.ndarray, step: int) -> np.ndarray:
        return (256 * v[2 * step :] - ar_q8[0] * v[step:-step] - ar_q8[1] * v[: -2 * step]) >> 9

    def take_until(t: int) -> None:
        nonlocal taken
        while taken < len(c) and c[taken] <= t:
            if used[0]:
                z = whitened(found.span[taken], 3)[WINDOWS - 6]
                norms = np.maximum(1, _norm(z))
                best = 0
                fitted[taken] = 0
                for i in range(1 + (used[1] >= r.mature_n)):
                    template = whitened(16 * shapes[i], 1)
                    norm = max(1, int(_norm(template)))
                    along = np.maximum(0, z @ template) * 8 // norm
                    alike = along * 32 // norms
                    at = int(alike.argmax())
                    if alike[at] > best:
                        best = int(alike[at])
                        peak = 16 * int(np.abs(shapes[i]).max())
                        height = int(along[at]) * peak // (8 * norm)
                        up = int(found.shift[taken])
                        fitted[taken] = min(height, 65535 >> up) << up
                likeness[taken] = min(256, best)
            taken += 1

    def learn_noise(k: int) -> None:
        for i in (0, 1):
            rho[i] += (int(found.rho[k, i]) - rho[i]) >> 4
        a, b, z = rho[0] >> 2, rho[1] >> 2, r.ridge
        ar_q8[0] = max(-511, min(511, a * (z - b) * 256 // (z * z - a * a)))
        ar_q8[1] = max(-255, min(255, (z * b - a * a) * 256 // (z * z - a * a)))

    def size(k: int) -> int:
        q = r.weight_e * e[k] // me + r.weight_h * h[k] // mh + r.weight_s * s[k] // ms
        q = min(4096, q, min(2048, 256 * e[k] // me, 256 * s[k] // ms) * r.least_q8 >> 8)
        if noisy:
            by_shape = min(r.fitted_most, 256 * fitted[k] // mf) * likeness[k] >> 8
            q = (q * (r.noisy_n - noisy) + by_shape * noisy) // r.noisy_n
            if beats and (c[k] - c[beats[-1]]) << 8 < r.early_q8 * typical:
                q = q * ((r.noisy_n << 8) - r.early_less * noisy) // (r.noisy_n << 8)
        return q

    def extra(k: int, q: int) -> bool:
        own = q * likeness[k] >> 8
        last = sorted(rr[-8:])
        if own >= r.extra_q8 or len(rr) < 8 or (last[5] - last[2]) << 8 > r.even_q8 * typical:
            return False
        for j in range(k + 1, len(c)):
            if c[j] > c[k] + r.ahead_n or (c[j] - c[beats[-1]]) << 8 > r.extra_rr_q8 * typical:
                break
            other = size(j) * likeness[j] >> 8
            if c[j] - c[k] >= 40 and other > r.extra_q8 and other << 8 > r.extra_gain_q8 * own:
                return True
        return False

    def t_wave(k: int) -> bool:
        if not beats:
            return False
        d, before = c[k] - c[beats[-1]], s[beats[-1]]
        return (d < r.t_wave_n and 256 * s[k] < r.t_wave_q8 * before) or (
            d < r.t_late_n and 256 * s[k] < r.t_late_q8 * before
        )

    def learn_shape(k: int) -> None:
        p = found.shape[k]
        i = 0
        if used[0]:
            if floor > r.learn_floor:
                return
            alike = [int(p @ shapes[i]) >> 6 for i in (0, 1)]
            i = 0 if alike[0] >= alike[1] else 1
            if alike[i] < r.same_q8:
                i = 1 if used[0] >= used[1] else 0
                used[i] = 0
                used[1 - i] -= used[1 - i] >> 3
        sums[i] = sums[i] + ((16 * p - sums[i]) >> 3) if used[i] else 16 * p
        used[i] = min(255, used[i] + 1)
        shapes[i] = sums[i] * 127 // max(1, int(_norm(sums[i])))

    def accept(k: int, late: bool = False) -> None:
        nonlocal first
        if beats:
            rr.append(c[k] - c[beats[-1]])
        sizes[len(beats) % 8] = size(k)
        around = max(floor, min(256, 256 * max(valley[k:taken]) // me))
        doubt_pct = max(0, 93 - 7 * likeness[k] // 16)
        quality.append(99 - doubt_pct * min(r.noisy_n, around) // r.noisy_n)
        floors.append(floor)
        beats.append(k)
        enter(k)
        first = k + 1
        if not late and taken - k <= 8:
            learn_shape(k)

    def typical_rr() -> int:
        last = sorted(rr[-8:])
        return last[len(last) // 2] if last else 250

    for k in range(len(c)):
        known_at = max(c[k] + r.ahead_n, 0 if k else 750)
        if known_at > found.known:
            break
        take_until(known_at)
        if not k:
            early = [e[j] for j in range(len(c)) if c[j] <= known_at]
            most, second = [*sorted(early, reverse=True), 0][:2]
            from_one = early.index(second if 2 * second >= most else most)
            levels = [[values[from_one]] * 8 for values in (e, h, s, h)]
            measure()
        first = max(first, k - 24)
        valleys[k % 8] = min(256, 256 * valley[k] // me)
        floor = sorted(valleys)[r.floor_rank]
        noisy = min(r.noisy_n, max(0, floor - r.floor_least))
        level = min(r.noise_cap, sorted(noise)[r.noise_rank])
        threshold = min(r.threshold_most, r.threshold_least + r.threshold_noise_x2 * level // 2)
        if noisy:
            level = sorted(noise)[r.noise_rank]
            between = level + (r.part_q8 * max(0, sorted(sizes)[r.signal_rank] - level) >> 8)
            threshold = (threshold * (r.noisy_n - noisy) + between * noisy) // r.noisy_n
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
            accept(max(possible, key=lambda j: (size(j), -j)), late=True)
            typical = typical_rr()
        d = c[k] - c[beats[-1]] if beats else 1 << 20
        if d < r.refractory_n:
            continue
        q = size(k)
        late = t_wave(k) or (d < r.echo_n and typical > r.echo_rr and 256 * e[k] < r.echo_q8 * e[beats[-1]])
        beat, eclipsed = q > threshold and not late, False
        if beat and k + 1 < len(c) and c[k + 1] - c[k] < r.echo_ahead_n:
            after = size(k + 1)
            steep = 2 * s[k + 1] > 3 * s[k] and 2 * noisy <= r.noisy_n
            if (c[k + 1] - c[k] < 50 and 5 * after > 6 * q) or (
                typical > 150 and (10 * after > 11 * q or (steep and 4 * after > 3 * q))
            ):
                beat, eclipsed = False, typical > 150 and steep
        if beat and extra(k, q):
            beat = False
        if beat:
            accept(k)
            continue
        if not eclipsed:
            learn_noise(k)
            noise[rejected % 8] = min(q, 256)
            rejected += 1
        if c[k] - (c[beats[-1]] if beats else 0) > 1000 and c[k] - relearnt >= r.relearn_n:
            relearnt = c[k]
            enter(k)
    kept = np.array(beats, int)
    return Beats(
        found.at[kept],
        found.frac_q8[kept],
        np.array(quality, int),
        kept,
        np.array(floors, int),
        np.array(likeness, int)[kept],
    )


def detect(x: np.ndarray, rules: Rules = RULES) -> Beats:
    """Beats of a record of int16 microvolts at 250 Hz, as the firmware finds them without gaps."""
    if len(x) < 110:
        return Beats(*(np.zeros(0, int) for _ in fields(Beats)))
    return decide(candidates(x), rules)
