"""How fast a sensor really samples: its own oscillator is off by percents, the board's clock is the reference.

Marks (sample number, time) come from FIFO interrupts. The period is the time over the samples between two marks
8 to 16 s apart (1 s at first), so a few milliseconds of interrupt latency are 0.1 % at most.
"""

from micropython import const

_MASK = const(0x3FFFFFFF)
_SIGN = const(0x20000000)
_SPAN_US = const(8000000)
_FIRST_US = const(1000000)  # sooner, latency would spoil the result


def between_us(start_us, end_us):
    """Microseconds from one tick to another; ticks may wrap at 2**30. |result| < 2**29 (537 s)."""
    return (((end_us - start_us) & _MASK) ^ _SIGN) - _SIGN


class SampleClock:
    """period_us: measured, or nominal until it is known (`measured`). An implausible measurement (more than 1/8 off)
    is thrown away."""

    def __init__(self, nominal_us):
        self._nominal_us = nominal_us
        self.period_us = nominal_us
        self.measured = False
        self._marks = 0
        self._index0 = self._t0_us = self._index1 = self._t1_us = 0

    def restart(self):
        """Samples were lost: begin a new measurement and keep the period until it is done."""
        self._marks = 0

    def mark(self, index, t_us):
        """Sample `index` was complete at t_us (ticks). Marks come less than 500 s apart. Allocates nothing."""
        if not self._marks:
            self._index0 = self._index1 = index
            self._t0_us = self._t1_us = t_us
            self._marks = 1
            return
        n = index - self._index0
        span_us = between_us(self._t0_us, t_us)  # <= 2 * 8 s and the last interval: far below 2**29
        if n <= 0 or span_us < _FIRST_US:
            return
        period_us = (span_us + (n >> 1)) // n
        if abs(period_us - self._nominal_us) > self._nominal_us >> 3:
            self._marks = 0
            return
        self.period_us = period_us
        self.measured = True
        if between_us(self._t1_us, t_us) >= _SPAN_US:
            self._index0 = self._index1
            self._t0_us = self._t1_us
            self._index1 = index
            self._t1_us = t_us
