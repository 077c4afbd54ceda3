"""A device's outer half on CPython: seals with the firmware's own wire code and talks MQTT with a certificate.

For tests of the host. Its signer is the `cryptography` package's where many envelopes are wanted (the firmware's
own takes longer on CPython), and the firmware's where the test says so.
"""

import queue
import ssl
import time

import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from paho.mqtt.enums import CallbackAPIVersion

from vigil.core import records
from vigil.crypto.signer import device_id
from vigil.wire import ack, batch, envelope


class FastSigner:
    """vigil.crypto.signer.Signer by another hand: same interface, same signatures."""

    def __init__(self, seed: bytes):
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.device_id = device_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(bytes(message))


def some_readings(t_ms: int) -> list:
    """Three readings of ten seconds that end at t_ms, one of them withheld."""
    start_ms = max(0, t_ms - 10_000)
    return [
        records.Reading(records.HEART_RATE, 721, -1, records.BEAT_PER_MIN, 90, start_ms, t_ms),
        records.Reading(records.PULSE_RATE, 719, -1, records.BEAT_PER_MIN, 80, start_ms, t_ms),
        records.Reading(records.SPO2, 970, -1, records.PERCENT, 0, start_ms, t_ms, records.LOW_PERFUSION),
    ]


class Sealer:
    """Makes the chain of envelopes of one device. `waiting` is what no acknowledgement has freed yet."""

    def __init__(self, signer=None, seed: bytes = bytes(range(32))):
        self.signer = signer or FastSigner(seed)
        self.device_id = self.signer.device_id
        self.public_key = self.signer.public_key
        self.waiting: dict[int, bytes] = {}
        self._seq = -1
        self._digest = bytes(32)

    def seal(self, readings=None) -> bytes:
        self._seq += 1
        t0_ms = 10_000 * self._seq
        payload = batch.encode(
            boot=1,
            seq=self._seq,
            prev_digest=self._digest,
            oldest_seq=min(self.waiting, default=self._seq),
            t0_ms=t0_ms,
            readings=some_readings(t0_ms) if readings is None else readings,
        )
        sealed = envelope.seal(self.signer, payload)
        self._digest = envelope.digest(sealed)
        self.waiting[self._seq] = sealed
        return sealed

    def free(self, acknowledgement: bytes) -> list[int]:
        """Forget what is acknowledged; returns the sequence numbers freed."""
        freed = []
        for seq, digest in ack.decode(acknowledgement)[1]:
            if seq in self.waiting and envelope.digest(self.waiting[seq]) == digest:
                del self.waiting[seq]
                freed.append(seq)
        return freed


class Peer:
    """An MQTT client with a certificate of `authority` in the name `name` (None: without any certificate).

    pair: PEM files of a certificate and its key to use instead. verdicts: what the broker said to each connection.
    """

    def __init__(self, broker, folder, name, *, client_id=None, pair=None):
        self.verdicts: list = []
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()
        self.granted: queue.SimpleQueue = queue.SimpleQueue()
        self.connected: queue.SimpleQueue = queue.SimpleQueue()
        context = ssl.create_default_context(cafile=str(broker.authority.ca_path))
        if pair is not None or name is not None:
            context.load_cert_chain(*(pair or certificate_files(broker.authority, folder, name)))
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id or name or "nobody")
        self.client.tls_set_context(context)
        self.client.reconnect_delay_set(1, 1)
        self.topics: list[str] = []
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *a: self.granted.put(a[3])
        self.client.on_message = lambda _c, _u, m: self.inbox.put((m.topic, m.payload))
        self.client.connect(broker.server_name, broker.port, keepalive=10)
        self.client.loop_start()
        self.connected.get(timeout=10)

    def _on_connect(self, client, _userdata, _flags, reason, _properties):
        self.connected.put(reason)
        self.verdicts.append(reason)
        for topic in self.topics:
            client.subscribe(topic, 1)

    def subscribe(self, topic: str) -> bool:
        """Whether the broker grants it."""
        self.topics.append(topic)
        self.client.subscribe(topic, 1)
        return not self.granted.get(timeout=10)[0].is_failure

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, 1).wait_for_publish(10)

    def received(self, timeout_s: float = 0.4) -> list:
        """Everything that arrives until nothing does for timeout_s."""
        found = []
        while True:
            try:
                found.append(self.inbox.get(timeout=timeout_s))
            except queue.Empty:
                return found

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def certificate_files(authority, folder, name):
    """PEM files of a client's certificate and key, from what a device would be given in DER."""
    certificate_der, key_der = authority.device(name)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(x509.load_der_x509_certificate(certificate_der).public_bytes(Encoding.PEM))
    private = load_der_private_key(key_der, None)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, key


def until(condition, timeout_s: float = 15, what: str = "it"):
    """Wait for a condition; returns its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.05)
    return value
