"""Red and infrared from the MAX30102, as blocks of whole samples at a measured rate."""

from array import array

from micropython import const

from vigil.app.config import stored_number
from vigil.app.fifo_source import FifoSource
from vigil.core.errors import SensorError
from vigil.core.log import INFO, log
from vigil.core.records import IR, PPG, RED, SATURATED, SampleBlock
from vigil.drivers.max30102 import ALC_OVF, DEPTH, PWR_RDY, Max30102
from vigil.estimators.led_control import DEFAULT_UA, next_ua

_NOMINAL_US = const(10000)
_A_FULL = const(17)  # samples at the interrupt: 15 more (150 ms) fit before one is lost
_WATCH_US = const(250000)
_SILENT_US = const(800000)
_CONTROL_N = const(100)  # samples between two changes of the LED currents
_SETTLE_N = const(12)  # samples that a change disturbs
_LIMIT = const(262143)
_HEAT_S = const(8)  # seconds between two measurements of the die's temperature
_HOT_MDEGC = const(41000)  # what lies on skin for long must not be hotter: the LEDs get no more than they begin with


class PpgSource(FifoSource):
    """The oximeter. Its LED currents follow the light.

    What provisioning found of the LEDs (setting `ppg.swap`): 1, the LEDs are exchanged; 2, the FIFO's columns are.
    """

    def __init__(self, board, push):
        swap = stored_number(board, "ppg.swap")
        self._crossed = swap >> 1 & 1
        block = SampleBlock(PPG, (IR, RED) if swap else (RED, IR), array("i", [0] * (4 * DEPTH)))
        FifoSource.__init__(self, board, push, "ppg", "max30102", block, _NOMINAL_US, _A_FULL, _WATCH_US, _SILENT_US)
        self._control = 0  # sample number of the next look at the LED currents
        self._ua = [DEFAULT_UA, DEFAULT_UA]
        self._sum = [0, 0]
        self._pooled = False  # the part makes a sample of eight conversions instead of four

    def open(self):
        """Find the part and start it. Raises SensorError."""
        part = Max30102(self._i2c)
        crossed = self._crossed
        part.configure(400, 4, 411, 4096, self._ua[crossed], self._ua[1 - crossed], _A_FULL)
        self._pooled = False
        self._level = _A_FULL
        self._begin(_SETTLE_N)
        self._heat = 0
        self._block.die_mdegc = None
        self._control = self._taken + _CONTROL_N
        self.part = part
        if not self.present:
            log(INFO, "ppg", "MAX30102 runs")

    def _alarm(self):
        status = self.part.status()
        if status & PWR_RDY:
            raise SensorError("MAX30102 has lost its settings")
        return status & ALC_OVF

    def relieve(self, long):
        """As FifoSource's; while it is long, the FIFO holds 640 ms instead of 320."""
        FifoSource.relieve(self, long)
        if long != self._pooled:
            self.part.pool(3 if long else 2, _A_FULL)
            self._pooled = long
            self._level = 2 * _A_FULL if long else _A_FULL

    def _read_into(self, data):
        n = self.part.read_fifo_into(data)
        if self._pooled:  # a mean of eight conversions stands for both of its samples; the chain sums up four of them
            for i in range(2 * n - 1, -1, -1):
                to = (i << 1) - (i & 1)
                data[to] = data[to + 2] = data[i]
            n *= 2
        return n

    def drain(self):
        """As FifoSource's; then look at the LED currents."""
        FifoSource.drain(self)
        if self._taken >= self._control:
            self._control_leds(self._block.n)

    def _look(self, n, alarm):
        """Sum up the columns; tell whether a sample stands at the converter's limit."""
        data = self._block.data
        flags = SATURATED if alarm else 0
        for column in range(2):
            total = 0  # <= 32 * 2**18 = 2**23
            for i in range(column, 2 * n, 2):
                x = data[i]
                total += x
                if x >= _LIMIT:
                    flags = SATURATED
            self._sum[column] = total
        return flags

    def _control_leds(self, n):
        self._control = self._taken + _CONTROL_N
        block = self._block
        if self._heat == 0:
            self.part.start_temperature()
        elif self._heat == 1:
            block.die_mdegc = self.part.temp_mdegc()
        self._heat = (self._heat + 1) % _HEAT_S
        for column in range(2):
            ua = next_ua(self._ua[column], self._sum[column] // n)
            if block.die_mdegc is not None and block.die_mdegc > _HOT_MDEGC:
                ua = min(ua, DEFAULT_UA)
            if ua != self._ua[column]:
                self.part.set_led(column ^ self._crossed, ua)
                self._ua[column] = ua
                self._settled = self._taken + _SETTLE_N
