"""What the oximeter's source does about its LEDs and its heat, with a part that only remembers."""

from vigil.app.ppg_source import PpgSource
from vigil.core.records import CONTACT_ON, CONTACT_OTHER, IR, RED
from vigil.estimators.contact import Contact
from vigil.estimators.led_control import DEFAULT_UA


class Board:
    """A bus, a clock and a keystore with one setting."""

    clock = None

    def __init__(self, swap):
        self._swap = swap
        self.keystore = self

    def get(self, name):
        return self._swap if name == "ppg.swap" else None

    def i2c(self, name):
        return None

    def irq(self, name, handler):
        raise ValueError(name)


class Part:
    """Remembers the LED currents set, and has a temperature once it was asked for one."""

    def __init__(self, mdegc=30000):
        self.set = []
        self._mdegc = mdegc
        self._asked = False

    def set_led(self, led, ua):
        self.set.append((led, ua > DEFAULT_UA))

    def start_temperature(self):
        self._asked = True

    def temp_mdegc(self):
        return self._mdegc if self._asked else None


def source(swap=None, part=None):
    made = PpgSource(Board(swap), None)
    made.part = part or Part()
    made._heat = 0
    return made


def controlled(made, first, second):
    """LED currents that are set for the columns' mean counts: (LED, is it more than at the start?)."""
    made._sum[0], made._sum[1] = first * 10, second * 10
    made._control_leds(10)
    return sorted(made.part.set)


def test_columns_are_named_as_provisioning_found_them():
    for swap, columns in (
        (None, (RED, IR)),
        (b"0", (RED, IR)),
        (b"1", (IR, RED)),
        (b"2", (IR, RED)),
        (b"x", (RED, IR)),
    ):
        assert source(swap)._block.columns == columns


def test_each_column_is_controlled_by_the_led_that_lights_it():
    assert controlled(source(), 20000, 250000) == [(0, True), (1, False)]
    assert controlled(source(b"1"), 20000, 250000) == [(0, True), (1, False)]
    assert controlled(source(b"2"), 20000, 250000) == [(0, False), (1, True)]


def test_heat_is_measured_and_limits_the_light():
    made = source()
    controlled(made, 100000, 100000)
    assert made._block.die_mdegc is None
    controlled(made, 100000, 100000)
    assert made._block.die_mdegc == 30000
    hot = source(part=Part(41500))
    controlled(hot, 100000, 100000)
    hot._ua[0] = 12000
    assert controlled(hot, 100000, 20000) == [(0, False)]  # no more than the default, and none goes up


def test_light_without_a_pulse_from_something_cold_is_not_skin():
    for die_mdegc, seconds in ((None, 10), (31000, 10), (12000, 4)):
        contact = Contact()
        for second in range(1, seconds + 1):
            assert contact.state != CONTACT_OTHER
            contact.evaluate(25 * second, 900000, False, 0, die_mdegc)
        assert contact.state == CONTACT_OTHER
        contact.evaluate(25 * seconds + 25, 900000, True, 2000, die_mdegc)  # a cold finger, after all
        assert contact.state == CONTACT_ON
