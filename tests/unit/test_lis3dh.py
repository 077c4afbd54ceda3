"""The accelerometer's driver on a bus that is a plain table of registers."""

from array import array

from vigil.core.errors import ConfigError, SensorError
from vigil.drivers.lis3dh import Lis3dh


class Registers:
    """Register file without behaviour, but for the FIFO."""

    def __init__(self, part=0x33):
        self.reg = bytearray(128)
        self.reg[0x0F] = part
        self.fifo = []
        self.broken = False

    def readfrom_mem_into(self, addr, memaddr, buf):
        if self.broken or addr != 0x18:
            raise OSError(19)
        at = memaddr & 0x7F
        if at == 0x28:
            for i in range(0, len(buf), 6):
                buf[i : i + 6] = self.fifo.pop(0)
        else:
            buf[0] = min(len(self.fifo), 31) | (len(self.fifo) > 31) << 6 if at == 0x2F else self.reg[at]

    def writeto_mem(self, addr, memaddr, buf):
        if self.broken:
            raise OSError(110)
        self.reg[memaddr] = buf[0]


def row(*values):
    return b"".join(bytes((v & 255, v >> 8 & 255)) for v in values)


def refused(error, call, *args):
    try:
        call(*args)
    except error:
        return True
    return False


def test_another_part_is_refused():
    assert refused(SensorError, Lis3dh, Registers(part=0x32))
    assert refused(SensorError, Lis3dh, Registers(), 0x19)


def test_impossible_settings_are_refused():
    part = Lis3dh(Registers())
    assert refused(ConfigError, part.configure, 3) and refused(ConfigError, part.configure, 8, 32)


def test_milli_g_of_every_range():
    for range_g, mg in ((2, 1), (4, 2), (8, 4), (16, 12)):
        bus = Registers()
        part = Lis3dh(bus)
        part.configure(range_g)
        bus.fifo = [row(-32768, 32752, 16)] * 9 + [row(-16, 0, 1600)]
        out = array("h", [0] * 96)
        assert part.read_fifo_into(out) == 10 and not part.overflow
        assert list(out[:3]) == [-2048 * mg, 2047 * mg, mg] and list(out[27:30]) == [-mg, 0, 100 * mg]


def test_what_does_not_fit_stays():
    bus = Registers()
    part = Lis3dh(bus)
    bus.fifo = [row(0, 0, 16)] * 5
    assert part.read_fifo_into(array("h", [0] * 10)) == 3 and len(bus.fifo) == 2


def test_a_full_fifo_is_an_overflow():
    bus = Registers()
    part = Lis3dh(bus)
    bus.fifo = [row(0, 0, 16)] * 32
    assert part.read_fifo_into(array("h", [0] * 96)) == 32 and part.overflow


def test_lost_settings_and_a_silent_bus():
    bus = Registers()
    part = Lis3dh(bus)
    part.configure()
    assert part.alive()
    bus.reg[0x20] = 7
    assert not part.alive()
    bus.broken = True
    assert refused(SensorError, part.alive)
