"""The register of provisioned devices: who they are, with which certificate they may connect, and since when not.

It stands in the gateway's database beside `devices` (who is believed). A certificate is pending from before the device
gets it until the device is known to hold it; meanwhile it and the one before are both admitted, so that an interruption
at any step locks nobody out. The running gateway tells the broker of every change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from host_tools.errors import UserError
from host_tools.ingest.store import REFUSED_HANDSHAKE, Store, audit, devices, envelopes, metadata, now_ms

NAME = re.compile(r"[^\W_][\w .-]{0,39}")  # of a device, for people

provisioned = sa.Table(
    "provisioned",
    metadata,
    sa.Column("device", sa.String(64), sa.ForeignKey("devices.device"), primary_key=True),
    sa.Column("name", sa.String(40), nullable=False, unique=True),
    sa.Column("board", sa.String(64), nullable=False),
    sa.Column("hardware", sa.String(64), nullable=False),  # the chip's own number; empty: it has none
    sa.Column("certificate", sa.String(128)),  # name of the one that the device holds; null: none yet
    sa.Column("certificate_end_ms", sa.BigInteger),
    sa.Column("pending", sa.String(128)),  # name of one that the device is about to get
    sa.Column("pending_end_ms", sa.BigInteger),
    sa.Column("provisioned_ms", sa.BigInteger),
    sa.Column("revoked_ms", sa.BigInteger),
    sa.Column("successor", sa.String(64)),  # the identity that the same board got instead
)


@dataclass(frozen=True)
class Device:
    """One line of the register. Times in UTC milliseconds, None: never."""

    device: str
    name: str
    board: str
    hardware: str
    state: str  # active, pending or revoked
    added_ms: int
    revoked_ms: int | None
    last_seen_ms: int | None
    refused_ms: int | None  # when the broker last ended a handshake of its; said once an hour
    certificate: str | None
    certificate_end_ms: int | None
    successor: str | None
    envelopes: int
    public_key: bytes


class Register:
    """The register in the database of `store`. One process may change it while a gateway uses it."""

    def __init__(self, store: Store):
        self._store = store
        metadata.create_all(store.engine)

    def all(self) -> list[Device]:
        """Every device, by name."""
        seen = (
            sa.select(
                envelopes.c.device,
                sa.func.max(envelopes.c.received_ms).label("last_seen_ms"),
                sa.func.count().label("envelopes"),
            )
            .group_by(envelopes.c.device)
            .subquery()
        )
        refused = (
            sa.select(audit.c.device_claimed.label("device"), sa.func.max(audit.c.time_ms).label("refused_ms"))
            .where(audit.c.reason == REFUSED_HANDSHAKE)
            .group_by(audit.c.device_claimed)
            .subquery()
        )
        query = (
            sa.select(devices, provisioned, seen.c.last_seen_ms, seen.c.envelopes, refused.c.refused_ms)
            .outerjoin(provisioned, provisioned.c.device == devices.c.device)
            .outerjoin(seen, seen.c.device == devices.c.device)
            .outerjoin(refused, refused.c.device == devices.c.device)
        )
        with self._store.engine.connect() as connection:
            found = [_device(row._mapping) for row in connection.execute(query)]
        return sorted(found, key=lambda device: (device.name.casefold(), device.device))

    def find(self, who: str) -> Device:
        """The device with this name, id, or beginning of an id (4 digits at least). Raises UserError."""
        everyone = self.all()
        found = [d for d in everyone if who in (d.device, d.name)]
        found = found or [d for d in everyone if len(who) >= 4 and d.device.startswith(who)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"more than one device begins with `{who}`", ", ".join(d.device for d in found))
        known = ", ".join(d.name for d in everyone)
        raise UserError(f"there is no device `{who}`", f"known are: {known}" if known else "none is provisioned yet")

    def check(self, device: str, public_key: bytes, name: str, hardware: str) -> None:
        """Raise UserError where this identity may not be enrolled: revoked, another's key, a copy, a name in use."""
        for known in self.all():
            if known.device != device:
                if known.name == name and known.state != "revoked":
                    raise UserError(f"`{name}` is the name of device {known.device}", "choose another with --name")
                continue
            if known.public_key != public_key:
                raise UserError(
                    f"duplicate identity: device {device} is known with another key",
                    "one of the two is not what it says; erase this board's identity (vigil flash --forget-identity)",
                )
            if known.state == "revoked":
                raise UserError(
                    f"device {device} was revoked", "give it a new identity: vigil device rotate --key --port PORT"
                )
            if known.hardware and hardware and known.hardware != hardware:
                raise UserError(
                    f"duplicate identity: the key of device {device} is in another board, too",
                    f"its board is {known.hardware}, this is {hardware}: revoke it, and give this one a new identity",
                )

    def begin(
        self, device: str, public_key: bytes, *, name: str, board: str, hardware: str, certificate: str, end_ms: int
    ) -> None:
        """Admit a certificate that the device is about to get, beside the one that it has."""
        self.check(device, public_key, name, hardware)
        self._store.add_device(device, public_key)
        row = {"name": name, "board": board, "hardware": hardware, "pending": certificate, "pending_end_ms": end_ms}
        with self._begin() as connection:
            # A revoked device gives up its name.
            other = sa.and_(provisioned.c.name == name, provisioned.c.device != device)
            for gone in connection.execute(sa.select(provisioned.c.device).where(other)).scalars().all():
                old = provisioned.update().where(provisioned.c.device == gone)
                connection.execute(old.values(name=f"{name[:22]} {gone}"))
            if connection.execute(provisioned.update().where(provisioned.c.device == device).values(row)).rowcount == 0:
                connection.execute(provisioned.insert().values({"device": device, **row}))

    def finish(self, device: str) -> None:
        """The device holds the pending certificate: from now on only that one is admitted."""
        with self._begin() as connection:
            connection.execute(
                provisioned.update()
                .where(provisioned.c.device == device, provisioned.c.pending.is_not(None))
                .values(
                    certificate=provisioned.c.pending,
                    certificate_end_ms=provisioned.c.pending_end_ms,
                    pending=None,
                    pending_end_ms=None,
                    provisioned_ms=now_ms(),
                )
            )

    def withdraw(self, device: str) -> None:
        """The device did not get the pending certificate. One that was never provisioned is forgotten."""
        with self._begin() as connection:
            mine = provisioned.c.device == device
            connection.execute(provisioned.update().where(mine).values(pending=None, pending_end_ms=None))
            heard = sa.select(envelopes.c.device).where(envelopes.c.device == device).limit(1)
            never = sa.select(provisioned.c.device).where(mine, provisioned.c.certificate.is_(None))
            if connection.scalar(never) and not connection.scalar(heard):
                connection.execute(provisioned.delete().where(mine))
                connection.execute(devices.delete().where(devices.c.device == device))

    def revoke(self, device: str, successor: str | None = None) -> None:
        """Hear and believe nothing more from this device; for ever, and since the first time that this was said."""
        with self._begin() as connection:
            connection.execute(devices.update().where(devices.c.device == device).values(revoked=True))
            since = sa.func.coalesce(provisioned.c.revoked_ms, now_ms())
            row = {"revoked_ms": since, "pending": None, "pending_end_ms": None}
            row |= {"successor": successor} if successor else {}
            connection.execute(provisioned.update().where(provisioned.c.device == device).values(row))

    def note_refused(self, serial: int) -> str:
        """Audit that a handshake with this certificate was ended; the device that holds it, "" where none does."""
        query = sa.select(provisioned.c.device).where(provisioned.c.certificate.endswith(f":{serial:016x}"))
        with self._store.transaction() as transaction:
            device = transaction.connection.scalar(query) or ""
            transaction.note(device, REFUSED_HANDSHAKE, f"certificate {serial:016x}")
        return device

    def admitted(self) -> dict[str, tuple[str, ...]]:
        """Device id to the names of the certificates with which it may connect now."""
        query = (
            sa.select(provisioned.c.device, provisioned.c.certificate, provisioned.c.pending)
            .join(devices, devices.c.device == provisioned.c.device)
            .where(devices.c.revoked.is_(False))
        )
        with self._store.engine.connect() as connection:
            rows = connection.execute(query).all()
        return {row.device: names for row in rows if (names := tuple(n for n in (row.certificate, row.pending) if n))}

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with self._store.engine.connect().execution_options(immediate=True) as connection, connection.begin():
            yield connection


def _device(row) -> Device:
    state = "revoked" if row[devices.c.revoked] else "active"
    if state == "active" and row[provisioned.c.pending] and not row[provisioned.c.certificate]:
        state = "pending"
    device = row[devices.c.device]
    return Device(
        device=device,
        name=row[provisioned.c.name] or device,
        board=row[provisioned.c.board] or "",
        hardware=row[provisioned.c.hardware] or "",
        state=state,
        added_ms=row[devices.c.added_ms],
        revoked_ms=row[provisioned.c.revoked_ms],
        last_seen_ms=row["last_seen_ms"],
        refused_ms=row["refused_ms"],
        certificate=row[provisioned.c.certificate],
        certificate_end_ms=row[provisioned.c.certificate_end_ms],
        successor=row[provisioned.c.successor],
        envelopes=row["envelopes"] or 0,
        public_key=row[devices.c.public_key],
    )
