"""Pulse rate from the beats of the last 16 s, checked against the period of the last 8 s.

The value is beats over time, of 20 s where intervals are not alike, of 12 s where they grow or shrink one by one. Two
neighbours that make one usual interval together are one, split by an artefact. Where most are alike, one that is half
as long again is a missed pulse, and does not count. Quality is how well the wave repeats itself after the beats'
interval, less for intervals that are not alike; where it does not repeat, the pulse is irregular or the beats are
noise, and they are the less believed the more each interval differs from the one before. docs/adr/0016, 0030, 0033.
"""

from array import array

from micropython import const

from vigil.core.records import NO_PULSE, POOR_SIGNAL, PRESENT, SETTLING_IN
from vigil.dsp.ppg_window import autocorrelate, period, scale

_FIRST = const(5)  # lags searched: 300 bpm ...
_LAST = const(53)  # ... to 28 bpm
_WINDOW = const(200)  # samples of the period search: 8 s
_WINDOW_MIN = const(70)  # and the least: 2.8 s
_SPAN_Q8 = const(400 * 256)  # beats that count: the last 16 s, of which the newest second may not be certain yet;
_SHORT_Q8 = const(300 * 256)  # 12 s where they grow or shrink one by one
_LONG_Q8 = const(500 * 256)  # 20 s where intervals are not alike
_LEARN = const(400)  # samples of light in which a very clear period tells, too: the detector is still learning
_GAP_Q8 = const(0xFFFF)  # beats before a longer pause (10 s) do not count
_BEFORE = const(10)  # samples before the first onset that were looked at
_SURE_SPAN_Q8 = const(100 * 256)  # 4 s of intervals: the least that a quality of 50 rests on
_EARLY = const(225)  # samples of light in which the period alone may tell, unsurely
_BEATS = const(64)  # ring of beats: 16 s at 240 bpm
_FRESH_Q8 = const(75 * 256)  # without a beat for 3 s there is no pulse
_MASK = const(0x3FFFFFFF)  # onset times: 1/256 samples, modulo 2**30 (46 h)
_BPM_X10 = const(60 * 10 * 25)  # bpm * 10 = this / period in samples

# Autocorrelation, Q10. The thresholds were set on synthetic grids and on BIDMC as a whole (docs/adr/0016).
_REPEATS = const(400)  # at the beats' interval: it confirms them
_CLEAR = const(700)  # the period is believed where there is much noise
_VERY_CLEAR = const(800)  # and where there is some, and the beats do not confirm it
_APART_X10 = const(40)  # beats and period that differ by more (0.1 bpm) are not both right
_QUALITY_MIN = const(30)


