"""LIS3DH accelerometer (ST DocID17530 Rev 2): 50 Hz in high resolution through its FIFO, in milli-g.

It wakes up with everything at its reset values and says so nowhere: `alive` reads a setting back.
"""

from micropython import const

from vigil.core.errors import ConfigError, SensorError

ADDRESS = const(0x18)  # SA0 low; 0x19 with SA0 high (page 25)
DEPTH = const(32)  # samples in the FIFO

_WHO_AM_I = const(0x0F)
_CTRL1 = const(0x20)
_CTRL3 = const(0x22)
_CTRL4 = const(0x23)
_CTRL5 = const(0x24)
_CTRL6 = const(0x25)
_OUT = const(0xA8)  # OUT_X_L with the bit that moves the address on (page 26)
_FIFO_CTRL = const(0x2E)
_FIFO_SRC = const(0x2F)

_PART = const(0x33)
_RUN = const(0x47)  # 50 Hz, three axes, not low power
_WTM = const(0x04)  # CTRL3: watermark on INT1
_BDU_HR = const(0x88)  # CTRL4: the halves of a value belong together; 12 bits
_FIFO_EN = const(0x40)  # CTRL5
_ACTIVE_LOW = const(0x02)  # CTRL6: the board's interrupts are falling edges
_STREAM = const(0x80)  # FIFO_CTRL: the newest 32 are kept (page 23)
_OVERRUN = const(0x40)  # FIFO_SRC: 32 are there, and from here on the oldest are lost
_COUNT = const(0x1F)

_RANGES_G = (2, 4, 8, 16)
_MG = (1, 2, 4, 12)  # per step of 12 bits (page 10, table 4)
_BURSTS = (8, 1)  # samples a transaction: views are made once, so that reading allocates nothing


class Lis3dh:
    """i2c: hal.I2C. address: 0x18 or 0x19. Raises SensorError when nothing answers there or another part does.

    Every method raises SensorError on a bus fault. overflow: read_fifo_into() found the FIFO full, so that samples
    before it may be lost. limit_mg: a value beyond it may stand at the converter's limit.
    """

    keeps_newest = True  # when full, the part keeps the newest

    def __init__(self, i2c, address=ADDRESS):
        self._i2c = i2c
        self._address = address
        self._one = bytearray(1)
        self._raw = bytearray(6 * _BURSTS[0])
        raw = memoryview(self._raw)
        self._views = [raw[: 6 * k] for k in _BURSTS]
        self._mg = 4
        self.limit_mg = 8000
        self.overflow = False
        part = self._get(_WHO_AM_I)
        if part != _PART:
            raise SensorError("part id 0x{:02x} at 0x{:02x}, not a LIS3DH".format(part, address))

    def configure(self, range_g=8, level=5):
        """Start it at 50 Hz with an empty FIFO. range_g: 2, 4, 8 or 16. level: samples at the interrupt, 1 .. 31.

        The first 7 samples settle (page 16). Raises ConfigError for anything the part cannot do.
        """
        if range_g not in _RANGES_G:
            raise ConfigError("LIS3DH has no range %d g" % range_g)
        if not 1 <= level < DEPTH:
            raise ConfigError("FIFO level must be 1..31")
        code = _RANGES_G.index(range_g)
        self._mg = _MG[code]
        self.limit_mg = 2040 * self._mg  # reached by a reading of 10 bits, too
        self._put(_CTRL1, 0)
        self._put(_FIFO_CTRL, 0)  # bypass: it empties the FIFO (page 22)
        self._put(_CTRL4, _BDU_HR | code << 4)
        self._put(_CTRL6, _ACTIVE_LOW)
        self._put(_CTRL3, _WTM)
        self._put(_CTRL5, _FIFO_EN)
        self._put(_FIFO_CTRL, _STREAM | (level - 1))  # the flag comes at one more (page 23)
        self._put(_CTRL1, _RUN)

    def alive(self):
        """Tell whether the settings are still there. After a brown-out they are not."""
        return self._get(_CTRL1) == _RUN

    def read_fifo_into(self, buf):
        """Move all whole samples into buf, array('h'), as milli-g: x, y, z, row by row. Returns the number of rows.

        At most len(buf) // 3 rows; what does not fit stays in the part. Allocates nothing.
        """
        source = self._get(_FIFO_SRC)
        n = source & _COUNT
        self.overflow = source & _OVERRUN > 0
        if self.overflow:
            n = DEPTH
        n = min(n, len(buf) // 3)
        raw = self._raw
        mg = self._mg
        done = 0
        for i in range(len(_BURSTS)):
            k = _BURSTS[i]
            while n - done >= k:
                self._read(_OUT, self._views[i])
                out = 3 * done
                for at in range(0, 6 * k, 2):
                    # Left-justified: 16 units of the word are a step of 12 bits.
                    buf[out] = (((raw[at + 1] << 8 | raw[at]) ^ 0x8000) - 0x8000 >> 4) * mg
                    out += 1
                done += k
        return n

    def _get(self, register):
        self._read(register, self._one)
        return self._one[0]

    def _read(self, register, buf):
        try:
            self._i2c.readfrom_mem_into(self._address, register, buf)
        except OSError as e:
            raise SensorError("LIS3DH does not answer") from e

    def _put(self, register, value):
        self._one[0] = value
        try:
            self._i2c.writeto_mem(self._address, register, self._one)
        except OSError as e:
            raise SensorError("LIS3DH does not answer") from e
