"""Messages cut into notifications, with flow control: the sending side, sans I/O. SPEC.md section 12 has the bytes.

A fragment is number u8 (counted per opening, wraps), head u8 (kind, FIRST, LAST), in the first one the length u16, and
data up to what the MTU lets through. The receiver confirms how many fragments it has taken; no more than WINDOW are on
their way. There is no checksum: the radio has one, and what counts is signed.
"""

import struct

from micropython import const

ENVELOPE = const(0)  # kinds, the low six bits of the head
UPDATE = const(1)
FIRST = const(0x80)
LAST = const(0x40)
WINDOW = const(32)  # fragments
MAX_MESSAGE = const(8192)
_MOST = const(244)  # bytes of a notification; what one packet of a link layer with long packets carries
_HEAD = const(2)


class Sender:
    """One message at a time. next() -> fragment, then sent() when the radio took it."""

    def __init__(self):
        self._buffer = bytearray(_MOST)
        self._view = memoryview(self._buffer)
        self._message = None
        self.open(23)

    def open(self, mtu: int) -> None:
        """Begin anew towards a receiver whose notifications hold mtu - 3 bytes; what was half sent is forgotten."""
        self._room = min(mtu - 3, _MOST)
        self._sent = self._confirmed = 0
        self._message = None

    def load(self, kind: int, message: bytes) -> None:
        """Take a message (1..MAX_MESSAGE bytes) instead of any other."""
        if not 0 < len(message) <= MAX_MESSAGE:
            raise ValueError("ble: message of %d bytes" % len(message))
        self._kind = kind
        self._message = memoryview(message)
        self._at = 0

    @property
    def done(self) -> bool:
        """Whether all of the message has left."""
        return self._message is None

    @property
    def blocked(self) -> bool:
        """Whether the receiver must confirm something first."""
        return (self._sent - self._confirmed) & 0xFFFF >= WINDOW

    def next(self):
        """Return the next fragment, None where there is nothing to send or the window is full.

        It is a view of the sender's buffer, valid until the next call.
        """
        if self._message is None or self.blocked:
            return None
        buffer = self._buffer
        left = len(self._message) - self._at
        head = self._kind
        at = _HEAD
        if self._at == 0:
            head |= FIRST
            struct.pack_into("<H", buffer, _HEAD, left)
            at += 2
        n = min(left, self._room - at)
        if n == left:
            head |= LAST
        buffer[0] = self._sent & 0xFF
        buffer[1] = head
        self._view[at : at + n] = self._message[self._at : self._at + n]
        self._n = n
        return self._view[: at + n]

    def sent(self) -> None:
        """The fragment that next() gave last was taken by the radio."""
        self._sent = (self._sent + 1) & 0xFFFF
        self._at += self._n
        if self._at == len(self._message):
            self._message = None

    def confirm(self, count: int) -> bool:
        """The receiver has taken `count` fragments in all, modulo 65536. False when that cannot be."""
        if (count - self._confirmed) & 0xFFFF > (self._sent - self._confirmed) & 0xFFFF:
            return False
        self._confirmed = count
        return True
