"""MAX30102 pulse oximeter front end (Maxim 19-7740): red and infrared at a settled rate, through its FIFO."""

from micropython import const

from vigil.core.errors import ConfigError, SensorError

ADDRESS = const(0x57)
DEPTH = const(32)  # samples in the FIFO

# Interrupts (bits of status()).
A_FULL = const(0x80)
PPG_RDY = const(0x40)
ALC_OVF = const(0x20)  # ambient light beyond what the part can cancel
PWR_RDY = const(0x01)  # the supply came up: all settings are lost

_STATUS1 = const(0x00)
_STATUS2 = const(0x01)
_ENABLE1 = const(0x02)
_FIFO_WR = const(0x04)  # write pointer, overflow counter and read pointer follow one another
_FIFO_DATA = const(0x07)
_FIFO_CONFIG = const(0x08)
_MODE = const(0x09)
_SPO2 = const(0x0A)
_LED1_PA = const(0x0C)
_TEMP_INT = const(0x1F)
_TEMP_EN = const(0x21)
_ID = const(0xFF)

_PART = const(0x15)
_MODE_SPO2 = const(0x03)
_MODE_RESET = const(0x40)
_MODE_SHDN = const(0x80)
_TRIES = const(100)  # register reads that a reset may take

_RATES = (50, 100, 200, 400, 800, 1000, 1600, 3200)
_WIDTHS_US = (69, 118, 215, 411)
_TOP_RATES = (1600, 1000, 800, 400)  # by width, two LEDs (page 23, table 11)
_RANGES_NA = (2048, 4096, 8192, 16384)
_AVERAGES = (1, 2, 4, 8, 16, 32)
_BURSTS = (16, 4, 1)  # samples a transaction: views are made once, so that reading allocates nothing


class Max30102:
    """i2c: hal.I2C. Raises SensorError when nothing answers at the address or another part does.

    Every method raises SensorError on a bus fault. `lost` counts samples that the FIFO could not take, as far as
    its counter reaches (31 a read).
    """

    keeps_newest = False  # when full, the part keeps the oldest

    def __init__(self, i2c):
        self._i2c = i2c
        self._one = bytearray(1)
        self._two = bytearray(2)
        self._three = bytearray(3)
        self._raw = bytearray(6 * _BURSTS[0])
        raw = memoryview(self._raw)
        self._views = [raw[: 6 * k] for k in _BURSTS]
        self.lost = 0
        self.overflow = False  # the last read_fifo_into() found that samples were lost before it
        part = self._get(_ID)
        if part != _PART:
            raise SensorError("part id 0x{:02x} at 0x57, not a MAX30102".format(part))

    def configure(self, rate=400, averaging=4, width_us=411, range_na=4096, red_ua=7200, ir_ua=7200, a_full=17):
        """Reset the part and start it in SpO2 mode with an empty FIFO.

        rate: conversions a second (50 .. 3200), of which `averaging` (1 .. 32) make one sample. width_us: 69, 118,
        215 or 411. range_na: full scale, 2048 .. 16384. red_ua, ir_ua: LED currents. a_full: samples in the FIFO at
        which it interrupts, 17 .. 32. Raises ConfigError for anything the part cannot do: it would silently run at
        another rate.
        """
        code = _code("rate", rate, _RATES)
        width = _code("pulse width", width_us, _WIDTHS_US)
        average = _code("averaging", averaging, _AVERAGES)
        full_scale = _code("range", range_na, _RANGES_NA)
        if rate > _TOP_RATES[width]:
            raise ConfigError("%d/s is impossible with pulses of %d us" % (rate, width_us))
        if not 17 <= a_full <= DEPTH:
            raise ConfigError("FIFO threshold must be 17..32")
        self._put(_MODE, _MODE_RESET)
        for _ in range(_TRIES):
            if not self._get(_MODE) & _MODE_RESET:
                break
        else:
            raise SensorError("MAX30102 does not leave its reset")
        self.status()
        self.pool(average, a_full)
        self._put(_SPO2, full_scale << 5 | code << 2 | width)
        self.set_led(0, red_ua)
        self.set_led(1, ir_ua)
        self._put(_ENABLE1, A_FULL)
        self._put(_MODE, _MODE_SPO2)
        for register in range(_FIFO_WR, _FIFO_DATA):  # writable in this mode only (page 12)
            self._put(register, 0)
        self.lost = 0
        return rate // averaging

    def pool(self, averaging_log2, a_full):
        """Let 2**averaging_log2 conversions (0 .. 5) make a sample from now on; a_full as in configure().

        What becomes of the sample that is being made the datasheet does not say (page 18): one is of another length.
        """
        self._put(_FIFO_CONFIG, averaging_log2 << 5 | (DEPTH - a_full))  # no rollover: what is read is consecutive

    def set_led(self, led, ua):
        """Current of LED 0 (red) or 1 (infrared), 0 .. 51000 microampere in steps of 200."""
        if not 0 <= ua <= 51000:
            raise ConfigError("LED current must be 0..51 mA")
        self._put(_LED1_PA + led, ua // 200)

    def status(self):
        """Interrupts since the last call (bits), and release the interrupt line."""
        self._read(_STATUS1, self._two)
        return self._two[0]

    def read_fifo_into(self, buf):
        """Move all whole samples into buf, array('i'): red, infrared, row by row. Returns the number of rows.

        At most len(buf) // 2 rows; what does not fit stays in the part. `overflow` tells whether samples were lost
        since the call before: they are missing after the rows of this call (the part keeps the oldest when full).
        Allocates nothing.
        """
        pointers = self._three
        self._read(_FIFO_WR, pointers)
        n = (pointers[0] - pointers[2]) & (DEPTH - 1)
        lost = pointers[1]
        self.overflow = lost > 0
        if lost:
            self.lost += lost
            n = DEPTH
        n = min(n, len(buf) >> 1)
        raw = self._raw
        done = 0
        for i in range(len(_BURSTS)):
            k = _BURSTS[i]
            while n - done >= k:
                self._read(_FIFO_DATA, self._views[i])
                out = 2 * done
                for at in range(0, 6 * k, 3):
                    # The upper six bits are not used (page 15); 18 bits remain.
                    buf[out] = (raw[at] & 3) << 16 | raw[at + 1] << 8 | raw[at + 2]
                    out += 1
                done += k
        return n

    def start_temperature(self):
        """Start a measurement of the die temperature; it takes 29 ms."""
        self._put(_TEMP_EN, 1)

    def temp_mdegc(self):
        """Die temperature in millidegrees, None while it is being measured. Not skin temperature: the LEDs heat it."""
        if self._get(_TEMP_EN) & 1:
            return None
        self._read(_TEMP_INT, self._two)
        whole = (self._two[0] ^ 0x80) - 0x80
        return whole * 1000 + (self._two[1] & 15) * 125 // 2

    def shutdown(self):
        """Stop the LEDs and the converter; settings stay."""
        self._put(_MODE, _MODE_SHDN | _MODE_SPO2)

    def _get(self, register):
        self._read(register, self._one)
        return self._one[0]

    def _read(self, register, buf):
        try:
            self._i2c.readfrom_mem_into(ADDRESS, register, buf)
        except OSError as e:
            raise SensorError("MAX30102 does not answer") from e

    def _put(self, register, value):
        self._one[0] = value
        try:
            self._i2c.writeto_mem(ADDRESS, register, self._one)
        except OSError as e:
            raise SensorError("MAX30102 does not answer") from e


def _code(what, value, table):
    if value not in table:
        raise ConfigError("MAX30102 has no %s %d" % (what, value))
    return table.index(value)
