"""MAX30003 single-lead ECG front end (Maxim 19-8558): microvolts at a crystal's rate, through its FIFO.

Its lead-off current (10 nA) makes 1 V of the 100 megohm bias where an electrode is off, and 2 mV of a wet one.
"""

from micropython import const

from vigil.core.errors import ConfigError, SensorError

DEPTH = const(32)  # samples in the FIFO

# Bits of status().
EINT = const(0x800000)  # the FIFO holds as many samples as configured
EOVF = const(0x400000)  # it overflowed: what it holds is worth nothing
DCLOFF = const(0x100000)  # an electrode is off, or was since the last call
LON = const(0x000800)  # standby: both electrodes are on
PLL = const(0x000100)  # the clock was not locked
_NEVER = const(0x0FF0F0)  # bits that no MAX30003 sets

_STATUS = const(0x01)
_EN_INT = const(0x02)
_MNGR_INT = const(0x04)
_MNGR_DYN = const(0x05)
_SW_RST = const(0x08)
_SYNCH = const(0x09)
_FIFO_RST = const(0x0A)
_INFO = const(0x0F)
_GEN = const(0x10)
_CAL = const(0x12)
_EMUX = const(0x14)
_ECG = const(0x15)
_BURST = const(0x20)

_OPEN_DRAIN = const(3)  # INTB with its own pull-up
_FAST_AUTO = const(0xBF0000)  # beyond 0x1F800 for 125 ms: the high-pass is fast for 500 ms
_ENABLED = const(0x080000)
_BIAS = const(0x17)  # 100 megohm from both inputs to the middle
_DC_LEAD_OFF = const(0x1200)  # 10 nA, beyond +-300 mV
_LEAD_ON = const(0x400000)  # instead of the channel

_WORDS = const(16)  # samples a transaction
_FAST = const(1)  # ETAG bits
_LAST = const(2)
_EMPTY = const(6)
_TRIES = const(3)
_TOP = const(0x1F800)  # converter's limit, as fast recovery sees it

_RATES = (512, 256, 128, 500, 250, 125)  # RATE 0..2 of FMSTR 0, then of 1; 200 and 199.8/s are left out
_GAINS = (20, 40, 80, 160)
_LOW_PASS_HZ = (0, 40, 100, 150)


