"""Orders to devices: signed by the owner's command key, kept in the gateway's database, handed out by the gateway.

The gateway cannot make one: it has no key. It gives a device its newest order when it hears that device, again until
that says that it was taken or refused, and no longer than a device would believe it. firmware/SPEC.md section 13 has
the bytes, vigil.app.orders the rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import DBAPIError

from host_tools.errors import UserError
from host_tools.ingest.store import Store, metadata, now_ms
from vigil.wire import cbor
from vigil.wire.envelope import to_be_signed

PROTECTED = cbor.encode({1: -8, 3: "vigil-command"})
STREAM = 1
MOST_S = 3600  # of streaming by one order
VALID_S = 900
AGAIN_S = 20  # after so long without an answer a device that is heard is given its order again
_EPOCH_S = 1_577_836_800  # 2020-01-01
_LAST = 27  # key of the status in a batch: number of the last order taken
OPEN, TAKEN, REFUSED, EXPIRED = "open", "taken", "refused", "expired"
REASONS = {
    1: "malformed",
    2: "bad signature",
    3: "other device",
    4: "replayed",
    5: "expired",
    6: "unknown to this device",
    7: "low battery",
}

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("device", sa.String(64), sa.ForeignKey("devices.device"), primary_key=True),  # its newest order alone
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("what", sa.String(80), nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("why", sa.Integer, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
)


def sign(device: str, number: int, order: int, argument: int, key: Ed25519PrivateKey) -> bytes:
    """An order as a device takes it."""
    payload = cbor.encode([1, device, number, order, argument])
    return b"\xd2" + cbor.encode([PROTECTED, {}, payload, key.sign(to_be_signed(PROTECTED, payload))])


def message(signed: bytes) -> bytes:
    """What goes out on the command topic."""
    return cbor.encode([1, 4, signed])


@dataclass(frozen=True)
class Order:
    """How the newest order of a device stands."""

    device: str
    number: int
    what: str
    state: str
    why: str


class Orders:
    """The orders in the database of `store`."""

    def __init__(self, store: Store):
        self._store = store

    def stream(self, device: str, seconds: int, key: Ed25519PrivateKey) -> Order:
        """Order waveforms for `seconds`, 0: no longer. It takes the place of the order before. Raises UserError."""
        if not 0 <= seconds <= MOST_S:
            raise UserError(f"{seconds} s of waveforms is not what one order may ask for", f"1 to {MOST_S}")
        what = f"waveforms for {seconds} s" if seconds else "no more waveforms"
        with self._store.transaction() as transaction:
            connection = transaction.connection
            here = orders.c.device == device
            before = connection.scalar(sa.select(orders.c.number).where(here)) or 0
            number = max(now_ms() // 1000 - _EPOCH_S, before + 1)
            row = {"number": number, "what": what, "state": OPEN, "why": 0, "changed_ms": now_ms()}
            row |= {"signed": sign(device, number, STREAM, seconds, key)}
            if not connection.execute(orders.update().where(here).values(row)).rowcount:
                connection.execute(orders.insert().values({"device": device} | row))
            transaction.note(device, "order", what)
        return Order(device, number, what, OPEN, "")

    def get(self, device: str) -> Order | None:
        """The newest order of a device."""
        with self._store.engine.connect() as connection:
            row = connection.execute(sa.select(orders).where(orders.c.device == device)).one_or_none()
        return Order(row.device, row.number, row.what, row.state, _reason(row.why)) if row else None

    def open(self) -> dict[str, tuple[int, bytes]]:
        """Device to (number, signed order), of those that have no answer yet."""
        with self._store.engine.connect() as connection:
            rows = connection.execute(sa.select(orders).where(orders.c.state == OPEN)).all()
        return {row.device: (row.number, row.signed) for row in rows}

    def end(self, device: str, number: int, state: str, why: int = 0) -> bool:
        """Note how an order ended; return whether that is news."""
        here = sa.and_(orders.c.device == device, orders.c.number == number, orders.c.state == OPEN)
        with self._store.transaction() as transaction:
            values = {"state": state, "why": why, "changed_ms": now_ms()}
            news = transaction.connection.execute(orders.update().where(here).values(values)).rowcount > 0
            if news:
                transaction.note(device, f"order {state}", _reason(why))
        return news


def _reason(why: int) -> str:
    return REASONS.get(why, f"reason {why}") if why else ""


class Asker(Protocol):
    """What giving orders needs of the gateway's source."""

    def ask_device(self, device: str, payload: bytes) -> None:
        """Send a message on the device's command topic."""


class Giving:
    """The gateway's part. A database that is away is tried later."""

    def __init__(self, store: Store, source: Asker, log: Callable[..., None]):
        self._orders = Orders(store)
        self._source = source
        self._log = log
        self._given_s: dict[tuple[str, int], float] = {}
        self._open: dict[str, tuple[int, bytes]] = {}
        self._looked_s = -1e9

    def answer(self, device: str, payload: bytes) -> bool:
        """Take a message of the device's if it tells how an order went. It is not sealed: it ends the asking alone."""
        try:
            value: Any = cbor.decode(payload)
        except ValueError:
            return False
        if type(value) is not list or [type(n) for n in value] != [int] * 5 or value[:2] != [1, 3]:
            return False
        _, _, number, why, _ = value
        try:
            known = self._orders.open().get(device)
            if known and number in (0, known[0]):
                self._end(device, known[0], REFUSED if why else TAKEN, why)
        except DBAPIError as e:
            self._log("store_unavailable", reason=str(e.orig), waiting=0)
        return True

    def heard(self, devices: Iterable[str], statuses: Mapping[str, Mapping[int, int]]) -> None:
        """Devices were heard; statuses: what their batches say of them. Give what they have not answered."""
        try:
            if time.monotonic() - self._looked_s > 1:
                self._open = self._orders.open()
                self._looked_s = time.monotonic()
            for device, (number, signed) in list(self._open.items()):
                if statuses.get(device, {}).get(_LAST, 0) >= number:
                    self._end(device, number, TAKEN)
                elif now_ms() // 1000 - _EPOCH_S - number > VALID_S:
                    self._end(device, number, EXPIRED, 5)
                elif device in devices and time.monotonic() - self._given_s.get((device, number), -1e9) >= AGAIN_S:
                    self._given_s[device, number] = time.monotonic()
                    self._log("order_given", device=device, order=number)
                    self._source.ask_device(device, message(signed))
        except DBAPIError as e:
            self._log("store_unavailable", reason=str(e.orig), waiting=0)

    def _end(self, device: str, number: int, state: str, why: int = 0) -> None:
        self._given_s.pop((device, number), None)
        self._open.pop(device, None)
        if self._orders.end(device, number, state, why):
            self._log("order", device=device, number=number, state=state, why=_reason(why))
