"""Is the sensor on skin? From the light that comes back, how steady it is, and the pulse in it."""

from micropython import const

from vigil.core.records import CONTACT_LOOSE, CONTACT_OFF, CONTACT_ON, CONTACT_OTHER, CONTACT_UNKNOWN

OFF_COUNTS = const(10000)  # infrared DC below this: nothing reflects (18-bit counts)
PI_MIN_X1000 = const(30)  # perfusion below 0.03 % is no tissue's: the converter's noise has about 0.005 %
_PULSE_HOLD_S = const(10)  # a pulse seen this recently vouches for skin; light without one for so long is not from it
_PULSE_COLD_S = const(4)  # likewise where the part is colder than what has lain on skin
_COLD_MDEGC = const(15000)
_LOOSE_S = const(5)  # a filter's tail and the beats of the movement are gone after this
_LOOSE_X1000 = const(16)  # 1.6 % of the light within a second, and more than the perfusion: breathing does less
_LOOSE_FIRST_X1000 = const(100)  # 10 % while the perfusion is not known


class Contact:
    """Evaluate once a second, read `state` (CONTACT_*), `quality_pct`, `steady` (samples since the light moved)."""

    def __init__(self):
        self.reset()

    def reset(self):
        """Nothing is known."""
        self.state = CONTACT_UNKNOWN
        self.quality_pct = 0
        self._pulse_s = _PULSE_HOLD_S + 1  # since a pulse was seen
        self.steady = 0
        self._loose_s = 0  # until the light counts as steady again
        self._dc = 0

    def evaluate(self, age: int, dc: int, beats: bool, pi_x1000: int, die_mdegc=None):
        """age: samples since light came back, 0: none does. dc: 8 counts, < 2**21. beats: a pulse was seen.

        pi_x1000: perfusion in 0.001 %, 0 without beats. die_mdegc: temperature of the part, None: not known.
        """
        hold_s = _PULSE_COLD_S if die_mdegc is not None and die_mdegc < _COLD_MDEGC else _PULSE_HOLD_S
        if age == 0:
            self.reset()
            self.state = CONTACT_OFF
            self.quality_pct = 99
            return
        moved_x1000 = abs(dc - self._dc) * 500 // (dc >> 1)  # 2**21 * 500 < 2**30
        self.steady = min(self.steady + 25, age)
        most_x1000 = max(pi_x1000 // 100, _LOOSE_X1000) if pi_x1000 else _LOOSE_FIRST_X1000
        if age > 50 and moved_x1000 > most_x1000:
            self._loose_s = _LOOSE_S
            self.steady = 0
        elif self._loose_s:
            self._loose_s -= 1
        self._dc = dc
        if beats and pi_x1000 >= PI_MIN_X1000:
            self._pulse_s = 0
        elif self._pulse_s <= _PULSE_HOLD_S:
            self._pulse_s += 1
        if self._loose_s:
            self.state = CONTACT_LOOSE
            self.quality_pct = 60
        elif self._pulse_s <= hold_s:
            self.state = CONTACT_ON
            self.quality_pct = 99 - 4 * self._pulse_s
        elif age >= hold_s * 25:
            self.state = CONTACT_OTHER
            self.quality_pct = 70
        else:  # skin that has not shown its pulse yet, or a table
            self.state = CONTACT_UNKNOWN
            self.quality_pct = 30
