"""The gateway: message -> verify -> commit -> acknowledge, in that order and in no other.

Acknowledgement to the device follows the commit, acknowledgement to the broker follows that. Whatever fails in
between makes the message come again, and what comes again is recognised. While the database is locked, full or
away, nothing is acknowledged and the same messages are tried again with back-off. What is refused gets an audit
line and is taken from the broker, but the device hears nothing; of a replay it hears once more that it is stored.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import tomllib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from host_tools.children import endpoint
from host_tools.errors import UserError
from host_tools.eventlog import EventLog
from host_tools.ingest.orders import Giving
from host_tools.ingest.silence import Holes, Silence
from host_tools.ingest.store import Store, Transaction, now_ms, sqlite_url
from host_tools.sources.mqtt import Message, MqttSource
from host_tools.trust.verify import Note, Reason, batch_of, missing, verify
from host_tools.updates.rollout import Serving
from vigil.wire import ack, request

CONFIG_NAME = "gateway.toml"
_RADIO = "ble://"
_TAKE = 256  # messages a transaction at most: one fsync for all of them
_TAKE_TIMEOUT_S = 0.2
_ACK_ITEMS = 64  # what one acknowledgement may name (vigil.wire.ack)
_BACKOFF_S = (0.1, 5.0)
_PAUSE = 28  # key of the status in a batch: seconds between two bursts of the radio
_LONGEST_PAUSE_S = 3600
_LOOK_S = 10.0  # between looks at who is enrolled


class Source(Protocol):
    """What the gateway needs of a source; see host_tools.sources.mqtt."""

    def start(self) -> None:
        """Begin to receive, in the background."""

    def stop(self) -> None:
        """Cease to receive."""

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to `limit` waiting messages; may wait timeout_s and return none."""
        ...

    def acknowledge_to_device(self, device: str, payload: bytes) -> None:
        """Send an application acknowledgement."""

    def ask_device(self, device: str, payload: bytes) -> None:
        """Send a request."""

    def done(self, message: Message) -> None:
        """Never deliver this message again."""


@dataclass
class Result:
    """What one commit did: (seq, digest) to acknowledge a device, and the named rejections (device, reason, detail)."""

    acknowledge: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    again: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)  # the same for replays: no sign of life
    accepted: int = 0
    duplicates: int = 0
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[tuple[str, Note]] = field(default_factory=list)
    missing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    status: dict[str, dict[int, int]] = field(default_factory=dict)  # the newest that each device says of itself


