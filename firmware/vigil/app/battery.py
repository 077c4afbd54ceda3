"""The battery: looked at each ten seconds; what is dispensable stops while there is a twentieth left, everything else
in good order before the supply fails."""

import asyncio

from micropython import const

from vigil.core.errors import SensorError
from vigil.core.log import INFO, WARN, log
from vigil.drivers.max17048 import Max17048

_MV = const(4)  # keys of the status in a batch (SPEC.md)
_CHARGE = const(25)
_RATE = const(26)
_LOOK_MS = const(10_000)
_ASK_EVERY = const(6)  # looks between two searches for a gauge that is not there
_LOW = const(50)  # permille
_LOW_ENDS = const(70)
_EMPTY = const(20)
_SURE = const(3)  # looks in a row


class Battery:
    """board: hal.Board. strips: store.strips.Strips, quiet while the charge is low.

    low, empty: what the charge allows; empty stays. charge (permille), mv, rate (permille an hour): None before the
    first look.

    Where no gauge answers nothing is ever low.
    """

    def __init__(self, board, strips=None):
        self._i2c = board.i2c("sensors")
        self._strips = strips
        self._part = None
        self._skip = 0
        self._sure = 0
        self.charge = self.mv = self.rate = None
        self.low = False
        self.empty = False

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep_ms(_LOOK_MS)

    async def wait(self, clock, until_ms) -> None:
        """Return when the battery is empty, or at until_ms (None: never)."""
        while not self.empty and (until_ms is None or clock.ms() < until_ms):
            left_ms = _LOOK_MS if until_ms is None else until_ms - clock.ms()
            await asyncio.sleep_ms(max(0, min(left_ms, _LOOK_MS)))

    def look(self) -> None:
        """Read the gauge and judge."""
        if self._skip:
            self._skip -= 1
            return
        try:
            if self._part is None:
                self._part = part = Max17048(self._i2c)
                part.configure(_LOW // 10)
                if self.mv is None:
                    log(INFO, "battery", "MAX17048 runs")
            part = self._part
            if part.was_reset():
                part.configure(_LOW // 10)
                return  # its first guess is from a loaded cell
            self.mv = part.voltage_mv()
            self.charge = part.charge_permille()
            self.rate = part.rate_permille_per_h()
            part.alert()  # releases the line
        except SensorError:
            self._part = None
            self._skip = _ASK_EVERY - 1
            self._sure = 0
            return
        self._judge()

    def _judge(self) -> None:
        if self.charge <= _LOW and not self.low:
            log(WARN, "battery", "low: no waveforms any more")
            self.low = True
        elif self.charge >= _LOW_ENDS:
            self.low = False
        if self._strips:
            self._strips.off = self.low
        # A charging cell is not empty, and one look may be wrong.
        self._sure = self._sure + 1 if self.charge <= _EMPTY and self.rate <= 0 else 0
        if self._sure == _SURE:
            log(WARN, "battery", "empty: the device stops")
            self.empty = True

    def status(self, out: dict) -> None:
        """Add to the status of a batch."""
        if self.mv is not None:
            out[_MV] = self.mv
            out[_CHARGE] = self.charge
            out[_RATE] = self.rate
