"""Pulse rate from the beats of the last 9 s, checked against the period of the last 8 s."""

from array import array

from micropython import const

from vigil.core.records import NO_PULSE, POOR_SIGNAL, PRESENT, SETTLING_IN
from vigil.dsp.ppg_window import autocorrelate, period, scale

_FIRST = const(5)  # lags searched: 300 bpm ...
_LAST = const(53)  # ... to 28 bpm
_WINDOW = const(200)  # samples of the period search: 8 s
_WINDOW_MIN = const(100)  # and the least: 4 s
_SPAN_Q8 = const(225 * 256)  # beats that count: the last 9 s, of which the newest second may not be certain yet
_BEATS = const(64)  # ring of beats: 10 s at 240 bpm and some
_FRESH_Q8 = const(75 * 256)  # without a beat for 3 s there is no pulse
_MASK = const(0x3FFFFFFF)  # onset times: 1/256 samples, modulo 2**30 (46 h)
_BPM_X10 = const(60 * 10 * 25)  # bpm * 10 = this / period in samples

# The thresholds were set on synthetic grids and on BIDMC as a whole (docs/adr/0005).
SURE_Q10 = const(850)  # autocorrelation from which the period sets the detector's refractory time
_CLEAR_Q10 = const(600)  # from which it overrules beats that come too close: dicrotic waves were counted
_FAIR_Q10 = const(400)  # from which it confirms the usual interval: single beats were missed or added
_SHORT_Q8 = const(10 * 256)  # 0.4 s: a dicrotic wave does not come later after its beat
_QUALITY_MIN = const(30)


class PulseRate:
    """Push beats, evaluate once a second, read the fields.

    bpm_x10: best guess or None. quality_pct. reason: absent reason or PRESENT. clarity_q10: autocorrelation at the
    period. period_q8: samples at 25 Hz, 0 when none was found.
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

    def beat(self, onset_q8: int, height: int):
        """Take a beat: onset in 1/256 samples (modulo 2**30), height in half counts."""
        self._onset_q8[self._at] = onset_q8
        self._height[self._at] = min(max(height, 0), 65535)
        self._at = (self._at + 1) % _BEATS
        if self._n < _BEATS:
            self._n += 1

    def evaluate(self, ring, column: int, count: int, age: int):
        """Form the reading as of sample `count`, `age` samples after the chain's start."""
        n = min(age, _WINDOW)
        if n < _WINDOW_MIN:
            self.reason = SETTLING_IN
            self.quality_pct = 0
            return
        scale(ring, column, count, n, self.window)
        autocorrelate(self.window, n, _FIRST, _LAST, self._acf)
        self._find_period()
        self._combine(count)

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

    def _combine(self, count: int):
        now_q8 = count << 8
        times = self._onset_q8
        newest = times[(self._at - 1) % _BEATS]
        intervals = self._interval_q8
        n = rough_q8 = span_q8 = 0
        for i in range(1, self._n):
            t = times[(self._at - 1 - i) % _BEATS]
            if (now_q8 - t) & _MASK > _SPAN_Q8:
                break
            ibi_q8 = ((newest - t) & _MASK) - span_q8
            span_q8 += ibi_q8
            if n:
                rough_q8 += abs(ibi_q8 - intervals[n - 1])
            intervals[n] = ibi_q8
            self._sort_in(ibi_q8, n)
            n += 1
        clarity_q10 = self.clarity_q10
        by_period = _BPM_X10 * 256 // self.period_q8 if self.period_q8 else 0
        if n < 2 or (now_q8 - newest) & _MASK > _FRESH_Q8:
            self.bpm_x10 = by_period or None
            self.quality_pct = 0
            self.reason = POOR_SIGNAL if clarity_q10 >= _CLEAR_Q10 else NO_PULSE
            return
        value = n * (_BPM_X10 * 16) // (span_q8 >> 4)
        if _differ_pct(value, by_period) <= 4:
            quality = 20 + (clarity_q10 * 80 >> 10)
        else:
            middle = self._sorted[n >> 1]
            m = total_q8 = 0
            for i in range(n):
                if abs(intervals[i] - middle) * 4 <= middle:
                    m += 1
                    total_q8 += intervals[i]
            usual = m * (_BPM_X10 * 16) // (total_q8 >> 4)
            if clarity_q10 >= _FAIR_Q10 and _differ_pct(usual, by_period) <= 8:
                value = usual
                quality = 10 + (clarity_q10 * 80 >> 10)
            elif clarity_q10 >= _CLEAR_Q10 and self._sorted[n >> 2] <= _SHORT_Q8 and by_period < value:
                value = by_period
                quality = clarity_q10 * 50 >> 10
            else:  # irregular, or noise: less sure the more each interval differs from the one before, % of the mean
                quality = 60 - rough_q8 * 25 // (span_q8 >> 2)
        self.bpm_x10 = value
        self.quality_pct = min(max(quality, 0), 99)
        self.reason = PRESENT if quality >= _QUALITY_MIN else POOR_SIGNAL


def _differ_pct(value: int, other: int) -> int:
    return abs(value - other) * 100 // value
