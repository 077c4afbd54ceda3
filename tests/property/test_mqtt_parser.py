"""The MQTT parser against anything a network may deliver, and against an independent implementation's packets."""

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from vigil.core.errors import LinkError
from vigil.link.mqtt import CONNACK, MESSAGE, PINGRESP, PUBACK, SUBACK, Mqtt

_LIMIT = 128
_TOPIC = st.binary(min_size=1, max_size=20).filter(lambda t: not set(t) & set(b"+#\0"))


def _length(n: int) -> bytes:
    """The standard's own algorithm for a remaining length (2.2.3), written from its pseudo code."""
    out = []
    while True:
        n, digit = divmod(n, 128)
        out.append(digit | 0x80 if n else digit)
        if not n:
            return bytes(out)


def _message(topic, payload, packet_id, dup, retain):
    head = 0x30 | (bool(packet_id) << 1) | (dup << 3 if packet_id else 0) | retain
    body = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", packet_id) if packet_id else b"") + payload
    return bytes([head]) + _length(len(body)) + body, (MESSAGE, topic, payload, packet_id)


_PACKETS = st.one_of(
    st.builds(_message, _TOPIC, st.binary(max_size=100), st.integers(0, 65535), st.booleans(), st.booleans()),
    st.just((b"\xd0\x00", (PINGRESP,))),
)


def _cut(data: bytes, cuts: list[int]):
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(_PACKETS, max_size=8), st.lists(st.integers(0, 1 << 16), max_size=30))
def test_any_split_gives_the_events_that_were_sent(packets, cuts):
    mqtt = Mqtt(max_packet=256)
    stream = b"\x20\x02\x00\x00" + b"".join(packet for packet, _ in packets)
    events = [event for part in _cut(stream, cuts) for event in mqtt.receive(part)]
    assert events == [(CONNACK, 0), *(event for _, event in packets)]


@settings(max_examples=400)
@given(st.booleans(), st.lists(st.binary(max_size=300), max_size=12))
def test_garbage_is_refused_or_read_and_never_kept(connected, parts):
    mqtt = Mqtt(max_packet=_LIMIT)
    if connected:
        mqtt.receive(b"\x20\x02\x00\x00")
    try:
        for part in parts:
            for event in mqtt.receive(part):
                assert isinstance(event, tuple)
            assert len(mqtt._body) <= _LIMIT
    except LinkError:
        pass


@settings(max_examples=400)
@given(
    st.sampled_from([0x20, 0x30, 0x31, 0x32, 0x33, 0x3A, 0x40, 0x90, 0xB0, 0xD0, 0x34, 0xF0]),
    st.binary(max_size=200),
    st.integers(-3, 3),
    st.integers(1, 50),
)
def test_packets_with_a_wrong_length_or_body(head, body, error, size):
    mqtt = Mqtt(max_packet=_LIMIT)
    mqtt.receive(b"\x20\x02\x00\x00")
    stream = bytes([head]) + _length(max(0, len(body) + error)) + body + b"\xd0\x00" * 3
    try:
        for at in range(0, len(stream), size):
            mqtt.receive(memoryview(stream)[at : at + size])
            assert len(mqtt._body) <= _LIMIT
    except LinkError:
        pass


class _Wire:
    """Stands for paho's socket: collects what it sends, gives what it is to receive."""

    def __init__(self):
        self.sent = bytearray()
        self.inbox = bytearray()

    def send(self, data):
        self.sent += data
        return len(data)

    def recv(self, n):
        if not self.inbox:
            raise BlockingIOError
        data, self.inbox = bytes(self.inbox[:n]), self.inbox[n:]
        return data

    def close(self):
        pass

    def fileno(self):
        return -1


def _paho():
    import paho.mqtt.client as paho

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="0011", protocol=paho.MQTTv311)
    client._sock = wire = _Wire()
    client._sockpairW = None
    client._state = paho._ConnectionState.MQTT_CS_CONNECTED
    return client, wire


@settings(max_examples=100)
@given(st.binary(max_size=300), st.integers(0, 1))
def test_publish_is_byte_for_byte_what_paho_sends(payload, qos):
    client, wire = _paho()
    info = client.publish("v1/0011/r", payload, qos)
    client.loop_write()
    ours = Mqtt()
    if qos:
        assert info.mid == 1
    assert ours.publish(b"v1/0011/r", payload, qos) == bytes(wire.sent)


def test_connect_subscribe_and_the_small_ones_are_byte_for_byte_what_paho_sends():
    client, wire = _paho()
    client._send_connect(60)
    client.loop_write()
    assert Mqtt().connect(b"0011", 60) == bytes(wire.sent)
    client, wire = _paho()
    client.subscribe("v1/0011/a", 1)
    client.loop_write()
    assert Mqtt().subscribe(b"v1/0011/a") == bytes(wire.sent)
    client, wire = _paho()
    client._send_pingreq()
    client._send_puback(0x1234)
    client._send_disconnect(None)
    client.loop_write()
    mqtt = Mqtt()
    assert mqtt.ping() + mqtt.puback(0x1234) + mqtt.disconnect() == bytes(wire.sent)


@given(st.binary(max_size=300), st.integers(0, 1))
def test_paho_reads_what_we_send(payload, qos):
    client, wire = _paho()
    got = []
    client.on_message = lambda _c, _u, message: got.append((message.topic, message.payload, message.qos))
    wire.inbox += Mqtt().publish(b"v1/0011/r", payload, qos)
    while wire.inbox:
        client.loop_read()
    assert got == [("v1/0011/r", payload, qos)]


def test_every_event_is_reached():
    mqtt = Mqtt()
    mqtt.receive(b"\x20\x02\x00\x00")
    mqtt.publish(b"t", b"")
    mqtt.subscribe(b"t")
    assert mqtt.receive(b"\x40\x02\x00\x01\x90\x03\x00\x02\x01") == [(PUBACK, 1), (SUBACK, True)]
