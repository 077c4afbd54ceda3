"""The device's link under the real MicroPython, in a small heap, over mutual TLS, against real brokers."""

import datetime
import getpass
import hashlib
import json
import shutil
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from stand_in import Peer, until

from host_tools import children
from host_tools.ingest.broker import GATEWAY, Broker
from host_tools.trust.ocsp import Answers, Responder
from host_tools.trust.pki import SERVER_NAME, Authority, certificate_name
from host_tools.virtual import interpreter
from vigil.wire import ack

ID = "00112233445566aa"
DEVICE = __file__.replace("test_link.py", "link_device.py")


class Gateway(Peer):
    """Acknowledges each envelope it sees while `acknowledges`; `seen` has them all, in order of arrival."""

    def __init__(self, broker, folder):
        super().__init__(broker, folder, GATEWAY)
        self.acknowledges = True
        self.seen = []
        self._ended = threading.Event()
        self.subscribe("v1/+/r")
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        while not self._ended.is_set():
            for _, payload in self.received(0.05):
                seq = int(payload[7:].split(b":")[0])
                self.seen.append(seq)
                if self.acknowledges:
                    item = (seq, hashlib.sha256(payload).digest())
                    self.client.publish(f"v1/{ID}/a", ack.encode([item]), 1)

    def close(self):
        self._ended.set()
        self._thread.join()
        super().close()


class Mosquitto:
    """Another make of broker, with the interface of host_tools.ingest.broker; each certificate bound to its topics."""

    server_name = SERVER_NAME

    def __init__(self, program, folder, authority):
        folder.mkdir()
        self.authority = authority
        self.port = children.free_port()
        certificate, key = authority.server()
        rules = folder / "acl"
        rules.write_text(
            f"user {GATEWAY}\ntopic read v1/+/r\ntopic write v1/+/a\n"
            "pattern write v1/%u/r\npattern read v1/%u/a\npattern read v1/%u/c\n"
        )
        config = folder / "mosquitto.conf"
        config.write_text(
            f"user {getpass.getuser()}\nlistener {self.port} 127.0.0.1\nacl_file {rules}\nmax_queued_messages 10000\n"
            f"cafile {authority.ca_path}\ncertfile {certificate}\nkeyfile {key}\n"
            "require_certificate true\nuse_identity_as_username true\n"
        )
        self._command = [program, "-c", str(config)]
        self._log = folder / "log"
        self._process = None

    def start(self):
        self._process = children.start(self._command, self._log)
        until(lambda: not children.port_is_free(self.port), what="mosquitto's start")

    def kill(self):
        children.kill(self._process)


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path / "broker", Authority(tmp_path / "pki")) as running:
        running.add_device(ID)
        yield running


