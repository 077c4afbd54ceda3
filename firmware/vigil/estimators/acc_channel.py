"""The accelerometer's channel: 50 Hz milli-g in; 8 s of acceleration at 25 Hz for others, and the level of motion."""

from array import array

from micropython import const

from vigil.core.records import DIMLESS, GAP, MOTION, PRESENT, SETTLING, SETTLING_IN, Reading
from vigil.dsp import motion

_NOMINAL_US = const(20000)
_SAMPLES = const(50)  # the level is that of the last 2 s


class AccChannel:
    """One accelerometer.

    ring, count: as dsp.motion.decimate leaves them. age: samples since the start or the last gap. t_ms: when the
    newest sample of the ring was complete. level_mg: as last reported.
    """

    def __init__(self, on_beat=None):
        self.ring = array("h", bytes(2 * 3 * 256))
        self.reset()

    def reset(self):
        """Forget all."""
        self._state = array("i", bytes(4 * 12))
        self.age = 0
        self.count = 0
        self.t_ms = 0
        self.period_us = _NOMINAL_US
        self.level_mg = 0

    def push(self, block):
        """Process one block of any length."""
        if block.flags & (GAP | SETTLING):
            self.reset()
        if block.flags & SETTLING:
            return
        n = block.n
        self.period_us = block.period_us or _NOMINAL_US
        made = motion.decimate(block.data, n, self._state, self.ring)
        if made:
            self.count = self._state[motion.COUNT]
            self.age += made
            rows = n - self._state[motion.PHASE]
            self.t_ms = block.t0_ms + rows * block.period_us // 1000

    def report(self, t_ms, out):
        """Append the MOTION reading: mean magnitude of acceleration less gravity over the axes' sum, in milli-g."""
        known = min(self.age, _SAMPLES)
        level = motion.level(self.ring, self.count, known) if known else None
        self.level_mg = level or 0
        reason = PRESENT if known == _SAMPLES else SETTLING_IN
        out.append(
            Reading(MOTION, level, -3, DIMLESS, 99 if not reason else 0, max(0, t_ms - known * 40), t_ms, reason)
        )
