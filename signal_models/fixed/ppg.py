"""int64 mirror of the firmware's PPG chain: its specification again, whole records at a time.

Equal to the firmware bit for bit, and many times faster: windows are numpy, only what feeds back is a loop.
`run` takes counts (n, k) at 100 Hz without gaps and gives what the channel knows at the end of each second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt

import numpy as np

from signal_models.design import ppg as design

TICK, WINDOW, WINDOW_MIN = 25, 200, 70  # decimated samples: 1 s, 8 s, 2.8 s
SPANS = 300, 400, 500  # of beats that count: 16 s; 12 s where intervals move one way; 20 s where they are not alike
BEFORE, EARLY, LEARN, APART_X10 = 10, 225, 400, 40
SMOOTH = 16  # neighbouring intervals of a smooth pulse differ by less than this part
SURE_SPAN = 100  # 4 s of intervals, the least that a quality of 50 rests on
FIRST, LAST = 5, 53  # lags of the period search
REPEATS, CLEAR, VERY_CLEAR = 400, 700, 800
OFF = 10_000 * 8
SHARED, SHARED_SHAPE, SKEW, PI, SHAPE_MIN = 3891, 4067, 27, 50, 100  # what SpO2 asks for
SPO2_X100 = np.rint(100 * design.spo2_pct(np.arange(design.SPO2_ENTRIES) * design.SPO2_STEP)).astype(int)


@dataclass
class Front:
    """Per decimated sample: pulse (m, k) and slow (m,) in half counts, dc_q8 (m, k), age (m,)."""

    pulse: np.ndarray
    slow: np.ndarray
    dc_q8: np.ndarray
    age: np.ndarray


@dataclass
class Tick:
    """What the channel knows at the end of a second. Rates in 0.1 bpm, -1 for none."""

    count: int
    age: int
    bpm_x10: int = -1
    quality_pct: int = 0
    clarity_q10: int = 0
    period_q8: int = 0
    pi_x1000: int = 0
    r_q12: int = 0
    spo2_x10: int = -1
    shared_q12: int = 0
    skew_q6: int = 0
    spo2_sure: bool = False
    settled: bool = False
    span: int = 0
    tail: int = 0
    contact: int = 0


@dataclass
class Run:
    """onsets_q8: 1/256 samples of the input (100 Hz), one a beat. ticks: one a second."""

    onsets_q8: list[int] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)


def decimate(counts: np.ndarray, shift: int = 0) -> np.ndarray:
    """Sums of 8 rows every 4, (m, k); the first ends with row 7."""
    counts = np.asarray(counts, np.int64)
    fours = counts[: len(counts) // 4 * 4].reshape(-1, 4, counts.shape[1]).sum(axis=1)
    return (fours[1:] + fours[:-1]) >> shift


def front(x: np.ndarray, column: int, *, relative: bool) -> Front:
    """High-pass and DC of decimated sums (m, k); `column` judges contact."""
    m, k = x.shape
    b0, a1, a2 = (int(c) for c in design.highpass_q14())
    out = Front(np.zeros((m, k), np.int64), np.zeros(m, np.int64), np.zeros((m, k), np.int64), np.zeros(m, np.int64))
    sign = 1 if relative else -1
    age = 0
    state: list[list[int]] = [[0] * 5 for _ in range(k)]
    rows = x.tolist()
    for n, row in enumerate(rows):
        v = row[column]
        if relative:
            begin = age == 0
            age = min(age + 1, 0x3FFFFF)
        else:
            dc = state[column][4] >> 8
            begin = v < OFF or age == 0 or abs(v - dc) > dc >> 2
            age = 0 if v < OFF else 1 if begin else min(age + 1, 0x3FFFFF)
        out.age[n] = age
        for c, v in enumerate(row):
            x1, x2, y1, y2, dc_q8 = state[c]
            if begin:
                state[c] = [v, v, 0, 0, v << 8]
                y = z = 0
            else:
                z = (v - (dc_q8 >> 8)) >> 2
                e = max(-131071, min(131071, v - 2 * x1 + x2)) << 3
                high = b0 * (e >> 7) + a1 * (y1 >> 7) + a2 * (y2 >> 7)
                low = (b0 * (e & 127) + a1 * (y1 & 127) + a2 * (y2 & 127) + 64) >> 7
                y = max(-1048540, min(1048540, (high + low + 64) >> 7))
                state[c] = [v, x1, y, y1, dc_q8 + (v << 3) - (dc_q8 >> 5)]
            out.pulse[n, c] = (sign * y + 16) >> 5
            out.dc_q8[n, c] = state[c][4]
            if c == column:
                out.slow[n] = max(-32767, min(32767, sign * z))
    return out


class Beats:
    """Streaming beat detector over the slow pulse since a restart: the specification of dsp/ppg_beats."""

    def __init__(self) -> None:
        self.level, self.learn, self.noise, self.period = 0, 75, 0, 0
        self.rises = [0, 0]  # of the last sample and the one before
        self.peak_at, self.peak, self.frac = -1, 0, 0
        self.last = self.strong = -1000  # newest beat, newest strong beat

    @property
    def refractory(self) -> int:
        """Samples in which only a strong pulse may follow."""
        return min(max(self.period * 21 >> 9, 5), 12) if self.period else 12

    def step(self, v: list[int], n: int) -> tuple[int, int] | None:
        """v: samples up to v[n], 0 before the first. Returns (onset in 1/256 samples, height) of a beat now certain."""

        def at(i: int) -> int:
            return v[i] if i >= 0 else 0

        rise = at(n) - at(n - 4) - max(0, at(n - 4) - at(n - 8))
        rough = 16 * abs(at(n) - at(n - 3) - 3 * (at(n - 1) - at(n - 2)))
        self.noise += (self.noise >> 5) + 1 if rough > self.noise else -(self.noise >> 5)
        last, before = self.rises
        self.rises = [rise, last]
        if self.learn:
            if self.learn <= 50:
                self.level = max(self.level, 12 * rise)
            self.learn -= 1
            if not self.learn:
                self.last = self.strong = n
            return None
        if n - self.last > 60:
            self.level -= self.level >> 5
        beat = None
        waits = self.peak_at >= 0
        due = waits and n - self.peak_at > self.refractory
        takes = False
        if last > before and last >= rise and last > 5:
            if not waits or due:
                takes = 16 * last > max(
                    self.level // 7 if 0 < self.period <= 512 else self.level >> 2, min(5 * self.noise, self.level >> 1)
                )
            elif last > self.peak:
                takes = True
                due = 23 * last > self.level and 5 * self.peak >= 3 * last and n - self.peak_at >= 7
            else:
                takes = due = 23 * last > self.level and n - self.peak_at >= 7
        if due:
            p = self.peak_at
            foot = min(at(p - i) for i in range(3, 11))
            top = max(at(i) for i in range(p, min(p + 9, n)))
            slope = at(p - 1) - at(p - 3)
            if slope <= self.peak >> 2:
                slope = (self.peak >> 2) + 1
            back = min(max((at(p - 2) - foot) * 512 // slope, 0), 1280)
            beat = ((p << 8) - 512 - back + self.frac, top - foot)
            self.last = p
            level = self.level
            if 32 * self.peak > level:
                d = 16 * (p - self.strong)
                if 64 < d < 992:
                    period = self.period or (d + 320) >> 1
                    self.period = period + (max(min(d - period, period >> 2), -(period >> 2)) >> 2)
                self.strong = p
                change = min(16 * self.peak, 2 * level) - level
                self.level += change >> 2 if change > 0 else change >> 3
            self.peak_at = -1
        if takes:
            self.peak_at, self.peak = n - 1, last
            self.frac = (rise - before) * 128 // (2 * last - rise - before)
        return beat


def scaled(x: np.ndarray) -> tuple[np.ndarray, int]:
    """x times a power of two, largest magnitude 1024..2047; and the right shift."""
    most = max(1, int(np.abs(x).max()))
    shift = max(most.bit_length() - 11, -11)
    return (x >> shift if shift > 0 else x << -shift), shift


def autocorrelation_q10(x: np.ndarray) -> np.ndarray:
    """Normalised square difference function at lags 0..LAST (0 below FIRST)."""
    out = np.zeros(LAST + 1, np.int64)
    square = x * x
    for lag in range(FIRST, LAST + 1):
        a, b = slice(None, len(x) - lag), slice(lag, None)
        energy = int(((square[a] + square[b]) >> 1).sum())
        out[lag] = int((x[a] * x[b]).sum()) // ((energy >> 10) + 1)
    return out


def _parabola_q8(acf: np.ndarray, lag: int) -> int:
    left, here, right = (int(acf[i]) for i in (lag - 1, lag, lag + 1))
    bend = 2 * here - left - right
    return (lag << 8) + ((right - left) * 128 // bend if bend > 0 else 0)


def period_q8(acf: np.ndarray) -> tuple[int, int]:
    """(period in 1/256 samples, autocorrelation there), both 0 when there is none."""
    middle, left, right = acf[FIRST + 1 : LAST], acf[FIRST : LAST - 1], acf[FIRST + 2 : LAST + 1]
    peaks = np.flatnonzero((middle > 0) & (middle >= left) & (middle > right)) + FIRST + 1
    if not len(peaks):
        return 0, 0
    lag = int(peaks[acf[peaks] * 100 >= acf[peaks].max() * 85][0])
    fine = _parabola_q8(acf, lag)
    m = 2
    while (near := (fine * m + 128) >> 8) + 2 <= LAST:
        if acf[near + 1] > acf[near]:
            near += 1
        elif acf[near - 1] > acf[near]:
            near -= 1
        if near + 1 > LAST or acf[near] < max(acf[near - 1], acf[near + 1]) or acf[near] * 2 < acf[lag]:
            break
        fine = _parabola_q8(acf, near) // m
        m += 1
    return fine, int(acf[lag])


def _mended(intervals: list[int], middle: int) -> list[int]:
    """Intervals with each neighbouring two that are shorter than the middle and together equal to it, all within an
    eighth, put together; from the newest on.
    """
    out: list[int] = []
    for v in reversed(intervals):
        if out and 8 * max(v, out[-1]) < 7 * middle and 8 * abs(v + out[-1] - middle) <= middle:
            v += out.pop()
        out.append(v)
    return out[::-1]


def combine(tick: Tick, onsets_q8: list[int], acf: np.ndarray, noise_q4: int) -> None:
    """Pulse rate and its quality from onsets (1/256 decimated samples) and the autocorrelation.

    noise_q4: the beat detector's noise over its level.
    """
    now = tick.count << 8
    by_period = 15000 * 256 // tick.period_q8 if tick.period_q8 else 0
    tick.span, tick.tail = min(tick.age, WINDOW), 0
    n = alike = 0
    recent, intervals, off = [], np.zeros(0, int), np.zeros(0, int)
    span = SPANS[1]
    while True:
        recent = [t for t in onsets_q8[-64:] if now - t <= span * 256]
        for i in range(len(recent) - 1, 0, -1):
            if recent[i] - recent[i - 1] > 0xFFFF:
                recent = recent[i:]
                break
        intervals = np.diff(recent)
        if len(intervals) < 2:
            n = len(intervals)
            break
        middle = int(np.sort(intervals)[len(intervals) >> 1])
        intervals = np.array(_mended(intervals.tolist(), middle))
        n = len(intervals)
        if n < 2:
            break
        off = np.abs(intervals - middle)
        alike = int((8 * off <= middle).sum())
        if span != SPANS[1]:
            break
        half = n >> 1
        newer, older = int(intervals[n - half :].sum()), int(intervals[:half].sum())
        smooth = SMOOTH * int(np.abs(np.diff(intervals)).sum()) <= int(intervals.sum())
        if smooth and 16 * abs(newer - older) > older:
            span = SPANS[0]
        elif smooth or 8 * alike >= 7 * n:
            break
        else:
            span = SPANS[2]
    if n < 2 or now - onsets_q8[-1] > 75 * 256:
        tick.bpm_x10, tick.quality_pct = by_period or -1, 0
        if tick.clarity_q10 >= VERY_CLEAR and tick.age < EARLY:
            tick.quality_pct = 40
        return
    steady = 8 * alike >= 5 * n
    kept = intervals[2 * off < middle] if steady else intervals
    value = len(kept) * 15000 * 16 // (int(kept.sum()) >> 4)
    agree = abs(value - by_period) * 32 <= value
    clarity = tick.clarity_q10
    lag = min(max(15000 // value, FIRST), LAST - 1)
    here = int(acf[lag : lag + 2].max())
    short = int(intervals.sum()) < SURE_SPAN * 256
    multiple = steady and 3 * by_period < 2 * value
    period = False
    if (noise_q4 >= 2 or short) and clarity >= CLEAR and not multiple:
        period = True
        quality = clarity * (100 if agree else 60) >> 10
    elif agree or (here >= REPEATS and 4 * here >= 3 * clarity):
        quality = (here * 100 >> 10) * (n + alike) // (2 * n)
    elif (noise_q4 >= 1 or tick.age < LEARN) and clarity >= VERY_CLEAR and not multiple:
        period, quality = True, 45
    else:
        quality = min(75 - int(np.abs(np.diff(intervals)).sum()) * 150 // int(intervals.sum()), 48)
        period = here < 0 and clarity >= VERY_CLEAR
    if short or 4 * alike < 3 * n or (not period and abs(value - by_period) > APART_X10):
        quality = min(quality, 48)
    if period:
        value = by_period
    if agree or not period:
        tick.span, tick.tail = (now - recent[0] >> 8) + BEFORE, now - recent[-1] >> 8
    tick.bpm_x10, tick.quality_pct = value, min(max(quality, 0), 99)


class Contact:
    """Is the sensor on skin? States: 0 unknown, 1 off, 2 on, 3 something else, 4 loose. `steady`: samples.

    cold: the part is below 15 degrees, all the time.
    """

    def __init__(self, cold: bool = False) -> None:
        self.hold_s = 4 if cold else 10
        self.without_pulse, self.loose, self.steady, self.dc = 11, 0, 0, 0

    def step(self, tick: Tick, dc: int, saturation: bool) -> None:
        """Judge a second; dc in 8 counts. saturation: SpO2 was sure a second ago."""
        if tick.age == 0:
            self.__init__(self.hold_s == 4)
            tick.contact = 1
            return
        moved = abs(dc - self.dc) * 500 // (dc >> 1)
        self.steady = min(self.steady + 25, tick.age)
        if tick.age > 50 and moved > (max(tick.pi_x1000 // 100, 16) if tick.pi_x1000 else 100):
            self.loose, self.steady = 5, 0
        else:
            self.loose = max(self.loose - 1, 0)
        self.dc = dc
        pulse = (saturation or (tick.settled and tick.quality_pct >= 30)) and tick.pi_x1000 >= 30
        self.without_pulse = 0 if pulse else min(self.without_pulse + 1, 11)
        tick.contact = (
            4 if self.loose else 2 if self.without_pulse <= self.hold_s else 3 if tick.age >= 25 * self.hold_s else 0
        )


def ratio_q12(a: int, b: int) -> int:
    """a / b in Q12 within +-4, after both are shifted down until b < 2**15 and |a| < 2**16."""
    while b > 32767 or a > 65535 or a < -65535:
        a, b = a >> 1, b >> 1
    if b < 1:
        return 16384 if a > 0 else -16384
    return min(max((a << 12) // b, -16384), 16384)


def smoothed(x: np.ndarray) -> np.ndarray:
    """Rounded mean of each value and the three before it, 0 for the first three."""
    y = np.zeros_like(x)
    y[3:] = (x[3:] + x[2:-1] + x[1:-2] + x[:-3] + 2) >> 2
    return y


def shape(x: np.ndarray) -> tuple[int, int]:
    """Size of a window about its mean, and its skewness in Q6 from values of 64..127 at most."""
    x = x - int(x.sum()) // len(x)
    size = int(np.abs(x).sum()) // len(x)
    x = x >> max(0, int(np.abs(x).max()).bit_length() - 7)
    square, cube = int((x**2).sum()) // len(x), int((x**3).sum()) // len(x)
    return size, (cube << 4) // max(1, isqrt(square << 8)) * 64 // (square + 1)


def ratio_of_ratios(tick: Tick, red: np.ndarray, ir: np.ndarray, dc_red: int, dc_ir: int) -> None:
    """R and SpO2 from windows of both columns and their DC."""
    x, shift_ir = scaled(ir)
    y, shift_red = scaled(red)
    x, y = smoothed(x), smoothed(y)
    xx, xy, yy = int((x * x).sum()), int((x * y).sum()), int((y * y).sum())
    slope = ratio_q12(xy, xx)
    tick.shared_q12 = slope * ratio_q12(xy, yy) >> 12
    if slope <= 0:
        return
    shift = shift_red - shift_ir
    r = slope * ratio_q12(dc_ir, dc_red) >> 12
    tick.r_q12 = min(r << shift if shift > 0 else r >> -shift, 8191)
    i, part = tick.r_q12 >> 8, tick.r_q12 & 255
    x100 = int(SPO2_X100[i]) + ((int(SPO2_X100[i + 1] - SPO2_X100[i]) * part) >> 8)
    tick.spo2_x10 = (x100 + 5) // 10
    told = tick.shared_q12 >= SHARED and tick.clarity_q10 >= (VERY_CLEAR if len(red) < SHAPE_MIN else CLEAR)
    told |= tick.shared_q12 >= SHARED_SHAPE and tick.skew_q6 >= SKEW
    tick.spo2_sure = told and not 0 < tick.pi_x1000 < PI and x100 >= 7000


def run(
    counts: np.ndarray, *, pulse: int, red: int = -1, ir: int = -1, relative: bool = False, cold: bool = False
) -> Run:
    """The whole chain. pulse, red, ir: columns of counts (n, k), -1 where there is none."""
    x = decimate(counts, 3 if relative else 0)
    f = front(x, pulse, relative=relative)
    result = Run()
    slow = f.slow.tolist()
    beats, onsets, heights = Beats(), [], []
    contact = Contact(cold)
    spo2, sure = (-1, 0), False
    for n in range(len(x)):
        age = int(f.age[n])
        if n and age <= 1 and f.age[n - 1] > 1:
            beats, onsets, heights, spo2, sure, contact = Beats(), [], [], (-1, 0), False, Contact(cold)
        if age:
            found = beats.step(slow, n)
            if found:
                # Counting from 1, as the firmware does.
                onsets.append(found[0] + 256)
                heights.append(min(max(found[1], 0), 65535))
                result.onsets_q8.append((4 * n + 7 << 8) + (found[0] - (n << 8)) * 4 - (3 * 256 + 128))
        if (n + 2) % TICK:
            continue
        tick = Tick(n + 1, age)
        result.ticks.append(tick)
        width = min(age, WINDOW)
        if width >= WINDOW_MIN:
            tick.settled = True
            window, _ = scaled(f.pulse[n - width + 1 : n + 1, pulse])
            acf = autocorrelation_q10(window)
            tick.period_q8, tick.clarity_q10 = period_q8(acf)
            combine(tick, onsets, acf, 16 * beats.noise // (beats.level + 1))
        if relative:
            continue
        last = sorted(heights[-8:])
        dc = int(f.dc_q8[n, pulse]) >> 8
        tick.pi_x1000 = (last[len(last) >> 1] if last else 0) * 12500 // ((dc >> 5) + 1)
        contact.step(tick, dc, sure)
        sure = False
        width = min(width, contact.steady)
        if red >= 0 and ir >= 0 and width >= WINDOW_MIN:
            part = slice(n - width + 1, n + 1)
            if age >= SHAPE_MIN:
                tick.skew_q6 = shape(f.pulse[n - min(age, WINDOW) + 1 : n + 1, pulse])[1]
            dc_red, dc_ir = int(f.dc_q8[n, red]) >> 8, int(f.dc_q8[n, ir]) >> 8
            ratio_of_ratios(tick, f.pulse[part, red], f.pulse[part, ir], dc_red, dc_ir)
            if tick.spo2_x10 < 0:
                tick.spo2_x10, tick.r_q12 = spo2
            spo2, sure = (tick.spo2_x10, tick.r_q12), tick.spo2_sure
    return result
