"""The MAX30003 driver's own decisions, on a wire that is a table of registers and a list of FIFO words."""

from array import array

from vigil.core.errors import ConfigError, SensorError
from vigil.drivers.max30003 import DCLOFF, EOVF, LON, Max30003

EMPTY = 6 << 3
OVERFLOW = 7 << 3


class Wire:
    """hal.SPI. info: what register 0x0F says; dead: the byte that every answer is made of."""

    def __init__(self, info=0x513000, dead=None):
        self.reg = {0x0F: info}
        self.words = []
        self.written = []
        self.dead = dead

    def write_readinto(self, out, into):
        assert len(out) == len(into)
        register = out[0] >> 1
        if self.dead is not None:
            for i in range(len(into)):
                into[i] = self.dead
        elif not out[0] & 1:
            value = out[1] << 16 | out[2] << 8 | out[3]
            self.reg[register] = value
            self.written.append((register, value))
        else:
            for i in range(1, len(into), 3):
                word = self.reg.get(register, 0)
                if register == 0x20:
                    word = self.words.pop(0) if self.words else EMPTY
                into[i] = word >> 16
                into[i + 1] = word >> 8 & 255
                into[i + 2] = word & 255


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return True
    return False


def word(value, tag=0):
    return (value & 0x3FFFF) << 6 | tag << 3


def started(**options):
    wire = Wire()
    part = Max30003(wire)
    part.configure(**options)
    return wire, part


def test_identity():
    assert Max30003(Wire(0x523000)).revision == 2
    for info in (0x511000, 0x512000, 0, 0xFFFFFF, 0x413000):
        assert refused(SensorError, Max30003, Wire(info))


def test_settings_reach_their_bits():
    wire, _ = started()
    assert wire.reg[0x10] == 0x181217  # 32000 Hz, channel, lead-off 10 nA and 300 mV, 100 megohm to both inputs
    assert wire.reg[0x15] == 0x405000  # 250/s, 20 V/V, 0.5 Hz, 40 Hz
    assert (
        wire.reg[0x04] == 0x780004 and wire.reg[0x02] == 0xC00003 and wire.reg[0x14] == 0 and wire.reg[0x05] >> 22 == 2
    )
    order = [r for r, _ in wire.written]
    assert order[0] == 0x08 and order[-2:] == [0x10, 0x09]
    wire, part = started(rate=512, gain=160, low_pass_hz=150, high_pass=False, level=32)
    assert wire.reg[0x10] >> 20 == 0 and wire.reg[0x15] == 0x033000 and wire.reg[0x04] >> 19 == 31
    assert part.limit_uv == 6152


def test_rates_of_the_table():
    for rate, master, code in ((128, 0, 2), (256, 0, 1), (512, 0, 0), (125, 1, 2), (250, 1, 1), (500, 1, 0)):
        wire, _ = started(rate=rate)
        assert wire.reg[0x10] >> 20 == master and wire.reg[0x15] >> 22 == code


def test_impossible_settings_are_refused():
    part = Max30003(Wire())
    for wish in ({"rate": 200}, {"gain": 10}, {"low_pass_hz": 50}, {"level": 0}, {"level": 33}):
        assert refused(ConfigError, part.configure, **wish)


def test_samples_are_microvolts_at_the_electrodes():
    wire, part = started()
    values = [0, 1, -1, 2621, -2621, 85000, -85000, 131071, -131072]
    wire.words = [word(v) for v in values[:-1]] + [word(values[-1], 2)]
    buf = array("h", [0] * 64)
    assert part.read_fifo_into(buf) == 9
    assert list(buf)[:9] == [0, 0, -1, 999, -1000, 32424, -32425, 32767, -32768]
    assert not part.fast
    for gain, microvolts in ((40, 500), (80, 250), (160, 125)):
        wire, part = started(gain=gain)
        wire.words = [word(2622, 2)]
        assert part.read_fifo_into(buf) == 1 and buf[0] == microvolts


def test_tags():
    wire, part = started()
    buf = array("h", [0] * 64)
    wire.words = [word(1), word(2), EMPTY]
    assert part.read_fifo_into(buf) == 2  # an empty tag ends it as well as an end-of-file tag
    wire.words = [EMPTY]
    assert part.read_fifo_into(buf) == 0
    wire.words = [word(1), word(2, 1), word(3, 3), word(9)]
    assert part.read_fifo_into(buf) == 3 and part.fast
    wire.words = [word(1, 2)]
    assert part.read_fifo_into(buf) == 1 and not part.fast
    wire.words = [word(1), OVERFLOW]
    assert part.read_fifo_into(buf) < 0
    for tag in (4, 5):
        wire.words = [word(1), word(2, tag)]
        assert refused(SensorError, part.read_fifo_into, buf)


def test_more_than_one_burst_and_a_full_buffer():
    wire, part = started()
    wire.words = [word(1000 * k) for k in range(31)] + [word(0, 2)]
    buf = array("h", [0] * 64)
    assert part.read_fifo_into(buf) == 32 and buf[30] == 30000 * 3125 >> 13
    wire.words = [word(1)] * 100
    assert part.read_fifo_into(buf) == 64


def test_a_dead_wire_is_a_sensor_error():
    for dead in (0, 255):
        wire, part = started()
        wire.dead = dead
        assert refused(SensorError, part.check)
        assert refused(SensorError, part.status) == (dead == 255)  # zeros are a status: check() tells
        assert refused(SensorError, Max30003, wire)


def test_lost_settings_are_noticed():
    wire, part = started()
    part.check()
    wire.reg[0x10] = 4
    assert refused(SensorError, part.check)


def test_status_and_standby():
    wire, part = started()
    wire.reg[0x01] = EOVF | DCLOFF
    assert part.status() == EOVF | DCLOFF
    part.standby()
    assert wire.reg[0x10] == 0x400000 and wire.reg[0x02] == LON | 3
    part.check()
    part.reset_fifo()
    assert wire.written[-1] == (0x0A, 0)
