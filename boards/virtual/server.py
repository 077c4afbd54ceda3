"""Serves the emulators of one scenario to one virtual board, in a thread. The protocol is in link.py."""

from __future__ import annotations

import errno
import json
import socket
import struct
import threading
from types import SimpleNamespace
from typing import Any

from boards.virtual.devices.ad8232 import GAIN

HELLO, READ, WRITE, SCAN, RECOVER, ADC, PIN, NEXT, TRANSFER = range(9)
NEVER = 1 << 61
LINES = 4

_REQUEST = struct.Struct("<BBBBHHQ")
_REPLY = struct.Struct(f"<hHHH{LINES}Q")


class Server:
    """Listens on a free loopback port (`address`); each connection gets the same wiring.

    wiring: parts by "kind:name" (boards.virtual.scenario.Scenario.wiring()); kinds i2c, spi, adc, pin, irq.
    """

    def __init__(self, wiring: dict[str, Any], stalls_ms=(), wifi_out_ms=(), ecg_gain: int = GAIN):
        self.wiring = wiring
        self.error: BaseException | None = None  # what ended the thread, if it was not the other side
        self.now: Any = SimpleNamespace(value=0)  # .value: the device's time in us, of its latest request
        names = list(wiring)
        self._parts = [wiring[name] for name in names]
        self._lines = [part for name, part in wiring.items() if name.startswith("irq:")]
        assert len(self._lines) <= LINES
        hello = {"names": names, "stalls_ms": list(stalls_ms), "wifi_out_ms": list(wifi_out_ms)}
        hello["ecg_gain"] = ecg_gain
        self._hello = json.dumps(hello).encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self._listener.getsockname()[1])
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="emulators", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving. Idempotent."""
        for s in (self._listener, self._connection):
            if s is not None:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()
        self._thread.join(5)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            try:
                self._connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._connection, self._connection.makefile("rb") as stream:
                    self._serve(self._connection, stream)
            except OSError:
                pass  # the device was switched off
            except Exception as e:
                self.error = e
                return

    def _serve(self, connection: socket.socket, stream) -> None:
        while True:
            head = stream.read(_REQUEST.size)
            if len(head) < _REQUEST.size:
                return
            op, part, address, register, length, _, t_us = _REQUEST.unpack(head)
            self.now.value = t_us
            status, data = 0, b""
            try:
                if op == WRITE:
                    self._parts[part].write(address, register, stream.read(length), t_us)
                elif op == ADC:
                    (period_us,) = struct.unpack("<I", stream.read(4))
                    data = self._parts[part].read_uv(t_us, period_us, length)
                elif op == TRANSFER:
                    data = self._parts[part].transfer(stream.read(length), t_us)
                elif op == READ:
                    data = self._parts[part].read(address, register, length, t_us)
                elif op == PIN:
                    status = self._parts[part].level(t_us)
                elif op == SCAN:
                    data = bytes(self._parts[part].scan(t_us))
                elif op == RECOVER:
                    self._parts[part].recover(t_us)
                elif op == HELLO:
                    data = self._hello
            except OSError as e:
                status = -(e.errno or errno.EIO)
            edges_us = [NEVER if (t := line.next_edge_us(t_us)) is None else t for line in self._lines]
            edges_us += [NEVER] * (LINES - len(edges_us))
            connection.sendall(_REPLY.pack(status, 0, len(data), 0, *edges_us) + data)
