"""Journal: batches that wait for the host, in append-only segment files, and the sequence they are sealed with.

A record holds the payload of one batch and the signature of the record before it, so that one write a batch does
both: it binds the sequence to the payload before that is signed, and keeps the signature made last. Signing is
deterministic; what was not kept (the newest signature, after a restart) is made again and is the same. An envelope
is rebuilt bit for bit from payload and signature. Acknowledgements write nothing: each record says what was the
lowest sequence that waited when it was made, and a segment of which nothing waits is removed.

No time and no task lives in this module; the file system and the signature are arguments. SPEC.md section 9 has the
bytes, docs/adr/0019 the reasons.
"""

import struct
from binascii import crc32

from micropython import const

from vigil.core.errors import StoreError
from vigil.wire.envelope import digest

VITALS = const(0)  # kinds of records
EVENT = const(1)  # kept longer than vitals

_MAGIC = const(0x4A)
_FORM = "<BBHIII"  # magic, kind, payload bytes, sequence, lowest that waited, CRC-32 of the payload
_FORM_BYTES = const(16)
_SIGNATURE_BYTES = const(64)
_HEAD_BYTES = const(84)  # _FORM, signature of the record before (zeros: not known), CRC-32 of these 80 bytes
_MAX_PAYLOAD = const(8100)  # 8192 for an envelope
_MAX_SEQ = const(0x3FFFFFFF)  # small on every port; 340 years at one every ten seconds
_SPAN = const(60)  # sequences of a segment
_SEGMENT_BYTES = const(16_360)  # what four blocks of LittleFS hold beside their pointers
_BLOCK = const(4096)
_CHUNK = const(128)
_EVENTS = const(16)  # sequences of events remembered for sending them first
_ASK = const(255)  # sequences offered at once, less one
_GONE = const(16)  # ranges of `gone`
_ZEROS = bytes(64)

# A segment in memory: [first sequence, bits of the waiting ones from there on, bytes, marks]
_FIRST = const(0)
_BITS = const(1)
_SIZE = const(2)
_MARKS = const(3)
_HAS_VITALS = const(1)  # 1 << VITALS
_HAS_EVENTS = const(2)  # 1 << EVENT
_UNSOUND = const(4)  # a part could not be read: nothing is appended, and it is set aside instead of removed


