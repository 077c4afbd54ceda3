"""Sends the journal's envelopes, a few at a time, until the host says that they are committed.

What is fresh goes first: the newest envelope, then events, then the rest from the oldest on; one place of the window
is for the newest alone, so that hours of backlog never hold up an alarm.
"""

import asyncio

from micropython import const

from vigil.core.errors import LinkError
from vigil.core.log import WARN, log
from vigil.wire import ack, request

_WINDOW = const(8)  # envelopes on their way, one place of them for the newest
_REMEMBERED = const(32)  # envelopes whose first sending is remembered
_RESEND_MAX_MS = const(120_000)
_IDLE_MS = const(10_000)
_PAUSE_MS = const(200)


class Uplink:
    """Moves envelopes from `journal` to the broker and frees them when they are acknowledged.

    client (link.mqtt_client.MqttClient or the like: free, publish) is set after construction, because it is made
    with on_message and wake. resend_ms: how long an acknowledgement may take; doubles while none comes at all.
    on_time(sent_ms, now_ms, utc_ms) is told what time it was at the host when it made an acknowledgement: after the
    device's time sent_ms and before now_ms. resent: envelopes sent again in this boot for want of an acknowledgement
    (not those of a lost connection).
    """

    def __init__(self, clock, journal, device_id: str, resend_ms: int = 15_000, on_time=None):
        self.client = None
        self.takers = ()  # app.updates.Updates and the like: take(payload) tells whether a command was theirs
        self.resent = 0
        self.heard = 0  # messages
        self.topic = b"v1/" + device_id.encode() + b"/r"
        self.ack_topic = b"v1/" + device_id.encode() + b"/a"
        self.command_topic = b"v1/" + device_id.encode() + b"/c"
        self._clock = clock
        self._journal = journal
        self._event = asyncio.Event()
        self._sent = {}  # sequence on its way: (when to send it again, when it was first sent)
        self._dated_from = journal.next_seq  # those before were first sent nobody knows when: they tell no time
        self._resend_ms = self._interval_ms = resend_ms
        self._on_time = on_time
        self._connection = 0

    def wake(self) -> None:
        """Look again: something was sealed, acknowledged, or the link changed."""
        self._event.set()

    def on_message(self, topic: bytes, payload: bytes) -> None:
        """Take a message from the broker."""
        self.heard += 1
        try:
            if topic == self.command_topic:
                for taker in self.takers:
                    if taker.take(payload):
                        return
                self._asked(*request.decode(payload))
                return
            if topic != self.ack_topic:
                return
            utc_ms, items = ack.decode(payload)
        except ValueError:
            log(WARN, "uplink", "malformed message")
            return
        sent_ms = -1
        for seq, digest in items:
            if self._journal.acknowledge(seq, digest):
                self._interval_ms = self._resend_ms
                if seq in self._sent and seq >= self._dated_from:
                    sent_ms = max(sent_ms, self._sent[seq][1])
            if seq in self._sent and not self._journal.holds(seq):
                del self._sent[seq]
        if utc_ms and sent_ms >= 0 and self._on_time:
            self._on_time(sent_ms, self._clock.ms(), utc_ms)
        self.wake()

    def _asked(self, first: int, last: int) -> None:
        """Send these again, or let the next batch say that they are gone. One request a batch: it costs flash reads."""
        if not self._journal.gone:
            self._journal.offer(first, last)
            for seq in self._sent:
                if first <= seq <= last:
                    self._sent[seq] = 0, self._sent[seq][1]
            self.wake()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            self._event.clear()
            wait_ms = await self._send_one()
            if wait_ms:
                try:
                    await asyncio.wait_for_ms(self._event.wait(), wait_ms)
                except asyncio.TimeoutError:
                    pass

    def _next(self, now_ms: int):
        """Return what to send now, None where nothing may be; and for how long nothing will change, in ms."""
        journal = self._journal
        sent = self._sent
        newest = journal.next_seq - 1
        wait_ms = _IDLE_MS
        pending = 0
        others = 1  # the newest's place is nobody else's
        late = None  # the lowest that was sent, and is due again
        for seq, (due_ms, _) in sent.items():
            if due_ms > now_ms:
                wait_ms = min(wait_ms, due_ms - now_ms)
                pending += 1
                others += seq != newest
            elif journal.holds(seq) and (late is None or seq < late):
                late = seq
        if pending < _WINDOW:
            if journal.holds(newest) and sent.get(newest, (0, 0))[0] <= now_ms:
                return newest, 0
            if others < _WINDOW:
                for seq in reversed(journal.events):
                    if seq not in sent:
                        return seq, 0
                for seq in journal.waiting(len(sent) + 1):
                    if seq not in sent:
                        return seq, 0  # before those that the host may never take
                if late is not None:
                    return late, 0
        return None, wait_ms

    async def _send_one(self) -> int:
        """Send the most urgent envelope that is due, if any; return for how long there is nothing to do, in ms."""
        client = self.client
        sent = self._sent
        if client.session.connects != self._connection:
            self._connection = client.session.connects
            for seq in sent:  # a clean session: what was on its way may be lost
                sent[seq] = 0, sent[seq][1]
        if not client.free:
            return _IDLE_MS
        now_ms = self._clock.ms()
        seq, wait_ms = self._next(now_ms)
        if seq is None:
            return wait_ms
        envelope = self._journal.read(seq)
        if envelope is None:
            log(WARN, "journal", "envelope %d is damaged" % seq)
            return 0
        due_ms, first_ms = sent.get(seq, (0, now_ms))
        if due_ms:
            self.resent += 1
            self._interval_ms = min(2 * self._interval_ms, _RESEND_MAX_MS)
        elif len(sent) >= _REMEMBERED:
            for old in [old for old in sent if sent[old][0] <= now_ms]:
                del sent[old]
                self._dated_from = max(self._dated_from, old + 1)
        sent[seq] = now_ms + self._interval_ms, first_ms
        try:
            await client.publish(self.topic, envelope)
        except LinkError:
            sent[seq] = 0, first_ms
            return _PAUSE_MS
        return 0
