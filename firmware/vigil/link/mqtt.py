"""MQTT 3.1.1 client, sans I/O: bytes in, events out; what to send is returned, never sent.

Only what a publisher needs: QoS 0 and 1, one clean session, no will. One `Mqtt` lives as long as one connection.
The parser takes any split of the stream, keeps at most `max_packet` bytes of a packet, and answers everything the
standard forbids a server to send with LinkError, after which the connection must be closed.

Section numbers are those of the OASIS standard MQTT Version 3.1.1.
"""

from micropython import const

from vigil.core.errors import LinkError

# Events: tuples that begin with one of these.
CONNACK = const(2)  # (CONNACK, code): 0 accepted, else see REFUSALS
MESSAGE = const(3)  # (MESSAGE, topic, payload, packet_id): bytes, bytes, 0 for QoS 0; answer with puback(packet_id)
PUBACK = const(4)  # (PUBACK, packet_id): the broker has it, which is not the database
SUBACK = const(9)  # (SUBACK, granted): False when the broker refused
PINGRESP = const(13)  # (PINGRESP,)
OVERSIZE = const(16)  # (OVERSIZE, topic, length, packet_id): a message that was not kept

REFUSALS = (  # 3.2.2.3
    "accepted",
    "the broker does not speak MQTT 3.1.1",
    "the broker refuses this client id",
    "the broker is not available",
    "bad user name or password",
    "this client is not authorized",
)

_PUBLISH = const(3)
_TYPE = const(-1)  # _shift: the next byte opens a packet
_BODY = const(-2)  # _shift: the next byte belongs to the body; otherwise it is part of the length
_MAX_SKIP = const(262144)  # bytes of a message that we read past; more is an attack or an error

_PINGREQ = b"\xc0\x00"
_DISCONNECT = b"\xe0\x00"