class Gateway:
    """Moves messages from a source into a store until `stop` is set.

    silence_s: a device that says nothing for so long is an event. ask_s: so is a hole in its sequence that stays;
    the device is asked for it.
    """

    def __init__(
        self, store: Store, source: Source, log: Callable[..., None], *, silence_s: float = 60, ask_s: float = 60
    ):
        self._store = store
        self._source = source
        self._log = log
        self._silence = Silence(silence_s)
        self._holes = Holes(ask_s)
        self._look_s = 0.0  # when to look again who is enrolled
        self._updates = Serving(store, source, log)
        self._orders = Giving(store, source, log)

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. What is not committed by then stays with the broker and the devices."""
        self._source.start()
        try:
            while not stop.is_set():
                self.take(self._source.take(_TAKE, _TAKE_TIMEOUT_S), stop)
                self.watch(now_ms() / 1000)
        finally:
            self._source.stop()

    def take(self, taken: Sequence[Message], stop: threading.Event) -> None:
        """Answer what is about updates and orders, commit the rest."""
        for message in taken:
            if message.update and not self._orders.answer(message.device, message.payload):
                self._updates.answer(message.device, message.payload)
        messages = [message for message in taken if not message.update]
        if messages:
            self.handle(messages, stop)

    def handle(self, messages: Sequence[Message], stop: threading.Event) -> None:
        """Commit `messages`, however long the database makes us wait, then acknowledge them."""
        result = self._commit_patiently(messages, stop)
        if result is None:
            return
        for device, items in (*result.acknowledge.items(), *result.again.items()):
            for start in range(0, len(items), _ACK_ITEMS):
                self._source.acknowledge_to_device(device, ack.encode(items[start : start + _ACK_ITEMS], now_ms()))
        for message in messages:
            self._source.done(message)
        self._report(result)
        self._updates.heard(result.acknowledge, result.status)
        self._orders.heard(result.acknowledge, result.status)
        now_s = now_ms() / 1000
        for device, ranges in result.missing.items():
            self._holes.seen(device, ranges, now_s)
        for device, said in result.status.items():
            self._silence.rests(device, min(max(said.get(_PAUSE, 0), 0), _LONGEST_PAUSE_S))
        self._say("heard again", self._silence.heard(result.acknowledge, now_s))

    def watch(self, now_s: float) -> None:
        """Notice who is silent and what stays away. now_s: UTC."""
        if not self._look_s - _LOOK_S <= now_s < self._look_s:
            self._look_s = now_s + _LOOK_S
            try:
                self._silence.known({device: at / 1000 for device, at in self._store.last_heard_ms().items()}, now_s)
            except DBAPIError:
                return  # the next commit says so
        self._say("silent", self._silence.fallen(now_s))
        for device, first, last in self._holes.due(now_s):
            self._log("asked", device=device, first=first, last=last)
            self._source.ask_device(device, request.encode(first, last))

    def _say(self, name: str, devices: Sequence[tuple[str, float]]) -> None:
        """Log, and note in the audit, who fell silent or was heard again. A database that is away loses the note."""
        for device, seconds in devices:
            self._log(name.replace(" ", "_"), device=device, seconds=round(seconds))
            try:
                with self._store.transaction() as transaction:
                    transaction.note(device, name, f"{seconds:.0f} s")
            except DBAPIError as e:
                self._log("store_unavailable", reason=str(e.orig), waiting=0)

    def _commit_patiently(self, messages: Sequence[Message], stop: threading.Event) -> Result | None:
        """Try until committed; None when `stop` is set first."""
        wait_s, longest_s = _BACKOFF_S
        said = ""
        while True:
            try:
                result = self._commit(messages)
            except DBAPIError as e:
                if str(e.orig) != said:  # once, and again when it is something else
                    said = str(e.orig)
                    self._log("store_unavailable", reason=said, waiting=len(messages))
            else:
                if said:
                    self._log("store_available")
                return result
            if stop.wait(wait_s):
                return None
            wait_s = min(2 * wait_s, longest_s)

    def _commit(self, messages: Sequence[Message]) -> Result:
        """One transaction for all. A message that no database could take must not hold up the others."""
        try:
            return self._transact(messages, _decide)
        except (DataError, IntegrityError) as e:
            failure: Exception = e
        except DBAPIError:
            raise
        except Exception as e:  # a bug of ours is no reason to hear nothing more from anybody
            failure = e
        if len(messages) == 1:
            self._log("unstorable", device=messages[0].device, error=type(failure).__name__)
            return self._transact(messages, _refuse_unstorable)
        total = Result()
        for message in messages:
            part = self._commit([message])
            for mine, its in ((total.acknowledge, part.acknowledge), (total.again, part.again)):
                for device, items in its.items():
                    mine.setdefault(device, []).extend(items)
            total.accepted += part.accepted
            total.duplicates += part.duplicates
            total.rejected += part.rejected
            total.notes += part.notes
            total.missing |= part.missing
            total.status |= part.status
        return total

    def _transact(self, messages: Sequence[Message], decide: Callable[[Transaction, Message, Result], None]) -> Result:
        result = Result()
        with self._store.transaction() as transaction:
            for message in messages:
                decide(transaction, message, result)
            for device in result.acknowledge:
                state = transaction.device(device)
                result.missing[device] = missing(state) if state else []
        return result

    def _report(self, result: Result) -> None:
        if result.accepted or result.duplicates:
            late = sum(note.kind == "late" for _, note in result.notes)
            self._log("committed", envelopes=result.accepted, duplicates=result.duplicates, late=late)
        for device, reason, detail in result.rejected:
            self._log("rejected", device=device, reason=reason, detail=detail)
        for device, note in result.notes:
            if note.kind != "late":  # what fills a gap is counted alone: a drained backlog has thousands
                self._log("gap", device=device, note=str(note))


def _decide(transaction: Transaction, message: Message, result: Result) -> None:
    outcome = verify(message.payload, topic_device=message.device, device=transaction.device(message.device))
    stored = outcome.reason == Reason.REPLAYED and transaction.holds(message.device, message.payload)
    if stored and message.redelivered:
        # The broker had not heard that we were done when a gateway or the broker died, and the device has moved on.
        # Only the broker can mark a message so: what anybody sends again is new to it, and stays a replay.
        transaction.duplicate(message.device)
        result.duplicates += 1
        return
    if outcome.verdict == "rejected" or outcome.batch is None:
        transaction.reject(message.device, outcome.reason, message.payload)
        result.rejected.append((message.device, outcome.reason, outcome.detail))
        if stored:
            # A device whose newest record is damaged no longer knows what it was told, and would send it for ever.
            digest = hashlib.sha256(message.payload).digest()
            result.again.setdefault(message.device, []).append((batch_of(message.payload).seq, digest))
        return
    if outcome.verdict == "accepted":
        transaction.accept(message.device, message.payload, outcome)
        result.accepted += 1
        if outcome.batch.status:
            result.status[message.device] = dict(outcome.batch.status)
    else:
        transaction.duplicate(message.device)
        result.duplicates += 1
    result.acknowledge.setdefault(message.device, []).append((outcome.batch.seq, outcome.digest))
    result.notes += [(message.device, note) for note in outcome.notes]


def _refuse_unstorable(transaction: Transaction, message: Message, result: Result) -> None:
    """The device keeps what is refused here: it is not lost, and comes again when we are mended."""
    transaction.reject(message.device, "unstorable", message.payload)
    result.rejected.append((message.device, "unstorable", ""))


@dataclass(frozen=True)
class Config:
    """Where the gateway finds the broker, its own certificate and the database."""

    broker: str  # mqtts://host:port, or ble://address,address for devices bonded with this machine
    store: str  # SQLAlchemy URL
    ca: str = ""  # PEM files
    certificate: str = ""
    key: str = ""
    client_id: str = "gateway"
    silence_s: int = 60  # a device that says nothing for so long is an event
    listen: str = ""  # host:port of a broker of our own (host_tools.ingest.embedded); empty: it is somebody else's
    responder: str = "127.0.0.1:8884"  # where that one asks which certificates are revoked; empty: it does not

    @classmethod
    def for_state(
        cls, state: Path, *, broker: str, ca: Path, certificate: Path, key: Path, listen: str = "", responder: str = ""
    ) -> Config:
        """The configuration of a gateway whose database is in a state folder."""
        store = sqlite_url(state / "vigil.db")
        return cls(broker, store, str(ca), str(certificate), str(key), listen=listen, responder=responder)

    @property
    def responder_url(self) -> str:
        """What a device's certificate names as the place to ask whether it is revoked; empty: none.

        Raises UserError where `responder` is no place.
        """
        if not (self.listen and self.responder):
            return ""
        host, port = endpoint(self.responder, "responder", 'responder = "127.0.0.1:8884"')
        return f"http://{host or '127.0.0.1'}:{port}"

    def write(self, path: Path) -> None:
        """Write as TOML."""
        lines = [
            f"{name} = {value}\n" if isinstance(value, int) else f'{name} = "{_escaped(value)}"\n'
            for name, value in asdict(self).items()
        ]
        path.write_text("".join(lines))

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read TOML. Raises UserError for a missing file, bad TOML, unknown or missing settings."""
        try:
            with path.open("rb") as file:
                values = tomllib.load(file)
        except FileNotFoundError:
            hint = "vigil provision makes a gateway of your own; --state names the folder of another"
            raise UserError(f"cannot read the configuration `{path}`: there is none", hint) from None
        except OSError as e:
            raise UserError(f"cannot read the configuration `{path}`", e.strerror or "") from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise UserError(f"`{path}` is not a TOML file", str(e)) from e
        names = set(cls.__dataclass_fields__)
        wrong = [name for name, value in values.items() if name not in names or not _is_usable(name, value)]
        if wrong:
            raise UserError(
                f"`{path}` has an unusable setting `{wrong[0]}`", f"settings are {', '.join(sorted(names))}"
            )
        if not {"broker", "store"} <= set(values):
            raise UserError(f"`{path}` does not say where the broker and the store are", 'broker = "mqtts://..."')
        return cls(**values)


