"""Which device shall get which release, how it goes, and the gateway's part in it.

A push is a row a device in the gateway's database; the release itself stands there, too, so that a running gateway
needs to be told nothing. The device pulls: the gateway answers what it asks and offers again, when it hears a device
that has not taken its offer. What counts in the end is what the device says in a sealed batch.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from host_tools.ingest.store import Store, devices, metadata, now_ms
from host_tools.trust.registry import Device
from host_tools.updates.release import ReleaseFile, reason
from vigil.wire import cbor, update

PIECE_BYTES = 2048  # the most that is sent at once, whatever is asked for
AGAIN_S = 60  # after so long without a word a device that is heard is offered its update again
_STATES = {
    update.FETCHING: "fetching",
    update.TRIAL: "trial",
    update.CONFIRMED: "confirmed",
    update.ROLLED_BACK: "rolled back",
    update.REFUSED: "refused",
}
OFFERED = "offered"
OPEN = (OFFERED, "fetching", "trial")  # states that are no end
_RUNNING, _FAILED, _WHY, _ON_TRIAL = 13, 14, 15, 16  # keys of the status in a batch

_Id = sa.String(32)
releases = sa.Table(
    "releases",
    metadata,
    sa.Column("id", _Id, primary_key=True),  # of the signed manifest's SHA-256
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False),
    sa.Column("bundle", sa.LargeBinary, nullable=False),
)
pushes = sa.Table(
    "pushes",
    metadata,
    sa.Column("device", sa.String(64), sa.ForeignKey("devices.device"), primary_key=True),  # its newest push alone
    sa.Column("release", _Id, sa.ForeignKey("releases.id"), nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("at_bytes", sa.BigInteger, nullable=False),  # of the bundle
    sa.Column("of_bytes", sa.BigInteger, nullable=False),
    sa.Column("why", sa.Integer, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
)
cohorts = sa.Table(
    "cohorts",
    metadata,
    sa.Column("cohort", sa.String(40), primary_key=True),
    sa.Column("device", sa.String(64), sa.ForeignKey("devices.device"), primary_key=True),
)


def in_share(device: str, percent: float) -> bool:
    """Whether a device is among the first `percent` of all: always the same ones, and more of them as it grows."""
    place = int.from_bytes(hashlib.sha256(device.encode()).digest()[:4], "big")
    return place < percent / 100 * 2**32


@dataclass(frozen=True)
class Push:
    """How the update of one device stands."""

    device: str
    number: int
    version: str
    state: str
    percent: int  # fetched
    why: str
    changed_ms: int


class Pushes:
    """What was pushed, in the database of `store`."""

    def __init__(self, store: Store):
        self._store = store
        metadata.create_all(store.engine)

    def push(self, release: ReleaseFile, chosen: Iterable[Device]) -> list[Device]:
        """Offer a release to each of these that is active, of its model, and has not confirmed it; return those."""
        key = _id(release.signed)
        said = release.manifest
        with self._store.transaction() as transaction:
            connection = transaction.connection
            have = sa.select(pushes.c.device).where(pushes.c.release == key, pushes.c.state == "confirmed")
            done = set(connection.scalars(have))
            fit = (d for d in chosen if d.state == "active" and d.board in ("", said.model))
            taken = [d for d in fit if d.device not in done]
            if connection.scalar(sa.select(releases.c.id).where(releases.c.id == key)) is None:
                row = {"id": key, "number": said.number, "version": said.version, "model": said.model}
                connection.execute(releases.insert().values(row | {"signed": release.signed, "bundle": release.bundle}))
            for device in taken:
                row = {
                    "release": key,
                    "number": said.number,
                    "state": OFFERED,
                    "at_bytes": 0,
                    "of_bytes": len(release.bundle),
                    "why": 0,
                    "changed_ms": now_ms(),
                }
                here = pushes.c.device == device.device
                if not connection.execute(pushes.update().where(here).values(row)).rowcount:
                    connection.execute(pushes.insert().values({"device": device.device} | row))
                transaction.note(device.device, "update offered", f"release {said.number}")
        return taken

    def all(self) -> list[Push]:
        """Every push, by device."""
        query = sa.select(pushes, releases.c.version).join(releases, releases.c.id == pushes.c.release)
        with self._store.engine.connect() as connection:
            return [_push(row) for row in connection.execute(query.order_by(pushes.c.device))]

    def group(self, cohort: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
        """Change who is in a cohort; return its devices."""
        mine = cohorts.c.cohort == cohort
        with self._store.engine.connect().execution_options(immediate=True) as connection, connection.begin():
            there = set(connection.scalars(sa.select(cohorts.c.device).where(mine)))
            for device in set(add) - there:
                connection.execute(cohorts.insert().values(cohort=cohort, device=device))
            for device in remove:
                connection.execute(cohorts.delete().where(mine, cohorts.c.device == device))
            return sorted(connection.scalars(sa.select(cohorts.c.device).where(mine)))

    def open(self) -> dict[str, sa.Row]:
        """Device to its push, of those that have not ended, and of devices that are not revoked."""
        query = sa.select(pushes).join(devices, devices.c.device == pushes.c.device)
        query = query.where(pushes.c.state.in_(OPEN), devices.c.revoked.is_(False))
        with self._store.engine.connect() as connection:
            rows = connection.execute(query).all()
        return {row.device: row for row in rows}

    def content(self, key: str) -> tuple[bytes, bytes]:
        """Signed manifest and bundle of a release."""
        with self._store.engine.connect() as connection:
            row = connection.execute(sa.select(releases).where(releases.c.id == key)).one()
        return row.signed, row.bundle

    def set(self, device: str, number: int, state: str, *, at_bytes: int | None = None, why: int = 0) -> bool:
        """Note how the push of release `number` stands; return whether that is news. Ends are audited, and final."""
        here = sa.and_(pushes.c.device == device, pushes.c.number == number, pushes.c.state.in_(OPEN))
        values: dict = {"state": state, "why": why, "changed_ms": now_ms()}
        values |= {"at_bytes": at_bytes} if at_bytes is not None else {}
        with self._store.transaction() as transaction:
            connection = transaction.connection
            before = connection.scalar(sa.select(pushes.c.state).where(here))
            if before is None:
                return False
            connection.execute(pushes.update().where(here).values(values))
            if state not in OPEN:
                detail = f"release {number}" + (f": {reason(why)}" if why else "")
                transaction.note(device, f"update {state}", detail)
            return before != state


def _id(signed: bytes) -> str:
    return hashlib.sha256(signed).hexdigest()[:32]


def _push(row) -> Push:
    percent = 100 * row.at_bytes // row.of_bytes if row.of_bytes else 100
    why = reason(row.why) if row.why else ""
    return Push(row.device, row.number, row.version, row.state, percent, why, row.changed_ms)


class Asker(Protocol):
    """What serving needs of the gateway's source."""

    def ask_device(self, device: str, payload: bytes) -> None:
        """Send a message on the device's command topic."""


