"""Bonds: the keys of the phones and hubs that were paired, in one file that is replaced in one step.

NimBLE asks for secrets by type and key and sets them (_IRQ_GET_SECRET, _IRQ_SET_SECRET); what they contain is its own
business. While `accepts` is False no bond is made or lost: a set is refused, and a delete, which the stack asks for
when somebody in the name of a known phone pairs anew, only hides the bond until `unhide`. (Refusing the delete would
make NimBLE ask again for ever.) The device's own identity key is always kept: with it addresses are resolved.
"""

import struct
from binascii import crc32

from micropython import const

from vigil.core.errors import StoreError

_PEER = const(2)  # types, as NimBLE numbers them: 1 our keys for a peer, 2 the peer's
_IDENTITY = const(10)
_MAGIC = b"VB\x01"
_MOST_BYTES = const(255)  # of a value (NimBLE's have about 80, Bumble's 250)
_MOST_ENTRIES = const(24)


class Bonds:
    """Secrets in the file `path` of the file system `os` (the module or anything like it, with `open`).

    most: bonds; one more and the oldest goes. damaged: the file was not whole; it is kept beside, and nobody is known.
    dirty: there is something to save.
    """

    def __init__(self, path: str, os, open=open, most: int = 4):
        self._path = path
        self._os = os
        self._open = open
        self._most = most
        self._entries = []  # (type, key, value), oldest first
        self._hidden = []  # keys
        self.accepts = False
        self.damaged = False
        self.dirty = False
        try:
            with open(path, "rb") as file:
                raw = file.read()
        except OSError:
            return
        try:
            self._entries = _decode(raw)
        except ValueError:
            self.damaged = True
            try:
                os.rename(path, path + ".bad")
            except OSError:
                pass

    def __len__(self) -> int:
        return sum([kind == _PEER for kind, _, _ in self._entries])

    def get(self, kind: int, index: int, key):
        """Return the secret of `kind` with `key`, or where key is None the index-th; None where there is none."""
        for known, name, value in self._entries:
            if known == kind and name not in self._hidden:
                if key is None:
                    if not index:
                        return value
                    index -= 1
                elif name == key:
                    return value
        return None

    def set(self, kind: int, key: bytes, value) -> bool:
        """Keep a secret, or delete it where value is None. Return whether that was done, or looks as if it were."""
        if kind != _IDENTITY and not self.accepts:
            if value is None and key not in self._hidden:
                self._hidden.append(key)
            return value is None
        if value is not None and not (0 < len(value) <= _MOST_BYTES and len(key) <= 32):
            return False
        self._entries = [entry for entry in self._entries if entry[0] != kind or entry[1] != key]
        if value is not None:
            self._entries.append((kind, key, value))
            if kind == _PEER and len(self) > self._most:
                oldest = next(name for known, name, _ in self._entries if known == _PEER)
                self._entries = [entry for entry in self._entries if entry[1] != oldest]
        self.dirty = True
        return len(self._entries) <= _MOST_ENTRIES

    def unhide(self) -> None:
        """Know again what the stack believes to have deleted."""
        self._hidden = []

    def forget_all(self) -> None:
        """Forget every bond, and be somebody else to whoever was bonded: the identity key goes too."""
        self._entries = []
        self._hidden = []
        self.dirty = True

    def save(self) -> None:
        """Write the file anew, then put it in the old one's place. Raises StoreError; the old file then stands."""
        name = self._path + ".new"
        try:
            with self._open(name, "wb") as file:
                file.write(_encode(self._entries))
            self._os.rename(name, self._path)
        except OSError as e:
            raise StoreError("bonds: cannot write, errno %d" % e.errno)
        self.dirty = False


def _encode(entries) -> bytes:
    out = bytearray(_MAGIC)
    for kind, key, value in entries:
        out += struct.pack("<BBB", kind, len(key), len(value)) + key + value
    return bytes(out) + struct.pack("<I", crc32(out))


def _decode(raw: bytes) -> list:
    if len(raw) < 7 or raw[:3] != _MAGIC or struct.unpack("<I", raw[-4:])[0] != crc32(raw[:-4]):
        raise ValueError("bonds: damaged")
    entries = []
    at = 3
    while at < len(raw) - 4:
        kind, n_key, n_value = raw[at], raw[at + 1], raw[at + 2]
        at += 3
        entries.append((kind, raw[at : at + n_key], raw[at + n_key : at + n_key + n_value]))
        at += n_key + n_value
    return entries