class PulseRate:
    """Push beats, evaluate once a second, read the fields.

    bpm_x10: best guess or None. quality_pct. reason: absent reason or PRESENT. It was made from the samples `span` to
    `tail` before now.
    clarity_q10: autocorrelation at the period. period_q8: samples at 25 Hz, 0 when none was found.
    """

    def __init__(self):
        self.window = array("h", bytes(2 * _WINDOW))
        self._acf = array("h", bytes(2 * (_LAST + 1)))
        self._onset_q8 = array("i", bytes(4 * _BEATS))
        self._height = array("H", bytes(2 * _BEATS))
        self._sorted = array("H", bytes(2 * _BEATS))
        self._interval_q8 = array("H", bytes(2 * _BEATS))
        self.reset()

    def reset(self):
        """Forget the beats and the last value."""
        self._n = 0  # beats in the ring, at most _BEATS
        self._at = 0  # where the next goes
        self.bpm_x10 = None
        self.quality_pct = 0
        self.reason = SETTLING_IN
        self.clarity_q10 = 0
        self.period_q8 = 0
        self.span = self.tail = 0

    def beat(self, onset_q8: int, height: int):
        """Take a beat: onset in 1/256 samples (modulo 2**30), height in half counts."""
        self._onset_q8[self._at] = onset_q8
        self._height[self._at] = min(max(height, 0), 65535)
        self._at = (self._at + 1) % _BEATS
        if self._n < _BEATS:
            self._n += 1

    def evaluate(self, ring, column: int, count: int, age: int, noise_q4: int):
        """Form the reading as of sample `count`, `age` samples after the start. noise_q4: of the detector, by level."""
        self.span = n = min(age, _WINDOW)
        self.tail = 0
        if n < _WINDOW_MIN:
            self.reason = SETTLING_IN
            self.quality_pct = 0
            return
        scale(ring, column, count, n, self.window)
        autocorrelate(self.window, n, _FIRST, _LAST, self._acf)
        self._find_period()
        self._combine(count, noise_q4, age < _LEARN)

    def height(self) -> int:
        """Median height of the last (at most 8) beats, half counts; 0 without beats."""
        n = min(self._n, 8)
        for i in range(n):
            self._sort_in(self._height[(self._at - 1 - i) % _BEATS], i)
        return self._sorted[n >> 1] if n else 0

    def _sort_in(self, v: int, n: int):
        s = self._sorted
        while n and s[n - 1] > v:
            s[n] = s[n - 1]
            n -= 1
        s[n] = v

    def _peak_q8(self, lag: int) -> int:
        """Place of the maximum of the parabola through acf[lag-1..lag+1], Q8."""
        a = self._acf
        left, right = a[lag - 1], a[lag + 1]
        bend = 2 * a[lag] - left - right
        return (lag << 8) + ((right - left) * 128 // bend if bend > 0 else 0)

    def _find_period(self):
        a = self._acf
        lag = period(a, _FIRST, _LAST)
        if not lag:
            self.clarity_q10 = self.period_q8 = 0
            return
        self.clarity_q10 = a[lag]
        fine_q8 = self._peak_q8(lag)
        # The same period shows at its multiples, where the place of the maximum divides by more.
        m = 2
        while True:
            near = (fine_q8 * m + 128) >> 8
            if near + 2 > _LAST:
                break
            if a[near + 1] > a[near]:
                near += 1
            elif a[near - 1] > a[near]:
                near -= 1
            if near + 1 > _LAST or a[near] < a[near - 1] or a[near] < a[near + 1] or a[near] * 2 < a[lag]:
                break
            fine_q8 = self._peak_q8(near) // m
            m += 1
        self.period_q8 = fine_q8

    def _combine(self, count: int, noise_q4: int, early: bool):
        now_q8 = count << 8
        times = self._onset_q8
        newest = times[(self._at - 1) % _BEATS]
        tail_q8 = (now_q8 - newest) & _MASK
        intervals = self._interval_q8
        limit_q8 = _SPAN_Q8
        while True:
            n = span_q8 = 0
            for i in range(1, self._n):
                t = times[(self._at - 1 - i) % _BEATS]
                ibi_q8 = ((newest - t) & _MASK) - span_q8
                if (now_q8 - t) & _MASK > limit_q8 or ibi_q8 > _GAP_Q8:
                    break
                span_q8 += ibi_q8
                intervals[n] = ibi_q8
                self._sort_in(ibi_q8, n)
                n += 1
            middle = self._sorted[n >> 1]
            short_q8 = middle - (middle >> 3)
            last_q8 = middle
            k = n
            n = 0
            for i in range(k):
                ibi_q8 = intervals[i]
                # Two below the middle: at least two more are not, in 20 s; so their sum fits 16 bits.
                if ibi_q8 < short_q8 and last_q8 < short_q8 and abs(ibi_q8 + last_q8 - middle) * 8 <= middle:
                    n -= 1
                    ibi_q8 += last_q8
                intervals[n] = last_q8 = ibi_q8
                n += 1
            alike = m = kept_q8 = rough_q8 = newer_q8 = older_q8 = 0
            for i in range(n):
                if i:
                    rough_q8 += abs(intervals[i] - intervals[i - 1])
                if i < n >> 1:
                    newer_q8 += intervals[i]
                elif i >= n + 1 >> 1:
                    older_q8 += intervals[i]
                off_q8 = abs(intervals[i] - middle)
                if off_q8 * 8 <= middle:
                    alike += 1
                if off_q8 * 2 < middle:
                    m += 1
                    kept_q8 += intervals[i]
            if n < 2 or limit_q8 != _SPAN_Q8:
                break
            smooth = rough_q8 << 4 <= span_q8
            if smooth and abs(newer_q8 - older_q8) << 4 > older_q8:
                limit_q8 = _SHORT_Q8
            elif smooth or alike * 8 >= n * 7:
                break
            else:
                limit_q8 = _LONG_Q8
        clarity = self.clarity_q10
        by_period = _BPM_X10 * 256 // self.period_q8 if self.period_q8 else 0
        if n < 2 or tail_q8 > _FRESH_Q8:
            self.bpm_x10 = by_period or None
            self.quality_pct = 0
            self.reason = POOR_SIGNAL if clarity >= _REPEATS else NO_PULSE
            if clarity >= _VERY_CLEAR and self.span < _EARLY:  # no beats yet
                self.quality_pct = 40
                self.reason = PRESENT
            return
        multiple = alike * 8 >= n * 5
        if not multiple:
            m = n
            kept_q8 = span_q8
        value = m * (_BPM_X10 * 16) // (kept_q8 >> 4)
        multiple = multiple and by_period * 3 < value * 2  # of the beats' steady interval: it is not the pulse's
        agree = abs(value - by_period) * 32 <= value
        lag = min(max(_BPM_X10 // value, _FIRST), _LAST - 1)
        here = max(self._acf[lag], self._acf[lag + 1])
        short = span_q8 < _SURE_SPAN_Q8
        whole = False  # the period's value, of the whole window
        if (noise_q4 >= 2 or short) and clarity >= _CLEAR and not multiple:
            whole = True
            quality = clarity * (100 if agree else 60) >> 10
        elif agree or (here >= _REPEATS and here * 4 >= clarity * 3):
            quality = (here * 100 >> 10) * (n + alike) // (2 * n)
        elif (noise_q4 or early) and clarity >= _VERY_CLEAR and not multiple:
            whole = True
            quality = 45
        else:
            quality = min(75 - rough_q8 * 150 // span_q8, 48)
            whole = here < 0 and clarity >= _VERY_CLEAR  # a dicrotic wave counts, or a second beat moves no blood
        if short or alike * 4 < n * 3 or (not whole and abs(value - by_period) > _APART_X10):
            quality = min(quality, 48)
        if whole:
            value = by_period
        if agree or not whole:
            self.span = (tail_q8 + span_q8 >> 8) + _BEFORE
            self.tail = tail_q8 >> 8
        self.bpm_x10 = value
        self.quality_pct = min(max(quality, 0), 99)
        self.reason = PRESENT if quality >= _QUALITY_MIN else POOR_SIGNAL
