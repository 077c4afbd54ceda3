"""The MQTT codec against packets written out from the standard, byte by byte."""

from vigil.core.errors import LinkError
from vigil.link.mqtt import CONNACK, MESSAGE, OVERSIZE, PINGRESP, PUBACK, REFUSALS, SUBACK, Mqtt

_ACCEPTED = b"\x20\x02\x00\x00"


def _refused(function, *args):
    try:
        function(*args)
    except LinkError:
        return True
    return False


def _connected(**options):
    mqtt = Mqtt(**options)
    assert mqtt.receive(_ACCEPTED) == [(CONNACK, 0)]
    return mqtt


def test_connect_packet():
    packet = Mqtt().connect(b"0123456789abcdef", 60)
    assert packet == b"\x10\x1c\x00\x04MQTT\x04\x02\x00\x3c\x00\x100123456789abcdef"


def test_connack_with_every_code():
    for code in range(6):
        assert Mqtt().receive(bytes((0x20, 2, 0, code))) == [(CONNACK, code)]
    assert len(REFUSALS) == 6
    assert _refused(Mqtt().receive, b"\x20\x02\x00\x06")
    assert _refused(Mqtt().receive, b"\x20\x02\x02\x00")  # reserved flag
    assert _refused(Mqtt().receive, b"\x21\x02\x00\x00")  # reserved bits of the fixed header
    assert _refused(Mqtt().receive, b"\x20\x03\x00\x00\x00")


def test_publish_packets():
    mqtt = _connected()
    assert mqtt.publish(b"a/b", b"xyz") == b"\x32\x0a\x00\x03a/b\x00\x01xyz"
    assert mqtt.publish(b"a/b", b"xyz", 0) == b"\x30\x08\x00\x03a/bxyz"
    assert mqtt.publish(b"t", b"")[-2:] == b"\x00\x02"
    assert mqtt.in_flight == [1, 2]
    long = mqtt.publish(b"t", bytes(200))
    assert long[:3] == b"\x32\xcd\x01" and len(long) == 3 + 205


def test_puback_frees_the_window():
    mqtt = _connected(window=2)
    mqtt.publish(b"t", b"1")
    mqtt.publish(b"t", b"2")
    assert mqtt.free == 0 and _refused(mqtt.publish, b"t", b"3")
    assert mqtt.receive(b"\x40\x02\x00\x02") == [(PUBACK, 2)]
    assert mqtt.receive(b"\x40\x02\x00\x02") == []  # a second time says nothing
    assert mqtt.receive(b"\x40\x02\x77\x77") == []
    assert mqtt.in_flight == [1] and mqtt.free == 1


def test_packet_ids_wrap_and_skip_what_is_in_flight():
    mqtt = _connected(window=3)
    mqtt.publish(b"t", b"held")
    assert mqtt.in_flight == [1]
    for _ in range(65534):
        mqtt._new_id()
    mqtt.publish(b"t", b"next")
    assert mqtt.in_flight == [1, 2]


def test_subscribe_and_suback():
    mqtt = _connected()
    assert mqtt.subscribe(b"v1/x/a") == b"\x82\x0b\x00\x01\x00\x06v1/x/a\x01"
    assert mqtt.receive(b"\x90\x03\x00\x09\x01") == []  # another's
    assert mqtt.receive(b"\x90\x03\x00\x01\x01") == [(SUBACK, True)]
    mqtt.subscribe(b"v1/x/a")
    assert mqtt.receive(b"\x90\x03\x00\x02\x80") == [(SUBACK, False)]
    assert _refused(mqtt.receive, b"\x90\x03\x00\x02\x03")


def test_messages():
    mqtt = _connected()
    assert mqtt.receive(b"\x30\x07\x00\x03a/bhi") == [(MESSAGE, b"a/b", b"hi", 0)]
    assert mqtt.receive(b"\x3a\x09\x00\x03a/b\x01\x02hi") == [(MESSAGE, b"a/b", b"hi", 258)]  # DUP, QoS 1
    assert mqtt.receive(b"\x31\x05\x00\x03a/b") == [(MESSAGE, b"a/b", b"", 0)]  # RETAIN, empty
    assert mqtt.puback(258) == b"\x40\x02\x01\x02"


def test_ping_and_disconnect():
    mqtt = _connected()
    assert mqtt.ping() == b"\xc0\x00" and mqtt.disconnect() == b"\xe0\x00"
    assert mqtt.receive(b"\xd0\x00") == [(PINGRESP,)]


def test_what_a_server_may_not_send():
    for packet in (
        b"\x34\x07\x00\x03a/b\x00\x01",  # QoS 2
        b"\x36\x07\x00\x03a/b\x00\x01",  # QoS 3
        b"\x38\x05\x00\x03a/b",  # DUP at QoS 0
        b"\x32\x07\x00\x03a/b\x00\x00",  # packet id 0
        b"\x30\x02\x00\x00",  # no topic
        b"\x30\x05\x00\x03a/#",  # wildcard
        b"\x30\x05\x00\x03a\x00b",  # NUL
        b"\x30\x04\x00\x03ab",  # topic longer than the packet
        b"\x30\x00",
        b"\x32\x06\x00\x03a/b\x00",  # half a packet id
        b"\x40\x01\x00",
        b"\x42\x02\x00\x01",
        b"\xd0\x01\x00",
        b"\x10\x00",  # what only a client sends
        b"\xe0\x00",
        b"\x00\x00",
        b"\xf0\x00",
        _ACCEPTED,  # a second CONNACK
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x30\xff\xff\xff\x7f",  # 256 MiB
        b"\x90\xff\x7f",
    ):
        assert _refused(_connected().receive, packet), packet
    assert _refused(Mqtt().receive, b"\xd0\x00")  # before CONNACK
    assert _refused(Mqtt().receive, b"\x20\x02\x00\x05" + b"\xd0\x00")  # after a refusal


def test_every_split_gives_the_same_events():
    stream = _ACCEPTED + b"\x3a\x09\x00\x03a/b\x01\x02hi" + b"\xd0\x00" + b"\x30\xcd\x01\x00\x03a/b" + bytes(200)
    whole = Mqtt().receive(stream)
    assert len(whole) == 4
    for size in range(1, len(stream)):
        mqtt = Mqtt()
        events = []
        for at in range(0, len(stream), size):
            events += mqtt.receive(memoryview(stream)[at : at + size])
        assert events == whole


def test_a_message_too_large_is_skipped_and_named():
    mqtt = _connected(max_packet=64)
    body = b"\x00\x03a/b\x00\x07" + bytes(1000)
    packet = b"\x32" + bytes((len(body) & 127 | 128, len(body) >> 7)) + body
    events = []
    for at in range(0, len(packet), 100):
        events += mqtt.receive(packet[at : at + 100])
        assert len(mqtt._body) <= 64
    assert events == [(OVERSIZE, b"a/b", len(body), 7)]
    assert mqtt.receive(b"\xd0\x00") == [(PINGRESP,)]
