"""The host's ends of a device's stream, sans I/O: what was taken is counted, and what is sent is cut at once."""

from __future__ import annotations

from collections.abc import Iterator

from vigil.link import ble_stream
from vigil.link.ble_stream import COMMAND, WINDOW, Sender

CONFIRM_EVERY = WINDOW // 2  # fragments: the device never waits for less


class Receiver(ble_stream.Receiver):
    """One opening of the stream. taken: fragments, whole or not: what is confirmed."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0
        self._confirmed = 0

    def take(self, fragment: bytes) -> tuple[int, bytes] | None:
        """Take a notification; return (kind, message) when it completes one."""
        self.taken += 1
        return super().take(fragment)

    def confirmation(self) -> int | None:
        """Fragments taken, modulo 65536, when it is time to say so."""
        if self.taken - self._confirmed < CONFIRM_EVERY:
            return None
        self._confirmed = self.taken
        return self.taken & 0xFFFF


def cut(message: bytes, mtu: int) -> Iterator[bytes]:
    """A command as fragments that writes of `mtu` carry; each write confirms itself."""
    sender = Sender()
    sender.open(mtu - 1)  # a byte before each says what it is
    sender.load(COMMAND, message)
    count = 0
    while (fragment := sender.next()) is not None:
        yield bytes(fragment)
        sender.sent()
        count += 1
        sender.confirm(count & 0xFFFF)
