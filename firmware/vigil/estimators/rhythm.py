"""Rhythm from RR intervals: regular, irregular in a pattern, or without any pattern as in atrial fibrillation (AF)?

In AF nothing repeats: an interval tells neither the next one nor the third or fourth after it, and a series of them
does not come back. In sinus arrhythmia neighbours are alike; bigeminy and trigeminy repeat after two and three beats;
ectopic beats leave the rest as it was; noise and changes of rhythm spread intervals wider than AF does.

The interval r[n] in ms counts as 240..3000. local: upper median of the last 17; x: median of the last three r. Marks,
each counted over a window of the last 128 intervals:
- free: for lags 1..4, how often |r[n] - r[n-lag]| > local/20, the least of the four counts; the same for x with
  local/50; the sum of both;
- back: x came back: the last five x equal, within local/40, those k before, k = 1..24. Marks n and n-k;
- again: the same with the last three r, within local/16, marks n only;
- spread: mean of |r[n] - r[n-lag]| / local over lags 4, 12 .. 60 that there are, in 1/256, each at most 154 (floored);
- jumps: |r[n] - r[n-1]| > local/8; implausible: outside 240..3000 ms.
With s intervals in the window and all limits in 1/256 of s: unknown when s < 12, implausible > 60 or spread > 84; AF
when free > 226 and back < 80 and again < 168 (118 and 198 while s < 96: a short strip cannot say more); else other
when jumps > 40; else sinus.

Where the beats' shapes were seen too (estimators.atrial): without a wave before the beats AF needs only free > 178,
back < 100 and again < 180 (200 and 230 while s < 96); with one, what would be AF is other.
"""

from array import array

from micropython import const

from vigil.dsp.ecg import nth_smallest

SINUS = const(0)
AF = const(1)
OTHER = const(2)
UNKNOWN = const(3)

# What comes before the beats.
ABSENT = const(1)
PRESENT = const(2)

LABELS = ("sinus", "af", "other", "unknown")

LATENCY = const(64)  # beats: a decision describes the middle of its window
FIRST = const(12)  # intervals before the first answer

_WINDOW = const(128)
_LONG = const(96)
_LOCAL = const(17)
_SEARCH = const(24)
_MIN_MS = const(240)
_MAX_MS = const(3000)

# Counts over the window; 0..3: r differs at lag 1..4, 4..7: x differs.
_BACK = const(8)
_AGAIN = const(9)
_JUMP = const(10)
_IMPLAUSIBLE = const(11)
_COUNTS = const(12)


class Rhythm:
    """push(rr_ms) for each interval; the answer describes the beat LATENCY intervals ago. 0.8 KB of state."""

    def __init__(self):
        self._rr = array("h", bytes(2 * 64))  # rings, indexed by the interval's number
        self._smooth = array("h", bytes(2 * 32))
        self._last = array("i", bytes(4 * _LOCAL))
        self._marks = array("H", bytes(2 * _WINDOW))
        self._spreads = array("h", bytes(2 * _WINDOW))
        self._counts = array("h", bytes(2 * _COUNTS))
        self._run_x = bytearray(_SEARCH + 1)  # by lag: intervals in a row that were alike, at most 255
        self._run_r = bytearray(_SEARCH + 1)
        self.reset()

    def reset(self):
        """Forget all intervals."""
        for state in (self._marks, self._spreads, self._counts, self._run_x, self._run_r):
            for i in range(len(state)):
                state[i] = 0
        self._spread = 0
        self._n = 0
        self.local_ms = 0

    @property
    def seen(self):
        """Intervals in the window, 0..128."""
        return min(self._n, _WINDOW)

    def push(self, rr_ms, atrial=0):
        """Take one interval, 0..65535 ms, and what comes before the beats (estimators.atrial, 0: not known).

        Returns a label code. Allocates nothing.
        """
        n = self._n
        rr = self._rr
        r = min(max(rr_ms, _MIN_MS), _MAX_MS)
        one = rr[(n - 1) & 63] if n else r
        two = rr[(n - 2) & 63] if n > 1 else one
        x = max(min(one, two), min(max(one, two), r))
        rr[n & 63] = r
        self._smooth[n & 31] = x
        self._last[n % _LOCAL] = r
        kept = min(n + 1, _LOCAL)
        local = self.local_ms = nth_smallest(self._last, kept, kept >> 1)
        marks = self._compare(n, r, x, local)
        if abs(r - one) << 3 > local:
            marks |= 1 << _JUMP
        if r != rr_ms:
            marks |= 1 << _IMPLAUSIBLE
        self._enter(n, marks)
        self._n = n + 1
        return self._decide(atrial)

    def _compare(self, n, r, x, local):
        """Marks of the newest interval from those before it; marks older ones as having come back."""
        rr = self._rr
        smooth = self._smooth
        run_x = self._run_x
        run_r = self._run_r
        marks = 0
        for k in range(1, min(n, _SEARCH) + 1):
            # Intervals are within 3000, so that 50 * 2760 is the largest product.
            d = abs(r - rr[(n - k) & 63])
            run = run_r[k] = min(run_r[k] + 1, 255) if d << 4 <= local else 0
            if run >= 3:
                marks |= 1 << _AGAIN
            if k <= 4 and 20 * d > local:
                marks |= 1 << (k - 1)
            d = abs(x - smooth[(n - k) & 31])
            run = run_x[k] = min(run_x[k] + 1, 255) if 40 * d <= local else 0
            if run >= 5:
                marks |= 1 << _BACK
                self._mark_back(n - k)
            if k <= 4 and 50 * d > local:
                marks |= 1 << (k + 3)
        return marks

    def _mark_back(self, n):
        i = n & (_WINDOW - 1)
        if not self._marks[i] & 1 << _BACK:
            self._marks[i] |= 1 << _BACK
            self._counts[_BACK] += 1

    def _enter(self, n, marks):
        """Let the newest interval into the window and the oldest out of it."""
        rr = self._rr
        r = rr[n & 63]
        spread = lags = 0
        for k in range(4, min(n, 60) + 1, 8):
            spread += min(154, (abs(r - rr[(n - k) & 63]) << 8) // self.local_ms)
            lags += 1
        if lags:
            spread //= lags
        i = n & (_WINDOW - 1)
        self._spread += spread - self._spreads[i]
        self._spreads[i] = spread
        old = self._marks[i]
        self._marks[i] = marks
        changed = old ^ marks
        counts = self._counts
        k = 0
        while changed:
            if changed & 1:
                counts[k] += 1 if marks >> k & 1 else -1
            changed >>= 1
            k += 1

    def _decide(self, atrial):
        seen = self.seen
        c = self._counts
        if seen < FIRST or c[_IMPLAUSIBLE] << 8 > 60 * seen or self._spread > 84 * seen:
            return UNKNOWN
        long = seen >= _LONG
        free = 226
        back = 80 if long else 118
        again = 168 if long else 198
        if atrial == ABSENT:
            free = 178
            back = 100 if long else 200
            again = 180 if long else 230
        if (
            (min(c[0], c[1], c[2], c[3]) + min(c[4], c[5], c[6], c[7])) << 8 > free * seen
            and c[_BACK] << 8 < back * seen
            and c[_AGAIN] << 8 < again * seen
        ):
            return OTHER if atrial == PRESENT else AF
        return OTHER if c[_JUMP] << 8 > 40 * seen else SINUS
