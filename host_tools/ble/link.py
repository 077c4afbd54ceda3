"""One Bluetooth connection to one Vigil device, by bleak: its stream, its acknowledgements, its control point.

`backend`, where a function takes one, is bleak's own parameter for another radio than the system's. Nothing waits for
the system's Bluetooth for ever: a request that is not answered in time is a TimeoutError, and its connection is over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError

from host_tools.ble.stream import Receiver, cut
from host_tools.errors import UserError
from vigil.wire import ack

SERVICE = "b3a90000-7d0e-4c3b-9a51-2f6e8b1c4d70"
STREAM = "b3a90001-7d0e-4c3b-9a51-2f6e8b1c4d70"
DOWN = "b3a90002-7d0e-4c3b-9a51-2f6e8b1c4d70"
CONTROL = "b3a90003-7d0e-4c3b-9a51-2f6e8b1c4d70"
ABOUT = "b3a90004-7d0e-4c3b-9a51-2f6e8b1c4d70"
HEART_RATE, OXIMETER, THERMOMETER = "180d", "1822", "1809"  # services whose monitors `scan` names
_OPEN, _CONFIRM, _ACK, _PART = 1, 2, 3, 4
_COMMAND, _SET, _FORGET = 1, 2, 3
_VERSION = 1
_ITEM_BYTES = 41  # of an acknowledgement, at most
_ACK_HEAD = 12
ANSWER_S = 10.0  # of one request
CONNECT_S = 40.0  # with discovery; bleak itself gives a connection 30 s
_PAIR_S = 90.0  # a person reads a number and types it
_SILENT_S = 60.0  # an envelope comes each ten seconds, or each burst of the radio


def short(uuid: str) -> str:
    """Four digits of a UUID that the Bluetooth SIG has assigned, else the whole of it."""
    return uuid[4:8] if uuid.endswith("-0000-1000-8000-00805f9b34fb") and uuid.startswith("0000") else uuid


@dataclass(frozen=True)
class Found:
    """A monitor that advertises. services: short UUIDs."""

    address: str
    name: str
    rssi: int
    services: tuple[str, ...] = field(default=())
    device: Any = field(default=None, compare=False, repr=False)


async def scan(seconds: float, *, everything: bool = False, backend: Any = None) -> list[Found]:
    """Monitors that advertise within `seconds`, strongest first: those of the health profiles, or all."""
    try:
        seen = await BleakScanner.discover(timeout=seconds, return_adv=True, **_options(backend))
    except BleakError as e:
        raise UserError(f"cannot scan: {e}", "is there a Bluetooth adapter, and is it turned on?") from e
    found = []
    for address, (device, said) in seen.items():
        services = tuple(dict.fromkeys(short(uuid) for uuid in said.service_uuids))
        if everything or {HEART_RATE, OXIMETER, THERMOMETER} & set(services):
            found.append(Found(address, said.local_name or device.name or "", said.rssi, services, device))
    return sorted(found, key=lambda one: -one.rssi)


async def disconnect(client: BleakClient) -> None:
    """End a connection; one that does not end in time is left to the system, which will notice that nobody is there."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(ANSWER_S):
            await client.disconnect()


def _options(backend: Any) -> dict[str, Any]:
    return {"backend": backend} if backend else {}


class BleLink:
    """A connected device whose stream is open, as a context. device: its id, as it says itself.

    on_message(kind, bytes), set before, is called for each whole message of the stream.
    """

    def __init__(self, where: Any, *, pair: bool = False, backend: Any = None):
        self.on_message: Callable[[int, bytes], None] = lambda kind, data: None
        self.device = ""
        self.gone = asyncio.Event()
        self.receiver = Receiver()
        self.bytes = 0  # of notifications of the stream
        self._writes: asyncio.Queue[bytes] = asyncio.Queue()
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._pair = pair
        self.client = BleakClient(where, lambda _client: self.gone.set(), pair=pair, **_options(backend))

    async def __aenter__(self) -> BleLink:
        try:
            async with asyncio.timeout(_PAIR_S if self._pair else CONNECT_S):
                await self.client.connect()
            about = await self._ask_about()
            if about[:1] != bytes((_VERSION,)):
                raise UserError("this device speaks another version of the stream", "update whichever is older")
            self.device = about[1:].decode("ascii", "replace")
            async with asyncio.timeout(ANSWER_S):
                await self.client.start_notify(STREAM, lambda _sender, data: self._take(bytes(data)))
                await self.client.start_notify(CONTROL, lambda _sender, data: self._answers.put_nowait(bytes(data)))
            self._writer = asyncio.ensure_future(self._write())
            self._writes.put_nowait(bytes((_OPEN, _VERSION)))
        except BaseException:
            await disconnect(self.client)
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._writer.cancel()
        await disconnect(self.client)

    async def _ask_about(self) -> bytes:
        async with asyncio.timeout(ANSWER_S):
            return bytes(await self.client.read_gatt_char(ABOUT))

    async def until_gone(self, silent_s: float = _SILENT_S) -> None:
        """Wait until the connection is over; after silent_s without a fragment it has to prove that it is not."""
        while not self.gone.is_set():
            heard = self.bytes
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(silent_s):  # wait_for may swallow a cancellation
                    await self.gone.wait()
            if self.bytes == heard and not self.gone.is_set():
                await self._ask_about()

    def _take(self, fragment: bytes) -> None:
        self.bytes += len(fragment)
        whole = self.receiver.take(fragment)
        count = self.receiver.confirmation()
        if count is not None:
            self._writes.put_nowait(bytes((_CONFIRM,)) + count.to_bytes(2, "little"))
        if whole:
            self.on_message(*whole)

    async def _write(self) -> None:
        try:
            while True:
                data = await self._writes.get()
                async with asyncio.timeout(ANSWER_S):
                    await self.client.write_gatt_char(DOWN, data, response=True)
        except Exception:  # whatever the system calls it: this connection is of no more use
            self.gone.set()

    def acknowledge(self, payload: bytes) -> None:
        """Pass on an acknowledgement (vigil.wire.ack), in pieces that one write each carries."""
        utc_ms, items = ack.decode(payload)
        n = max(1, (self.client.mtu_size - 4 - _ACK_HEAD) // _ITEM_BYTES)
        for start in range(0, len(items), n):
            self._writes.put_nowait(bytes((_ACK,)) + ack.encode(items[start : start + n], utc_ms))

    def tell(self, payload: bytes) -> None:
        """Send what MQTT has as a command, of any length, in fragments. Lost where the connection is."""
        for fragment in cut(payload, self.client.mtu_size):
            self._writes.put_nowait(bytes((_PART,)) + fragment)

    async def control(self, what: int, payload: bytes = b"") -> int:
        """Ask something of the control point; return the status, 0 when it was done."""
        async with asyncio.timeout(ANSWER_S):
            await self.client.write_gatt_char(CONTROL, bytes((what,)) + payload, response=True)
            while (answer := await self._answers.get())[0] != what:
                pass
        return answer[1]

    async def command(self, payload: bytes) -> int:
        """Send what MQTT has as a command and one write carries; return the device's answer."""
        return await self.control(_COMMAND, payload)

    async def set(self, name: str, value: bytes) -> bool:
        """Set a setting that the device lets a bonded central set."""
        return await self.control(_SET, name.encode() + b"\0" + value) == 0

    async def forget(self) -> None:
        """Make the device forget all bonds, this one too."""
        await self.control(_FORGET)
