"""Silence and holes, noticed: which devices have not been heard, and which sequences stay away. No I/O, no clock.

Times are seconds of the host's clock, which somebody may set: what lies ahead of now counts from now on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ASK = 256  # sequences asked for at once


class Silence:
    """Devices that have said nothing for limit_s, and for the pause that they announce."""

    def __init__(self, limit_s: float):
        self._limit_s = limit_s
        self._heard_s: dict[str, float] = {}
        self._known_s: dict[str, float] = {}  # as it was said last
        self._silent: set[str] = set()
        self._pause_s: dict[str, float] = {}

    def rests(self, device: str, pause_s: float) -> None:
        """A device says for how long it turns its radio off between two bursts; 0: it does not."""
        self._pause_s[device] = pause_s

    def known(self, last_heard_s: Mapping[str, float], now_s: float) -> None:
        """Watch these devices and no others; what was heard since, by us or another gateway, is not forgotten."""
        before, self._heard_s = self._heard_s, {}
        for device, at_s in last_heard_s.items():
            news = at_s != self._known_s.get(device)
            self._heard_s[device] = max(before.get(device, 0.0), min(at_s, now_s) if news else 0.0)
        self._known_s = dict(last_heard_s)
        self._silent &= self._heard_s.keys()

    def heard(self, devices: Iterable[str], now_s: float) -> list[tuple[str, float]]:
        """Note that these were heard; return those that were silent, and for how many seconds."""
        back = []
        for device in devices:
            if device in self._silent:
                back.append((device, now_s - self._heard_s[device]))
                self._silent.discard(device)
            self._heard_s[device] = now_s
        return back

    def fallen(self, now_s: float) -> list[tuple[str, float]]:
        """Return the devices that have fallen silent since the last call, and for how many seconds they are."""
        fresh = []
        for device, at_s in self._heard_s.items():
            self._heard_s[device] = at_s = min(at_s, now_s)
            if now_s - at_s >= self._limit_s + self._pause_s.get(device, 0) and device not in self._silent:
                self._silent.add(device)
                fresh.append((device, now_s - at_s))
        return fresh


class Holes:
    """Sequences that stay away although their device is there: asked for after after_s without any progress."""

    def __init__(self, after_s: float):
        self._after_s = after_s
        self._open: dict[str, tuple[int, list[tuple[int, int]], float]] = {}  # count, ranges, since

    def seen(self, device: str, ranges: list[tuple[int, int]], now_s: float) -> None:
        """Take what is missing of a device that was just heard."""
        count = sum(last - first + 1 for first, last in ranges)
        known = self._open.get(device)
        if not ranges:
            self._open.pop(device, None)
        elif known is None or count < known[0]:
            self._open[device] = count, ranges, now_s
        else:
            self._open[device] = count, ranges, known[2]

    def due(self, now_s: float) -> list[tuple[str, int, int]]:
        """Return (device, first, last) of what to ask for now; each is asked for again after after_s."""
        asked = []
        for device, (count, ranges, since_s) in self._open.items():
            since_s = min(since_s, now_s)
            if now_s - since_s >= self._after_s:
                first, last = ranges[0]
                asked.append((device, first, min(last, first + ASK - 1)))
                since_s = now_s
            self._open[device] = count, ranges, since_s
        return asked
