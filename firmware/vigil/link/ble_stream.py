"""Messages cut into what a packet carries, with flow control, and put together again; sans I/O. SPEC.md section 12.

A fragment is number u8 (counted per opening, wraps), head u8 (kind, FIRST, LAST), in the first one the length u16, and
data up to what the MTU lets through. The receiver confirms how many fragments it has taken; no more than WINDOW are on
their way. There is no checksum: the radio has one, and what counts is signed.
"""

import struct

from micropython import const

ENVELOPE = const(0)  # kinds, the low six bits of the head
UPDATE = const(1)
COMMAND = const(2)  # from the host
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


class Receiver:
    """Puts messages of at most `most` bytes together. dropped: those that were given up, for whatever reason.

    A fragment that does not follow the one before it costs the message that was being put together, and nothing else.
    """

    def __init__(self, most: int = MAX_MESSAGE):
        self.dropped = 0
        self._most = most
        self._number = self._kind = self._at = 0
        self._parts = None

    def take(self, fragment):
        """Take a fragment; return (kind, message) when it completes one."""
        if len(fragment) <= _HEAD:
            self._give_up()
            return None
        number, head = fragment[:_HEAD]
        data = memoryview(fragment)[_HEAD:]
        follows = number == (self._number + 1) & 0xFF and head & 0x3F == self._kind
        self._number = number
        if head & FIRST or not follows:
            self._give_up()
        if head & FIRST:
            length = data[0] | data[1] << 8 if len(data) > 2 else 0
            data = data[2:]
            self._kind = head & 0x3F
            self._at = 0
            if 0 < length <= self._most:
                self._parts = bytearray(length)
            else:
                self.dropped += 1
        if self._parts is None:
            return None
        at = self._at
        self._at = end = at + len(data)
        if end > len(self._parts) or bool(head & LAST) != (end == len(self._parts)):
            self._give_up()
            return None
        self._parts[at:end] = data
        if not head & LAST:
            return None
        message = bytes(self._parts)
        self._parts = None
        return self._kind, message

    def _give_up(self) -> None:
        if self._parts is not None:
            self.dropped += 1
        self._parts = None
