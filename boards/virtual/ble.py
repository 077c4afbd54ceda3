"""The virtual board's radio: MicroPython's bluetooth.BLE, forwarded to a Bumble device in the host's process.

One JSON object a line over a loopback socket (VIGIL_RADIO, "host:port"): requests {"op": name, ...} answered by
{"r": result} or {"err": errno}; events {"ev": code, "d": [...]}, bytes as {"b": hex}. _IRQ_GET_SECRET and
_IRQ_SET_SECRET are answered by {"ans": value}, also in the middle of a request, as NimBLE asks from its own task.
Events are otherwise delivered in turn; a written value is what it was when the event happened, which on the chip
follows from events being synchronous. Peripheral role only: what is not here raises AttributeError.
"""

import asyncio
import json
import os
import select
import socket
from binascii import hexlify, unhexlify

_WRITE = 3
_GET_SECRET = 29
_SET_SECRET = 30
_BUTTON = 240  # ours: the button "pair" goes down (1) or up (0)
_DEFAULT_LEN = 20
_ANSWER_MS = 30000  # real: then the host's process is as good as gone


class UUID:
    """bluetooth.UUID: from a 16-bit number or a text of 128 bits."""

    def __init__(self, value):
        self.text = "%04x" % value if isinstance(value, int) else value.lower()

    def __eq__(self, other):
        return self.text == other.text

    def __hash__(self):
        return hash(self.text)


def _hex(data):
    return None if data is None else hexlify(bytes(data)).decode()


def _readable(plain):  # a generator, which MicroPython can await
    yield asyncio.core._io_queue.queue_read(plain)


def _bytes(value):
    return memoryview(unhexlify(value["b"])) if isinstance(value, dict) else value


class BLE:
    """One radio."""

    def __init__(self, address):
        host, port = address.split(":")
        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo(host, int(port))[0][-1])
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._irq = None
        self._active = False
        self._late = []  # events that came in the middle of a request
        self._values = {}
        self._sizes = {}  # handle: [longest value that a central may write, whether it appends]
        self.pressed = self.released = False

    def _say(self, what):
        self._socket.write(json.dumps(what).encode() + b"\n")

    def _line(self):
        line = self._poll.poll(_ANSWER_MS) and self._socket.readline()
        if not line:
            raise SystemExit("the radio is gone")  # the host's process ended: so does this device
        return json.loads(line)

    def _call(self, op, **fields):
        fields["op"] = op
        self._say(fields)
        while True:
            got = self._line()
            if "ev" not in got:
                if got.get("err"):
                    raise OSError(got["err"])
                return got.get("r")
            if got["ev"] in (_GET_SECRET, _SET_SECRET):
                self._deliver(got)
            else:
                self._late.append(got)
                self._task = asyncio.create_task(self._catch_up())

    async def _catch_up(self):
        while self._late:
            self._deliver(self._late.pop(0))

    def _deliver(self, got):
        event = got["ev"]
        data = [_bytes(value) for value in got["d"]]
        if event == _BUTTON:
            self.pressed = self.pressed or bool(data[0])
            self.released = not data[0]
            return
        if event == _WRITE:
            handle = data[1]
            most, append = self._sizes.get(handle, (_DEFAULT_LEN, False))
            old = self._values.get(handle, b"") if append else b""
            self._values[handle] = (old + bytes(data.pop()))[:most]
        answer = self._irq(event, tuple(data)) if self._irq else None
        if event == _GET_SECRET:
            self._say({"ans": _hex(answer)})
        elif event == _SET_SECRET:
            self._say({"ans": bool(answer)})

    async def _pump(self):
        while True:
            await _readable(self._socket)
            while self._late or self._poll.poll(0):  # asked each time: a handler's request takes what was there
                self._deliver(self._late.pop(0) if self._late else self._line())

    def active(self, active=None):
        """Turn the radio on or off; tell whether it is on."""
        if active is not None and bool(active) != self._active:
            self._call("active", on=bool(active))
            if active and not self._active:
                self._pumping = asyncio.create_task(self._pump())
            self._active = bool(active)
        return self._active

    def irq(self, handler):
        """Set the handler of events."""
        self._irq = handler

    def config(self, *name, **values):
        """Get one value or set some."""
        if name:
            value = self._call("get_config", name=name[0])
            return (value[0], unhexlify(value[1])) if name[0] == "mac" else value
        self._call("config", values=values)

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        """Advertise; interval_us None: stop."""
        self._call("advertise", us=interval_us, data=_hex(adv_data), response=_hex(resp_data), connectable=connectable)

    def gap_disconnect(self, conn):
        """Disconnect. False when there is no such connection."""
        return self._call("disconnect", conn=conn)

    def gap_pair(self, conn):
        """Ask the central to pair or encrypt."""
        self._call("pair", conn=conn)

    def gap_passkey(self, conn, action, passkey):
        """Answer _IRQ_PASSKEY_ACTION."""
        self._call("passkey", conn=conn, action=action, passkey=passkey)

    def gatts_register_services(self, services):
        """Register; returns a tuple of handles a service."""
        plain = []
        for uuid, characteristics in services:
            plain.append(
                [uuid.text, [[c[0].text, c[1], [[d[0].text, d[1]] for d in c[2:] and c[2]]] for c in characteristics]]
            )
        return tuple([tuple(handles) for handles in self._call("register", services=plain)])

    def gatts_read(self, handle):
        """Value of `handle`; empties one that appends."""
        value = self._values.get(handle, b"")
        if self._sizes.get(handle, (0, False))[1]:
            self._values[handle] = b""
        return value

    def gatts_write(self, handle, data, send_update=False):
        """Set the value of `handle`."""
        data = bytes(data)
        self._values[handle] = data
        most, append = self._sizes.get(handle, (_DEFAULT_LEN, False))
        self._sizes[handle] = max(most, len(data)), append
        self._call("write", handle=handle, data=_hex(data), update=bool(send_update))

    def gatts_notify(self, conn, handle, data=None):
        """Notify one central. OSError(ENOMEM) when the stack has no buffer, ENOTCONN without a connection."""
        self._call(
            "notify", conn=conn, handle=handle, data=_hex(self._values.get(handle, b"") if data is None else data)
        )

    def gatts_indicate(self, conn, handle, data=None):
        """Indicate to one central; _IRQ_GATTS_INDICATE_DONE follows."""
        self._call(
            "indicate", conn=conn, handle=handle, data=_hex(self._values.get(handle, b"") if data is None else data)
        )

    def gatts_set_buffer(self, handle, length, append=False):
        """How much a central may write to `handle`."""
        self._sizes[handle] = length, append


class Button:
    """The button "pair", to ground."""

    def __init__(self, ble):
        self._ble = ble

    def value(self):
        """0 while it is held, and once after it was, so that a busy machine misses no press."""
        ble = self._ble
        down = ble.pressed
        if ble.released:
            ble.pressed = False
        return 0 if down else 1


def make():
    """Return the radio of VIGIL_RADIO, None without."""
    address = os.getenv("VIGIL_RADIO")
    return BLE(address) if address else None
