"""Pulse rate from the beats of the last 10 s, checked against the period of the last 8 s."""

from array import array

from micropython import const

from vigil.core.records import NO_PULSE, POOR_SIGNAL, PRESENT, SETTLING_IN
from vigil.dsp.ppg_window import autocorrelate, period, scale

_FIRST = const(5)  # lags searched: 300 bpm ...
_LAST = const(53)  # ... to 28 bpm
_WINDOW = const(200)  # samples of the period search: 8 s
_WINDOW_MIN = const(100)  # and the least: 4 s
_SPAN_Q8 = const(250 * 256)  # beats that count: the last 10 s
_BEATS = const(64)  # ring of beats: 10 s at 240 bpm and some
_MASK = const(0x3FFFFFFF)  # onset times: 1/256 samples, modulo 2**30 (46 h)
_BPM_X10 = const(60 * 10 * 25)  # bpm * 10 = this / period in samples

# The thresholds were set on synthetic grids and on BIDMC as a whole (docs/adr/0005).
_CLEAR_Q10 = const(614)  # autocorrelation from which the period is believed on its own
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
        if not n:
            return 0
        s = self._sorted
        for i in range(n):
            v = self._height[(self._at - 1 - i) % _BEATS]
            j = i
            while j and s[j - 1] > v:
                s[j] = s[j - 1]
                j -= 1
            s[j] = v
        return s[n >> 1]

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
        intervals = rough = last_ibi = 0
        span_q8 = 0
        for i in range(1, self._n):
            t = times[(self._at - 1 - i) % _BEATS]
            if (now_q8 - t) & _MASK > _SPAN_Q8:
                break
            ibi = ((newest - t) & _MASK) - span_q8
            span_q8 += ibi
            if i > 1:
                rough += abs(ibi - last_ibi)
            last_ibi = ibi
            intervals += 1
        clarity_q10 = self.clarity_q10
        by_period = _BPM_X10 * 256 // self.period_q8 if self.period_q8 else 0
        fresh = self._n and (now_q8 - newest) & _MASK <= 75 * 256
        if intervals < 2 or not fresh:
            self.bpm_x10 = by_period or None
            self.quality_pct = 0
            self.reason = NO_PULSE if clarity_q10 < _CLEAR_Q10 else POOR_SIGNAL
            return
        by_beats = intervals * (_BPM_X10 * 16) // (span_q8 >> 4)
        rough_pct = rough * 25 // (span_q8 >> 2)  # mean change from interval to interval, % of the mean interval
        differ_pct = abs(by_beats - by_period) * 100 // by_beats
        if differ_pct <= 8:
            value = by_beats
            quality = 20 + (clarity_q10 * 80 >> 10)
        elif clarity_q10 >= _CLEAR_Q10 and rough_pct > 12:
            value = by_period  # a regular pulse whose beats were miscounted
            quality = clarity_q10 * 50 >> 10
        else:
            value = by_beats  # irregular, or noise
            quality = 60 - rough_pct
        self.bpm_x10 = value
        self.quality_pct = min(max(quality, 0), 99)
        self.reason = PRESENT if quality >= _QUALITY_MIN else POOR_SIGNAL
