"""The MAX17048's driver on bare registers, and what the device does as its battery runs down."""

from vigil.app.battery import Battery
from vigil.core.errors import ConfigError, SensorError
from vigil.drivers.max17048 import ADDRESS, Max17048


class Bus:
    """Registers of 16 bits; `away`: nobody acknowledges."""

    def __init__(self):
        self.words = {0x02: 0xC800, 0x04: 0x5080, 0x08: 0x0012, 0x0C: 0x971C, 0x16: 0xFFFB, 0x1A: 0x0100}
        self.away = False

    def readfrom_mem_into(self, address, register, buf):
        if self.away or address != ADDRESS:
            raise OSError(19)
        buf[0] = self.words[register] >> 8
        buf[1] = self.words[register] & 255

    def writeto_mem(self, address, register, buf):
        if self.away:
            raise OSError(19)
        self.words[register] = buf[0] << 8 | buf[1]

    def charge(self, permille, rate=-50):
        """As the part would say it."""
        self.words[0x04] = -(-permille * 25600 // 1000)
        self.words[0x16] = (rate * 100 // 208) & 0xFFFF
        self.words[0x1A] = 0


class Board:
    def __init__(self):
        self.bus = Bus()

    def i2c(self, name):
        assert name == "sensors"
        return self.bus


def fails(kind, call):
    try:
        call()
    except kind:
        return True
    return False


def test_figures_have_their_units():
    part = Max17048(Bus())
    assert part.voltage_mv() == 4000  # 51200 steps of 78.125 uV
    assert part.charge_permille() == 805  # 80.5 %
    assert part.rate_permille_per_h() == -11  # -5 steps of 0.208 %/h, rounded down


def test_configure_sets_the_alert_alone_and_clears_the_reset_indicator():
    bus = Bus()
    part = Max17048(bus)
    assert part.was_reset()
    part.configure(5)
    assert bus.words[0x0C] == 0x9700 | 27
    assert not part.was_reset()
    assert fails(ConfigError, lambda: part.configure(0))
    assert fails(ConfigError, lambda: part.configure(33))


def test_alert_is_told_once_and_released():
    bus = Bus()
    bus.words[0x0C] |= 0x20
    part = Max17048(bus)
    assert part.alert()
    assert not part.alert()
    assert bus.words[0x0C] == 0x971C


def test_another_part_or_none_is_an_error():
    bus = Bus()
    bus.words[0x08] = 0x0043
    assert fails(SensorError, lambda: Max17048(bus))
    bus = Bus()
    bus.away = True
    assert fails(SensorError, lambda: Max17048(bus))


def test_without_a_gauge_nothing_is_low():
    board = Board()
    board.bus.away = True
    battery = Battery(board)
    out = {}
    for _ in range(20):
        battery.look()
    battery.status(out)
    assert not battery.low and not battery.empty and out == {}
    board.bus.away = False
    for _ in range(7):
        battery.look()
    board.bus.charge(805)
    battery.look()
    battery.status(out)
    assert out == {4: 4000, 25: 805, 26: -52}


def looked(battery, bus, permille, rate=-50, times=1):
    bus.charge(permille, rate)
    for _ in range(times):
        battery.look()


def test_low_comes_at_a_twentieth_and_ends_above_it():
    board = Board()
    battery = Battery(board)
    battery.look()
    looked(battery, board.bus, 51)
    assert not battery.low
    looked(battery, board.bus, 50)
    assert battery.low
    looked(battery, board.bus, 60, 300)
    assert battery.low
    looked(battery, board.bus, 70, 300)
    assert not battery.low


def test_empty_is_believed_the_third_time_and_never_of_a_charging_cell():
    board = Board()
    battery = Battery(board)
    battery.look()
    looked(battery, board.bus, 20, times=2)
    looked(battery, board.bus, 21)
    looked(battery, board.bus, 19, times=2)
    assert not battery.empty
    looked(battery, board.bus, 10, 400, times=9)
    assert not battery.empty
    looked(battery, board.bus, 10, times=3)
    assert battery.empty


def test_a_gauge_that_was_reset_is_not_believed_at_once():
    board = Board()
    battery = Battery(board)
    battery.look()
    looked(battery, board.bus, 500)
    board.bus.words[0x1A] = 0x0100
    board.bus.words[0x04] = 0
    battery.look()
    assert battery.charge == 500
    assert board.bus.words[0x1A] == 0
