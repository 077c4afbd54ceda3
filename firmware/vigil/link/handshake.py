"""Cuts a TLS handshake into steps. Its arithmetic takes the chip longer than any FIFO lasts, and would be one call."""

import io

from micropython import const

_HEADER = const(5)  # bytes of a TLS record's head, which mbedTLS asks for by themselves


class Stepped(io.IOBase):
    """A non-blocking socket as TLS sees it: until `secured`, a record in and a record out a call.

    In between TLS is told to come again, as by a socket that is not ready, and `paused` is set: others may work.
    """

    def __init__(self, plain):
        self._plain = plain
        self.secured = False  # the handshake is over: nothing is held back any more
        self.paused = False

    def _pause(self) -> bool:
        self.paused = not self.secured and not self.paused
        return self.paused

    def readinto(self, into):
        """Read as from the socket; None: come again."""
        if len(into) == _HEADER and self._pause():
            return None
        return self._plain.readinto(into)

    def write(self, data):
        """Write as to the socket; None: come again."""
        return None if self._pause() else self._plain.write(data)

    def ioctl(self, request, argument):
        """Nothing: who made the socket closes it, and waits for it."""
        return 0
