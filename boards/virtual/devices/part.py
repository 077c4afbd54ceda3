"""What emulated parts with an interrupt line share: they live on in time, lose their supply, and pull a line low."""

from __future__ import annotations

from collections.abc import Iterable


class Part:
    """A part whose `_live(t_us)` brings it to a time, `_power_on(t_us)` to its reset values, and `_low()` tells
    whether its interrupt line is low. Time never goes back."""

    def __init__(self, brownouts_us: Iterable[int] = ()):
        self._brownouts_us = sorted(brownouts_us)
        self._now_us = 0

    def advance(self, t_us: int) -> None:
        """Let the part live until t_us."""
        while self._brownouts_us and self._brownouts_us[0] <= t_us:
            at_us = self._brownouts_us.pop(0)
            self._live(at_us)
            self._power_on(at_us)
        self._live(t_us)

    def level(self, t_us: int) -> int:
        """Level of the interrupt line (active low): 0 while an interrupt waits."""
        self.advance(t_us)
        return 0 if self._low() else 1

    def _live(self, t_us: int) -> None:
        raise NotImplementedError

    def _power_on(self, t_us: int) -> None:
        raise NotImplementedError

    def _low(self) -> bool:
        raise NotImplementedError
