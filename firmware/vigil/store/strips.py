"""Waveforms kept for a while as compressed blocks, and given out when something happens or somebody asks.

A ring of blocks a source holds the last half minute or so. An event marks a strip: what lies from PRE_MS before it to
POST_MS after. Pieces of it are taken from the ring, oldest first, as they become available. Nothing is allocated but
the pieces. No time, no task, no I/O lives here.
"""

from array import array

from micropython import const

from vigil.core.records import ABSENT, BEAT_VENTRICULAR, ECG, GAP, PPG, WAVE_ASKED, WAVE_RUN
from vigil.wire.waveform import MOST_BYTES, Encoder

PRE_MS = const(20_000)
POST_MS = const(10_000)
_LONGEST_MS = const(60_000)  # a strip that further events prolong
_REST_MS = const(60_000)  # from one strip's end to the next one's event
_PIECE_BYTES = const(2_500)  # of blocks: an envelope of one third of what is allowed
_BLOCKS = const(48)  # of a source
_RUN = const(3)  # ventricular beats in a row


class Ring:
    """Blocks of one source in `size` bytes; the oldest give way.

    A block is in one piece, so a hole of up to MOST_BYTES stays free for the next one. Nobody is told of blocks that
    gave way before they were asked for: times tell.
    """

    def __init__(self, size: int, source: int, columns, wide: bool):
        self.source = source
        self.columns = columns
        self._encoder = Encoder(len(columns), wide)
        self._data = bytearray(size)
        self._view = memoryview(self._data)
        self._place = array("i", bytes(8 * _BLOCKS))  # start and end of each block
        self._t_ms = array("q", bytes(16 * _BLOCKS))  # times of its first sample, and after its last one
        self._about = array("i", bytes(8 * _BLOCKS))  # period in microseconds, flags
        self._first = 0  # number of the oldest block
        self._next = 0  # of the one to come
        self._at = 0  # where it goes
        self._start_ms = 0
        self._flags = 0
        self._period_us = 0

    def push(self, block) -> None:
        """Take a SampleBlock. Allocates nothing."""
        encoder = self._encoder
        if encoder.rows and (block.flags & (GAP | ABSENT) or block.flags != self._flags & ~GAP):
            self._close()  # what is flagged stands in blocks of its own
        row = 0
        while row < block.n:
            if not encoder.rows:
                self._start_ms = block.t0_ms + row * block.period_us // 1000
                self._period_us = block.period_us
                self._flags = block.flags if row == 0 else block.flags & ~GAP
            row += encoder.put(block.data, row, block.n - row)
            if encoder.rows == encoder.limit:
                self._close()

    def _close(self) -> None:
        at = self._at
        if at + MOST_BYTES > len(self._data):
            self._drop(at, len(self._data))
            at = 0
        self._drop(at, at + MOST_BYTES)
        i = self._next % _BLOCKS
        if self._next - self._first == _BLOCKS:
            self._first += 1
        rows = self._encoder.rows
        self._at = self._encoder.finish_into(self._data, at)
        self._place[2 * i] = at
        self._place[2 * i + 1] = self._at
        self._t_ms[2 * i] = self._start_ms
        self._t_ms[2 * i + 1] = self._start_ms + rows * self._period_us // 1000
        self._about[2 * i] = self._period_us
        self._about[2 * i + 1] = self._flags
        self._next += 1

    def _drop(self, start: int, end: int) -> None:
        """Forget the oldest blocks while they lie in start .. end."""
        while self._first < self._next:
            i = self._first % _BLOCKS
            if not start <= self._place[2 * i] < end:
                return
            self._first += 1

    def take(self, number: int, from_ms: int, to_ms: int, room: int, out) -> int:
        """Append [start ms, period us, flags, block] to `out` of what is in from_ms .. to_ms, from block `number` on.

        At most `room` bytes of blocks. Returns the number of the block to go on with.
        """
        for at in range(max(number, self._first), self._next):
            i = at % _BLOCKS
            start = self._place[2 * i]
            size = self._place[2 * i + 1] - start
            if self._t_ms[2 * i] >= to_ms or size > room:
                return at
            if self._t_ms[2 * i + 1] > from_ms:
                block = bytes(self._view[start : start + size])
                out.append([self._t_ms[2 * i], self._about[2 * i], self._about[2 * i + 1], block])
                room -= size
        return self._next

    @property
    def end_ms(self) -> int:
        """Time after the newest sample of a finished block; 0 before the first."""
        return self._t_ms[2 * ((self._next - 1) % _BLOCKS) + 1] if self._next else 0

    @property
    def next(self) -> int:
        """Number of the block to come."""
        return self._next


