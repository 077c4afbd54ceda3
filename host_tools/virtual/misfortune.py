"""What befalls one wearer, broker, gateway and database in a soak: a seeded script, the same each time.

In the first sixth of the time the device loses its power again and again; then it runs through, so that what its heap
does over many hours shows. Everything else happens all the time; the last minutes are quiet.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from boards.virtual.scenario import BrownOut, Fault, LeadOff, Nak, OffSkin, SpiCut, Stall, StuckSda

DAY_S = 86_400
# In 24 hours; shorter ones have their share, but one of each at least.
REBOOTS = 30
BROKER_KILLS = 50
GATEWAY_KILLS = 50  # every other between commit and acknowledgement
LOCKS = 24
CLOCK_JUMPS = 12
LONG_OUTAGES = 4  # of the network, one hour to three
SHORT_OUTAGES = 24  # a minute to a quarter of an hour
_IN_THE_DEVICE = {Nak: 24, StuckSda: 24, SpiCut: 12, BrownOut: 12, OffSkin: 12, LeadOff: 12, Stall: 240}


@dataclass(frozen=True)
class Event:
    """At at_s of the campaign's time: what is one of EVENTS; value: seconds of a clock jump."""

    at_s: float
    what: str
    value: int = 0


EVENTS = ("cut", "broker", "gateway", "gateway before acknowledging", "lock", "unlock", "jump", "away", "back")


@dataclass
class Script:
    """events: of the host, in order. faults: of the device, on the campaign's time; see of()."""

    seconds: float
    events: list[Event] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def faults_from(self, start_s: float) -> tuple[Fault, ...]:
        """The faults of a device that starts at start_s, on its own time."""
        return tuple(moved for fault in self.faults if (moved := _moved(fault, start_s)) is not None)

    def count(self, what: str) -> int:
        """How often `what` happens."""
        return sum(event.what == what for event in self.events)


def script(hours: float, seed: int, of_hours: float | None = None) -> Script:
    """The script of so many hours. of_hours: what happens in so many (`hours` when None), pressed into them."""
    rng = random.Random(f"{seed} {hours:g}")
    total_s = 3600 * hours
    quiet_s = total_s - min(600, total_s / 8)
    share = total_s / DAY_S
    crowd = (of_hours or hours) * 3600 / DAY_S
    made = Script(total_s)

    def times(n: int, end_s: float = quiet_s) -> list[float]:
        n = max(1, round(n * crowd))
        return sorted((i + rng.random()) * end_s / n for i in range(n))

    def add(what: str, at_s: float, value: int = 0) -> None:
        made.events.append(Event(at_s, what, value))

    def last(what: str, after: str, at_s: float, for_s: float) -> None:
        add(what, at_s)
        add(after, min(at_s + for_s, quiet_s))

    for at_s in times(REBOOTS, total_s / 6):
        add("cut", at_s)
    for at_s in times(BROKER_KILLS):
        add("broker", at_s)
    for i, at_s in enumerate(times(GATEWAY_KILLS)):
        add("gateway before acknowledging" if i % 2 else "gateway", at_s)
    for at_s in times(LOCKS):
        last("lock", "unlock", at_s, rng.uniform(60, 300) * min(1, 10 * share))
    for at_s in times(CLOCK_JUMPS):
        add("jump", at_s, rng.choice((-1, 1)) * rng.randint(1, 7200))
    for at_s in times(LONG_OUTAGES):
        last("away", "back", at_s, rng.uniform(3600, 10800) * min(1, 2 * share))
    for at_s in times(SHORT_OUTAGES):
        last("away", "back", at_s, rng.uniform(60, 900) * min(1, 2 * share))
    for kind, n in _IN_THE_DEVICE.items():
        for at_s in times(n):
            made.faults.append(_fault(kind, at_s, rng))
    made.events.sort(key=lambda event: event.at_s)
    return made


def _fault(kind: type, at_s: float, rng: random.Random) -> Fault:
    if kind is BrownOut:
        return BrownOut(at_s, rng.choice(("max30102", "max30003")))
    if kind is Stall:
        return Stall(at_s, rng.choice((0.02, 0.1, 0.2, 1.5)))
    if kind is StuckSda:
        return StuckSda(at_s)
    return kind(at_s, at_s + rng.uniform(0.2, 30))


def _moved(fault: Fault, start_s: float) -> Fault | None:
    fields = {
        name: value - start_s if name in ("at_s", "from_s", "to_s") else value for name, value in vars(fault).items()
    }
    return type(fault)(**fields) if fields.get("at_s", fields.get("from_s", 0)) > 0 else None
