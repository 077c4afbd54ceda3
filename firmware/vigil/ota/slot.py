"""The idle slot while a release is written to it, on any file system with os and open of MicroPython's kind.

    offer      the signed manifest: what is being fetched; first to come
    index      first part of the bundle
    lib/...    the files, in the order of the index
    release    the manifest: the slot is complete; last to come, first to go

A cut of power costs at most the file that was being written: where to go on follows from what is there.
"""

import hashlib

from micropython import const

from vigil.core.errors import TrustError
from vigil.ota.release import MISMATCH, entries

_PIECE = const(512)  # bytes read at once


class Slot:
    """folder: of the slot. offset: of the bundle, what is wanted next, once begin() or resume() has been called."""

    def __init__(self, folder: str, os, open):
        self._folder = folder
        self._os = os
        self._open = open
        self._release = None
        self._file = None  # being written
        self._left = 0  # bytes that it lacks
        self._index = None  # being read
        self._entries = None
        self.offset = 0

    def read(self, name: str) -> bytes:
        """Return the content of offer or release, b"" where there is none."""
        try:
            with self._open(self._folder + "/" + name, "rb") as file:
                return file.read()
        except OSError:
            return b""

    def _write(self, name: str, content: bytes) -> None:
        with self._open(self._folder + "/" + name, "wb") as file:
            file.write(content)

    def _remove(self, path: str):
        """Remove a file, or a folder with what is in it; yields after each."""
        os = self._os
        try:
            if os.stat(path)[0] & 0x4000:
                for name in os.listdir(path):
                    for _ in self._remove(path + "/" + name):
                        yield
                os.rmdir(path)
            else:
                os.remove(path)
            yield
        except OSError:
            pass  # it is not there

    def clear(self):
        """Empty the slot, step by step (a generator): first of all it ceases to be complete."""
        self.close()
        for name in ("release", "offer", "index", "lib"):
            for _ in self._remove(self._folder + "/" + name):
                yield

    def forget(self) -> None:
        """Remove what only a fetch needs."""
        self.close()
        for name in ("offer", "index"):
            for _ in self._remove(self._folder + "/" + name):
                pass

    def begin(self, release, signed: bytes) -> None:
        """Start to fetch `release` into the cleared slot. Raises OSError when flash is full."""
        self._mkdir(self._folder)
        self._write("offer", signed)
        self._release = release
        self._restart()

    def resume(self, release) -> None:
        """Go on to fetch `release`, of which offer() has told. Raises TrustError when its index is wrong."""
        self._release = release
        try:
            size = self._os.stat(self._folder + "/index")[6]
        except OSError:
            size = 0
        if size != release.index_bytes:
            self._restart()
            return
        self.offset = size
        self._read_index()
        self._next()

    @property
    def complete(self) -> bool:
        """Whether all has been written."""
        return self.offset == self._release.total_bytes

    def _restart(self) -> None:
        self.offset = 0
        self._file = self._open(self._folder + "/index", "wb")
        self._left = self._release.index_bytes

    def write(self, data) -> None:
        """Write the piece of the bundle that begins at `offset`. Raises TrustError, or OSError when flash is full."""
        data = memoryview(data)[: self._release.total_bytes - self.offset]
        while data:
            n = min(len(data), self._left)
            self._file.write(data[:n])
            self._left -= n
            self.offset += n
            data = data[n:]
            if not self._left:
                self._file.close()
                self._file = None
                if self._entries is None:
                    self._read_index()
                self._next()

    def _read_index(self) -> None:
        """Check the whole index, then stand before its first entry."""
        release = self._release
        with self._open(self._folder + "/index", "rb") as file:
            if _digest(file) != release.digest:
                raise TrustError(MISMATCH)
        with self._open(self._folder + "/index", "rb") as file:
            for _ in entries(release, file.read):
                pass
        self._index = self._open(self._folder + "/index", "rb")
        self._entries = entries(release, self._index.read)

    def _next(self) -> None:
        """Open the next file that is not there in its size."""
        for path, size, _ in self._entries:
            path = self._folder + "/lib/" + path
            try:
                there = self._os.stat(path)[6] == size
            except OSError:
                there = False
            if there:
                self.offset += size
                continue
            at = len(self._folder)
            while True:
                at = path.find("/", at + 1)
                if at < 0:
                    break
                self._mkdir(path[:at])
            self._file = self._open(path, "wb")
            self._left = size
            if size:
                return
            self._file.close()
            self._file = None

    def _mkdir(self, path: str) -> None:
        try:
            self._os.mkdir(path)
        except OSError:
            pass  # it is there; where it could not be made, the next open says so

    def verify(self):
        """Read back every file, piece by piece (a generator). Raises TrustError where one is not what it should be."""
        self.close()
        with self._open(self._folder + "/index", "rb") as index:
            for path, _, digest in entries(self._release, index.read):
                try:
                    with self._open(self._folder + "/lib/" + path, "rb") as file:
                        hasher = hashlib.sha256()
                        buffer = bytearray(_PIECE)
                        while True:
                            n = file.readinto(buffer)
                            if not n:
                                break
                            hasher.update(memoryview(buffer)[:n])
                            yield
                except OSError:
                    raise TrustError(MISMATCH)
                if hasher.digest() != digest:
                    raise TrustError(MISMATCH)

    def finish(self) -> None:
        """Mark the slot complete, after verify() has come to its end."""
        self._write("release", self._release.payload)

    def close(self) -> None:
        """Let go of open files."""
        for file in (self._file, self._index):
            if file:
                file.close()
        self._file = self._index = self._entries = None


def _digest(file) -> bytes:
    hasher = hashlib.sha256()
    while True:
        piece = file.read(_PIECE)
        if not piece:
            return hasher.digest()
        hasher.update(piece)
