"""Sealed envelopes that wait for the host, one file each, and the sequence they are sealed with.

A sequence is bound to its payload before anything is signed: the payload goes to the file `head`, then the
signature is made, then the envelope file appears by renaming. Signing is deterministic, so a cut between the two
ends in the same envelope, and no cut leads to two signed payloads of one sequence. The newest envelope is kept
(as `last`) after it is acknowledged: the next one names its digest.

Envelopes are opaque here. No time and no task lives in this module; the file system is an argument.
"""

import struct
from binascii import crc32

from micropython import const

from vigil.core.errors import StoreError
from vigil.wire.envelope import digest

_MAGIC = b"VQ"
_HEADER = "<2sHIHI"  # magic, length of the body, sequence, kind, CRC-32 of the header up to here and the body
_HEADER_BYTES = const(14)
_ENVELOPE = const(1)
_PAYLOAD = const(2)
_MAX_BODY = const(8192)
_MAX_SEQ = const(0x3FFFFFFF)  # small on every port; 340 years at one every ten seconds
_GENESIS = b"\x00" * 32  # in place of the digest of an envelope before the first


class Queue:
    """Envelopes in the folder `path` of the file system `os` (the module, or anything with its functions and open).

    capacity: envelopes kept; one more drops the oldest, because what a wearer's carer needs first is the present.
    seal(payload) -> envelope must give the same bytes for the same payload. floor: every sequence ever used is below
    it, as far as the caller knows; an erased file system starts there and not at 1.

    next_seq, prev_digest: what the next payload must contain. dropped: envelopes lost to lack of space since the
    queue was opened; damaged: files found that were not whole, or not ours.
    """

    def __init__(self, path: str, os, seal, capacity: int = 300, floor: int = 1, open=open):
        self._path = path
        self._os = os
        self._open = open
        self._seal = seal
        self._capacity = capacity
        self._waiting = []  # sequences, ascending
        self.dropped = 0
        self.damaged = 0
        self.next_seq = 1
        self.prev_digest = _GENESIS
        self._recover(max(1, floor))

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self, limit: int) -> list:
        """Return the up to `limit` lowest sequences that are not acknowledged, ascending."""
        return self._waiting[:limit]

    @property
    def oldest_seq(self) -> int:
        """Lowest sequence that waits once the next payload is appended."""
        kept = max(0, len(self._waiting) - self._capacity + 1)  # index of the oldest after making room
        return self._waiting[kept] if kept < len(self._waiting) else self.next_seq

    def append(self, payload: bytes) -> bytes:
        """Seal `payload`, which contains next_seq, prev_digest and oldest_seq, keep the envelope and return it.

        Raises StoreError when the flash takes nothing although old envelopes were dropped; the sequence is then
        unused if nothing was signed.
        """
        seq = self.next_seq
        if seq > _MAX_SEQ:
            raise StoreError("queue: no sequences left")
        while len(self._waiting) >= self._capacity:
            self._drop()
        self._write_or_drop("head", seq, _PAYLOAD, payload)
        return self._complete(seq, payload)

    def read(self, seq: int):
        """Return envelope `seq`, or None when it is gone or damaged; it then no longer waits."""
        envelope = self._load(self._name(seq), seq, _ENVELOPE)
        if envelope is None and seq in self._waiting:
            self._waiting.remove(seq)
            self._set_aside(seq)
        return envelope

    def acknowledge(self, seq: int, envelope_digest: bytes) -> bool:
        """Free envelope `seq` if its digest is the one the host has committed. Return whether that was so."""
        if seq not in self._waiting:
            return False  # a second acknowledgement, or not one of ours
        envelope = self.read(seq)
        if envelope is None or digest(envelope) != envelope_digest:
            return False
        self._waiting.remove(seq)
        name = self._path + "/" + self._name(seq)
        if seq == self.next_seq - 1:
            self._os.rename(name, self._path + "/last")
        else:
            self._os.remove(name)
        return True

    # Files

    @staticmethod
    def _name(seq: int) -> str:
        return "%d.env" % seq

    def _load(self, name: str, seq, kind: int):
        """Return the body of a whole file of ours, with its sequence where `seq` is None; None for any other."""
        try:
            with self._open(self._path + "/" + name, "rb") as file:
                header = file.read(_HEADER_BYTES)
                if len(header) < _HEADER_BYTES:
                    return None
                magic, length, found, found_kind, crc = struct.unpack(_HEADER, header)
                if magic != _MAGIC or found_kind != kind or length > _MAX_BODY or not 0 < found <= _MAX_SEQ:
                    return None
                body = file.read(length)
                if len(body) != length or file.read(1):
                    return None
        except OSError:
            return None
        if crc32(body, crc32(header[: _HEADER_BYTES - 4])) != crc:
            return None
        if seq is None:
            return found, body
        return body if found == seq else None

    def _write(self, name: str, seq: int, kind: int, body: bytes) -> None:
        """Make the file `name` whole or not at all."""
        if not 0 < len(body) <= _MAX_BODY:
            raise StoreError("queue: %d bytes" % len(body))
        header = struct.pack(_HEADER, _MAGIC, len(body), seq, kind, 0)[: _HEADER_BYTES - 4]
        new = self._path + "/new"
        with self._open(new, "wb") as file:
            file.write(header)
            file.write(struct.pack("<I", crc32(body, crc32(header))))
            file.write(body)
        self._os.rename(new, self._path + "/" + name)

    def _write_or_drop(self, name: str, seq: int, kind: int, body: bytes) -> None:
        while True:
            try:
                self._write(name, seq, kind, body)
                return
            except OSError as e:
                if not self._waiting:
                    raise StoreError("queue: cannot write, errno %d" % e.errno)
                self._drop()

    def _drop(self) -> None:
        seq = self._waiting.pop(0)
        self.dropped += 1
        try:
            self._os.remove(self._path + "/" + self._name(seq))
        except OSError:
            pass  # it is not sent again in this boot; after the next it may wait once more

    def _set_aside(self, seq: int) -> None:
        """Keep the latest damaged file for whoever looks into it; it no longer waits."""
        self.damaged += 1
        try:
            self._os.rename(self._path + "/" + self._name(seq), self._path + "/damaged")
        except OSError:
            pass  # it is gone

    def _complete(self, seq: int, payload: bytes) -> bytes:
        """Sign what `head` holds. From here on `seq` is used, whatever happens."""
        envelope = self._seal(payload)
        self.next_seq = seq + 1
        self.prev_digest = digest(envelope)
        try:
            self._write_or_drop(self._name(seq), seq, _ENVELOPE, envelope)
        except StoreError:
            self.dropped += 1  # `head` still has it: the next start tries again
            raise
        self._waiting.append(seq)
        return envelope

    # After a restart

    def _recover(self, floor: int) -> None:
        try:
            names = self._os.listdir(self._path)
        except OSError:
            self._os.mkdir(self._path)
            names = ()
        for name in names:
            if name.endswith(".env"):
                digits = name[:-4]
                if digits.isdigit() and digits[0] != "0" and len(digits) < 10 and int(digits) <= _MAX_SEQ:
                    self._waiting.append(int(digits))
                else:
                    self.damaged += 1
        self._waiting.sort()
        used = 0  # highest sequence that a damaged file's name claims
        newest, envelope = self._load("last", None, _ENVELOPE) or (0, None)
        while self._waiting and self._waiting[-1] > newest:
            seq = self._waiting[-1]
            found = self._load(self._name(seq), seq, _ENVELOPE)
            if found is not None:
                newest, envelope = seq, found
                break
            self._waiting.pop()
            self._set_aside(seq)
            if seq < floor:  # not so for a foreign file with a name out of the blue
                used = max(used, seq)
        if envelope is not None:
            self.prev_digest = digest(envelope)
        head = self._load("head", None, _PAYLOAD)
        if head and head[0] > newest:
            self._complete(*head)  # the cut came between reserving the sequence and keeping the envelope
            newest = head[0]
        self.next_seq = max(newest, used) + 1 if newest or used else floor
