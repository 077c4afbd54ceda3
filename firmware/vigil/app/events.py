"""What happens to the wearer: which batches say so, and the waveforms around it, sealed one a turn."""

import asyncio

from micropython import const

from vigil.core.errors import StoreError
from vigil.core.log import WARN, log
from vigil.core.records import FALL, PRESENT, RHYTHM, RHYTHM_SINUS, WAVE_FALL, WAVE_RHYTHM
from vigil.store.journal import EVENT, VITALS

_STRIPS_AWAY = const(4)  # strips kept while the host is long away: at most a tenth of the journal
_STRIP_PAUSE_MS = const(200)


class Events:
    """strips: store.strips.Strips, None where the owner wants none."""

    def __init__(self, strips):
        self._strips = strips
        self._strips_to = 0  # number of the last one that may be kept
        self._piece = None  # of a strip: cut, and not in flash yet
        self._rhythm = self._next = RHYTHM_SINUS
        self._found = []  # causes of strips, and when

    def kind(self, readings) -> int:
        """Return EVENT where a rhythm begins or somebody falls, what is kept longest and sent first; else VITALS."""
        self._next = self._rhythm
        self._found = []
        kind = VITALS
        for reading in readings:
            cause = 0
            if reading.absent_reason != PRESENT:
                continue
            if reading.kind == RHYTHM:
                if reading.mantissa != self._next:
                    kind = EVENT
                    cause = WAVE_RHYTHM if reading.mantissa != RHYTHM_SINUS else 0
                self._next = reading.mantissa
            elif reading.kind == FALL and reading.mantissa > 0:
                kind = EVENT
                cause = WAVE_FALL
            if cause:
                self._found.append((cause, reading.t_end_ms))
        return kind

    def sealed(self) -> None:
        """What kind() was asked about last is in flash: until then it is asked again, and still begins."""
        self._rhythm = self._next
        if self._strips:
            for cause, t_ms in self._found:
                self._strips.trigger(cause, t_ms)

    async def give_out(self, publisher, journal, clock) -> None:
        """Seal the waveforms that are ready, one a turn: sealing holds up everything else."""
        strips = self._strips
        if not strips:
            return
        try:
            while True:
                if len(journal) < publisher.backlog:
                    self._strips_to = strips.count + _STRIPS_AWAY
                elif strips.stream_to_ms or strips.count > self._strips_to:
                    return
                self._piece = self._piece or strips.piece(clock.ms())
                if self._piece is None:
                    return
                *about, event_ms, blocks = self._piece
                t0_ms = blocks[0][0]
                blocks = [[start_ms - t0_ms, period_us, flags, block] for start_ms, period_us, flags, block in blocks]
                cause = self._piece[2]
                publisher.append((), t0_ms, EVENT if cause else VITALS, about + [event_ms - t0_ms, blocks])
                self._piece = None
                await asyncio.sleep_ms(_STRIP_PAUSE_MS)
        except StoreError as e:
            log(WARN, "journal", str(e))
