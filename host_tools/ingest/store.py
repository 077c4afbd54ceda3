"""The store: devices, raw envelopes, readings and the audit trail in any SQL database (SQLite unless told otherwise).

One `transaction()` takes a whole batch of messages: what was accepted, absorbed or refused and the device's new
state appear together or not at all. Nothing may be acknowledged before the `with` block is left without an error.
Uniqueness is the schema's business: (device, seq) an envelope, (device, seq, ordinal) a reading.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from host_tools.errors import UserError
from host_tools.trust.verify import DeviceState, Outcome

SCHEMA = 2
DRIFT = 10_000  # a device's clock is off by at most one ms in so many (vigil.link.utc)
# Lines of the audit that are no refusals of an envelope.
REFUSED_HANDSHAKE = "handshake ended"
_UPDATES = tuple(f"update {what}" for what in ("offered", "confirmed", "rolled back", "refused"))
_ORDERS = ("order", *(f"order {what}" for what in ("taken", "refused", "expired")))
EVENTS = ("silent", "heard again", REFUSED_HANDSHAKE, *_UPDATES, *_ORDERS)
EXCERPT_BYTES = 256  # of a refused message: enough to recognise it, too little to fill a disk with
_BUSY_MS = 1000  # how long SQLite itself waits for a lock; the gateway's back-off takes over after that

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows by INTEGER PRIMARY KEY only
_Device = sa.String(64)
metadata = sa.MetaData()

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.String(256), nullable=False),
)
devices = sa.Table(
    "devices",
    metadata,
    sa.Column("device", _Device, primary_key=True),
    sa.Column("public_key", sa.LargeBinary(32), nullable=False),
    sa.Column("added_ms", sa.BigInteger, nullable=False),  # UTC, milliseconds, like every *_ms here without a t
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
    sa.Column("last_seq", sa.BigInteger),  # newest accepted envelope; null before the first
    sa.Column("last_digest", sa.LargeBinary(32)),
    sa.Column("oldest_seq", sa.BigInteger, nullable=False, default=0),  # highest lower end of the device's queue seen
    sa.Column("duplicates", sa.BigInteger, nullable=False, default=0),  # envelopes that came again and were absorbed
)
envelopes = sa.Table(
    "envelopes",
    metadata,
    sa.Column("device", _Device, sa.ForeignKey("devices.device"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("prev_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("received_ms", sa.BigInteger, nullable=False),
    sa.Column("boot", sa.BigInteger, nullable=False),
    sa.Column("t0_ms", sa.BigInteger, nullable=False),  # device time: since its boot
    sa.Column("utc_offset_ms", sa.BigInteger),  # device time + offset = UTC; null: the device did not know
    sa.Column("utc_uncertainty_ms", sa.BigInteger),
    sa.Column("utc_inferred", sa.Boolean, nullable=False, default=False),  # from a later envelope of the same boot
    sa.Column("status", sa.Text),  # JSON of the device's small integers
    sa.Column("raw", sa.LargeBinary, nullable=False),  # as it came, so that anybody can verify it again
)
sa.Index("envelopes_digest", envelopes.c.digest)
sa.Index("envelopes_boot", envelopes.c.device, envelopes.c.boot, envelopes.c.t0_ms)
readings = sa.Table(
    "readings",
    metadata,
    sa.Column("device", _Device, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.BigInteger, nullable=False),
    sa.Column("t_start_ms", sa.BigInteger, nullable=False),  # device time
    sa.Column("t_end_ms", sa.BigInteger, nullable=False),
    sa.Column("mantissa", sa.BigInteger),  # value = mantissa * 10**exp10; null when withheld
    sa.Column("exp10", sa.SmallInteger),
    sa.Column("unit", sa.BigInteger),
    sa.Column("quality_pct", sa.SmallInteger),
    sa.Column("absent_reason", sa.SmallInteger, nullable=False),
    sa.ForeignKeyConstraint(["device", "seq"], ["envelopes.device", "envelopes.seq"]),
)
waveforms = sa.Table(
    "waveforms",  # what of ECG and light is in an envelope; the samples stay there, compressed
    metadata,
    sa.Column("device", _Device, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("source", sa.SmallInteger, nullable=False),  # records.ECG, records.PPG
    sa.Column("cause", sa.SmallInteger, nullable=False),  # records.WAVE_*
    sa.Column("strip", sa.BigInteger, nullable=False),  # number since the boot, 0: somebody asked
    sa.Column("event_ms", sa.BigInteger, nullable=False),  # device time, like the next two
    sa.Column("t_start_ms", sa.BigInteger, nullable=False),
    sa.Column("t_end_ms", sa.BigInteger, nullable=False),
    sa.Column("samples", sa.BigInteger, nullable=False),  # of each column
    sa.ForeignKeyConstraint(["device", "seq"], ["envelopes.device", "envelopes.seq"]),
)
gone = sa.Table(
    "gone",  # sequences that a device has said it does not hold any more
    metadata,
    sa.Column("device", _Device, sa.ForeignKey("devices.device"), primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("received_ms", sa.BigInteger, nullable=False),
)
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("device_claimed", sa.String(128), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("excerpt", sa.LargeBinary(EXCERPT_BYTES), nullable=False),
)
for _verb in ("UPDATE", "DELETE"):
    event.listen(
        audit,
        "after_create",
        sa.DDL(
            f"CREATE TRIGGER audit_no_{_verb.lower()} BEFORE {_verb} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )


def now_ms() -> int:
    """UTC now in milliseconds."""
    return time.time_ns() // 1_000_000


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


class Store:
    """A database by SQLAlchemy URL. Makes the tables on first use.

    Raises UserError when it cannot be opened or was made by another version.
    """

    def __init__(self, url: str):
        try:
            self.engine = sa.create_engine(url, pool_pre_ping=True)  # a server that came back is noticed
            if self.engine.dialect.name == "sqlite":
                event.listen(self.engine, "connect", _sqlite_connect)
                event.listen(self.engine, "begin", _sqlite_begin)
            with self.engine.begin() as connection:
                metadata.create_all(connection)
                version = connection.scalar(sa.select(meta.c.value).where(meta.c.name == "schema"))
                if version is None:
                    connection.execute(meta.insert().values(name="schema", value=str(SCHEMA)))
        except (ArgumentError, NoSuchModuleError, ImportError) as e:
            raise UserError(f"`{url}` is not the URL of a database", "e.g. sqlite:////var/lib/vigil/vigil.db") from e
        except DBAPIError as e:
            shown = sa.make_url(url).render_as_string(hide_password=True)
            raise UserError(f"cannot open the database `{shown}`", str(e.orig)) from e
        if version not in (None, str(SCHEMA)):
            raise UserError(f"the database has schema {version}, this is schema {SCHEMA}", "use the version it is from")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with self.engine.connect().execution_options(immediate=True) as connection, connection.begin():
            transaction = Transaction(connection)
            yield transaction
            transaction.flush()

    def add_device(self, device: str, public_key: bytes) -> None:
        """Remember a provisioned device. The same again is fine; another key for a known id is a UserError."""
        with self.engine.connect().execution_options(immediate=True) as connection, connection.begin():
            known = connection.scalar(sa.select(devices.c.public_key).where(devices.c.device == device))
            if known is None:
                row = {"device": device, "public_key": public_key, "added_ms": now_ms()}
                connection.execute(devices.insert().values(row))
            elif known != public_key:
                raise UserError(f"device {device} is known with another key", "was it provisioned elsewhere?")

    def revoke(self, device: str) -> None:
        """Believe nothing more from this device."""
        with self.engine.begin() as connection:
            connection.execute(devices.update().where(devices.c.device == device).values(revoked=True))

    def counts(self) -> dict[str, int]:
        """verified (envelopes stored), duplicates, rejected: of all devices."""
        with self.engine.connect() as connection:
            return {
                "verified": connection.scalar(sa.select(sa.func.count()).select_from(envelopes)) or 0,
                "duplicates": connection.scalar(sa.select(sa.func.sum(devices.c.duplicates))) or 0,
                "rejected": connection.scalar(
                    sa.select(sa.func.count()).select_from(audit).where(audit.c.reason.not_in(EVENTS))
                )
                or 0,
            }

    def sequences(self, device: str) -> list[int]:
        """Sequence numbers stored of one device, ascending."""
        query = sa.select(envelopes.c.seq).where(envelopes.c.device == device).order_by(envelopes.c.seq)
        with self.engine.connect() as connection:
            return list(connection.scalars(query))

    def readings(self, device: str, *, after_seq: int = -1) -> list[sa.Row]:
        """Readings of one device in order, from envelopes after `after_seq`.

        Beside the table's columns: end_utc_ms, null where it is not known yet, and its utc_uncertainty_ms.
        """
        end_utc_ms = (readings.c.t_end_ms + envelopes.c.utc_offset_ms).label("end_utc_ms")
        same = (envelopes.c.device == readings.c.device) & (envelopes.c.seq == readings.c.seq)
        query = (
            sa.select(readings, end_utc_ms, envelopes.c.utc_uncertainty_ms)
            .join(envelopes, same)
            .where(readings.c.device == device, readings.c.seq > after_seq)
            .order_by(readings.c.seq, readings.c.ordinal)
        )
        with self.engine.connect() as connection:
            return list(connection.execute(query))

    def waveforms(self, device: str | None = None) -> list[sa.Row]:
        """Pieces of waveforms by device, boot, strip, source and time, with the raw envelope that each is in.

        Beside the table's columns: boot, utc_offset_ms (null where it is not known yet) and raw.
        """
        same = (envelopes.c.device == waveforms.c.device) & (envelopes.c.seq == waveforms.c.seq)
        query = sa.select(waveforms, envelopes.c.boot, envelopes.c.utc_offset_ms, envelopes.c.raw).join(envelopes, same)
        if device is not None:
            query = query.where(waveforms.c.device == device)
        w = waveforms.c
        order = (w.device, envelopes.c.boot, w.strip, w.source, w.t_start_ms, w.seq)
        with self.engine.connect() as connection:
            return list(connection.execute(query.order_by(*order)))

    def last_heard_ms(self) -> dict[str, int]:
        """Device id to the UTC of its newest envelope (of its enrolment before that), of devices not revoked."""
        newest = (envelopes.c.device == devices.c.device) & (envelopes.c.seq == devices.c.last_seq)
        query = (
            sa.select(devices.c.device, sa.func.coalesce(envelopes.c.received_ms, devices.c.added_ms))
            .join(envelopes, newest, isouter=True)
            .where(devices.c.revoked.is_(False))
        )
        with self.engine.connect() as connection:
            return {device: heard_ms for device, heard_ms in connection.execute(query)}

    def audit_lines(self) -> list[sa.Row]:
        """The audit trail, oldest first."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(audit).order_by(audit.c.id)))

    def raw_envelopes(self) -> list[sa.Row]:
        """(device, seq, raw) of every envelope stored, by device and sequence."""
        query = sa.select(envelopes.c.device, envelopes.c.seq, envelopes.c.raw)
        with self.engine.connect() as connection:
            return list(connection.execute(query.order_by(envelopes.c.device, envelopes.c.seq)))

    def public_keys(self) -> dict[str, bytes]:
        """Device id to public key."""
        with self.engine.connect() as connection:
            return {row.device: row.public_key for row in connection.execute(sa.select(devices))}