class Strips:
    """Rings of ECG and light, and the strip that is being given out.

    ecg_bytes, ppg_bytes: of the rings. off: nothing is given out (the battery is low). count: strips so far.
    """

    def __init__(self, ecg_bytes: int = 9_000, ppg_bytes: int = 8_000):
        self._sizes = ecg_bytes, ppg_bytes
        self._rings = []  # made when a source first delivers
        self._go_on = [0, 0, 0, 0]  # by source: number of the block to go on with
        self._streamed = [0, 0, 0, 0]
        self._event_ms = 0
        self._from_ms = 0
        self._to_ms = 0  # 0: no strip is under way
        self._rest_ms = 0
        self._cause = 0
        self._beats = 0
        self.stream_to_ms = 0  # waveforms are given out all the time until then
        self.off = False
        self.count = 0

    def push(self, block) -> None:
        """Take a SampleBlock of any source; call it before who may change the samples."""
        if block.source != ECG and block.source != PPG:
            return
        for ring in self._rings:
            if ring.source == block.source:
                ring.push(block)
                return
        if block.n:
            wide = block.source == PPG
            self._rings.append(Ring(self._sizes[wide], block.source, tuple(block.columns), wide))
            self._rings[-1].push(block)

    def beat(self, beat) -> None:
        """Take a core Beat: three ventricular ones in a row are an event."""
        if beat.source == ECG:
            self._beats = self._beats + 1 if beat.flags & BEAT_VENTRICULAR else 0
            if self._beats == _RUN:
                self.trigger(WAVE_RUN, beat.t_ms)

    def trigger(self, cause: int, t_ms: int) -> bool:
        """Something happened at t_ms: begin a strip, or prolong the one under way. Return whether that is so."""
        if self.off:
            return False
        if self._to_ms:
            self._to_ms = max(self._to_ms, min(t_ms + POST_MS, self._from_ms + _LONGEST_MS))
            return True
        if t_ms < self._rest_ms:
            return False
        self.count += 1
        self._cause = cause
        self._event_ms = t_ms
        self._from_ms = t_ms - PRE_MS
        self._to_ms = t_ms + POST_MS
        for source in range(4):
            self._go_on[source] = 0
        return True

    def stream(self, to_ms: int) -> None:
        """Give out everything from now on until to_ms."""
        if to_ms and not self.stream_to_ms:
            for ring in self._rings:
                self._streamed[ring.source] = ring.next
        self.stream_to_ms = to_ms

    def piece(self, now_ms: int):
        """Return the next waveform to be sealed, None where nothing is ready.

        [source, columns, cause, number of the strip, time of the event, blocks]: times are device time, of a block
        [start ms, period us, flags, bytes].
        """
        if self.off:
            self._to_ms = self.stream_to_ms = 0
        if self._to_ms:
            ended = True
            for ring in self._rings:
                found = self._cut(ring, self._go_on, self._cause, self._from_ms, self._to_ms)
                if found:
                    return found
                ended = ended and ring.end_ms >= self._to_ms
            if ended or now_ms > self._to_ms + POST_MS:  # a source that fell silent holds up nothing
                self._rest_ms = self._to_ms + _REST_MS
                self._to_ms = 0
        if self.stream_to_ms:
            for ring in self._rings:
                found = self._cut(ring, self._streamed, WAVE_ASKED, 0, self.stream_to_ms)
                if found:
                    return found
            if now_ms > self.stream_to_ms + POST_MS:
                self.stream_to_ms = 0
        return None

    def _cut(self, ring, go_on, cause: int, from_ms: int, to_ms: int):
        blocks = []
        go_on[ring.source] = ring.take(go_on[ring.source], from_ms, to_ms, _PIECE_BYTES, blocks)
        if not blocks:
            return None
        strip = self.count if cause else 0
        return [ring.source, ring.columns, cause, strip, self._event_ms if cause else blocks[0][0], blocks]
