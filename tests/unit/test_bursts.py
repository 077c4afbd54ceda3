"""The radio in bursts: when it is on, for how long, and what turns it on at once; on a clock of our own."""

from vigil.app import bursts
from vigil.app.bursts import Bursts
from vigil.core.records import BEAT_PER_MIN, HEART_RATE, POOR_SIGNAL, PRESENT, RESP_RATE, SPO2, Reading
from vigil.link.session import OFF, ONLINE

_PERIOD_MS = 10_000


class _Turn:
    """What a task waits for: its next turn."""

    def __iter__(self):
        yield

    __await__ = __iter__


class World:
    """asyncio, clock, journal, uplink, radio and client in one. A batch each ten seconds; the host takes ms to answer.

    away: the host cannot be reached. on_ms: how long the radio was on; times: when it was turned on, and off.
    """

    ONE_MS = 100

    def __init__(self, batches=6, answer_ms=3_000, away=False):
        self.clock = self.wifi = self.session = self
        self.now_ms = 0
        self.next_seq = 1
        self.waiting, self.events = [], []
        self.heard = self.connects = 0
        self.state = OFF
        self.away = away
        self.answer_ms = answer_ms
        self.started = None
        self.stopped = False
        self.times = []
        self.bursts = Bursts(self, self, self, self, batches, _PERIOD_MS)
        self.work = self.bursts.run()

    def __len__(self):
        return len(self.waiting)

    def ms(self):
        return self.now_ms

    def off(self):
        self.times.append(self.now_ms)

    def seal(self, event=False):
        self.waiting.append(self.next_seq)
        if event:
            self.events.append(self.next_seq)
        self.next_seq += 1

    # asyncio

    def create_task(self, _):
        self.started = self.now_ms
        self.stopped = False
        self.times.append(self.now_ms)
        return self

    async def sleep_ms(self, ms):
        for _ in range(0, ms, self.ONE_MS):
            self.now_ms += self.ONE_MS
            if self.now_ms % _PERIOD_MS == 0:
                self.seal()
            if self.started is not None and not self.away and self.now_ms - self.started >= self.answer_ms:
                self.connects += self.state != ONLINE
                self.state = ONLINE
                self.heard += len(self.waiting) > 0
                self.waiting, self.events = [], []
        await _Turn()

    # the client

    def run(self):
        return None

    def done(self):
        return self.started is None

    def stop(self):
        self.started = None
        self.state = OFF

    def __await__(self):
        return iter(())

    __iter__ = __await__

    def lengths_ms(self):
        """How long each burst was."""
        return [self.times[i + 1] - self.times[i] for i in range(0, len(self.times) - 1, 2)]

    def until(self, ms):
        """Go on until ms."""
        before = bursts.asyncio
        bursts.asyncio = self
        while self.now_ms < ms:
            self.work.send(None)
        bursts.asyncio = before


def reading(kind, value, exp10=0, reason=PRESENT):
    return Reading(kind, value, exp10, BEAT_PER_MIN, 90, 0, 1000, reason)


def test_a_burst_each_few_batches_and_off_in_between():
    world = World()
    world.until(300_000)
    on = world.times[::2]
    assert on[0] == 0 and len(on) == 5, on
    gaps = [on[i + 1] - on[i] for i in range(1, len(on) - 1)]
    assert all(55_000 <= gap <= 70_000 for gap in gaps), gaps
    lengths = world.lengths_ms()[1:]
    assert all(world.answer_ms <= length <= world.answer_ms + 3_000 for length in lengths), lengths
    assert len(world) <= 6


def test_what_is_urgent_turns_it_on_at_once():
    for name, what, urgent in (
        ("an event", None, True),
        ("a fast heart", reading(HEART_RATE, 1310, -1), True),
        ("a slow one", reading(HEART_RATE, 400, -1), True),
        ("little oxygen", reading(SPO2, 91), True),
        ("fast breath", reading(RESP_RATE, 25), True),
        ("all well", reading(HEART_RATE, 720, -1), False),
        ("enough oxygen", reading(SPO2, 92), False),
        ("withheld", reading(HEART_RATE, None, -1, POOR_SIGNAL), False),
        ("of another kind", reading(1, 900), False),
    ):
        world = World(batches=30)
        world.until(15_000)
        assert len(world.times) == 2, name  # the first burst, and off
        if what:
            world.bursts.report([reading(HEART_RATE, 1400, -1), what], 1)  # the first one is an old one
        else:
            world.seal(event=True)
        now_ms = world.now_ms
        world.until(30_000)
        assert (len(world.times) > 2) is urgent, name
        if urgent:
            assert world.times[2] - now_ms <= 400, name


def test_the_radio_stays_on_while_a_red_reading_lasts():
    world = World(batches=30)
    world.until(15_000)
    for at_ms in range(20_000, 120_000, 2_000):
        world.bursts.report([reading(SPO2, 85)], 0)
        world.until(at_ms)
    assert world.state == ONLINE and len(world.times) == 3
    world.until(200_000)
    assert world.state == OFF


def test_a_host_that_is_away_costs_a_burst_and_no_more():
    world = World(batches=6, away=True)
    world.until(400_000)
    assert len(world.waiting) == 40  # nothing is lost
    assert sum(world.lengths_ms()) <= 7 * 31_000 and len(world.times) <= 14
    world.away = False
    world.until(520_000)
    assert len(world.waiting) <= 6


def test_stop_ends_it_and_now_sends_at_once():
    world = World(batches=30)
    world.until(15_000)
    world.seal()
    world.bursts.now = True
    world.until(25_000)
    assert not len(world) or world.started is not None
    world.bursts.stop()
    try:
        world.until(40_000)
        raise AssertionError
    except StopIteration:
        assert len(world.times) % 2 == 0  # off
