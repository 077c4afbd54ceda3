"""The drivers' own decisions, on a bus that is a plain table of registers."""

from array import array

from vigil.core.errors import ConfigError, SensorError
from vigil.drivers.ad8232 import Ad8232
from vigil.drivers.max30102 import Max30102


class Registers:
    """Register file without behaviour, but for the FIFO."""

    def __init__(self, part=0x15):
        self.reg = bytearray(256)
        self.reg[0xFF] = part
        self.fifo = b""
        self.broken = False

    def readfrom_mem_into(self, addr, memaddr, buf):
        if self.broken or addr != 0x57:
            raise OSError(19)
        for i in range(len(buf)):
            if memaddr == 7:
                buf[i] = self.fifo[0]
                self.fifo = self.fifo[1:]
            else:
                buf[i] = self.reg[memaddr + i]

    def writeto_mem(self, addr, memaddr, buf):
        if self.broken:
            raise OSError(110)
        value = buf[0]
        self.reg[memaddr] = value & 0xBF if memaddr == 9 else value


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return True
    return False


def sample(red, ir):
    return bytes((red >> 16, red >> 8 & 255, red & 255, ir >> 16, ir >> 8 & 255, ir & 255))


def test_another_part_is_refused():
    assert refused(SensorError, Max30102, Registers(part=0x11))


def test_a_silent_bus_is_a_sensor_error():
    bus = Registers()
    part = Max30102(bus)
    bus.broken = True
    assert refused(SensorError, part.status)
    assert refused(SensorError, part.shutdown)


def test_impossible_settings_are_refused():
    part = Max30102(Registers())
    for rate, width_us in ((800, 411), (1000, 215), (1600, 118), (3200, 69), (60, 411), (100, 400)):
        assert refused(ConfigError, part.configure, rate, 1, width_us)
    for rate, width_us in ((400, 411), (800, 215), (1000, 118), (1600, 69)):
        assert part.configure(rate, 1, width_us) == rate
    assert refused(ConfigError, part.configure, averaging=3)
    assert refused(ConfigError, part.configure, range_na=1000)
    assert refused(ConfigError, part.configure, red_ua=51200)
    assert refused(ConfigError, part.configure, a_full=16)


def test_settings_reach_their_bits():
    bus = Registers()
    assert Max30102(bus).configure(400, 4, 411, 4096, 7200, 10000, 17) == 100
    assert bus.reg[0x08] == 0x4F  # average 4, no rollover, 15 free
    assert bus.reg[0x0A] == 0x2F  # 4096 nA, 400/s, 411 us
    assert bus.reg[0x0C] == 36 and bus.reg[0x0D] == 50
    assert bus.reg[0x02] == 0x80 and bus.reg[0x09] == 0x03


def test_fifo_gives_whole_samples():
    bus = Registers()
    part = Max30102(bus)
    rows = [(k * 1000, 262143 - k) for k in range(21)]
    bus.fifo = b"".join([sample(*row) for row in rows])
    bus.reg[4], bus.reg[6] = 5, 16  # pointers that have wrapped: 21 samples
    buf = array("i", [0] * 64)
    assert part.read_fifo_into(buf) == 21
    assert list(buf)[:42] == [x for row in rows for x in row]
    assert not part.overflow


def test_unused_upper_bits_are_ignored():
    bus = Registers()
    part = Max30102(bus)
    bus.fifo = bytes((0xFF, 0xFF, 0xFF, 0xFC, 0, 1))
    bus.reg[4] = 1
    buf = array("i", [0, 0])
    assert part.read_fifo_into(buf) == 1
    assert list(buf) == [262143, 1]


def test_overflow_is_told_and_counted():
    bus = Registers()
    part = Max30102(bus)
    bus.fifo = sample(1, 2) * 32
    bus.reg[5] = 7
    buf = array("i", [0] * 64)
    assert part.read_fifo_into(buf) == 32  # equal pointers, but it overflowed: full
    assert part.overflow and part.lost == 7


def test_temperature_has_its_sign():
    bus = Registers()
    part = Max30102(bus)
    bus.reg[0x1F], bus.reg[0x20] = 31, 8
    assert part.temp_mdegc() == 31500
    bus.reg[0x1F], bus.reg[0x20] = 0x80, 8  # page 21: -128 + 0.5
    assert part.temp_mdegc() == -127500
    bus.reg[0x21] = 1
    assert part.temp_mdegc() is None


class Level:
    def __init__(self, level):
        self.level = level

    def value(self):
        return self.level

    def read_uv(self):
        return self.level


def test_ecg_microvolts_at_the_electrodes():
    assert Ad8232(Level(1650000)).read_uv() == 0
    assert Ad8232(Level(1650000 + 1100 * 1000)).read_uv() == 1000
    assert Ad8232(Level(1650000 - 1100 * 500)).read_uv() == -500
    assert Ad8232(Level(1650000 + 100 * 321), gain=100).read_uv() == 321


def test_lead_off_by_either_pin():
    adc = Level(0)
    assert not Ad8232(adc, Level(0), Level(0)).lead_off()
    assert Ad8232(adc, Level(1), Level(0)).lead_off()
    assert Ad8232(adc, Level(0), Level(1)).lead_off()
    assert not Ad8232(adc).lead_off()
