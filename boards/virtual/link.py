"""The virtual board's wires: requests to the emulators in the host's process, over one loopback socket.

Little-endian. Request, 16 bytes: op u8, part u8 (index into the names of HELLO), address u8, register u8, length
u16, 0 u16, virtual time u64 in us; WRITE is followed by `length` bytes, ADC by the period u32 in us. Reply, 16
bytes: status i16 (a negative errno, or a pin's level), line u8, 0 u8, length u16, 0 u16, time u64 of the next
falling edge of interrupt `line` if nothing more happens on the bus (NEVER: none); then `length` bytes. Every reply
carries the edge, so both sides agree about the future without polling, and a run is exact and repeatable.

Requests allocate nothing: drivers are tested under a locked heap.
"""

import json
import socket

import uctypes

HELLO, READ, WRITE, SCAN, RECOVER, ADC, PIN, NEXT = range(8)

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
    "line": 2 | uctypes.UINT8,
    "length": 4 | uctypes.UINT16,
    "edge_us": 8 | uctypes.UINT64,
}


class Link:
    """One connection to the emulators at `address` ("host:port")."""

    def __init__(self, address, clock):
        host, port = address.split(":")
        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo(host, int(port))[0][-1])
        self._socket.setsockopt(_TCP, _NODELAY, 1)  # header and payload are two writes
        self._out = bytearray(16)
        self._in = bytearray(16)
        self._request = uctypes.struct(uctypes.addressof(self._out), _REQUEST, uctypes.LITTLE_ENDIAN)
        self._reply = uctypes.struct(uctypes.addressof(self._in), _REPLY, uctypes.LITTLE_ENDIAN)
        self._clock = clock
        self.hello = json.loads(self.ask(HELLO))
        self.names = self.hello["names"]

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
        if self._socket.readinto(self._in) != 16:
            raise SystemExit("the emulators are gone")  # the host's process ended: so does this device
        reply = self._reply
        if into is not None and reply.length:
            self._socket.readinto(into, reply.length)
        clock = self._clock
        if clock.edge_us > request.t_us:  # else: it has fallen and waits to be served, whatever comes after
            clock.edge_us = reply.edge_us
            clock.edge_line = reply.line
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
