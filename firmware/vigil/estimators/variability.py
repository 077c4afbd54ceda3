"""Heart-rate variability over the last five minutes: SDNN, RMSSD and pNN50, over sinus beats of good quality only.

Counted: intervals while the rhythm is sinus, both of whose beats have a quality of at least 90 % and which lie within a
fifth of the local median (a normal-to-normal interval), and differences between two such in a row. Five buckets of a
minute each; a report each minute covers those that are there. Withheld with fewer than 60 intervals (settling in the
first minutes, poor signal later); quality: the share of all intervals that counted.

Task Force of the ESC and NASPE, 1996, doi:10.1161/01.CIR.93.5.1043.
"""

from array import array

from micropython import const

from vigil.core.records import (
    HRV_PNN50,
    HRV_RMSSD,
    HRV_SDNN,
    MILLI_SEC,
    PERCENT,
    POOR_SIGNAL,
    PRESENT,
    SETTLING_IN,
    Reading,
)

_REPORTS = const(30)  # of 2 s: a minute
_BUCKETS = const(5)
_LEAST = const(60)
_GOOD_PCT = const(90)

# Fields of a bucket.
_ALL = const(0)
_N = const(1)
_SUM = const(2)  # of intervals, each less the reference
_SQUARES = const(3)
_PAIRS = const(4)
_PAIR_SQUARES = const(5)
_OVER_50 = const(6)
_FIELDS = const(7)


def _root(x):
    """Integer square root, x >= 0."""
    if x < 2:
        return x
    a = x
    b = (x + 1) >> 1
    while b < a:
        a = b
        b = (a + x // a) >> 1
    return a


class Variability:
    """add() each interval, tick() each report; it appends three readings a minute. Allocates only then."""

    def __init__(self):
        self._buckets = array("i", bytes(4 * _FIELDS * _BUCKETS))
        self.reset()

    def reset(self):
        """Forget all intervals."""
        for i in range(len(self._buckets)):
            self._buckets[i] = 0
        self._at = 0  # field 0 of the present bucket
        self._ticks = 0
        self._minutes = 0
        self._reference = 0
        self._previous = 0

    def interrupt(self):
        """The next interval does not follow the last one."""
        self._previous = 0

    def add(self, rr_ms, quality_pct, local_ms, sinus):
        """Take an interval in ms, the lower quality of its beats, the local median, and whether the rhythm is sinus."""
        b = self._buckets
        at = self._at
        b[at + _ALL] += 1
        if not sinus or quality_pct < _GOOD_PCT or 5 * abs(rr_ms - local_ms) > local_ms:
            self._previous = 0
            return
        if not self._reference:
            self._reference = rr_ms
        # At most 250 intervals in a bucket: 250 * 1500**2 < 2**30.
        d = max(-1500, min(1500, rr_ms - self._reference))
        b[at + _N] += 1
        b[at + _SUM] += d
        b[at + _SQUARES] += d * d
        if self._previous:
            d = rr_ms - self._previous
            b[at + _PAIRS] += 1
            b[at + _PAIR_SQUARES] += d * d
            if d > 50 or d < -50:
                b[at + _OVER_50] += 1
        self._previous = rr_ms

    def tick(self, t_ms, out):
        """A report's time has come: append three readings when a minute is over."""
        self._ticks += 1
        if self._ticks < _REPORTS:
            return
        self._ticks = 0
        self._minutes += 1
        self._report(t_ms, out)
        self._at = (self._at + _FIELDS) % (_FIELDS * _BUCKETS)
        for i in range(self._at, self._at + _FIELDS):
            self._buckets[i] = 0

    def _total(self, field):
        total = 0
        for at in range(field, _FIELDS * _BUCKETS, _FIELDS):
            total += self._buckets[at]
        return total

    def _report(self, t_ms, out):
        n = self._total(_N)
        pairs = self._total(_PAIRS)
        reason = PRESENT
        if n < _LEAST or pairs < _LEAST // 2:
            reason = SETTLING_IN if self._minutes < 2 else POOR_SIGNAL
        sdnn_x10 = rmssd_x10 = pnn50_x10 = None
        if n > 1 and pairs:
            total = self._total(_SUM)
            squares = max(0, self._total(_SQUARES) - total * total // n)
            sdnn_x10 = _root(100 * squares // (n - 1))
            rmssd_x10 = _root(100 * self._total(_PAIR_SQUARES) // pairs)
            pnn50_x10 = 1000 * self._total(_OVER_50) // pairs
        start_ms = max(0, t_ms - 60000 * min(self._minutes, _BUCKETS))
        quality_pct = 0 if reason else 100 * n // self._total(_ALL)
        for kind, mantissa, unit in (
            (HRV_SDNN, sdnn_x10, MILLI_SEC),
            (HRV_RMSSD, rmssd_x10, MILLI_SEC),
            (HRV_PNN50, pnn50_x10, PERCENT),
        ):
            out.append(Reading(kind, mantissa, -1, unit, quality_pct, start_ms, t_ms, reason))
