"""What becomes of a revoked device, a rotated certificate, a stolen one: a real broker, a real gateway, measured."""

import dataclasses
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from sqlalchemy.exc import OperationalError
from stand_in import Peer, Sealer, until

from host_tools import children
from host_tools.ingest.embedded import Embedded
from host_tools.ingest.gateway import Config, Gateway
from host_tools.ingest.store import Store, sqlite_url
from host_tools.paths import ROOT
from host_tools.sources.mqtt import Message
from host_tools.trust.home import Home
from host_tools.trust.keys import nobody
from host_tools.trust.pki import certificate_end_ms, certificate_name

THROWN_OUT_S = 2.0
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"


class World:
    """`vigil gateway` of a user, and devices that were provisioned for it. Has what a Peer needs of a broker.

    on_responder(port): called before the gateway starts, with the port of who tells its broker of revocations.
    """

    server_name = "localhost"

    def __init__(self, folder, on_responder=lambda port: None):
        self._folder = folder
        self.port = children.free_port()
        self.home = Home(make=True, port=self.port, passphrase=nobody)
        self.authority = self.home.authority
        responder_port = children.free_port()
        config = dataclasses.replace(self.home.config, responder=f"127.0.0.1:{responder_port}")
        config.write(self.home.config_path)
        self.authority.responder_url = config.responder_url
        on_responder(responder_port)
        self._log_path = folder / "gateway.log"
        with self._log_path.open("wb") as log:
            command = [sys.executable, "-m", "host_tools.cli", "gateway", "--json"]
            self._gateway = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=log, stderr=log)
        self._peers = []
        until(lambda: '"connected"' in self.log(), 20, self.log)

    def log(self):
        return self._log_path.read_text()

    def enrol(self, sealer, name):
        """A new certificate for a device, registered as provisioning does; PEM files of it and its key."""
        certificate, key = self.authority.device(sealer.device_id)
        urn = certificate_name(certificate)
        self.home.register.begin(
            sealer.device_id, sealer.public_key, name=name, board="ESP32_GENERIC", hardware=name,
            certificate=urn, end_ms=certificate_end_ms(certificate),
        )  # fmt: skip
        self.home.register.finish(sealer.device_id)
        told = self.log().count('"admitted"')
        until(lambda: self.log().count('"admitted"') > told, 10, self.log)
        folder = self._folder / urn.replace(":", "-")
        folder.mkdir()
        pair = folder / "certificate.pem", folder / "key.pem"
        pair[0].write_text(ssl.DER_cert_to_PEM_cert(certificate))
        private = load_der_private_key(key, None)
        pair[1].write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair

    def connect(self, pair, client_id):
        self._peers.append(Peer(self, self._folder, None, client_id=client_id, pair=pair))
        return self._peers[-1]

    def handshake(self, pair, version=ssl.TLSVersion.TLSv1_2):
        """What becomes of a connection with a certificate, and after how many milliseconds."""
        context = ssl.create_default_context(cafile=str(self.authority.ca_path))
        context.load_cert_chain(*pair)
        context.maximum_version = version
        start_s = time.perf_counter()
        try:
            with (
                socket.create_connection(("localhost", self.port), 5) as plain,
                context.wrap_socket(plain, server_hostname=self.server_name) as tls,
            ):
                tls.settimeout(5)
                tls.sendall(CONNECT)
                verdict = "admitted" if tls.recv(4)[3:] == b"\x00" else "refused at its first packet"
        except ssl.SSLError as e:
            assert e.reason == "SSLV3_ALERT_BAD_CERTIFICATE", e
            verdict = "refused in the handshake"
        return verdict, 1000 * (time.perf_counter() - start_s)

    def reasons(self):
        return [(row.device_claimed, row.reason) for row in self.home.store.audit_lines()]

    def stored(self, sealer):
        return self.home.store.sequences(sealer.device_id)

    def close(self):
        for peer in self._peers:
            peer.close()
        children.stop(self._gateway)
        self.home.store.close()


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def anna():
    return Sealer()


def refused(peer):
    return peer.verdicts and peer.verdicts[-1].is_failure


def test_stolen_certificate(world, anna):
    """Ben's certificate, with what Anna has sealed: his topic is not hers, and hers is closed to him."""
    ben = Sealer(seed=bytes(range(1, 33)))
    world.enrol(anna, "Anna")
    thief = world.connect(world.enrol(ben, "Ben"), ben.device_id)
    stolen = anna.seal()
    thief.publish(f"v1/{ben.device_id}/r", stolen)
    until(lambda: (ben.device_id, "foreign topic") in world.reasons())
    thief.publish(f"v1/{anna.device_id}/r", stolen)
    assert not thief.subscribe(f"v1/{anna.device_id}/a")
    time.sleep(0.5)
    assert world.stored(anna) == [] and world.reasons() == [(ben.device_id, "foreign topic")]


def test_rotated_certificate(world, anna):
    """The old certificate is thrown out and stays out; the new one goes on where it was."""
    before = world.enrol(anna, "Anna")
    old = world.connect(before, "old")
    assert not refused(old)
    old.publish(f"v1/{anna.device_id}/r", anna.seal())
    until(lambda: world.stored(anna) == [0])
    fresh = world.connect(world.enrol(anna, "Anna"), "new")
    assert not refused(fresh)
    until(lambda: not old.client.is_connected(), 10)
    assert world.handshake(before)[0] == "refused in the handshake"
    fresh.publish(f"v1/{anna.device_id}/r", anna.seal())
    until(lambda: world.stored(anna) == [0, 1])


