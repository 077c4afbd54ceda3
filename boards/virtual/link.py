"""The virtual board's wires: requests to the emulators in the host's process, over one loopback socket.

Little-endian. Request, 16 bytes: op u8, part u8 (index into the names of HELLO), address u8, register u8, length
u16, 0 u16, virtual time u64 in us; WRITE and TRANSFER are followed by `length` bytes, ADC by the period u32 in us.
Reply, 8 + 8 * LINES bytes: status i16 (a negative errno, or a pin's level), 0 u16, length u16, 0 u16, and for each
interrupt line (the irq names of HELLO in their order) the time u64 of its next falling edge if nothing more happens on
the bus (NEVER: none); then `length` bytes. Every reply carries the edges, so both sides agree about the future without
polling, and a run is exact and repeatable. An edge that has fallen waits on this side until it is served, each line for
itself, as the chip's pins latch theirs: what the other lines do meanwhile changes nothing.

Requests allocate nothing: drivers are tested under a locked heap.
"""

import json
import socket
import sys
from array import array

import uctypes

HELLO, READ, WRITE, SCAN, RECOVER, ADC, PIN, NEXT, TRANSFER = range(9)
LINES = 4  # interrupt lines that a reply has room for

_TCP = 6
_NODELAY = 1

_REQUEST = {
    "op": 0 | uctypes.UINT8,
    "part": 1 | uctypes.UINT8,
    "address": 2 | uctypes.UINT8,
    "register": 3 | uctypes.UINT8,
    "length": 4 | uctypes.UINT16,
    "zero": 6 | uctypes.UINT16,
    "t_us": 8 | uctypes.UINT64,
}
_REPLY = {
    "status": 0 | uctypes.INT16,
    "length": 4 | uctypes.UINT16,
}


class Link:
    """One connection to the emulators at `address` ("host:port")."""

    def __init__(self, address, clock):
        host, port = address.split(":")
        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo(host, int(port))[0][-1])
        self._socket.setsockopt(_TCP, _NODELAY, 1)  # header and payload are two writes
        self._out = bytearray(16)
        # 64 bits; "l" where it has as many, because what "q" gives is allocated there
        self._in = array("l" if sys.maxsize >> 32 else "q", [0] * (1 + LINES))
        self._request = uctypes.struct(uctypes.addressof(self._out), _REQUEST, uctypes.LITTLE_ENDIAN)
        self._reply = uctypes.struct(uctypes.addressof(self._in), _REPLY, uctypes.LITTLE_ENDIAN)
        self._clock = clock
        self.hello = json.loads(self.ask(HELLO))
        self.names = self.hello["names"]
        self._lines = [name for name in self.names if name.startswith("irq:")]

    def line(self, name):
        """Number of interrupt line `name`. ValueError when the board has no such line."""
        if "irq:" + name not in self._lines:
            raise ValueError("no irq:" + name)
        return self._lines.index("irq:" + name)

    def part(self, name):
        """Index of part `name` ("kind:name"). ValueError when the board has no such part."""
        if name not in self.names:
            raise ValueError("no " + name)
        return self.names.index(name)

    def call(self, op, part=0, address=0, register=0, length=0, payload=None, into=None):
        """Send a request; what comes back fills `into`. Returns the status; raises OSError when it is negative."""
        request = self._request
        request.op = op
        request.part = part
        request.address = address
        request.register = register
        request.length = length
        request.t_us = self._clock.now_us
        self._socket.write(self._out)
        if payload is not None:
            self._socket.write(payload)
        if self._socket.readinto(self._in) != 8 + 8 * LINES:
            raise SystemExit("the emulators are gone")  # the host's process ended: so does this device
        reply = self._reply
        if into is not None and reply.length:
            self._socket.readinto(into, reply.length)
        edges_us = self._clock.edges_us
        now_us = self._clock.now_us
        for line in range(LINES):
            if edges_us[line] > now_us:  # else: it has fallen and waits to be served, whatever comes after
                edges_us[line] = self._in[1 + line]
        status = reply.status
        if status < 0:
            raise OSError(-status)
        return status

    def ask(self, op, part=0):
        """Send a request without payload and return what comes back (allocates)."""
        self._request.op = op
        self._request.part = part
        self._request.t_us = self._clock.now_us
        self._socket.write(self._out)
        self._socket.readinto(self._in)
        return self._socket.read(self._reply.length) if self._reply.length else b""
