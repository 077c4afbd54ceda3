"""From readings to sealed envelopes in the journal, one every ten seconds."""

import asyncio
import time

from micropython import const

from vigil.app.config import store_number
from vigil.core.errors import StoreError
from vigil.core.log import WARN, log
from vigil.core.records import FALL, PRESENT, RHYTHM, RHYTHM_SINUS
from vigil.store.journal import EVENT, VITALS
from vigil.wire import batch, envelope

PERIOD_MS = const(10_000)
_STATUS_EVERY = const(6)  # batches
_MAX_READINGS = const(60)  # in one batch: keeps its encoding near 1 KB however late it is
_BACKLOG = const(30)  # envelopes that wait: the host has been away for five minutes
_MAX_KEPT = const(180)  # readings kept in memory while the flash takes nothing
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


class Publisher:
    """Collects the readings of `pipeline` and appends sealed batches to `journal`.

    boot: number of this start. status() -> dict of small integers for each sixth batch (keys in SPEC.md). utc:
    link.utc.Utc. on_sealed() is called after each append. floor: as kept in the keystore. sealed: batches of this boot.
    lost_readings: given up because the flash took nothing for a long time.
    """

    def __init__(self, board, pipeline, journal, boot: int, floor: int, status, on_sealed, utc=None):
        self._board = board
        self._pipeline = pipeline
        self._journal = journal
        self._boot = boot
        self._floor = floor
        self._status = status
        self._on_sealed = on_sealed
        self._utc = utc
        self._rhythm = None
        self._kept = []
        self.sealed = 0
        self.lost_readings = 0
        self.beats = 0  # turns of the loop: how a watcher sees that it lives

    async def run(self) -> None:
        """Seal a batch each PERIOD_MS of device time, and in each second one while the host is long away.

        Two thirds of a batch are what each one needs (signature, digest, keys): twice the time in one saves flash.
        """
        clock = self._board.clock
        due_ms = clock.ms() + PERIOD_MS
        while True:
            await asyncio.sleep_ms(max(0, due_ms - clock.ms()))
            due_ms = max(due_ms + PERIOD_MS, clock.ms())  # late: one batch for all of it
            self.beats += 1
            if self.beats & 1 or len(self._journal) < _BACKLOG:
                self.seal()

    def seal(self) -> None:
        """Seal what has been read since the last call; nothing read, nothing sealed."""
        self._kept.extend(self._pipeline.take())
        try:
            while self._kept:
                self._append(self._kept[:_MAX_READINGS])
                del self._kept[:_MAX_READINGS]
        except StoreError as e:
            log(WARN, "journal", str(e))
            excess = len(self._kept) - _MAX_KEPT
            if excess > 0:
                del self._kept[:excess]
                self.lost_readings += excess

    def _append(self, readings) -> None:
        journal = self._journal
        seq = journal.next_seq
        if seq >= self._floor:
            self._floor = seq + _RESERVE
            store_number(self._board, _FLOOR, self._floor)
        payload = batch.encode(
            boot=self._boot,
            seq=seq,
            prev_digest=journal.prev_digest,
            oldest_seq=journal.oldest_seq,
            t0_ms=readings[0].t_start_ms,
            readings=readings,
            utc=self._utc.at(self._board.clock.ms()) if self._utc else None,
            gone=journal.gone,
            status=None if self.sealed % _STATUS_EVERY else self._status(),
        )
        journal.append(payload, EVENT if self._has_event(readings) else VITALS)
        journal.gone = []
        self.sealed += 1
        self._on_sealed()

    def _has_event(self, readings) -> bool:
        """Tell whether a rhythm begins, or somebody falls: what is kept longest and sent first."""
        event = False
        for reading in readings:
            if reading.absent_reason == PRESENT:
                if reading.kind == RHYTHM:
                    event = event or reading.mantissa != (self._rhythm or RHYTHM_SINUS)
                    self._rhythm = reading.mantissa
                elif reading.kind == FALL:
                    event = event or reading.mantissa > 0
        return event
