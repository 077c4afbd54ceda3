"""What a visit to a device by this computer's radio is for: to listen, to empty its journal, to install a release."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from host_tools.errors import UserError

_REACH_S = 60.0  # until there is a connection
_NEED = "pip install 'vigil-monitor[ble]'"


def need_bleak() -> None:
    """Raise UserError where bleak is not installed."""
    try:
        import bleak  # noqa: F401
    except ImportError:
        raise UserError("this installation cannot use Bluetooth", _NEED) from None


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` in a loop; what Bluetooth says of failures becomes a sentence."""
    from bleak.exc import BleakError

    try:
        return asyncio.run(work)
    except FileNotFoundError:  # of the system's bus, on Linux
        hint = "is this a machine with Bluetooth, and does its service run (systemctl status bluetooth)?"
        raise UserError("Bluetooth: no service of this system answers", hint) from None
    except (BleakError, OSError, TimeoutError) as e:
        words = str(e) or "no answer in time"
        hint = "is Bluetooth on, the device in reach, and paired (vigil ble pair)?"
        raise UserError(f"Bluetooth: {words}", hint) from e


async def listen(where: Any, seconds: float | None, say: Any, only: tuple[str, ...] = (), backend: Any = None) -> None:
    """Call say(what, value) for each value of the standard services of the monitor at `where`, decoded.

    seconds: for how long, None: until the connection ends. only: short UUIDs.
    """
    from bleak import BleakClient

    from host_tools.ble import gatt
    from host_tools.ble.link import ANSWER_S, CONNECT_S, disconnect, short

    gone = asyncio.Event()
    options = {"backend": backend} if backend else {}

    def tell(code: int, data: bytes) -> None:
        try:
            say(code, gatt.DECODERS[code](data))
        except ValueError as e:
            say(code, {"malformed": str(e)})

    client = BleakClient(where, lambda _client: gone.set(), **options)
    try:
        async with asyncio.timeout(CONNECT_S):
            await client.connect()
        for service in client.services:
            for characteristic in service.characteristics:
                name = short(characteristic.uuid)
                code = int(name, 16) if len(name) == 4 else 0
                if code not in gatt.DECODERS or (only and name not in only):
                    continue
                if "read" in characteristic.properties:
                    with contextlib.suppress(Exception):  # it may ask for a bond; the others do not
                        tell(code, bytes(await asyncio.wait_for(client.read_gatt_char(characteristic), ANSWER_S)))
                if {"notify", "indicate"} & set(characteristic.properties):
                    async with asyncio.timeout(ANSWER_S):
                        await client.start_notify(characteristic, lambda _sender, data, c=code: tell(c, bytes(data)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await gone.wait()
    finally:
        await disconnect(client)


def empty(make_source: Callable[..., Any], store: Any, quiet_s: float, reach_s: float = _REACH_S) -> dict[str, int]:
    """Take what the device that `make_source(on_event)` connects with keeps into `store`, until it says no more.

    That is when nothing has come for quiet_s. Returns how many were verified and so on. Raises UserError when there is
    no connection within reach_s.
    """
    before = store.counts()
    until_s = [time.monotonic() + reach_s]
    failed: list[str] = []
    connected = threading.Event()

    def told(name: str, **fields: Any) -> None:
        if name == "connected":
            until_s[0] = time.monotonic() + quiet_s
            connected.set()
        failed.append(fields.get("reason", ""))

    def log(name: str, **_fields: Any) -> None:
        if name in ("committed", "rejected"):
            until_s[0] = time.monotonic() + quiet_s

    with _gateway(make_source(told), store, log) as worker:
        while worker.is_alive() and time.monotonic() < until_s[0]:
            time.sleep(0.1)
    if not connected.is_set():
        reason = next(filter(None, reversed(failed)), "not in reach")
        raise UserError(f"no connection: {reason}", "in reach, and paired (vigil ble pair)?")
    return {name: n - before.get(name, 0) for name, n in store.counts().items()}


def install(make_source: Callable[..., Any], home: Any, made: Any, say: Callable[[Any], None], limit_s: float) -> Any:
    """Offer release `made` to the device that `make_source(on_event)` connects with; return its push once confirmed.

    say(push) is told how it goes. Raises UserError when the device refuses it or rolls it back, is not registered, is
    another board, or has not come to an end in limit_s.
    """
    from host_tools.updates.rollout import OPEN, Pushes

    connected: queue.SimpleQueue[str] = queue.SimpleQueue()
    failed = [""]

    def told(name: str, **fields: Any) -> None:
        if name == "connected":
            connected.put(fields["device"])
        failed[0] = fields.get("reason") or failed[0]

    pushes = Pushes(home.store)
    device = None
    until_s = time.monotonic() + limit_s
    with _gateway(make_source(told), home.store, lambda name, **fields: None) as worker:
        while worker.is_alive() and time.monotonic() < until_s:
            if device is None:
                with contextlib.suppress(queue.Empty):
                    device = home.register.find(connected.get(timeout=0.1))
                    if not pushes.push(made, [device]):
                        hint = f"it is a {device.board or 'device'}, {device.state}; this is for {made.manifest.model}"
                        raise UserError(f"{device.name} cannot take this release", hint)
                continue
            push = next(push for push in pushes.all() if push.device == device.device)
            say(push)
            if push.state == "confirmed":
                return push
            if push.state not in OPEN:
                raise UserError(
                    f"{device.name}: release {push.number} is {push.state}: {push.why}", "see docs/updates.md"
                )
            time.sleep(0.1)
    if device is None:
        raise UserError(f"no connection: {failed[0] or 'not in reach'}", "is it paired (vigil ble pair)?")
    raise UserError(f"{device.name} has not come to an end", "the same command goes on where this one stopped")


@contextlib.contextmanager
def _gateway(source: Any, store: Any, log: Callable[..., None]) -> Iterator[threading.Thread]:
    """A gateway of `source` into `store`, in a thread of its own for as long as the context lasts."""
    from host_tools.ingest.gateway import Gateway

    stop = threading.Event()
    worker = threading.Thread(target=Gateway(store, source, log).run, args=(stop,))
    worker.start()
    try:
        yield worker
    finally:
        stop.set()
        worker.join()
