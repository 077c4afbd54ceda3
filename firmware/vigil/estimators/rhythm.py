"""Rhythm from RR intervals: does the heart beat regularly, irregularly in a pattern, or without any pattern?

In atrial fibrillation an interval tells nothing about the next one, nor about the one three or four beats later.
So: take single odd beats away (median of three), count over a window how often the interval differs from the one
k beats before by more than a thirty-second of the local median, and take the smallest count over k = 1..4.
Bigeminy and trigeminy repeat, hence one of their counts is small; sinus arrhythmia changes slowly, hence k = 1 is.
"""

from array import array

from micropython import const

SINUS = const(0)
AF = const(1)
OTHER = const(2)
UNKNOWN = const(3)
LABELS = ("sinus", "af", "other", "unknown")

LATENCY = const(32)  # beats: a decision describes the middle of its window

_WINDOW = const(64)  # beats
_LOCAL = const(17)  # beats of the local median
_LAGS = const(4)
_ENTER_AF = const(22)  # of _WINDOW: smallest count at which AF is declared
_LEAVE_AF = const(18)  # below it AF ends
_OTHER = const(10)  # of _WINDOW: jumps of more than an eighth that make a rhythm irregular
_IMPLAUSIBLE = const(12)  # of _WINDOW: intervals no heart makes, beyond which there is no answer
_FIRST = const(20)  # beats before the first answer
_MIN_MS = const(200)
_MAX_MS = const(3000)


def _median3(a, b, c):
    if a > b:
        a, b = b, a
    return a if c < a else b if c > b else c


class Rhythm:
    """push(rr_ms) for each interval; the answer describes the beat LATENCY intervals ago."""

    def __init__(self):
        self._rr = array("H", bytes(2 * _LOCAL))  # ring of raw intervals, ms
        self._smooth = array("H", bytes(2 * 8))  # ring of medians of three
        self._bits = bytearray(_WINDOW)  # ring: bit k-1 lag k differs; bit 5 jump; bit 6 implausible
        self._counts = array("H", bytes(2 * 7))
        self._n = 0
        self._state = UNKNOWN

    def push(self, rr_ms):
        """Take one interval, 0..65535 ms (anything outside 200..3000 counts as implausible); return a label code."""
        n = self._n
        implausible = not _MIN_MS <= rr_ms <= _MAX_MS
        rr_ms = min(max(rr_ms, _MIN_MS), _MAX_MS)
        rr = self._rr
        previous = rr[(n - 1) % _LOCAL] if n else rr_ms
        before = rr[(n - 2) % _LOCAL] if n > 1 else previous
        rr[n % _LOCAL] = rr_ms
        local = sorted(rr[: min(n + 1, _LOCAL)])[min(n + 1, _LOCAL) // 2]
        smooth = self._smooth
        x = _median3(before, previous, rr_ms)
        bits = 0
        for lag in range(1, _LAGS + 1):
            if n >= lag and abs(x - smooth[(n - lag) & 7]) * 32 > local:
                bits |= 1 << (lag - 1)
        smooth[n & 7] = x
        if abs(rr_ms - previous) * 8 > local:
            bits |= 0x20
        if implausible:
            bits |= 0x40
        self._count(n, bits)
        self._n = n + 1
        return self._decide(n + 1)

    def _count(self, n, bits):
        old = self._bits[n % _WINDOW]
        self._bits[n % _WINDOW] = bits
        for k in range(7):
            self._counts[k] += (bits >> k & 1) - (old >> k & 1)

    def _decide(self, n):
        seen = min(n, _WINDOW)
        c = self._counts
        if n < _FIRST or c[6] * _WINDOW > _IMPLAUSIBLE * seen:
            self._state = UNKNOWN
            return UNKNOWN
        score = min(c[0], c[1], c[2], c[3]) * _WINDOW
        if score > (_LEAVE_AF if self._state == AF else _ENTER_AF) * seen:
            self._state = AF
        elif c[5] * _WINDOW > _OTHER * seen:
            self._state = OTHER
        else:
            self._state = SINUS
        return self._state
