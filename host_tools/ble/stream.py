"""Messages put together from a device's notifications: the receiving side of vigil.link.ble_stream, sans I/O.

A fragment that does not follow the one before it costs the message that was being put together, and nothing else:
the device sends again what is not acknowledged. SPEC.md section 12 has the bytes.
"""

from __future__ import annotations

from vigil.link.ble_stream import FIRST, LAST, MAX_MESSAGE, WINDOW

CONFIRM_EVERY = WINDOW // 2  # fragments: the device never waits for less


class Receiver:
    """One opening of the stream. dropped: messages that were given up, for whatever reason."""

    def __init__(self) -> None:
        self.taken = 0  # fragments, whole or not: what is confirmed
        self.dropped = 0
        self._confirmed = 0
        self._number: int | None = None  # of the last fragment
        self._kind = 0
        self._length = 0
        self._parts: bytearray | None = None

    def take(self, fragment: bytes) -> tuple[int, bytes] | None:
        """Take a notification; return (kind, message) when it completes one."""
        self.taken += 1
        if len(fragment) < 3:
            return self._give_up()
        number, head = fragment[0], fragment[1]
        expected = number if self._number is None else (self._number + 1) & 0xFF
        if number != expected:
            self._number = None if head & FIRST == 0 else number
            if self._give_up() or head & FIRST == 0:
                return None
        self._number = number
        data = fragment[2:]
        if head & FIRST:
            if self._parts is not None:
                self._give_up()
            self._kind = head & 0x3F
            self._length = int.from_bytes(data[:2], "little")
            if len(data) < 2 or not 0 < self._length <= MAX_MESSAGE:
                return self._give_up(always=True)
            self._parts = bytearray()
            data = data[2:]
        elif self._parts is None or head & 0x3F != self._kind:
            return self._give_up()
        self._parts += data
        if len(self._parts) > self._length or bool(head & LAST) != (len(self._parts) == self._length):
            return self._give_up()
        if head & LAST:
            message, self._parts = bytes(self._parts), None
            return self._kind, message
        return None

    def _give_up(self, always: bool = False) -> None:
        if self._parts is not None or always:
            self.dropped += 1
        self._parts = None

    def confirmation(self) -> int | None:
        """Fragments taken, modulo 65536, when it is time to say so."""
        if self.taken - self._confirmed < CONFIRM_EVERY:
            return None
        self._confirmed = self.taken
        return self.taken & 0xFFFF