# requirement: TRU-2
def test_revoked_device(world, anna):
    """Thrown out while connected, refused when it comes again; nobody else notices."""
    ben = Sealer(seed=bytes(range(1, 33)))
    pair = world.enrol(anna, "Anna")
    device, other = world.connect(pair, "anna"), world.connect(world.enrol(ben, "Ben"), "ben")
    device.publish(f"v1/{anna.device_id}/r", anna.seal())
    until(lambda: world.stored(anna) == [0])
    taken = [world.handshake(pair) for _ in range(9)]
    assert {verdict for verdict, _ in taken} == {"admitted"}
    start_s = time.monotonic()
    world.home.register.revoke(anna.device_id)
    until(lambda: not device.client.is_connected(), 5)
    out_s = time.monotonic() - start_s
    connect_ms = sorted(ms for _, ms in taken)[4]
    print(f"{connect_ms:.1f} ms a connection; thrown out, and refused from then on, after {1000 * out_s:.0f} ms")
    assert out_s < THROWN_OUT_S
    assert world.handshake(pair)[0] == "refused in the handshake"
    assert world.handshake(pair, ssl.TLSVersion.TLSv1_3)[0] == "refused in the handshake"
    assert other.client.is_connected() and len(other.verdicts) == 1
    until(lambda: (anna.device_id, "handshake ended") in world.reasons())  # its owner is told, and not each time
    assert world.reasons().count((anna.device_id, "handshake ended")) == 1
    known = world.home.register.find("Anna")
    assert known.state == "revoked" and known.refused_ms >= known.revoked_ms
    assert world.home.register.find("Ben").refused_ms is None
    assert world.home.store.counts()["rejected"] == 0


def test_a_certificate_from_before_works_and_is_refused_at_its_first_packet(world, anna):
    """It names nobody whom the broker could ask."""
    world.authority.responder_url = ""
    pair = world.enrol(anna, "Anna")
    taken = [world.handshake(pair) for _ in range(9)]
    assert {verdict for verdict, _ in taken} == {"admitted"}
    print(f"{sorted(ms for _, ms in taken)[4]:.1f} ms a connection")
    world.home.register.revoke(anna.device_id)
    until(lambda: world.handshake(pair)[0] == "refused at its first packet", 5)


def test_nobody_to_ask(tmp_path, monkeypatch, anna):
    """The responder's port is another's: devices are served, and the second gate refuses what the first cannot."""
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    with socket.socket() as taken:

        def take(port):
            taken.bind(("127.0.0.1", port))
            taken.listen()

        world = World(tmp_path, take)
        try:
            assert "responder_unavailable" in world.log()
            pair = world.enrol(anna, "Anna")
            device = world.connect(pair, "anna")
            device.publish(f"v1/{anna.device_id}/r", anna.seal())
            until(lambda: world.stored(anna) == [0])
            world.home.register.revoke(anna.device_id)
            until(lambda: world.handshake(pair)[0] == "refused at its first packet", 5)
        finally:
            world.close()


def test_revoked_at_verify(world, anna):
    """Whatever broker its words come through: a named reason, an audit line, no answer."""
    world.enrol(anna, "Anna")
    world.home.register.revoke(anna.device_id)

    class Elsewhere:
        def acknowledge_to_device(self, device, payload):
            raise AssertionError("a revoked device is not answered")

        def done(self, message):
            pass

    gateway = Gateway(world.home.store, Elsewhere(), lambda *a, **k: None)
    gateway.handle([Message(anna.device_id, anna.seal(), 0, 0)], threading.Event())
    assert world.reasons() == [(anna.device_id, "revoked device")] and world.stored(anna) == []


def test_the_register_is_followed_whatever_happens(tmp_path, monkeypatch):
    """A database that is locked, a disk that is full, a fault without words: the next look counts."""
    faults = [
        OperationalError("SELECT", {}, Exception("database is locked")),
        OSError(28, "No space left"),
        ValueError(),
    ]
    state = tmp_path / "state"
    state.mkdir()
    config = Config("", sqlite_url(state / "vigil.db"), listen=f"127.0.0.1:{children.free_port()}", responder="")
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    logged = []
    with Store(config.store) as store, Embedded(config, state, store, lambda name, **more: logged.append(name)) as own:
        monkeypatch.setattr(own._register, "admitted", lambda: {} if not faults else _raise(faults.pop()))
        until(lambda: logged.count("register_unavailable") == 3, 10)
        monkeypatch.setattr(own._register, "admitted", lambda: {"00000000000000aa": ("urn:vigil:00000000000000aa:1",)})
        until(lambda: "admitted" in logged, 10)


def _raise(error):
    raise error


def test_a_session_is_taken_over_only_by_who_knows_its_name(world, anna):
    """NATS binds no client id to a certificate: whoever names it gets the session. So each device's is a secret."""
    ben = Sealer(seed=bytes(range(1, 33)))
    device = world.connect(world.enrol(anna, "Anna"), "Yx3-lQ0b7r_unguessable")
    thief = world.connect(world.enrol(ben, "Ben"), anna.device_id)  # the name that everybody could know
    time.sleep(0.5)
    assert device.client.is_connected() and len(device.verdicts) == 1 and not refused(thief)