class Serving:
    """The gateway's part: answers devices, offers, and notes what they say. A database that is away is tried later."""

    def __init__(self, store: Store, source: Asker, log: Callable[..., None]):
        self._pushes = Pushes(store)
        self._source = source
        self._log = log
        self._open: dict[str, sa.Row] = {}
        self._looked_s = -1e9
        self._offered_s: dict[tuple[str, str], float] = {}  # device and release: when it was last spoken to about it
        self._content: dict[str, tuple[bytes, bytes]] = {}

    def answer(self, device: str, payload: bytes) -> None:
        """Take one message of the update topic."""
        try:
            value: Any = cbor.decode(payload)
            if type(value) is not list or [type(n) for n in value] != [int] * 5 or value[0] != 1 or min(value) < 0:
                raise ValueError
        except ValueError:
            self._log("update_malformed", device=device)
            return
        try:
            if value[1] == 1:
                self._piece(device, *value[2:])
            elif value[1] == 2:
                self._state(device, *value[2:])
        except DBAPIError as e:
            self._log("store_unavailable", reason=str(e.orig), waiting=0)

    def _piece(self, device: str, number: int, offset: int, length: int) -> None:
        row = self._current().get(device) or self._current(now=True).get(device)
        if row is None or row.number != number:
            return  # withdrawn, or never offered
        content = self._release(row.release)[1]
        piece = content[offset : offset + min(length, PIECE_BYTES)]
        if not piece:
            return
        self._source.ask_device(device, cbor.encode([1, 3, number, offset, piece]))
        self._offered_s[device, row.release] = time.monotonic()
        end = offset + len(piece)
        if row.state != "fetching" or end * 20 // len(content) != offset * 20 // len(content):  # one row each 5 %
            self._set(device, number, "fetching", at_bytes=end)

    def _state(self, device: str, number: int, state: int, why: int) -> None:
        row = self._current(now=True).get(device)
        if row is not None and state in _STATES and number in (0, row.number):
            self._set(device, row.number, _STATES[state], why=why)

    def heard(self, devices: Iterable[str], statuses: Mapping[str, Mapping[int, int]]) -> None:
        """Devices were heard; statuses: what their batches say of them. Offer what they have not taken."""
        try:
            current = self._current()
            for device, said in statuses.items():
                row = current.get(device)
                if row is None:
                    continue
                if said.get(_RUNNING) == row.number and not said.get(_ON_TRIAL):
                    self._set(device, row.number, "confirmed")
                elif said.get(_FAILED) == row.number:
                    self._set(device, row.number, "rolled back", why=said.get(_WHY, 0))
            now_s = time.monotonic()
            for device in devices:
                row = current.get(device)
                if row is None or row.state == "trial":
                    continue
                if now_s - self._offered_s.get((device, row.release), -1e9) < AGAIN_S:
                    continue
                self._offered_s[device, row.release] = now_s
                self._log("update_offered", device=device, release=row.number)
                self._source.ask_device(device, cbor.encode([1, 2, self._release(row.release)[0]]))
        except DBAPIError as e:
            self._log("store_unavailable", reason=str(e.orig), waiting=0)

    def _set(self, device: str, number: int, state: str, *, at_bytes: int | None = None, why: int = 0) -> None:
        if self._pushes.set(device, number, state, at_bytes=at_bytes, why=why):
            self._log("update", device=device, release=number, state=state, why=reason(why) if why else "")
        self._looked_s = -1e9

    def _current(self, *, now: bool = False) -> dict[str, sa.Row]:
        if now or time.monotonic() - self._looked_s > 1:
            self._open = self._pushes.open()
            self._looked_s = time.monotonic()
            there = {(device, row.release) for device, row in self._open.items()}
            self._offered_s = {key: at_s for key, at_s in self._offered_s.items() if key in there}
        return self._open

    def _release(self, key: str) -> tuple[bytes, bytes]:
        if key not in self._content:
            if len(self._content) > 7:
                self._content.clear()
            self._content[key] = self._pushes.content(key)
        return self._content[key]
