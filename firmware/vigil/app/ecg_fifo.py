"""ECG from the MAX30003: its FIFO is emptied at its interrupt, and its crystal is measured."""

from array import array

from micropython import const

from vigil.app.ecg_source import INDEX, PERIOD_US, EcgSource
from vigil.app.keep import keep
from vigil.core.errors import SensorError
from vigil.core.log import INFO, log
from vigil.core.records import GAP
from vigil.drivers.max30003 import DCLOFF, DEPTH, EOVF, PLL, Max30003
from vigil.estimators.sample_clock import SampleClock, between_us

_LEVEL = const(16)  # samples at the interrupt: 16 more (64 ms) fit before they are lost
_WATCH_US = const(100000)  # longest time between two looks at the part, interrupt or not
_SILENT_US = const(800000)  # without samples for so long: the part has lost its settings
_SETTLE = const(125)  # samples after an electrode came back or fast recovery, until the high-pass is at rest
_MASK = const(0x3FFFFFFF)


class FifoEcgSource(EcgSource):
    """spi: hal.SPI. All traffic with the part is in _collect(): from the interrupt, and from the scheduler only while
    `_busy` keeps the interrupt out, because they share the driver's buffers.

    The interrupt's time is that of the newest sample when it found exactly _LEVEL of them; served later than a sample's
    length, it says nothing, and the newest sample is where the measured period expects it, at most one period old.
    """

    def __init__(self, board, push, spi):
        super().__init__(board, push)
        self._spi = spi
        self.part = None
        self._samples = array("h", bytes(4 * DEPTH))
        self._rate = SampleClock(PERIOD_US)
        self._busy = False
        self._line = False  # does the interrupt come?
        self._missed = False  # it came while the part was being looked at
        self._error = None  # what the interrupt ran into
        self._look_us = 0
        try:
            board.irq("max30003", self._interrupt)
        except ValueError:
            pass  # no line: the FIFO is looked at each turn

    async def run(self, until_ms):
        """Deliver blocks until `until_ms` (None: for ever). Survives every fault of the part and its bus."""
        await keep(self, "ecg", self._clock, until_ms)

    def recover(self):
        """SPI has no state that could hang."""

    def open(self):
        """Find the part and start it. Raises SensorError."""
        self._busy = True
        try:
            part = Max30003(self._spi)
            part.configure(250, 20, 40, True, _LEVEL)
        finally:
            self._busy = False
        self._high_uv = part.limit_uv
        self._low_uv = -part.limit_uv
        self._error = None
        self._line = True
        self._rate.restart()
        self._tail = self._head
        self._hole = -1
        self.flags |= GAP
        self._settled = self._head + _SETTLE
        self._look_us = self._head_us = self._clock.ticks_us()
        self.part = part
        if not self.present:
            log(INFO, "ecg", "MAX30003 runs")

    def _interrupt(self, t_us):
        """Soft interrupt: the FIFO holds _LEVEL samples, or overflowed. Allocates nothing but an error."""
        if self._busy or self.part is None:
            self._missed = True
            return
        try:
            self._collect(t_us, True)
        except SensorError as e:
            self._error = e

    def drain(self):
        """Hand over what the ring holds, if it is worth it. Raises SensorError when the part does not answer or has
        lost its settings. Allocates nothing else."""
        if self._error:
            raise self._error
        now_us = self._clock.ticks_us()
        if self._missed or not self._line or between_us(self._look_us, now_us) > _WATCH_US:
            self._busy = True
            self._missed = False
            try:
                if self._collect(now_us, False):
                    self._line = False
            finally:
                self._busy = False
        self._hand_over(self._rate.period_us)

    def relieve(self, long):
        """Empty the FIFO now. Raises SensorError."""
        self._missed = True
        self.drain()

    def _collect(self, t_us, edge):
        """Move the FIFO into the ring; t_us: time of the interrupt, or now. Returns the number of samples."""
        part = self.part
        self._look_us = t_us
        status = part.status()
        part.check()
        n = -1 if status & EOVF else part.read_fifo_into(self._samples)
        if n < 0:
            self._overflow()
            return 0
        if n == 0:
            if between_us(self._head_us, t_us) > _SILENT_US:
                raise SensorError("MAX30003 gives no samples")
            return 0
        ring = self._ring
        samples = self._samples
        head = self._head
        for i in range(n):
            ring[(head + i) & INDEX] = samples[i]
        head += n
        rate = self._rate
        period_us = rate.period_us
        if edge and n == _LEVEL:
            self._line = True
            rate.mark(head - 1, t_us)
        else:
            t_us = self._clock.ticks_us()
            if not self._line:
                rate.mark(head - 1, t_us)
            ahead_us = between_us(t_us, self._head_us) + n * period_us
            if -period_us < ahead_us < 0:
                t_us += ahead_us
        self._head_us = t_us & _MASK
        self._head = head
        if status & DCLOFF:
            self._off_to = head
        if status & (DCLOFF | PLL) or part.fast:
            self._settled = head + _SETTLE
        return n

    def _overflow(self):
        self.part.reset_fifo()
        now_us = self._clock.ticks_us()
        self.lost += between_us(self._head_us, now_us) // self._rate.period_us
        self._head_us = now_us
        self._gap()
        self._rate.restart()
