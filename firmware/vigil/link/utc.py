"""What UTC is, learned from acknowledgements: sans I/O.

An acknowledgement names the digest of an envelope, which nobody knows before it was sent; so the host's time in it was
taken after the envelope's first sending and before the acknowledgement's arrival, however long a network or an
attacker held it back. Half of that interval is the uncertainty (Cristian 1989, doi:10.1007/BF01784024).
UTC is POSIX time: no leap seconds; a host that steps over one is met like any other step of its clock.
"""

from micropython import const

_DRIFT = const(10_000)  # the device's crystal gains or loses at most a ms in so many: 100 ppm
_WORST_MS = const(60_000)  # an answer that took longer than twice this says too little
_FROM_MS = 1_577_836_800_000  # 2020: no host has an earlier clock that is right


class Utc:
    """The offset of device time (milliseconds since boot) to UTC. steps: times the host's clock contradicted itself."""

    def __init__(self):
        self.steps = 0
        self._offset_ms = None  # UTC at device time 0, as it was estimated at device time _at_ms
        self._error_ms = self._at_ms = 0

    def heard(self, sent_ms: int, now_ms: int, utc_ms: int) -> None:
        """Learn that it was `utc_ms` between the device times sent_ms and now_ms, which is now."""
        half_ms = (now_ms - sent_ms + 1) >> 1
        offset_ms = utc_ms + half_ms - now_ms
        if not 0 <= half_ms <= _WORST_MS or offset_ms < _FROM_MS:
            return
        known = self.at(now_ms)
        if known is not None:
            if abs(offset_ms - known[0]) > half_ms + 1 + known[1]:
                self.steps += 1  # one of the two is wrong, and the host's present clock is what it dates by
            elif known[1] <= half_ms + 1:
                return  # what is known is better
        self._offset_ms = offset_ms
        self._error_ms = half_ms + 1
        self._at_ms = now_ms

    def at(self, now_ms: int):
        """Return (UTC at device time 0, its uncertainty) in ms, for use about now; None before anything is known."""
        if self._offset_ms is None:
            return None
        return self._offset_ms, self._error_ms + (now_ms - self._at_ms) // _DRIFT
