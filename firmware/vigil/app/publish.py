"""From readings to sealed envelopes in the journal, one every ten seconds."""

import asyncio
import time

from micropython import const

from vigil.app.config import store_number
from vigil.core.errors import StoreError
from vigil.core.log import WARN, log
from vigil.store.journal import VITALS
from vigil.wire import batch, envelope

PERIOD_MS = const(10_000)
_STATUS_EVERY = const(6)  # batches
_STATUS_SECOND = const(4)  # batch that has one after the first: not those with a minute's values, which come each sixth
_MAX_READINGS = const(60)  # in one batch: keeps its encoding short however late it is
_ROOMY = const(5)  # times so much on a device that tells events: it reads more kinds, too
BACKLOG = const(30)  # envelopes that wait: the host has been away for five minutes
_MAX_KEPT = const(3)  # batches of so many, kept in memory while the flash takes nothing
_RESERVE = const(256)  # sequences reserved in the keystore at once (43 minutes)
_FLOOR = "seq.floor"  # keystore: above every sequence used so far, whatever happens to the file system


class Sealer:
    """Seals payloads for the journal and measures how long that takes. seal_us: of all `count` seals."""

    def __init__(self, signer):
        self._signer = signer
        self.count = 0
        self.seal_us = 0

    def seal(self, payload: bytes, signature) -> bytes:
        """Return the sealed envelope of `payload`: the same bytes each time. signature: None: make it."""
        if signature:
            return envelope.seal(self._signer, payload, signature)
        start_us = time.ticks_us()
        sealed = envelope.seal(self._signer, payload)
        self.seal_us += time.ticks_diff(time.ticks_us(), start_us)
        self.count += 1
        return sealed

    @property
    def mean_us(self) -> int:
        """Mean time of a seal in microseconds."""
        return self.seal_us // self.count if self.count else 0


def _sound(reading) -> bool:
    """Tell whether the host takes such a reading (SPEC.md section 6): an estimator's fault must not cost others."""
    try:
        return (
            0 <= reading.quality_pct <= 100
            and 0 <= reading.absent_reason <= 63
            and 0 <= reading.t_end_ms - reading.t_start_ms <= 3_600_000
            and (reading.mantissa is None or abs(reading.mantissa) <= 0x7FFFFFFF)
        )
    except TypeError:
        return False


class Publisher:
    """Collects the readings of `pipeline` and appends sealed batches to `journal`.

    boot: number of this start. status() -> dict of small integers for each sixth batch (keys in SPEC.md). utc:
    link.utc.Utc. on_sealed() is called after each append. floor: as kept in the keystore. sealed: batches of this boot.
    lost_readings: given up because the flash took nothing for a long time, or no batch can hold them. events:
    app.events.Events, None on a device whose readings tell none.
    """

    def __init__(self, board, pipeline, journal, boot: int, floor: int, status, on_sealed, utc=None, events=None):
        self._board = board
        self._pipeline = pipeline
        self._journal = journal
        self._boot = boot
        self._floor = floor
        self._status = status
        self._on_sealed = on_sealed
        self._utc = utc
        self._events = events
        self._status_at = 0  # `sealed` at which the next status is due
        self.relieve = lambda: None  # called before flash is written
        self._most = _MAX_READINGS * _ROOMY if events else _MAX_READINGS
        self.backlog = BACKLOG  # envelopes that wait: it is
        self._kept = []
        self.sealed = 0
        self.lost_readings = 0
        self.beats = 0  # turns of the loop: how a watcher sees that it lives

    async def run(self) -> None:
        """Seal a batch each PERIOD_MS of device time; with events each second time, while the host is long away.

        Half of a batch is what each one needs (signature, digest, keys): more time in one leaves flash for strips.
        """
        clock = self._board.clock
        events = self._events
        due_ms = clock.ms() + PERIOD_MS
        while True:
            await asyncio.sleep_ms(max(0, due_ms - clock.ms()))
            due_ms = max(due_ms + PERIOD_MS, clock.ms())  # late: one batch for all of it
            self.beats += 1
            if not (events and self.beats & 1) or len(self._journal) < self.backlog:
                self.seal()
            if events:
                await events.give_out(self, self._journal, clock)

    def seal(self) -> None:
        """Seal what has been read since the last call; nothing read, nothing sealed."""
        for reading in self._pipeline.take():
            if _sound(reading):
                self._kept.append(reading)
            else:
                self._give_up(1, "a reading of kind %s is impossible" % reading.kind)
        seq = self._journal.next_seq
        most = self._most
        events = self._events
        try:
            while self._kept:
                readings = self._kept[:most]
                self.append(readings, readings[0].t_start_ms, events.kind(readings) if events else VITALS)
                if events:
                    events.sealed()
                del self._kept[:most]
                seq = self._journal.next_seq
        except (MemoryError, TypeError, ValueError) as e:
            n = min(most, len(self._kept))
            if self._journal.next_seq != seq:  # it is in flash, and signed when it is sent
                del self._kept[:n]
            elif isinstance(e, MemoryError):
                log(WARN, "publish", "no memory for a batch")
            else:
                del self._kept[:n]
                self._give_up(n, "no batch can hold these")
        except StoreError as e:
            log(WARN, "journal", str(e))
        excess = len(self._kept) - _MAX_KEPT * most
        if excess > 0:
            del self._kept[:excess]
            self._give_up(excess, "flash or memory takes nothing")

    def _give_up(self, n: int, why: str) -> None:
        self.lost_readings += n
        log(WARN, "publish", "%d readings lost: %s" % (n, why))

    def append(self, readings, t0_ms: int, kind: int = VITALS, waveform=None) -> None:
        """Seal these readings, or this waveform, as store.journal's `kind`. Raises StoreError: nothing is in flash."""
        journal = self._journal
        seq = journal.next_seq
        if seq >= self._floor:
            try:
                store_number(self._board, _FLOOR, seq + _RESERVE)
                self._floor = seq + _RESERVE
            except OSError:
                pass  # the journal alone tells the sequence, then; it is tried again with each batch
        due = readings and self.sealed >= self._status_at
        payload = batch.encode(
            boot=self._boot,
            seq=seq,
            prev_digest=journal.prev_digest,
            oldest_seq=journal.oldest_seq,
            t0_ms=t0_ms,
            waveform=waveform,
            readings=readings,
            utc=self._utc.at(self._board.clock.ms()) if self._utc else None,
            gone=journal.gone,
            status=self._status() if due else None,
        )
        self.relieve()
        journal.append(payload, kind)
        journal.gone = []
        if due:
            self._status_at = self.sealed + (_STATUS_EVERY if self.sealed else _STATUS_SECOND - 1)
        self.sealed += 1
        self._on_sealed()
