"""Sends the queue's envelopes, oldest first and a few at a time, until the host says that they are committed."""

import asyncio

from micropython import const

from vigil.core.errors import LinkError
from vigil.core.log import WARN, log
from vigil.wire import ack

_WINDOW = const(4)  # envelopes on their way; also the in-flight window of the MQTT session
_RESEND_MAX_MS = const(120_000)
_IDLE_MS = const(10_000)
_PAUSE_MS = const(200)


class Uplink:
    """Moves envelopes from `queue` to the broker and frees them when they are acknowledged.

    client (link.mqtt_client.MqttClient or the like: free, publish) is set after construction, because it is made
    with on_message and wake. resend_ms: how long an acknowledgement may take; doubles while none comes at all.
    resent: envelopes sent again in this boot for want of an acknowledgement (not those of a lost connection).
    """

    def __init__(self, clock, queue, device_id: str, resend_ms: int = 15_000):
        self.client = None
        self.resent = 0
        self.topic = b"v1/" + device_id.encode() + b"/r"
        self.ack_topic = b"v1/" + device_id.encode() + b"/a"
        self._clock = clock
        self._queue = queue
        self._event = asyncio.Event()
        self._due_ms = {}  # sequence on its way: when to send it again
        self._resend_ms = self._interval_ms = resend_ms
        self._connection = 0

    def wake(self) -> None:
        """Look again: something was sealed, acknowledged, or the link changed."""
        self._event.set()

    def on_message(self, topic: bytes, payload: bytes) -> None:
        """Take a message from the broker."""
        if topic != self.ack_topic:
            return
        try:
            items = ack.decode(payload)
        except ValueError:
            log(WARN, "uplink", "malformed acknowledgement")
            return
        for seq, digest in items:
            if self._queue.acknowledge(seq, digest):
                self._interval_ms = self._resend_ms
            if seq in self._due_ms:
                del self._due_ms[seq]
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

    async def _send_one(self) -> int:
        """Send the oldest envelope that is due, if any; return for how long there is nothing to do, in ms."""
        client = self.client
        if client.session.connects != self._connection:
            self._connection = client.session.connects
            self._due_ms.clear()  # a clean session: what was on its way may be lost
        if not client.free:
            return _IDLE_MS
        now_ms = self._clock.ms()
        wait_ms = _IDLE_MS
        for seq in self._queue.waiting(_WINDOW):
            due_ms = self._due_ms.get(seq)
            if due_ms is not None and due_ms > now_ms:
                wait_ms = min(wait_ms, due_ms - now_ms)
                continue
            envelope = self._queue.read(seq)
            if envelope is None:
                log(WARN, "queue", "envelope %d is damaged" % seq)
                return 0
            if due_ms is not None:
                self.resent += 1
                self._interval_ms = min(2 * self._interval_ms, _RESEND_MAX_MS)
            self._due_ms[seq] = now_ms + self._interval_ms
            try:
                await client.publish(self.topic, envelope)
            except LinkError:
                del self._due_ms[seq]
                return _PAUSE_MS
            return 0
        return wait_ms
