"""The emulated fuel gauge against the datasheet, and the shipped driver on it."""

import pytest

from boards.virtual.bus import I2CBus
from boards.virtual.devices.max17048 import (
    ADDRESS,
    ALRT,
    CMD,
    CONFIG,
    CRATE,
    HD,
    POR,
    RI,
    SOC,
    STATUS,
    VCELL,
    VERSION,
    Cell,
    Max17048,
)
from vigil.drivers.max17048 import Max17048 as Driver


class Wire:
    """The driver's bus at a time that the test moves."""

    def __init__(self, part):
        self._bus = I2CBus({ADDRESS: part})
        self.t_us = 0

    def readfrom_mem_into(self, address, register, buf):
        buf[:] = self._bus.read(address, register, len(buf), self.t_us)

    def writeto_mem(self, address, register, buf):
        self._bus.write(address, register, bytes(buf), self.t_us)


def word(part, register, t_us=0):
    return int.from_bytes(part.read(register, 2, t_us), "big")


def test_reset_values_and_units():
    part = Max17048(Cell(500, 80, load_ma=0.0))
    assert word(part, CONFIG) == 0x971C
    assert word(part, STATUS) == RI
    assert word(part, VERSION) & 0xFFF0 == 0x0010
    assert word(part, SOC) == 80 * 256
    assert word(part, VCELL) * 78.125e-6 == pytest.approx(4.02, abs=1e-4)
    assert part.read(VCELL, 4, 0) == part.read(VCELL, 2, 0) + part.read(SOC, 2, 0)


def test_charge_is_conserved_and_the_load_is_seen():
    part = Max17048(Cell(500, 100, load_ma=lambda t_s: 250.0 if t_s < 3600 else -500.0))
    at_h = {h: word(part, SOC, round(3.6e9 * h)) / 256 for h in (0.5, 1.0, 1.25, 3.0)}
    assert [at_h[h] for h in at_h] == pytest.approx([75, 50, 75, 100], abs=0.1)
    part = Max17048(Cell(500, 50, load_ma=250.0))
    assert word(part, CRATE) - 65536 == round(-50 / 0.208)
    rest = Max17048(Cell(500, 50, load_ma=0.0))
    assert word(part, VCELL) < word(rest, VCELL)


def test_figures_stand_still_between_updates():
    part = Max17048(Cell(1, 90, load_ma=1000.0))
    assert word(part, SOC, 0) == word(part, SOC, 249_000) != word(part, SOC, 251_000)


def test_alert_comes_once_below_its_threshold():
    part = Max17048(Cell(100, 6, load_ma=100.0))
    part.write(CONFIG, (0x9700 | 27).to_bytes(2, "big"), 0)  # 5 %
    assert part.level(0) == 1
    assert part.level(60_000_000) == 0
    assert word(part, CONFIG, 60_000_000) & ALRT
    assert word(part, STATUS, 60_000_000) & HD
    part.write(CONFIG, (0x9700 | 27).to_bytes(2, "big"), 60_000_000)
    assert part.level(61_000_000) == 1


def test_read_only_registers_and_the_reset_command():
    part = Max17048(Cell(500, 50))
    part.write(SOC, b"\xff\xff", 0)
    assert word(part, SOC) == 50 * 256
    part.write(STATUS, b"\0\0", 0)
    part.write(CONFIG, b"\x97\x1f", 0)
    part.write(CMD, POR.to_bytes(2, "big"), 0)
    assert (word(part, STATUS), word(part, CONFIG)) == (RI, 0x971C)


def test_the_driver_reads_what_the_cell_is():
    wire = Wire(Max17048(Cell(200, 40, load_ma=100.0)))
    part = Driver(wire)
    part.configure(32)
    assert part.voltage_mv() == pytest.approx(3785, abs=2)
    assert part.charge_permille() == 400
    assert part.rate_permille_per_h() == pytest.approx(-500, abs=2)
    wire.t_us = 3_600_000_000 // 4
    assert part.charge_permille() == pytest.approx(275, abs=1)
    assert part.alert()
    assert not part.alert()
