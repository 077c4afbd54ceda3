"""MicroPython's successor while it is written to the partition that MicroPython does not run from.

It stands where ota.slot.Slot stands. Nothing but the last step changes what starts: a cut of power before it costs the
fetch, which begins anew.
"""

import hashlib

from micropython import const

from vigil.core.errors import TrustError
from vigil.ota.release import MISMATCH, NO_ROOM

_BLOCK = const(4096)
_PIECE = const(512)  # bytes read at once


class Application:
    """app: board.application. offset: of the image, what is wanted next."""

    def __init__(self, app):
        self._app = app
        self._block = bytearray(_BLOCK)
        self._release = None
        self.offset = 0

    def read(self, name: str) -> bytes:
        """Return b"": nothing is kept of a fetch that was interrupted."""
        return b""

    def clear(self):
        """Yield nothing: a block is erased when it is written."""
        return iter(())

    def begin(self, release, signed: bytes) -> None:
        """Start to fetch `release`. Raises TrustError where the partition is too small."""
        if release.total_bytes > self._app.bytes:
            raise TrustError(NO_ROOM)
        self._release = release
        self.offset = 0

    @property
    def complete(self) -> bool:
        """Whether all has been written."""
        return self.offset == self._release.total_bytes

    def write(self, data) -> None:
        """Take the piece of the image that begins at `offset`; write each block that it fills. Raises OSError."""
        data = memoryview(data)[: self._release.total_bytes - self.offset]
        while data:
            at = self.offset % _BLOCK
            n = min(len(data), _BLOCK - at)
            self._block[at : at + n] = data[:n]
            self.offset += n
            data = data[n:]
            if at + n == _BLOCK or self.complete:
                for i in range(at + n, _BLOCK):
                    self._block[i] = 0xFF
                self._app.write((self.offset - 1) // _BLOCK, self._block)

    def verify(self):
        """Read back the image, piece by piece (a generator). Raises TrustError where it is not what was signed."""
        hasher = hashlib.sha256()
        view = memoryview(self._block)[:_PIECE]
        for at in range(0, self._release.total_bytes, _PIECE):
            self._app.read_into(at, view)
            hasher.update(view[: min(_PIECE, self._release.total_bytes - at)])
            yield
        if hasher.digest() != self._release.digest:
            raise TrustError(MISMATCH)

    def finish(self) -> None:
        """Start from it next time: the one step that counts."""
        self._app.choose()

    def close(self) -> None:
        """Nothing is open."""
