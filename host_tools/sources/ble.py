"""Envelopes from devices in reach of this machine's Bluetooth radio: a hub without a broker and without a phone.

Each device has a connection that is made again whenever it is lost; what the gateway has not acknowledged the device
sends again. An asyncio loop in a thread of its own does the radio's work.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from host_tools.ble.link import BleLink
from host_tools.sources import take
from host_tools.sources.mqtt import Message
from vigil.link.ble_stream import UPDATE

_CLOSE_S = 5.0


class BleSource:
    """Messages of the devices that `where` names (addresses, or functions that find one when a connection is needed).

    The devices must be bonded with this machine (`vigil ble pair`). on_event(name, **fields) is told of `connected`
    and `disconnected`. backoff_s: shortest and longest wait between tries.
    """

    def __init__(
        self,
        where: Sequence[str | Callable[[], Awaitable[Any]]],
        *,
        on_event: Callable[..., None] = lambda name, **fields: None,
        backend: Any = None,
        backoff_s: tuple[float, float] = (0.5, 30.0),
    ):
        self._backoff_s = backoff_s
        self._where = where
        self._event = on_event
        self._backend = backend
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._links: dict[str, BleLink] = {}  # by device id
        self._connection = 0
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: list[asyncio.Future] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect to every device, again and again until it succeeds."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bluetooth", daemon=True)
        self._thread.start()
        for where in self._where:
            asyncio.run_coroutine_threadsafe(self.serve(where), self._loop)

    def stop(self) -> None:
        """Leave all devices; what is unacknowledged comes again at the next start."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return

        async def leave() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(leave(), loop).result(_CLOSE_S)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(_CLOSE_S)

    async def serve(self, where: str | Callable[[], Awaitable[Any]]) -> None:
        """Stay connected with one device. For whoever has a loop: then start() and stop() are not needed."""
        self._loop = asyncio.get_running_loop()
        wait_s, longest_s = self._backoff_s
        task = asyncio.current_task()
        assert task
        while not task.cancelling():  # who swallows a cancellation on the way does not keep us
            why = ""
            try:
                target = await where() if callable(where) else where
                if target is None:
                    raise OSError("it is not in reach")
                connection = self._connection = self._connection + 1
                link = BleLink(target, backend=self._backend)
                link.on_message = functools.partial(self._put, link, connection)
                async with link:
                    self._links[link.device] = link
                    self._event("connected", device=link.device)
                    wait_s = self._backoff_s[0]
                    await link.until_gone()
            except asyncio.CancelledError as e:
                if task.cancelling():
                    raise
                why = str(e) or "the connection was given up"  # by the system's Bluetooth: nobody has cancelled us
            except Exception as e:  # the system's Bluetooth has many ways to fail, and all mean: later
                why = str(e) or type(e).__name__
            for device in [device for device, known in self._links.items() if known.gone.is_set()]:
                del self._links[device]
            self._event("disconnected", reason=why)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, longest_s)

    def _put(self, link: BleLink, connection: int, kind: int, data: bytes) -> None:
        self._count += 1
        self._messages.put(Message(link.device, data, connection, self._count, update=kind == UPDATE))

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to `limit` waiting messages; waits timeout_s for the first, may return none."""
        return take(self._messages, limit, timeout_s)

    def acknowledge_to_device(self, device: str, payload: bytes) -> None:
        """Tell a device what is committed. Lost when it is away: it sends again."""
        self._call(device, lambda link: link.acknowledge(payload))

    def ask_device(self, device: str, payload: bytes) -> None:
        """Send a device a request, an offer or a piece. Lost when it is away: whoever misses it asks again."""
        self._call(device, lambda link: link.tell(payload))

    def done(self, message: Message) -> None:
        """Nothing: the device itself is what delivers again."""

    def _call(self, device: str, work: Callable[[BleLink], Any]) -> None:
        def go() -> None:
            link = self._links.get(device)
            if link and not link.gone.is_set():
                work(link)

        if self._loop:
            self._loop.call_soon_threadsafe(go)