class Transaction:
    """What one transaction has decided so far; rows are written together when it ends."""

    def __init__(self, connection: sa.Connection):
        self._connection = connection
        self._received_ms = now_ms()
        self._states: dict[str, DeviceState | None] = {}
        self._changed: set[str] = set()
        self._boots: set[tuple[str, int]] = set()
        self._duplicates: dict[str, int] = {}
        self._envelopes: list[dict] = []
        self._readings: list[dict] = []
        self._waveforms: list[dict] = []
        self._audit: list[dict] = []
        self._gone: dict[tuple[str, int, int], dict] = {}

    @property
    def connection(self) -> sa.Connection:
        """For what other tables keep in the same transaction."""
        return self._connection

    def device(self, device: str) -> DeviceState | None:
        """What is known of a device, this transaction's own decisions included; None when it is unknown."""
        if device not in self._states:
            self._states[device] = self._load(device)
        return self._states[device]

    def holds(self, device: str, raw: bytes) -> bool:
        """Whether exactly these bytes are stored, or about to be."""
        digest = hashlib.sha256(raw).digest()
        query = sa.select(envelopes.c.seq).where(envelopes.c.digest == digest, envelopes.c.device == device)
        pending = any(row["digest"] == digest and row["device"] == device for row in self._envelopes)
        return pending or self._connection.scalar(query) is not None

    def accept(self, device: str, raw: bytes, outcome: Outcome) -> None:
        """Store a verified envelope with its readings and move the device's state on."""
        batch = outcome.batch
        assert batch is not None and outcome.device is not None, "only what was accepted is stored"
        offset_ms, uncertainty_ms = batch.utc or (None, None)
        self._envelopes.append(
            {
                "device": device,
                "seq": batch.seq,
                "digest": outcome.digest,
                "prev_digest": batch.prev_digest,
                "received_ms": self._received_ms,
                "boot": batch.boot,
                "t0_ms": batch.t0_ms,
                "utc_offset_ms": offset_ms,
                "utc_uncertainty_ms": uncertainty_ms,
                "status": json.dumps(batch.status) if batch.status else None,
                "raw": raw,
            }
        )
        self._readings += [
            {
                "device": device,
                "seq": batch.seq,
                "ordinal": ordinal,
                "kind": reading.kind,
                "t_start_ms": reading.t_start_ms,
                "t_end_ms": reading.t_end_ms,
                "mantissa": reading.mantissa,
                "exp10": reading.exp10,
                "unit": reading.unit,
                "quality_pct": reading.quality_pct,
                "absent_reason": reading.absent_reason,
            }
            for ordinal, reading in enumerate(batch.readings)
        ]
        self._waveforms += [
            {
                "device": device,
                "seq": batch.seq,
                "ordinal": ordinal,
                "source": one.source,
                "cause": one.cause,
                "strip": one.strip,
                "event_ms": one.event_ms,
                "t_start_ms": one.t_start_ms,
                "t_end_ms": one.t_end_ms,
                "samples": one.rows,
            }
            for ordinal, one in enumerate(batch.waveforms)
        ]
        known = self.device(device)
        for first, last in batch.gone:
            if known is None or (first, last) not in known.gone:
                row = {"device": device, "first_seq": first, "last_seq": last, "received_ms": self._received_ms}
                self._gone.setdefault((device, first, last), row)
        self._boots.add((device, batch.boot))
        self._states[device] = outcome.device
        self._changed.add(device)

    def duplicate(self, device: str) -> None:
        """Count an envelope that was stored before."""
        self._duplicates[device] = self._duplicates.get(device, 0) + 1

    def reject(self, device_claimed: str, reason: str, raw: bytes) -> None:
        """Write an audit line."""
        self._audit.append(
            {
                "time_ms": self._received_ms,
                "device_claimed": device_claimed[:128],
                "reason": reason,
                "digest": hashlib.sha256(raw).digest(),
                "size": len(raw),
                "excerpt": raw[:EXCERPT_BYTES],
            }
        )

    def note(self, device: str, event_name: str, detail: str) -> None:
        """Write an audit line about a device that refuses nothing; one of EVENTS."""
        assert event_name in EVENTS, "else it counts as a refused envelope"
        self.reject(device, event_name, detail.encode())

    def flush(self) -> None:
        """Write everything decided."""
        for table, rows in (
            (envelopes, self._envelopes),
            (readings, self._readings),
            (waveforms, self._waveforms),
            (audit, self._audit),
        ):
            if rows:
                self._connection.execute(table.insert(), rows)
        for key, row in self._gone.items():
            here = (gone.c.device == key[0]) & (gone.c.first_seq == key[1]) & (gone.c.last_seq == key[2])
            if self._connection.scalar(sa.select(gone.c.device).where(here)) is None:  # one below oldest_seq may be
                self._connection.execute(gone.insert().values(row))
        for device, boot in self._boots:
            self._date(device, boot)
        for device in self._changed:
            state = self._states[device]
            assert state is not None
            values = {"last_seq": state.last_seq, "last_digest": state.last_digest, "oldest_seq": state.oldest_seq}
            self._connection.execute(devices.update().where(devices.c.device == device).values(values))
        for device, count in self._duplicates.items():
            more = devices.c.duplicates + count
            self._connection.execute(devices.update().where(devices.c.device == device).values(duplicates=more))

    def _date(self, device: str, boot: int) -> None:
        """Date what was measured before the clock was set by the first envelope of the boot that knows the time."""
        here = (envelopes.c.device == device) & (envelopes.c.boot == boot)
        dated = envelopes.c.utc_offset_ms.is_not(None) & envelopes.c.utc_inferred.is_(False)
        by = self._connection.execute(
            sa.select(envelopes.c.t0_ms, envelopes.c.utc_offset_ms, envelopes.c.utc_uncertainty_ms)
            .where(here, dated)
            .order_by(envelopes.c.t0_ms, envelopes.c.seq)
            .limit(1)
        ).one_or_none()
        if by is None:
            return
        self._connection.execute(
            envelopes.update()
            .where(here, envelopes.c.t0_ms <= by.t0_ms)
            .where(envelopes.c.utc_offset_ms.is_(None) | envelopes.c.utc_inferred.is_(True))
            .values(
                utc_offset_ms=by.utc_offset_ms,
                utc_uncertainty_ms=by.utc_uncertainty_ms + (by.t0_ms - envelopes.c.t0_ms) // DRIFT,
                utc_inferred=True,
            )
        )

    def _load(self, device: str) -> DeviceState | None:
        row = self._connection.execute(
            sa.select(devices).where(devices.c.device == device).with_for_update()
        ).one_or_none()
        if row is None:
            return None
        query = sa.select(envelopes.c.seq, envelopes.c.digest, envelopes.c.prev_digest)
        recent = self._connection.execute(
            query.where(envelopes.c.device == device, envelopes.c.seq >= row.oldest_seq)  # what may come again
        ).all()
        digests = {e.seq: e.digest for e in recent}
        before = {e.seq - 1: e.prev_digest for e in recent if any(e.prev_digest)}  # zeros name nothing
        said_gone = self._connection.execute(
            sa.select(gone.c.first_seq, gone.c.last_seq)
            .where(gone.c.device == device, gone.c.last_seq >= row.oldest_seq)
            .order_by(gone.c.received_ms, gone.c.first_seq)
        ).all()
        return DeviceState(
            public_key=row.public_key,
            revoked=row.revoked,
            last_seq=row.last_seq,
            last_digest=row.last_digest,
            oldest_seq=row.oldest_seq,
            digests=digests,
            expected={seq: named for seq, named in before.items() if seq >= row.oldest_seq and seq not in digests},
            gone=tuple((one.first_seq, one.last_seq) for one in said_gone),
        )


def _sqlite_connect(connection, _record) -> None:
    """WAL with a full sync at each commit: a committed row survives a power cut, readers never block the writer."""
    connection.isolation_level = None  # transactions are begun by _sqlite_begin, not by the driver's guess
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    """Writers take the lock at once: a transaction that reads first and finds it taken later cannot wait for it."""
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