class Journal:
    """Batches in the folder `path` of the file system `os` (the module, or anything with its functions and open).

    seal(payload, signature) -> envelope that ends in its 64-byte signature; signature None: sign, with the same
    result for the same payload. capacity: bytes of flash, in whole blocks; beyond it the oldest vitals go, and events
    only when nothing else is left. floor: every sequence ever used is below it, as far as the caller knows.

    next_seq: what the next payload must contain, with prev_digest and oldest_seq. dropped: batches lost for lack of
    space since the journal was opened; damaged: stretches of flash found that were not ours or not whole. events:
    sequences of the latest events that wait. gone: ranges [first, last] that were asked for and are not here; whoever
    says so to the host empties it.
    """

    def __init__(self, path: str, os, seal, capacity: int = 1 << 20, floor: int = 1, open=open):
        self._path = path
        self._os = os
        self._open = open
        self._seal = seal
        self._capacity = capacity
        self._segments = []  # ascending
        self._count = 0
        self._forget()  # digest and signature of the newest envelope; digest None: not known yet
        self._found = 0, 0, 0  # where a record was read last: segment, sequence, offset
        self.events = []
        self.gone = []
        self._oldest = 0  # as the newest record calls it
        self.dropped = 0
        self.damaged = 0
        self.next_seq = max(1, floor)
        self._recover()

    def __len__(self) -> int:
        return self._count

    def waiting(self, limit: int) -> list:
        """Return the up to `limit` lowest sequences that are not acknowledged, ascending."""
        found = []
        for first, bits, _, _ in self._segments:
            while bits and len(found) < limit:
                if bits & 1:
                    found.append(first)
                bits >>= 1
                first += 1
        return found

    def holds(self, seq: int) -> bool:
        """Tell whether `seq` waits."""
        segment = self._segment(seq)
        return segment is not None and segment[_BITS] >> (seq - segment[_FIRST]) & 1 == 1

    @property
    def oldest_seq(self) -> int:
        """Lowest sequence that waits once the next payload is appended."""
        lowest = self.waiting(1)
        return lowest[0] if lowest else self.next_seq

    @property
    def prev_digest(self) -> bytes:
        """Digest of the newest envelope; zeros before the first, and where flash no longer tells."""
        if self._digest is None:
            payload, signature = self._load(self._segments[-1], self.next_seq - 1)
            if payload is None:
                self._forget()
            else:
                self._know(self._seal(payload, signature))
        return self._digest

    def append(self, payload: bytes, kind: int = VITALS) -> bytes:
        """Keep `payload`, which contains next_seq, prev_digest and oldest_seq; seal it and return the envelope.

        Raises StoreError when the flash takes nothing although old batches were dropped; nothing is signed then.
        """
        seq = self.next_seq
        if not 0 < len(payload) <= _MAX_PAYLOAD or seq > _MAX_SEQ:
            raise StoreError("journal: %d bytes, sequence %d" % (len(payload), seq))
        self.prev_digest  # noqa: B018  the newest signature goes into this record
        oldest = self.oldest_seq
        form = struct.pack(_FORM, _MAGIC, kind, len(payload), seq, oldest, crc32(payload))
        head = form + self._signature
        head += struct.pack("<I", crc32(head))
        size = _HEAD_BYTES + len(payload)
        while True:
            segment = self._segments[-1] if self._segments else None
            if (
                segment is None
                or segment[_MARKS] & _UNSOUND
                or seq - segment[_FIRST] >= _SPAN
                or segment[_SIZE] + size > _SEGMENT_BYTES
            ):
                segment = [seq, 0, 0, 0]
            while self._blocks() * _BLOCK + size + _BLOCK > self._capacity and self._shrink():
                pass
            try:
                with self._open(self._file(segment), "ab") as file:
                    file.write(head)
                    file.write(payload)
                break
            except OSError as e:
                if self._written(segment, head, payload):
                    break
                if not self._shrink() or seq != self.next_seq:
                    raise StoreError("journal: cannot write, errno %d" % e.errno)
        self.next_seq = seq + 1
        self._oldest = oldest
        self._digest = None
        segment[_BITS] |= 1 << (seq - segment[_FIRST])
        segment[_SIZE] += size
        segment[_MARKS] |= 1 << kind
        self._count += 1
        if segment[_FIRST] == seq:
            self._segments.append(segment)
            for old in self._segments[:-1]:
                self._release(old)
        if kind == EVENT:
            self._remember(seq)
        envelope = self._seal(payload, None)
        self._know(envelope)
        return envelope

    def read(self, seq: int):
        """Return envelope `seq`, or None when it is gone or damaged; it then no longer waits."""
        if not self.holds(seq):
            return None
        segment = self._segment(seq)
        payload, signature = self._load(segment, seq)
        if payload is None:
            self.damaged += 1
            segment[_MARKS] |= _UNSOUND
            self._free(segment, seq)
            return None
        return self._seal(payload, signature)

    def acknowledge(self, seq: int, envelope_digest: bytes) -> bool:
        """Free envelope `seq` if its digest is the one the host has committed. Return whether that was so."""
        envelope = self.read(seq)
        if envelope is None or digest(envelope) != envelope_digest:
            return False  # a second acknowledgement, or not one of ours
        self._free(self._segment(seq), seq)
        return True

    def offer(self, first: int, last: int) -> None:
        """Let what flash still has of these sequences wait again, and put what it has not into `gone`.

        At most _ASK of them. Below what was last called the oldest nothing is offered: the host believes that.
        """
        first = max(first, 1)
        last = min(last, first + _ASK, self.next_seq - 1)
        for segment in self._segments:
            if segment[_FIRST] <= last and first < segment[_FIRST] + _SPAN:
                try:
                    with self._open(self._file(segment), "rb") as file:
                        for _, head in self._heads(file, 0, segment[_SIZE]):
                            seq = head[2] if head else 0
                            bit = seq - segment[_FIRST]
                            if max(first, self._oldest) <= seq <= last and 0 <= bit < _SPAN and not self.holds(seq):
                                segment[_BITS] |= 1 << bit
                                self._count += 1
                except OSError:
                    pass  # it is not here, then
        gone = self.gone
        for seq in range(first, last + 1):
            if not self.holds(seq):
                if gone and gone[-1][1] == seq - 1:
                    gone[-1][1] = seq
                elif len(gone) < _GONE:
                    gone.append([seq, seq])

    # Segments

    def _file(self, segment) -> str:
        return self._path + "/%d.seg" % segment[_FIRST]

    def _segment(self, seq: int):
        for segment in reversed(self._segments):
            if seq >= segment[_FIRST]:
                return segment if seq - segment[_FIRST] < _SPAN else None
        return None

    def _blocks(self) -> int:
        return sum([-(-s[_SIZE] // _BLOCK) for s in self._segments])

    def _know(self, envelope: bytes) -> None:
        self._digest = digest(envelope)
        self._signature = envelope[-_SIGNATURE_BYTES:]

    def _forget(self) -> None:
        """Nothing is known of the newest envelope: the next one begins a chain of its own."""
        self._digest = _ZEROS[:32]
        self._signature = _ZEROS

    def _remember(self, seq: int) -> None:
        self.events.append(seq)
        if len(self.events) > _EVENTS:
            self.events.pop(0)

    def _free(self, segment, seq: int) -> None:
        segment[_BITS] &= ~(1 << (seq - segment[_FIRST]))
        self._count -= 1
        if seq in self.events:
            self.events.remove(seq)
        self._release(segment)

    def _release(self, segment) -> None:
        """Remove a segment of which nothing waits, unless its last record is the newest."""
        if not segment[_BITS] and segment is not self._segments[-1]:
            self._segments.remove(segment)
            self._discard(segment)

    def _discard(self, segment) -> None:
        try:
            if segment[_MARKS] & _UNSOUND:
                # the latest is kept for whoever looks into it
                self._os.rename(self._file(segment), self._path + "/damaged")
            else:
                self._os.remove(self._file(segment))
        except OSError:
            pass  # after the next start it may wait once more

    def _written(self, segment, head: bytes, payload: bytes) -> bool:
        """After a write that failed: tell whether the record is there all the same.

        It then counts: sealed once more under the next sequence, its readings would be stored twice. A sequence of
        which only a part may be there is used for nothing else.
        """
        before = segment[_SIZE]
        name = self._file(segment)
        size = before
        try:
            size = self._os.stat(name)[6]
            if size == before + len(head) + len(payload):
                with self._open(name, "rb") as file:
                    file.seek(before)
                    if file.read(len(head)) == head and file.read(len(payload)) == payload:
                        return True
        except OSError:
            pass  # not even the file was made, or it cannot be read
        if size != before:
            self.next_seq += 1
            self._forget()
            segment[_MARKS] |= _UNSOUND
            if not before:
                self._segments.append(segment)  # so that it goes when nothing before it waits
                segment[_SIZE] = size
        return False

    def _shrink(self) -> bool:
        """Make room: the oldest segment with vitals loses them, else the oldest goes. Return whether any was made."""
        old = self._segments[:-1]
        for segment in old:
            if segment[_MARKS] & _HAS_VITALS:
                break
        else:
            if not old:
                return False
            segment = old[0]
        bits = 0
        if segment[_MARKS] & _HAS_EVENTS and segment[_MARKS] & _HAS_VITALS:
            try:
                bits = self._thin(segment)
            except OSError:
                bits = 0  # no room even for them
        lost = segment[_BITS] & ~bits
        segment[_BITS] = bits
        while lost:
            self.dropped += lost & 1
            self._count -= lost & 1
            lost >>= 1
        self.events = [seq for seq in self.events if self.holds(seq)]
        self._release(segment)
        return True

    def _thin(self, segment) -> int:
        """Write a segment anew with the events that wait alone; return their bits."""
        bits = size = end = 0
        signature = _ZEROS
        kept = False
        name = self._path + "/new"
        with self._open(self._file(segment), "rb") as file, self._open(name, "wb") as out:
            for at, head in self._heads(file, 0, segment[_SIZE]):
                if head is None:
                    continue
                kind, length, seq, _, _, before, form = head
                if kept and at == end:
                    signature = before
                bit = 1 << (seq - segment[_FIRST])
                kept = kind == EVENT and segment[_BITS] & bit
                end = at + _HEAD_BYTES + length
                if kept:
                    file.seek(at + _HEAD_BYTES)
                    payload = file.read(length)
                    head = form + signature
                    out.write(head + struct.pack("<I", crc32(head)) + payload)
                    signature = _ZEROS
                    bits |= bit
                    size += _HEAD_BYTES + length
        self._os.rename(name, self._file(segment))
        segment[_SIZE] = size
        segment[_MARKS] &= ~_HAS_VITALS
        self._found = 0, 0, 0
        return bits

    # Records

    def _heads(self, file, at: int, end: int):
        """Yield (offset, fields of the head) of each record from `at` on; (offset, None) for what is none.

        Reads heads alone; memory: one of them, or _CHUNK bytes where the next one has to be searched for.
        """
        lost = False
        while at < end:
            file.seek(at)
            raw = file.read(_HEAD_BYTES)
            if len(raw) == _HEAD_BYTES and raw[0] == _MAGIC:
                form = raw[:_FORM_BYTES]
                _, kind, length, seq, oldest, check = struct.unpack(_FORM, form)
                if (
                    kind <= EVENT
                    and at + _HEAD_BYTES + length <= end
                    and struct.unpack("<I", raw[80:])[0] == crc32(raw[:80])
                ):
                    yield at, (kind, length, seq, oldest, check, raw[_FORM_BYTES:80], form)
                    at += _HEAD_BYTES + length
                    lost = False
                    continue
            if not lost:
                yield at, None
                lost = True
            file.seek(at + 1)
            next_at = file.read(_CHUNK).find(bytes((_MAGIC,)))
            at += 1 + (next_at if next_at >= 0 else _CHUNK)

    def _load(self, segment, seq: int):
        """Return (payload, signature or None) of a record, (None, None) where it is not whole."""
        first, known, start = self._found
        if first != segment[_FIRST] or known > seq:
            start = 0
        payload = signature = None
        end = -1
        try:
            with self._open(self._file(segment), "rb") as file:
                for at, head in self._heads(file, start, segment[_SIZE]):
                    if payload is not None:
                        if at == end and head and head[5] != _ZEROS:
                            signature = head[5]
                        break
                    if head and head[2] == seq:
                        self._found = segment[_FIRST], seq, at
                        file.seek(at + _HEAD_BYTES)
                        payload = file.read(head[1])
                        end = at + _HEAD_BYTES + head[1]
                        if crc32(payload) != head[4]:
                            return None, None
        except OSError:
            return None, None
        if seq == self.next_seq - 1 and self._digest is not None:
            signature = self._signature
        return payload, signature

    # After a restart

    def _recover(self) -> None:
        """Find out what waits, from the heads alone; of the payloads only the newest is looked at."""
        try:
            names = self._os.listdir(self._path)
        except OSError:
            self._os.mkdir(self._path)
            names = ()
        found = []
        for name in names:
            digits = name[:-4]
            if name.endswith(".seg"):
                if digits.isdigit() and digits[0] != "0" and len(digits) < 11:
                    found.append(int(digits))
                else:
                    self.damaged += 1
        found.sort()
        last = oldest = 0
        whole = True  # up to its end, what was written last can be read
        for first in found:
            segment = [first, 0, -1, 0]
            end = 0
            try:
                segment[_SIZE] = self._os.stat(self._file(segment))[6]
                with self._open(self._file(segment), "rb") as file:
                    for at, head in self._heads(file, 0, segment[_SIZE]):
                        if head and last < head[2] <= _MAX_SEQ and 0 <= head[2] - first < _SPAN:
                            kind, length, last, oldest = head[:4]
                            segment[_BITS] |= 1 << (last - first)
                            segment[_MARKS] |= 1 << kind
                            end = at + _HEAD_BYTES + length
                            self._found = first, last, at
                            if kind == EVENT:
                                self._remember(last)
                        else:
                            segment[_MARKS] |= _UNSOUND
                            self.damaged += 1
            except OSError:
                segment[_MARKS] |= _UNSOUND
                self.damaged += 1
            if not segment[_SIZE]:
                continue  # the power failed before its first record: the file is used again
            whole = end == segment[_SIZE]
            if end:
                self._segments.append(segment)
            else:
                self._discard(segment)
        if last:
            segment = self._segments[-1]
            if whole and self._load(segment, last)[0] is not None:
                self._digest = None
                self.next_seq = last + 1
            else:
                segment[_MARKS] |= _UNSOUND
                self.next_seq = max(last + 1, self.next_seq)
        self._oldest = oldest
        for segment in self._segments[:]:
            past = oldest - segment[_FIRST]
            if past > 0:
                segment[_BITS] = segment[_BITS] >> past << past
            bits = segment[_BITS]
            while bits:
                self._count += bits & 1
                bits >>= 1
            self._release(segment)
        self.events = [seq for seq in self.events if self.holds(seq)]