@pytest.fixture(params=["nats", "mosquitto"])
def any_broker(request, tmp_path):
    if request.param == "nats":
        yield request.getfixturevalue("broker")
        return
    program = shutil.which("mosquitto")
    if not program:
        pytest.skip("mosquitto is not on PATH")
    running = Mosquitto(program, tmp_path / "broker", Authority(tmp_path / "pki"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def gateway(any_broker, tmp_path):
    peer = Gateway(any_broker, tmp_path)
    yield peer
    peer.close()


class Device:
    """The script as a process; `state` keeps its queue, settings and certificates."""

    def __init__(self, broker, folder, *, name=ID, authority=None, ca_der=None, server_name=None, certificate=None):
        self.state = folder / "device"
        tls = self.state / "fs" / "tls"
        tls.mkdir(parents=True)
        certificate_der, key_der = certificate or (authority or broker.authority).device(name)
        (tls / "ca.der").write_bytes(ca_der or broker.authority.ca_der)
        (tls / "client.der").write_bytes(certificate_der)
        (tls / "client.key").write_bytes(key_der)
        settings = {
            "id": ID,
            "link.host": "127.0.0.1",
            "link.port": str(broker.port),
            "link.server_name": server_name or broker.server_name,
        }
        (self.state / "link").write_text(json.dumps(settings))
        self.process = None

    def start(self, count, seconds):
        command = interpreter.command(DEVICE, str(self.state), str(count), str(seconds))
        environment = interpreter.environment(*interpreter.import_path("bytecode"))
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self, timeout_s=40):
        """(log, report) once it has ended."""
        try:
            text, _ = self.process.communicate(timeout=timeout_s)
        finally:
            self.process.kill()
        log, _, report = text.rpartition("END ")
        assert report, text[-3000:]
        return log, json.loads(report)


def test_everything_sealed_is_acknowledged_once(any_broker, gateway, tmp_path):
    device = Device(any_broker, tmp_path)
    device.start(12, 20)
    log, report = device.end()
    assert report["pending"] == 0 and report["connects"] == 1 and report["resent"] == 0, log
    assert sorted(gateway.seen) == list(range(1, 13))
    gateway.seen.clear()
    assert report["state"] == 0
    assert report["heap_used"] < 110_000
    device.start(2, 10)  # the sequence goes on after a restart
    _, report = device.end()
    assert report["pending"] == 0
    assert {13, 14} <= set(gateway.seen) <= set(range(1, 15))  # that 12 was acknowledged is not written down


def test_the_broker_dies_and_comes_back(any_broker, gateway, tmp_path):
    device = Device(any_broker, tmp_path)
    device.start(60, 40)
    deadline = time.monotonic() + 10
    while not gateway.seen and time.monotonic() < deadline:
        time.sleep(0.05)
    any_broker.kill()
    time.sleep(1)
    any_broker.start()
    log, report = device.end()
    assert report["pending"] == 0 and report["connects"] >= 2, log
    assert set(gateway.seen) == set(range(1, 61))
    assert "warn link: online: " in log and log.count("info link: online") == report["connects"], log


def test_no_acknowledgement_no_deletion(any_broker, gateway, tmp_path):
    gateway.acknowledges = False
    device = Device(any_broker, tmp_path)
    device.start(8, 2)
    _, report = device.end()
    assert report["pending"] == 8
    assert set(gateway.seen) <= set(range(1, 9)) and {1, 2, 3} <= set(gateway.seen)
    gateway.acknowledges = True
    device.start(0, 20)
    _, report = device.end()
    assert report["pending"] == 0 and set(gateway.seen) == set(range(1, 9))


def _expired(authority):
    """A device certificate whose time has passed, from the right authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = authority._builder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ID)]),
        authority._certificate.subject,
        key.public_key(),
        1,
    )
    builder._not_valid_before = (now - datetime.timedelta(days=9)).replace(tzinfo=None)
    builder._not_valid_after = (now - datetime.timedelta(days=2)).replace(tzinfo=None)
    certificate = builder.sign(authority._key, hashes.SHA256())
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return certificate.public_bytes(Encoding.DER), key.private_bytes(
        Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )


REFUSED = [
    # what is wrong, how the device is made, what its log says
    ("the broker has another authority", lambda b, o: {"ca_der": o.ca_der}, "securing: The certificate is not"),
    ("the broker has another name", lambda b, o: {"server_name": "elsewhere.example"}, "securing: The certificate Com"),
    ("our authority is not the broker's", lambda b, o: {"certificate": o.device(ID)}, "our certificate is revoked"),
    ("our certificate has expired", lambda b, o: {"certificate": _expired(b.authority)}, "our certificate is revoked"),
    ("the broker does not know us", lambda b, o: {"name": "0123456789abcdef"}, "greeting: "),
]


@pytest.mark.parametrize("make, says", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refusals_are_named_and_waited_out(broker, tmp_path, make, says):
    other = Authority(tmp_path / "other")
    device = Device(broker, tmp_path, **make(broker, other))
    device.start(1, 2)
    log, report = device.end()
    assert says in log, log
    assert report["connects"] == 0 and report["pending"] == 1
    assert 2 <= log.count("warn link: ") <= 7, log  # it tries again, and not without pause
    assert "Traceback" not in log


def test_a_revoked_device_is_refused_in_the_handshake_and_loses_nothing(tmp_path):
    """Thrown out while it sends, then refused by an alert; what it has measured stays, and would still be good."""
    broker = Broker(tmp_path / "broker", Authority(tmp_path / "pki"))
    broker.asks_responder = True
    address = f"127.0.0.1:{children.free_port()}"
    broker.authority.responder_url = f"http://{address}"
    certificate = broker.authority.device(ID)
    broker.authority.responder_url = ""
    admitted = {ID: (certificate_name(certificate[0]),)}
    broker.admit(admitted)
    with broker, Responder(Answers(broker.authority, broker.admits), address):
        gateway = Gateway(broker, tmp_path)
        try:
            gateway.acknowledges = False
            device = Device(broker, tmp_path, certificate=certificate)
            device.start(20, 6)
            until(lambda: len(gateway.seen) > 4)
            broker.admit({})
            log, report = device.end()
            assert "online: closed by the broker" in log and "Traceback" not in log, log
            assert "securing: MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE" in log and "our certificate is revoked" in log, log
            assert report["connects"] == 1 and report["pending"] == 20, log
            gateway.acknowledges = True
            broker.admit(admitted)
            device.start(0, 30)
            log, report = device.end()
            assert report["pending"] == 0 and set(gateway.seen) == set(range(1, 21)), log
        finally:
            gateway.close()


def test_nobody_there(broker, tmp_path):
    device = Device(broker, tmp_path)
    broker.stop()
    device.start(1, 2)
    log, report = device.end()
    assert "ECONNREFUSED" in log and report["pending"] == 1, log