def _is_usable(name: str, value: object) -> bool:
    if name == "silence_s":
        return type(value) is int and value > 0
    return isinstance(value, str)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _source(config: Config, log: EventLog) -> Source:
    """Where messages come from: a broker, or the devices in reach of this machine's radio."""
    if config.broker.startswith(_RADIO):
        from host_tools.ble.visit import need_bleak

        need_bleak()
        from host_tools.sources.ble import BleSource

        return BleSource(config.broker.removeprefix(_RADIO).split(","), on_event=log)
    return MqttSource(
        config.broker,
        ca=Path(config.ca) if config.ca else None,
        certificate=Path(config.certificate) if config.certificate else None,
        key=Path(config.key) if config.key else None,
        client_id=config.client_id,
        on_event=log,
    )


def serve(config: Config, *, as_json: bool = False, state: Path | None = None, show: bool = False) -> None:
    """Run a gateway in this process until SIGTERM or SIGINT. show: print what is committed on stdout.

    state: folder of the broker of our own, where the configuration says `listen`.
    """
    log = EventLog(as_json=as_json)
    stop = threading.Event()
    before = os.umask(0o077)  # a database of vital signs is its owner's business
    try:
        with ExitStack() as stack:
            store = stack.enter_context(Store(config.store))
            if config.listen:
                from host_tools.ingest.embedded import Embedded

                stack.enter_context(Embedded(config, state or Path(), store, log))
            if show:
                from host_tools.ingest.show import Show

                stack.enter_context(Show(store))
            source = _source(config, log)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            log("started", broker=config.broker)
            Gateway(store, source, log, silence_s=config.silence_s).run(stop)
            log("stopped")
    finally:
        os.umask(before)
