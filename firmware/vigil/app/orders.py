"""Orders that the owner's command key has signed: each is done once, by the device that it names (SPEC.md section 13).

An order is refused, in this order: `malformed` or `bad signature` (wire.signed); `other device`; `replayed`, where its
number is not above that of every order before, which the keystore remembers; `expired`, where the device knows the
time and the order is older than it may be; `unknown`, where it asks for what this firmware does not do; `low battery`.
"""

import asyncio

from micropython import const

from vigil.app.config import store_number, stored_number
from vigil.core.errors import LinkError, TrustError
from vigil.core.log import INFO, WARN, log
from vigil.wire import cbor
from vigil.wire.signed import MALFORMED, opening

PROTECTED = b"\xa2\x01\x27\x03\x6dvigil-command"  # {1: -8, 3: "vigil-command"}: EdDSA, and for nothing else
OTHER_DEVICE = const(3)  # why an order was refused, after wire.signed's
REPLAYED = const(4)
EXPIRED = const(5)
UNKNOWN = const(6)
LOW_BATTERY = const(7)

STREAM = const(1)  # waveforms for so many seconds, 0: no longer
MOST_S = const(3600)  # of streaming by one order
_VERSION = const(1)
_EPOCH_MS = 1_577_836_800_000  # 2020-01-01: an order's number is the second since then in which it was made
_VALID_S = const(900)
_MAX_NUMBER = const(999_999_999)
_LAST = const(27)  # key of the status in a batch
_FLOOR = "order.floor"  # keystore: number of the last order that was taken
_TOLD = const(3)  # on topic `u`: [1, 3, number, why, 0]
_TELL_MS = const(500)
_TELLS = const(60)


def read(payload: bytes) -> tuple:
    """Return (device id, number, order, argument) of what was signed. Raises TrustError(MALFORMED)."""
    try:
        said = cbor.decode(payload)
        version, device, number, order, argument = said
        numbers = version, number, order, argument
        if type(said) is not list or not all(type(n) is int and 0 <= n <= _MAX_NUMBER for n in numbers):
            raise ValueError
        if type(device) is not str or version != _VERSION or not number:
            raise ValueError
    except (ValueError, TypeError):
        raise TrustError(MALFORMED)
    return device, number, order, argument


class Orders:
    """One device's orders. monitor: app.main.Monitor, with strips."""

    def __init__(self, monitor, device_id: str):
        self._monitor = monitor
        self._device = device_id
        self._event = asyncio.Event()
        self._message = None

    def take(self, payload: bytes) -> bool:
        """Take a message of the command topic if it is an order; the latest counts."""
        if payload[:3] != b"\x83\x01\x04":
            return False
        self._message = payload
        self._event.set()
        return True

    def status(self, out: dict) -> dict:
        """Add to the status of a batch which order was taken last; return it."""
        number = stored_number(self._monitor.board, _FLOOR)
        if number:
            out[_LAST] = number
        return out

    async def run(self) -> None:
        """Judge and do what comes, for ever."""
        while True:
            await self._event.wait()
            self._event.clear()
            message, self._message = self._message, None
            await self.answer(message)

    async def answer(self, message: bytes) -> None:
        """Judge one message, do what it orders, and tell the gateway."""
        self._number = why = 0
        try:
            await self._obey(message)
        except TrustError as e:
            why = e.args[0]
            log(WARN, "order", "refused, reason %d" % why)
        await self._tell(cbor.encode([1, _TOLD, self._number, why, 0]))

    async def _obey(self, message) -> None:
        from vigil.app.steps import drive
        from vigil.app.updates import unload

        try:
            signed = cbor.decode(message)[2]
            if type(signed) is not bytes:
                raise ValueError
        except ValueError:
            raise TrustError(MALFORMED)
        board = self._monitor.board
        payload = await drive(opening(signed, board.keystore.get("command.key"), PROTECTED))
        unload("crypto.ed25519_verify")
        device, self._number, order, argument = read(payload)
        now_ms = board.clock.ms()
        utc = self._monitor.utc.at(now_ms)
        strips = self._monitor.strips
        late = utc is not None and (utc[0] + now_ms - _EPOCH_MS) // 1000 - self._number > _VALID_S
        for broken, why in (
            (device != self._device, OTHER_DEVICE),
            (self._number <= stored_number(board, _FLOOR), REPLAYED),
            (late, EXPIRED),
            (order != STREAM or argument > MOST_S or strips is None, UNKNOWN),
            (strips is not None and strips.off and argument, LOW_BATTERY),
        ):
            if broken:
                raise TrustError(why)
        store_number(board, _FLOOR, self._number)  # before it is done: a cut in between costs an order, never two
        strips.stream(now_ms + 1000 * argument if argument else 0)
        log(INFO, "order", "waveforms for %d s" % argument)

    async def _tell(self, payload: bytes) -> None:
        """Tell the gateway; best effort: what counts is in the next status, sealed."""
        monitor = self._monitor
        for _ in range(_TELLS):
            if monitor.client.free >= 2:  # readings come first
                try:
                    await monitor.client.publish(monitor.updates.topic, payload)
                    return
                except LinkError:
                    pass
            await asyncio.sleep_ms(_TELL_MS)
