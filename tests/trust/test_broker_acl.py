"""Who may say what: a real broker, real certificates, a table of wishes and what the broker grants."""

import contextlib
import os
import signal
import socket
import ssl

import pytest
from stand_in import Peer, certificate_files

from host_tools.errors import UserError
from host_tools.ingest import broker as broker_module
from host_tools.ingest.broker import GATEWAY, Broker
from host_tools.trust.pki import Authority

A, B = "00000000000000aa", "00000000000000bb"


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path / "broker", Authority(tmp_path / "pki")) as running:
        running.add_device(A)
        running.add_device(B)
        yield running


@pytest.fixture
def peers(broker, tmp_path):
    opened = []

    def open_peer(name, **more):
        opened.append(Peer(broker, tmp_path, name, **more))
        return opened[-1]

    yield open_peer
    for peer in opened:
        peer.close()


SUBSCRIPTIONS = [
    # who, topic, granted
    (A, f"v1/{A}/a", True),
    (A, f"v1/{A}/c", True),
    (A, f"v1/{A}/r", False),
    (A, f"v1/{B}/a", False),
    (A, f"v1/{B}/r", False),
    (A, "v1/+/r", False),
    (A, "v1/+/a", False),
    (A, "#", False),
    (A, "$MQTT/sub/#", False),
    (A, "$JS/#", False),
    (A, "$SYS/#", False),
    (GATEWAY, "v1/+/r", True),
    (GATEWAY, f"v1/{A}/a", False),
    (GATEWAY, "#", False),
]


# requirement: TRU-3
def test_subscriptions(peers):
    who = {A: peers(A), GATEWAY: peers(GATEWAY)}
    got = [(name, topic, who[name].subscribe(topic)) for name, topic, _ in SUBSCRIPTIONS]
    assert got == SUBSCRIPTIONS


PUBLICATIONS = [
    # who, topic, who listens where, delivered
    (A, f"v1/{A}/r", GATEWAY, "v1/+/r", True),
    (A, f"v1/{B}/r", GATEWAY, "v1/+/r", False),
    (A, f"v1/{B}/a", B, f"v1/{B}/a", False),
    (A, f"v1/{A}/a", A, f"v1/{A}/a", False),
    (A, f"v1/{B}/c", B, f"v1/{B}/c", False),
    (GATEWAY, f"v1/{A}/a", A, f"v1/{A}/a", True),
    (GATEWAY, f"v1/{A}/c", A, f"v1/{A}/c", True),
    (GATEWAY, f"v1/{A}/r", GATEWAY, "v1/+/r", False),
]


def test_publications(peers):
    who = {name: peers(name) for name in (A, B, GATEWAY)}
    got = []
    for sender, topic, listener, where, _ in PUBLICATIONS:
        assert who[listener].subscribe(where)
        who[sender].publish(topic, b"words")
        got.append((sender, topic, listener, where, (topic, b"words") in who[listener].received()))
    assert got == PUBLICATIONS


def handshake(broker, context):
    with (
        socket.create_connection((broker.host, broker.port), 5) as plain,
        context.wrap_socket(plain, server_hostname=broker.server_name) as tls,
    ):
        tls.settimeout(5)
        # MQTT CONNECT as "x"; TLS 1.3 tells of a refused certificate only at the first read
        tls.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")
        return tls.recv(4)


# requirement: TRU-3
def test_no_certificate_no_connection(broker):
    context = ssl.create_default_context(cafile=str(broker.authority.ca_path))
    with pytest.raises(OSError, match=r"(?i)certificate required|reset|broken pipe"):
        handshake(broker, context)


def test_certificate_of_another_authority_is_refused(broker, tmp_path):
    context = ssl.create_default_context(cafile=str(broker.authority.ca_path))
    context.load_cert_chain(*certificate_files(Authority(tmp_path / "other"), tmp_path, A))
    with pytest.raises(OSError):
        handshake(broker, context)


def test_certificate_without_a_user_is_refused(broker, tmp_path):
    context = ssl.create_default_context(cafile=str(broker.authority.ca_path))
    context.load_cert_chain(*certificate_files(broker.authority, tmp_path, "00000000000000cc"))
    assert handshake(broker, context)[3:] != b"\x00"  # CONNACK with a refusal, or nothing


def test_adding_a_device_disturbs_nobody(broker, peers):
    gateway, device = peers(GATEWAY), peers(A)
    assert gateway.subscribe("v1/+/r")
    pid = broker.pid
    broker.add_device("00000000000000dd")
    fresh = peers("00000000000000dd")
    fresh.publish("v1/00000000000000dd/r", b"new")
    device.publish(f"v1/{A}/r", b"old")
    assert sorted(p for _, p in gateway.received()) == [b"new", b"old"]
    assert broker.pid == pid
    assert gateway.connected.empty() and device.connected.empty()  # nobody had to connect again


def test_restart_keeps_port_devices_and_sessions(tmp_path):
    authority = Authority(tmp_path / "pki")
    with Broker(tmp_path / "broker", authority) as broker:
        broker.add_device(A)
        port = broker.port
        broker.kill()
        broker.start()
        assert broker.port == port
        peer = Peer(broker, tmp_path, A)
        assert peer.subscribe(f"v1/{A}/a")
        peer.close()
        pid = broker.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)
    with Broker(tmp_path / "broker", authority) as again:
        peer = Peer(again, tmp_path, A)
        assert peer.subscribe(f"v1/{A}/a")
        peer.close()


def test_what_could_not_be_loaded_is_loaded_when_it_is_said_again(broker, peers, monkeypatch):
    """A full disk, say: who is admitted or shut out must not depend on one attempt."""
    fresh = "00000000000000dd"
    write = broker._write_config

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(broker, "_write_config", full)
    with pytest.raises(OSError, match="No space"):
        broker.admit({A: (), fresh: ()})
    monkeypatch.setattr(broker, "_write_config", write)
    assert broker.admit({A: (), fresh: ()}) and not broker.admit({A: (), fresh: ()})
    assert peers(fresh).subscribe(f"v1/{fresh}/a")


def test_its_log_does_not_grow_for_ever(tmp_path, monkeypatch):
    """Who is refused comes again and again: there is one log, and one before it."""
    monkeypatch.setattr(broker_module, "_LOG_BYTES", 4000)
    with Broker(tmp_path / "broker", Authority(tmp_path / "pki")) as broker:
        context = ssl.create_default_context(cafile=str(broker.authority.ca_path))
        for turn in range(60):
            with contextlib.suppress(OSError):
                handshake(broker, context)
            if turn % 20 == 0:
                assert broker.admit({f"{turn:016x}": ()})  # is heard of, also where a log begins
    logs = list((tmp_path / "broker").glob("broker.log*"))
    assert 1 <= len(logs) <= 2 and sum(log.stat().st_size for log in logs) < 3 * 4000


def test_port_in_use_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        broker = Broker(tmp_path / "broker", Authority(tmp_path / "pki"), port=port)
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 is in use"):
            broker.start()
        assert broker.pid is None


def test_keys_are_the_owners_alone(tmp_path):
    authority = Authority(tmp_path / "pki")
    authority.server()
    authority.client(GATEWAY)
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700
    keys = sorted((tmp_path / "pki").glob("*.key"))
    assert [k.name for k in keys] == ["ca.key", "gateway.key", "server.key"]
    assert all(k.stat().st_mode & 0o777 == 0o600 for k in keys)
    assert Authority(tmp_path / "pki").ca_der == authority.ca_der
