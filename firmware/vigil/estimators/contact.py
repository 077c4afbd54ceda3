"""Is the sensor on skin? From the light that comes back and the pulse in it."""

from micropython import const

from vigil.core.records import CONTACT_OFF, CONTACT_ON, CONTACT_UNKNOWN

OFF_COUNTS = const(10000)  # infrared DC below this: nothing reflects (18-bit counts)
_PULSE_HOLD_S = const(10)  # a pulse seen this recently vouches for skin


class Contact:
    """Evaluate once a second, read `state` (CONTACT_*) and `quality_pct`."""

    def __init__(self):
        self.reset()

    def reset(self):
        """Nothing is known."""
        self.state = CONTACT_UNKNOWN
        self.quality_pct = 0
        self._pulse_s = _PULSE_HOLD_S + 1  # since a pulse was seen

    def evaluate(self, age: int, pulse_quality_pct: int):
        """age: samples since light came back, 0: none does. pulse_quality_pct: of the pulse rate just formed."""
        if age == 0:
            self.reset()
            self.state = CONTACT_OFF
            self.quality_pct = 99
            return
        if pulse_quality_pct >= 50:
            self._pulse_s = 0
        elif self._pulse_s <= _PULSE_HOLD_S:
            self._pulse_s += 1
        if self._pulse_s <= _PULSE_HOLD_S:
            self.state = CONTACT_ON
            self.quality_pct = 99 - 4 * self._pulse_s
        else:
            # Light without a pulse: a table, a cloth, or skin that has not shown its pulse yet.
            self.state = CONTACT_UNKNOWN
            self.quality_pct = 30