class Max30003:
    """spi: hal.SPI. Raises SensorError when no MAX30003 answers.

    SPI has no acknowledgement: methods raise SensorError on an answer that a MAX30003 does not give. After
    read_fifo_into(): `fast` tells whether fast recovery was at work (times are right, voltages are not), `limit_uv` is
    the voltage from which on a sample counts as saturated.
    """

    def __init__(self, spi):
        self._spi = spi
        self._out = bytearray(4)
        self._in = bytearray(4)
        self._ask = bytearray(1 + 3 * _WORDS)
        self._ask[0] = _BURST << 1 | 1
        self._raw = bytearray(1 + 3 * _WORDS)
        self._general = 0
        self._shift = 13
        self.fast = False
        self.limit_uv = 32767
        for _ in range(_TRIES):  # the first transaction after power-on may find the interface out of step
            info = self._get(_INFO)
            if info >> 20 == 5 and info >> 12 & 3 == 3:
                self.revision = info >> 16 & 15
                return
        raise SensorError("info 0x{:06x} on SPI, not a MAX30003".format(info))

    def configure(self, rate=250, gain=20, low_pass_hz=40, high_pass=True, level=16):
        """Reset the part and start it with an empty FIFO, lead-off detection and automatic fast recovery.

        rate: samples a second, 125, 128, 250, 256, 500 or 512. gain: 20 (+-50 mV), 40, 80 or 160. low_pass_hz: 40, 100,
        150, or 0 for none. high_pass: the digital one at 0.5 Hz. level: samples in the FIFO at which it interrupts,
        1..32. Raises ConfigError for anything the part cannot do.
        """
        if rate not in _RATES or gain not in _GAINS or low_pass_hz not in _LOW_PASS_HZ or not 1 <= level <= DEPTH:
            raise ConfigError("MAX30003 cannot do %d/s, gain %d, %d Hz, level %d" % (rate, gain, low_pass_hz, level))
        rate = _RATES.index(rate)
        gain = _GAINS.index(gain)
        self._shift = 13 + gain
        self.limit_uv = min(32767, _TOP * 3125 >> self._shift)
        self._general = rate // 3 << 20 | _ENABLED | _DC_LEAD_OFF | _BIAS
        self._put(_SW_RST, 0)
        self._put(_CAL, 0)
        self._put(_EMUX, 0)  # both inputs connected, not turned
        self._put(
            _ECG, rate % 3 << 22 | gain << 16 | (0x4000 if high_pass else 0) | _LOW_PASS_HZ.index(low_pass_hz) << 12
        )
        self._put(_MNGR_INT, (level - 1) << 19 | 4)
        self._put(_MNGR_DYN, _FAST_AUTO)
        self._put(_EN_INT, EINT | EOVF | _OPEN_DRAIN)
        self._put(_GEN, self._general)
        self._put(_SYNCH, 0)  # begins with an empty FIFO
        self.check()

    def standby(self):
        """Stop the channel (it draws less than 1 uA then) and interrupt by LON once both electrodes are on."""
        self._general = _LEAD_ON
        self._put(_EN_INT, LON | _OPEN_DRAIN)
        self._put(_GEN, _LEAD_ON)
        self.status()  # clears the LON that switching over sets

    def status(self):
        """Status bits; what was latched is cleared. Allocates nothing."""
        bits = self._get(_STATUS)
        if bits & _NEVER:
            raise SensorError("MAX30003 does not answer")
        return bits

    def check(self):
        """Raise SensorError unless the part still has its settings. Allocates nothing."""
        if self._get(_GEN) != self._general:
            raise SensorError("MAX30003 has lost its settings")

    def reset_fifo(self):
        """Empty the FIFO, also after an overflow; sampling goes on in step."""
        self._put(_FIFO_RST, 0)

    def read_fifo_into(self, buf):
        """Move samples into buf, array('h'), microvolts at the electrodes (clipped to int16). Returns their number.

        At most len(buf); up to 16 more are lost then, so give it twice DEPTH. Negative when the FIFO has overflowed: it
        has to be reset. Raises SensorError on a tag that does not exist. Allocates nothing.
        """
        raw = self._raw
        shift = self._shift
        self.fast = False
        n = 0
        while n + _WORDS <= len(buf):
            self._spi.write_readinto(self._ask, raw)
            for at in range(1, 1 + 3 * _WORDS, 3):
                low = raw[at + 2]
                tag = low >> 3 & 7
                if tag > 3:
                    if tag == _EMPTY:
                        return n
                    if tag > _EMPTY:
                        return -1
                    raise SensorError("MAX30003 does not answer")
                x = (raw[at] << 10 | raw[at + 1] << 2 | low >> 6) ^ 0x20000
                # |x| <= 2**17, so the product is below 2**29. 1 V / gain / 2**17 a count: 50000 / 2**17 uV at 20.
                x = (x - 0x20000) * 3125 >> shift
                buf[n] = min(32767, max(-32768, x))
                n += 1
                if tag & _FAST:
                    self.fast = True
                if tag & _LAST:
                    return n
        return n

    def _get(self, register):
        out = self._out
        into = self._in
        out[0] = register << 1 | 1
        self._spi.write_readinto(out, into)
        return into[1] << 16 | into[2] << 8 | into[3]

    def _put(self, register, value):
        out = self._out
        out[0] = register << 1
        out[1] = value >> 16
        out[2] = value >> 8 & 255
        out[3] = value & 255
        self._spi.write_readinto(out, self._in)
