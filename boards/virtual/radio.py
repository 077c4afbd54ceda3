"""The host's side of the virtual radio: Bumble's controllers, stacks and air behind the device's bluetooth.BLE.

What MicroPython does with NimBLE is done here with Bumble: events, secrets by address (types 1 and 2 for our and the
peer's keys, 10 for our own identity key), set only after the link was said to be encrypted; a second pairing of a peer
that is known deletes its keys first. Air is perfect and has no distance; a notification waits for a connection event,
of which each carries `packets`, and finds ENOMEM when `buffers` are waiting; a write is answered one event later. Model
limits: values that a bonded central subscribed to are not remembered (neither does MicroPython); an address changes
only when the radio is turned on; no L2CAP, no central role.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from bumble.controller import Controller
from bumble.core import UUID
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Descriptor, Service
from bumble.hci import Address, OwnAddressType
from bumble.host import Host
from bumble.keys import KeyStore, MemoryKeyStore, PairingKeys
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.smp import PairingMethod
from bumble.transport.common import AsyncPipeSink

_CONNECT, _DISCONNECT, _WRITE, _INDICATED, _MTU, _ENCRYPTED = 1, 2, 3, 20, 21, 28
_GET_SECRET, _SET_SECRET, _PASSKEY, _BUTTON = 29, 30, 31, 240
_OUR_KEYS, _PEER_KEYS, _OUR_IDENTITY = 1, 2, 10
_INPUT, _DISPLAY, _COMPARE = 2, 3, 4
_ANSWER_S = 10  # of the device, to a question
_PASSKEY_S = 60  # of the device's wearer
_STOP_S = 2
_IO = (
    PairingDelegate.DISPLAY_OUTPUT_ONLY,
    PairingDelegate.DISPLAY_OUTPUT_AND_YES_NO_INPUT,
    PairingDelegate.KEYBOARD_INPUT_ONLY,
    PairingDelegate.NO_OUTPUT_NO_INPUT,
    PairingDelegate.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
)
_PERMISSIONS = (  # MicroPython's flags, Bumble's
    (0x0002, Characteristic.Permissions.READABLE),
    (0x000C, Characteristic.Permissions.WRITEABLE),
    (0x0200, Characteristic.Permissions.READ_REQUIRES_ENCRYPTION),
    (0x0400, Characteristic.Permissions.READ_REQUIRES_AUTHENTICATION),
    (0x1000, Characteristic.Permissions.WRITE_REQUIRES_ENCRYPTION),
    (0x2000, Characteristic.Permissions.WRITE_REQUIRES_AUTHENTICATION),
)


def _permissions(flags: int) -> Characteristic.Permissions:
    found = Characteristic.Permissions(0)
    for flag, permission in _PERMISSIONS:
        if flags & flag:
            found |= permission
    return found


def _device(link: LocalLink, name: str, address: str, irk: bytes = b"", private: bool = False) -> Device:
    controller = Controller(name, link=link, public_address=Address(address + "/P"))
    config = DeviceConfiguration(
        name=name, address=Address(address), irk=irk or bytes(16), le_privacy_enabled=private, le_rpa_timeout=0
    )
    device = Device(config=config, host=Host(controller, AsyncPipeSink(controller)))
    device.virtual_controller = controller  # type: ignore[attr-defined]
    return device


def _wire(value: Any) -> Any:
    return {"b": bytes(value).hex()} if isinstance(value, bytes | bytearray) else value


class _Secrets(KeyStore):
    """Bumble's keys, kept by the device as MicroPython's secrets."""

    def __init__(self, radio: Radio):
        self._ask = radio.secret
        self.newest: dict[str, PairingKeys | None] = {}  # what was found last, as a stack has at hand

    @staticmethod
    def _key(name: str) -> bytes:
        address = Address(name)
        return bytes((0 if address.is_public else 1,)) + bytes(address)

    async def delete(self, name: str) -> None:
        for kind in (_OUR_KEYS, _PEER_KEYS):
            await self._ask(_SET_SECRET, kind, self._key(name), None)

    async def update(self, name: str, keys: PairingKeys) -> None:
        value = json.dumps([name, keys.to_dict()]).encode()
        for kind in (_OUR_KEYS, _PEER_KEYS):
            if not await self._ask(_SET_SECRET, kind, self._key(name), value):
                raise OSError("the device does not keep keys")

    async def get(self, name: str) -> PairingKeys | None:
        value = await self._ask(_GET_SECRET, _PEER_KEYS, 0, self._key(name))
        found = PairingKeys.from_dict(json.loads(bytes.fromhex(value))[1]) if value else None
        self.newest[name] = found
        return found

    async def get_all(self) -> list[tuple[str, PairingKeys]]:
        found = []
        while value := await self._ask(_GET_SECRET, _PEER_KEYS, len(found), None):
            name, keys = json.loads(bytes.fromhex(value))
            found.append((name, PairingKeys.from_dict(keys)))
        return found


class _Pairing(PairingDelegate):
    """Asks the device what a person would be asked, for one connection."""

    def __init__(self, radio: Radio, connection: Connection):
        super().__init__(_IO[radio.settings["io"]])
        self._radio = radio
        self._connection = connection

    async def accept(self) -> bool:
        name = str(self._connection.peer_address)
        keys = self._radio.secrets
        for _ in range(3):  # NimBLE tries for ever
            if await keys.get(name) is None:
                return True
            await keys.delete(name)
        return False

    async def _action(self, action: int, number: int = 0) -> int:
        answer = self._radio.passkeys[self._connection.handle] = asyncio.get_running_loop().create_future()
        self._radio.event(_PASSKEY, self._connection.handle, action, number)
        return await asyncio.wait_for(answer, _PASSKEY_S)

    async def compare_numbers(self, number: int, digits: int) -> bool:
        """Both see a number."""
        return bool(await self._action(_COMPARE, number))

    async def generate_passkey(self) -> int:
        return await self._action(_DISPLAY)

    async def get_number(self) -> int | None:
        return await self._action(_INPUT)


class Central(PairingDelegate):
    """A phone or hub on the same air: a Bumble device and the person who holds it.

    io: what it can do, of Bumble's capabilities. passkey(): the number that the person types. agrees: what the person
    says to a comparison. Keys stay in `keystore` when the device is made again (a reboot of that side).
    """

    def __init__(
        self,
        radio: Radio,
        *,
        address: str = "F0:11:22:33:44:02",
        io: PairingDelegate.IoCapability = PairingDelegate.KEYBOARD_INPUT_ONLY,
        passkey: Callable[[], Awaitable[int]] | None = None,
        agrees: bool = True,
        keystore: MemoryKeyStore | None = None,
    ):
        super().__init__(io)
        self._passkey = passkey
        self._agrees = agrees
        self.compared: int | None = None
        self.keystore = keystore or MemoryKeyStore()
        self.device = _device(radio.link, "central", address)
        self.device.pairing_config_factory = lambda _connection: PairingConfig(
            sc=True,
            mitm=io != PairingDelegate.NO_OUTPUT_NO_INPUT,
            bonding=True,
            identity_address_type=PairingConfig.AddressType.RANDOM,
            delegate=self,
        )
        self._radio = radio

    async def start(self) -> Central:
        """Turn its radio on."""
        self.device.keystore = self.keystore
        await self.device.power_on()
        self.device.keystore = self.keystore
        await self.device.refresh_resolving_list()
        return self

    async def stop(self) -> None:
        """Turn it off; what is connected is gone."""
        await _stop(self._radio.link, self.device)

    async def compare_numbers(self, number: int, digits: int) -> bool:
        """The person compares."""
        self.compared = number
        return self._agrees

    async def get_number(self) -> int | None:
        """The person types."""
        return await self._passkey() if self._passkey else None


async def _stop(link: LocalLink, device: Device) -> None:
    for connection in list(device.connections.values()):
        with contextlib.suppress(Exception):
            await asyncio.wait_for(connection.disconnect(), _STOP_S)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(device.stop_advertising(), _STOP_S)
    controller = device.virtual_controller  # type: ignore[attr-defined]
    if controller in link.controllers:
        link.remove_controller(controller)


class Radio(contextlib.AbstractAsyncContextManager):
    """Air (`link`) and the place where a virtual device finds its radio (`address`, for VIGIL_RADIO).

    interval_ms, packets: of the connection. buffers: of the device's stack, for notifications. notified: of those sent.
    losses: for each connection that is used, how many notifications and writes it carries before the air loses it.
    """

    def __init__(
        self,
        *,
        mac: str = "F0:11:22:33:44:01",
        interval_ms: float = 30,
        packets: int = 6,
        buffers: int = 12,
        losses: Iterable[int] = (),
    ):
        self.link = LocalLink()
        self.settings: dict[str, Any] = {}
        self.secrets = _Secrets(self)
        self.passkeys: dict[int, asyncio.Future] = {}
        self.notified = 0
        self.pressed = False
        self.device: Device | None = None
        self.advertising: tuple[bytes, bytes] | None = None  # data and response, while it advertises
        self._mac = mac
        self._interval_s = interval_ms / 1000
        self._packets = packets
        self._buffers = buffers
        self._losses = iter(losses)
        self._carries: dict[int, float] = {}  # connection to what it carries until it is lost
        self.lost = 0
        self._asking = asyncio.Lock()
        self._answer: asyncio.Future | None = None
        self._missed = 0  # answers that came too late, or will
        self._writer: asyncio.StreamWriter | None = None
        self._attributes: dict[int, Any] = {}
        self._waiting: dict[int, list] = {}
        self._tasks: set[asyncio.Task] = set()
        self._irk = bytes(16)
        self.error: Exception | None = None  # of the last request that failed for no reason of the air

    async def __aenter__(self) -> Radio:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "127.0.0.1:{}".format(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_exc) -> None:
        self._server.close()
        if self._writer:
            self._writer.close()
        for task in list(self._tasks):
            task.cancel()

    def press(self, down: bool) -> None:
        """Press or let go of the device's button "pair"."""
        self.pressed = down
        self.event(_BUTTON, int(down))

    def event(self, code: int, *data: Any) -> None:
        """Tell the device."""
        if self._writer:
            self._writer.write(json.dumps({"ev": code, "d": [_wire(value) for value in data]}).encode() + b"\n")

    async def secret(self, code: int, *data: Any) -> Any:
        """Ask the device for a secret, or to keep one."""
        async with self._asking:
            if self._writer is None:
                return None
            answer = self._answer = asyncio.get_running_loop().create_future()
            self.event(code, *data)
            try:
                return await asyncio.wait_for(answer, _ANSWER_S)
            finally:
                if answer.cancelled():  # nobody waits for it any more, but it comes, before that to the next question
                    self._missed += 1

    def _carry(self, connection: Connection) -> bool:
        """Count a notification or write. False: the connection was lost by it."""
        conn = connection.handle
        if conn not in self._carries:
            self._carries[conn] = next(self._losses, math.inf)
        self._carries[conn] -= 1
        if self._carries[conn]:
            return True
        self.lost += 1
        self._spawn(self._quietly(asyncio.wait_for(connection.disconnect(), _STOP_S)))
        return False

    def _spawn(self, work) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._missed = 0
        self.settings = {"bond": False, "mitm": False, "io": 3, "le_secure": False, "mtu": 256, "addr_mode": 0}
        self.settings |= {"gap_name": "MPY", "rxbuf": 512}
        requests: asyncio.Queue[dict | None] = asyncio.Queue()  # None: the device is gone
        work = asyncio.ensure_future(self._answer_all(requests, writer))
        try:
            if self.pressed:
                self.event(_BUTTON, 1)
            while line := await reader.readline():
                said = json.loads(line)
                if "ans" in said:
                    if self._missed:
                        self._missed -= 1
                    elif self._answer and not self._answer.done():
                        self._answer.set_result(said["ans"])
                else:
                    requests.put_nowait(said)
        except ConnectionError:
            pass
        finally:
            self._writer = None
            if self._answer and not self._answer.done():
                self._answer.set_result(None)
            while not requests.empty():
                requests.get_nowait()
            requests.put_nowait(None)  # what it is at may swallow a cancellation, and it would stand here for ever
            await asyncio.wait((work,), timeout=_STOP_S)
            work.cancel()
            await self._off()
            writer.close()

    async def _answer_all(self, requests: asyncio.Queue[dict | None], writer: asyncio.StreamWriter) -> None:
        while (said := await requests.get()) is not None:
            try:
                answer = {"r": await getattr(self, "_do_" + said.pop("op"))(**said)}
            except OSError as e:
                answer = {"err": e.errno or errno.EIO}
            except Exception as e:  # what the device did wrong, or we
                self.error = e
                answer = {"err": errno.EINVAL}
            writer.write(json.dumps(answer).encode() + b"\n")

    async def _off(self) -> None:
        device, self.device = self.device, None
        self.advertising = None
        self._attributes.clear()
        if device:
            await _stop(self.link, device)

    # The operations of bluetooth.BLE

    async def _do_active(self, on: bool) -> None:
        if not on:
            await self._off()
            return
        irk = await self.secret(_GET_SECRET, _OUR_IDENTITY, 0, b"irk")
        if irk is None:
            irk = secrets.token_hex(16)
            await self.secret(_SET_SECRET, _OUR_IDENTITY, b"irk", bytes.fromhex(irk))
        self._irk = bytes.fromhex(irk)

    def _need(self) -> Device:
        if self.device is None:
            raise OSError(errno.ENODEV, "not active")
        return self.device

    async def _do_config(self, values: dict) -> None:
        for name, value in values.items():
            if name not in self.settings:
                raise ValueError(name)
            self.settings[name] = value

    async def _do_get_config(self, name: str) -> Any:
        if name == "mac":
            return [1, bytes(reversed(bytes(self._need().random_address))).hex()]
        return self.settings[name]

    async def _do_register(self, services: list) -> list:
        private = self.settings["addr_mode"] == 2
        device = _device(self.link, self.settings["gap_name"], self._mac, self._irk, private)
        device.keystore = self.secrets
        device.pairing_config_factory = lambda connection: PairingConfig(
            sc=self.settings["le_secure"],
            mitm=self.settings["mitm"],
            bonding=self.settings["bond"],
            identity_address_type=PairingConfig.AddressType.RANDOM,
            delegate=_Pairing(self, connection),
        )
        device.on("connection", self._connected)
        self.device = device
        registered = []
        for uuid, characteristics in services:
            made = []
            for name, flags, descriptors in characteristics:
                characteristic: Any = Characteristic(
                    UUID(name),
                    Characteristic.Properties(flags & 0xFF),
                    _permissions(flags),
                    b"",
                    [Descriptor(UUID(d), _permissions(f), b"") for d, f in descriptors],
                )
                characteristic.value = CharacteristicValue(
                    read=lambda _connection, c=characteristic: c.held,
                    write=lambda connection, value, c=characteristic: self._written(connection, c, value),
                )
                characteristic.held = b""
                made.append(characteristic)
            device.add_service(Service(UUID(uuid), made))
            handles = []
            for characteristic in made:
                self._attributes[characteristic.handle] = characteristic
                handles.append(characteristic.handle)
            registered.append(handles)
        await device.power_on()
        device.keystore = self.secrets
        await device.refresh_resolving_list()
        device.gatt_server.max_mtu = self.settings["mtu"]
        return registered

    async def _do_advertise(self, us: int | None, data: str | None, response: str | None, connectable: bool) -> None:
        device = self._need()
        if device.is_advertising:
            await device.stop_advertising()
        old = self.advertising or (b"", b"")
        self.advertising = None
        if us is None:
            return
        data_bytes = old[0] if data is None else bytes.fromhex(data)
        response_bytes = old[1] if response is None else bytes.fromhex(response)
        if len(data_bytes) > 31 or len(response_bytes) > 31:
            raise ValueError("more than 31 bytes")
        await device.start_advertising(
            own_address_type=OwnAddressType.RANDOM,
            advertising_data=data_bytes,
            scan_response_data=response_bytes,
            advertising_interval_min=us / 1000,
            advertising_interval_max=us / 1000,
            auto_restart=False,
        )
        if device is self.device:  # it may have been switched off meanwhile
            self.advertising = data_bytes, response_bytes

    def _connection(self, handle: int) -> Connection:
        connection = self._need().connections.get(handle)
        if connection is None:
            raise OSError(errno.ENOTCONN, "no such connection")
        return connection

    async def _do_disconnect(self, conn: int) -> bool:
        connection = self._need().connections.get(conn)
        if connection is None:
            return False
        self._spawn(self._quietly(connection.disconnect()))
        return True

    async def _quietly(self, work: Awaitable) -> None:
        with contextlib.suppress(Exception):  # the other side may be gone
            await work

    async def _do_pair(self, conn: int) -> None:
        self._connection(conn).request_pairing()

    async def _do_passkey(self, conn: int, action: int, passkey: int) -> None:
        answer = self.passkeys.pop(conn, None)
        if answer is None or answer.done():
            raise OSError(errno.EALREADY, "nobody asked")
        answer.set_result(passkey)

    async def _do_write(self, handle: int, data: str, update: bool) -> None:
        self._attributes[handle].held = bytes.fromhex(data)
        if update:
            await self._need().notify_subscribers(self._attributes[handle], bytes.fromhex(data))

    async def _do_notify(self, conn: int, handle: int, data: str) -> None:
        connection = self._connection(conn)
        waiting = self._waiting.setdefault(conn, [])
        if len(waiting) >= self._buffers:
            raise OSError(errno.ENOMEM, "no buffer")
        value = bytes.fromhex(data)[: connection.att_mtu - 3]
        waiting.append((self._attributes[handle], value))
        if len(waiting) == 1:
            self._spawn(self._quietly(self._transmit(conn, connection, waiting)))

    async def _transmit(self, conn: int, connection: Connection, waiting: list) -> None:
        while waiting and conn in self._need().connections:
            await asyncio.sleep(self._interval_s)
            for attribute, value in waiting[: self._packets]:
                await self._need().gatt_server.notify_subscriber(connection, attribute, value)
                self.notified += 1
                if not self._carry(connection):
                    waiting.clear()
                    return
            del waiting[: self._packets]
        waiting.clear()

    async def _do_indicate(self, conn: int, handle: int, data: str) -> None:
        connection = self._connection(conn)

        async def indicate() -> None:
            status = 0
            try:
                server = self._need().gatt_server
                await server.indicate_subscriber(connection, self._attributes[handle], bytes.fromhex(data))
            except Exception:
                status = 13  # BLE_HS_ETIMEOUT
            self.event(_INDICATED, conn, handle, status)

        self._spawn(indicate())

    # What happens on the air

    async def _written(self, connection: Connection, characteristic: Any, value: bytes) -> None:
        characteristic.held = bytes(value)
        self.event(_WRITE, connection.handle, characteristic.handle, bytes(value))
        if self._carry(connection):
            await asyncio.sleep(self._interval_s)

    def _connected(self, connection: Connection) -> None:
        conn = connection.handle
        address = bytes(reversed(bytes(connection.peer_address)))
        kind = 0 if connection.peer_address.is_public else 1
        self.advertising = None
        self._waiting.pop(conn, None)
        self._carries.pop(conn, None)
        pairing = []

        def believe(keys: PairingKeys | None) -> None:
            """Bumble takes every encrypted link for an authenticated one."""
            ltk = keys.ltk if keys else None
            connection.authenticated = bool(connection.is_encrypted and ltk and ltk.authenticated)

        async def encrypted() -> None:
            known = await self.secrets.get(str(connection.peer_address))
            believe(known)
            self.event(_ENCRYPTED, conn, connection.is_encrypted, connection.authenticated, bool(known), 16)

        def changed() -> None:
            session = self._need().smp_manager.sessions.get(conn)
            if pairing and session:
                authenticated = connection.authenticated = session.pairing_method != PairingMethod.JUST_WORKS
                self.event(_ENCRYPTED, conn, connection.is_encrypted, authenticated, False, 16)  # keys come after it
            else:
                believe(self.secrets.newest.get(str(connection.peer_address)))
                self._spawn(encrypted())

        def gone(*_reason) -> None:
            if asked := self.passkeys.pop(conn, None):
                asked.cancel()
            self.event(_DISCONNECT, conn, kind, address)

        connection.on("disconnection", gone)
        connection.on("pairing_start", lambda: pairing.append(1))
        connection.on("pairing", believe)
        connection.on("pairing_failure", lambda _reason: pairing.clear())
        connection.on("connection_encryption_change", changed)
        connection.on("connection_att_mtu_update", lambda: self.event(_MTU, conn, connection.att_mtu))
        self.event(_CONNECT, conn, kind, address)
