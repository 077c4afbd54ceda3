"""Ventricular ectopic beats an hour, over the last hour's time that could be judged; a report each minute.

Sixty buckets of a minute. The interval before a beat is judged time when the beat has a class. Withheld with less than
30 s of it (settling in the first minutes, poor signal later); quality: the share of all time that was judged.
"""

from array import array

from micropython import const

from vigil.core.records import DIMLESS, POOR_SIGNAL, PRESENT, SETTLING_IN, VENTRICULAR_RATE, Reading

_REPORTS = const(30)  # of 2 s: a minute
_MINUTES = const(60)
_LEAST_MS = const(30000)


class Ectopy:
    """add() each beat, tick() each report; it appends one reading a minute. Allocates only then."""

    def __init__(self):
        self._judged_ms = array("i", bytes(4 * _MINUTES))
        self._count = array("h", bytes(2 * _MINUTES))
        self._at = self._ticks = self._minutes = 0

    def add(self, rr_ms, judged, ventricular):
        """Take a beat and the interval before it in ms, 0 where that is unknown."""
        if judged:
            self._judged_ms[self._at] += min(rr_ms, 65535)
            if ventricular:
                self._count[self._at] += 1

    def tick(self, t_ms, out):
        """A report's time has come: append a reading when a minute is over."""
        self._ticks += 1
        if self._ticks < _REPORTS:
            return
        self._ticks = 0
        if self._minutes < _MINUTES:
            self._minutes += 1
        judged_ms = beats = 0
        for i in range(_MINUTES):
            judged_ms += self._judged_ms[i]
            beats += self._count[i]
        reason = PRESENT
        if judged_ms < _LEAST_MS:
            reason = SETTLING_IN if self._minutes < 2 else POOR_SIGNAL
        span_ms = 60000 * self._minutes
        # 60 * 350 beats at most, by seconds: within 2**27.
        rate = beats * 3600 // max(1, judged_ms // 1000) if judged_ms else None
        quality_pct = 0 if reason else min(100, judged_ms // (span_ms // 100))
        out.append(Reading(VENTRICULAR_RATE, rate, 0, DIMLESS, quality_pct, max(0, t_ms - span_ms), t_ms, reason))
        self._at = (self._at + 1) % _MINUTES
        self._judged_ms[self._at] = self._count[self._at] = 0