def _length(n: int) -> bytes:
    """Encode a remaining length, 0..268_435_455 (2.2.3)."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _field(data: bytes) -> bytes:
    """A length of two bytes and the data (1.5.3)."""
    if len(data) > 65535:
        raise LinkError("mqtt: a string is too long")
    return bytes((len(data) >> 8, len(data) & 255)) + data


class Mqtt:
    """One MQTT connection.

    max_packet: bytes kept of one incoming packet, >= 64. window: QoS 1 messages that may wait for their PUBACK.
    in_flight: packet ids of those that do, oldest first.
    """

    def __init__(self, max_packet: int = 1024, window: int = 4):
        self.window = window
        self.in_flight = []
        self._max_packet = max_packet
        self._last_id = 0
        self._subscribing = 0  # packet id of the subscription that waits for its SUBACK
        self._connected = False
        self._head = 0
        self._shift = _TYPE
        self._remaining = 0  # bytes of the body that have not come yet
        self._length = 0
        self._body = b""

    # What to send

    def connect(self, client_id: bytes, keep_alive_s: int) -> bytes:
        """Return the CONNECT packet of a clean session. keep_alive_s: 0..65535."""
        body = b"\x00\x04MQTT\x04\x02" + bytes((keep_alive_s >> 8, keep_alive_s & 255)) + _field(client_id)
        return b"\x10" + _length(len(body)) + body

    def subscribe(self, topic: bytes) -> bytes:
        """Return a SUBSCRIBE packet that asks for `topic` at QoS 1."""
        self._subscribing = self._new_id()
        body = _field(topic) + b"\x01"
        return b"\x82" + _length(len(body) + 2) + self._id_bytes(self._subscribing) + body

    def publish(self, topic: bytes, payload: bytes, qos: int = 1) -> bytes:
        """Return a PUBLISH packet. Raises LinkError when the window is full (see `free`)."""
        head = _field(topic)
        if qos:
            if not self.free:
                raise LinkError("mqtt: too many messages wait for the broker")
            packet_id = self._new_id()
            self.in_flight.append(packet_id)
            head += self._id_bytes(packet_id)
        return bytes((0x30 | qos << 1,)) + _length(len(head) + len(payload)) + head + payload

    def puback(self, packet_id: int) -> bytes:
        """Return the PUBACK of a received message."""
        return b"\x40\x02" + self._id_bytes(packet_id)

    def ping(self) -> bytes:
        """Return a PINGREQ packet."""
        return _PINGREQ

    def disconnect(self) -> bytes:
        """Return a DISCONNECT packet."""
        return _DISCONNECT

    @property
    def free(self) -> int:
        """How many QoS 1 messages may be published now."""
        return self.window - len(self.in_flight)

    def _new_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65535 + 1
            if self._last_id not in self.in_flight and self._last_id != self._subscribing:
                return self._last_id

    @staticmethod
    def _id_bytes(packet_id: int) -> bytes:
        return bytes((packet_id >> 8, packet_id & 255))

    # What was received

    def receive(self, data) -> list:
        """Take the next bytes of the stream, return the events they complete. Raises LinkError; close then."""
        events = []
        at = 0
        while at < len(data):
            if self._shift == _BODY:
                at += self._take(data, at)
            else:
                self._take_header(data[at])
                at += 1
            if self._shift == _BODY and not self._remaining:
                self._shift = _TYPE
                body, self._body = self._body, b""
                event = self._packet(self._head, body)
                if event:
                    events.append(event)
        return events

    def _take_header(self, byte: int) -> None:
        if self._shift == _TYPE:
            self._head = byte
            self._shift = 0
            self._length = 0
            return
        self._length |= (byte & 127) << self._shift  # < 2**28
        self._shift += 7
        if byte & 128:
            if self._shift == 28:
                raise LinkError("mqtt: malformed length")
            return
        limit = _MAX_SKIP if self._head >> 4 == _PUBLISH else self._max_packet
        if self._length > limit:
            raise LinkError("mqtt: packet of %d bytes" % self._length)
        self._shift = _BODY
        self._remaining = self._length
        self._body = bytearray()

    def _take(self, data, at: int) -> int:
        """Move to the body what `data` has of it from `at` on; return how many bytes that was."""
        n = min(self._remaining, len(data) - at)
        room = min(n, self._max_packet - len(self._body))
        if room > 0:
            self._body.extend(data[at : at + room])
        self._remaining -= n
        return n

    def _packet(self, head: int, body):
        """Return the event of one whole packet, None when it says nothing new."""
        kind = head >> 4
        if self._connected == (kind == CONNACK):  # 3.2: the first packet, and only the first
            raise LinkError("mqtt: packet %d out of order" % kind)
        if kind == _PUBLISH:
            return self._message(head, body)
        if head & 15:
            raise LinkError("mqtt: reserved bits are set in packet %d" % kind)
        n = len(body)
        if kind == CONNACK and n == 2 and body[0] <= 1 and body[1] < len(REFUSALS):
            self._connected = not body[1]
            return (CONNACK, body[1])
        if kind == PUBACK and n == 2:
            packet_id = body[0] << 8 | body[1]
            if packet_id not in self.in_flight:
                return None
            self.in_flight.remove(packet_id)
            return (PUBACK, packet_id)
        if kind == SUBACK and n == 3 and body[2] in (0, 1, 2, 128):
            if body[0] << 8 | body[1] != self._subscribing:
                return None
            self._subscribing = 0
            return (SUBACK, body[2] != 128)
        if kind == PINGRESP and not n:
            return (PINGRESP,)
        raise LinkError("mqtt: malformed packet %d" % kind)

    def _message(self, head: int, body):
        qos = head >> 1 & 3
        if qos > 1:
            raise LinkError("mqtt: message of QoS %d" % qos)  # we ask for QoS 1, 3.8.4: a server grants no more
        start = 2 + (body[0] << 8 | body[1]) if len(body) >= 2 else 0
        end = start + 2 * qos  # of the variable header
        if start <= 2 or end > len(body) or (not qos and head & 8):
            raise LinkError("mqtt: malformed message")
        topic = bytes(body[2:start])
        packet_id = body[start] << 8 | body[start + 1] if qos else 0
        if 0 in topic or b"#" in topic or b"+" in topic or (qos and not packet_id):
            raise LinkError("mqtt: malformed message")
        if self._length > len(body):
            return (OVERSIZE, topic, self._length, packet_id)
        return (MESSAGE, topic, bytes(body[end:]), packet_id)
