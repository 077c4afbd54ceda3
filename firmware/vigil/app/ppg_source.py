"""Red and infrared from the MAX30102, as blocks of whole samples at a measured rate."""

from array import array

from micropython import const

from vigil.app.keep import keep
from vigil.core.errors import SensorError
from vigil.core.log import INFO, log
from vigil.core.records import ABSENT, GAP, IR, PPG, RED, SATURATED, SETTLING, SampleBlock
from vigil.drivers.max30102 import ALC_OVF, DEPTH, PWR_RDY, Max30102
from vigil.estimators.led_control import DEFAULT_UA, next_ua
from vigil.estimators.sample_clock import SampleClock, between_us

_NOMINAL_US = const(10000)
_A_FULL = const(17)  # samples at the interrupt: 15 more (150 ms) fit before one is lost
_WATCH_US = const(250000)  # longest time between two looks at the part, interrupt or not
_SILENT_US = const(800000)  # without samples for so long: the part has lost its settings
_CONTROL_N = const(100)  # samples between two changes of the LED currents
_SETTLE_N = const(12)  # samples that a change disturbs
_LIMIT = const(262143)


class PpgSource:
    """push(block) is called from the scheduler, never from an interrupt. `present` and `lost` are for the status.

    The interrupt's time belongs to sample number `taken + _A_FULL`: samples taken from the FIFO so far, plus its
    level at the interrupt. Those pairs give the real sample rate and the time of every block.
    """

    def __init__(self, board, push):
        self._clock = board.clock
        self._i2c = board.i2c("sensors")
        self._push = push
        self.part = None
        self.present = False
        self.lost = 0  # samples, as far as the part's counter reaches
        self.faults = 0  # times the part had to be started again
        self._block = SampleBlock(PPG, (RED, IR), array("i", [0] * (2 * DEPTH)))
        self._rate = SampleClock(_NOMINAL_US)
        self._taken = 0  # samples taken from the FIFO
        self._edge_us = 0  # last interrupt with a known sample number
        self._edge_index = -1
        self._edge = False
        self._busy = False
        self._look_us = 0
        self._sample_us = 0
        self.flags = GAP
        self._settled = 0  # sample number from which the light has settled
        self._control = 0  # sample number of the next look at the LED currents
        self._ua = [DEFAULT_UA, DEFAULT_UA]
        self._sum = [0, 0]
        try:
            board.irq("max30102", self._interrupt)
        except ValueError:
            pass  # no line: the FIFO is looked at every _WATCH_US

    async def run(self, until_ms):
        """Deliver blocks until `until_ms` (None: for ever). Survives every fault of the part and its bus."""
        await keep(self, "ppg", self._clock, until_ms)

    def recover(self):
        """Free the bus."""
        self._i2c.recover()

    def open(self):
        """Find the part and start it. Raises SensorError."""
        part = Max30102(self._i2c)
        part.configure(400, 4, 411, 4096, self._ua[0], self._ua[1], _A_FULL)
        self._edge_index = -1
        self._edge = False
        self._rate.restart()
        self.flags |= GAP
        self._look_us = self._sample_us = self._clock.ticks_us()
        self._settled = self._taken + _SETTLE_N
        self._control = self._taken + _CONTROL_N
        self.part = part
        if not self.present:
            log(INFO, "ppg", "MAX30102 runs")

    def _interrupt(self, t_us):
        """Soft interrupt: the FIFO holds _A_FULL samples (if nobody is just emptying it)."""
        if not self._busy:
            self._edge_us = t_us
            self._edge_index = self._taken + _A_FULL - 1
        self._edge = True

    def drain(self):
        """Hand over what the FIFO holds when it interrupted or was not looked at for long. Allocates nothing.

        Raises SensorError when the bus fails or the part has lost its settings.
        """
        clock = self._clock
        now_us = clock.ticks_us()
        if not self._edge and between_us(self._look_us, now_us) < _WATCH_US:
            return
        self._look_us = now_us
        self._busy = True
        self._edge = False
        part = self.part
        block = self._block
        status = part.status()
        if status & PWR_RDY:
            raise self._lost_settings()
        n = part.read_fifo_into(block.data)
        self._busy = False
        if n == 0:
            if between_us(self._sample_us, now_us) > _SILENT_US:
                raise self._lost_settings()
            return
        self._sample_us = now_us
        first = self._taken
        self._taken = first + n
        edge = self._edge_index
        if edge >= 0:
            self._rate.mark(edge, self._edge_us)
            period_us = self._rate.period_us
            age_us = between_us(self._edge_us, clock.ticks_us()) + (edge - first) * period_us
            block.t0_ms = clock.ms() - age_us // 1000
            if edge < first:  # a silent interrupt line must not make the age overflow
                self._edge_us += (first - edge) * period_us
                self._edge_us &= 0x3FFFFFFF
                self._edge_index = -1
        else:  # no interrupt to go by: the newest sample is at most one period old
            self._rate.mark(first + n - 1, now_us)
            block.t0_ms = clock.ms() - n * self._rate.period_us // 1000
        block.n = n
        block.period_us = self._rate.period_us
        block.flags = self.flags | (SATURATED if self._measure(n) or status & ALC_OVF else 0)
        if first < self._settled:
            block.flags |= SETTLING
        self.flags = 0
        self._push(block)
        block.seq += 1
        if part.overflow:  # the samples lost are those after this block
            self.lost += part.lost
            part.lost = 0
            self.flags = GAP
            self._edge_index = -1
            self._rate.restart()
        if self._taken >= self._control:
            self._control_leds(n)

    def _lost_settings(self):
        self._busy = False
        return SensorError("MAX30102 has lost its settings")

    def _measure(self, n):
        """Sum up the columns; tell whether a sample stands at the converter's limit."""
        data = self._block.data
        saturated = False
        for column in range(2):
            total = 0  # <= 32 * 2**18 = 2**23
            for i in range(column, 2 * n, 2):
                x = data[i]
                total += x
                if x >= _LIMIT:
                    saturated = True
            self._sum[column] = total
        return saturated

    def _control_leds(self, n):
        self._control = self._taken + _CONTROL_N
        for led in range(2):
            ua = next_ua(self._ua[led], self._sum[led] // n)
            if ua != self._ua[led]:
                self.part.set_led(led, ua)
                self._ua[led] = ua
                self._settled = self._taken + _SETTLE_N

    def absent(self):
        """Push a block that says that there is no part."""
        block = self._block
        block.n = 0
        block.flags = ABSENT
        block.t0_ms = self._clock.ms()
        self._push(block)
        block.seq += 1
        self.flags = GAP
