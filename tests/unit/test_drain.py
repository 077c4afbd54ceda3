"""Eight hours of backlog over a slow link, in virtual time: how long it takes, and how late what is fresh is."""

import sys
from hashlib import sha256

from vigil.app.uplink import Uplink
from vigil.wire import ack

_BYTES_A_MS = 25  # 200 kbit/s
_RETURN_MS = 400  # network there and back, the gateway's transaction
_BATCH_BYTES = 400  # with TLS and MQTT around it
_PERIOD_MS = 10_000


class Clock:
    now_ms = 0

    def ms(self):
        return self.now_ms


class Journal:
    """Sequences alone."""

    def __init__(self, n):
        self.next_seq = 1 + n
        self.kept = {seq for seq in range(1, 1 + n)}
        self.events, self.gone = [], []
        self.oldest = 1

    def holds(self, seq):
        return seq in self.kept

    def waiting(self, limit):
        while self.oldest not in self.kept and self.oldest < self.next_seq:
            self.oldest += 1
        found = []
        seq = self.oldest
        while seq < self.next_seq and len(found) < limit:
            if seq in self.kept:
                found.append(seq)
            seq += 1
        return found

    def read(self, seq):
        return b"%d" % seq

    def acknowledge(self, seq, digest):
        self.kept.discard(seq)
        return True


class Link:
    """A client whose publish takes the time of the bytes; acknowledgements come back after _RETURN_MS."""

    def __init__(self, clock):
        self.session = self
        self.connects = 1
        self.free = 4
        self._clock = clock
        self.returning = []

    async def publish(self, topic, payload):
        self._clock.now_ms += _BATCH_BYTES // _BYTES_A_MS
        self.returning.append((self._clock.now_ms + _RETURN_MS, int(payload)))


def _now(coroutine):
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError


def drain(backlog):
    """Return (seconds until nothing waits, longest time in ms from sealing a fresh batch to its sending)."""
    clock, journal = Clock(), Journal(backlog)
    uplink = Uplink(clock, journal, "00aa")
    uplink.client = link = Link(clock)
    seal_ms = _PERIOD_MS
    latest_ms = 0
    fresh = None
    while journal.kept:
        sent = len(link.returning)
        _now(uplink._send_one())
        if fresh and link.returning[sent:] and link.returning[-1][1] == fresh[0]:
            latest_ms = max(latest_ms, clock.now_ms - fresh[1])
            fresh = None
        if len(link.returning) == sent:
            clock.now_ms += 5
        for due_ms, seq in link.returning[:]:
            if due_ms <= clock.now_ms:
                link.returning.remove((due_ms, seq))
                uplink.on_message(uplink.ack_topic, ack.encode([(seq, sha256(b"%d" % seq).digest())]))
        if clock.now_ms >= seal_ms:
            assert fresh is None, "a fresh batch was held up for a whole period"
            seal_ms += _PERIOD_MS
            fresh = journal.next_seq, clock.now_ms
            journal.kept.add(journal.next_seq)
            journal.next_seq += 1
    return clock.now_ms // 1000, latest_ms


def test_an_hour_of_backlog():
    seconds, latest_ms = drain(360)
    assert seconds <= 75 and latest_ms <= 500


if sys.implementation.name == "cpython":  # eight hours take a while in a small interpreter

    def test_eight_hours_drain_in_ten_minutes_and_what_is_fresh_goes_first():
        seconds, latest_ms = drain(2880)
        print(seconds, latest_ms)
        assert seconds <= 600 and latest_ms <= 500, (seconds, latest_ms)
