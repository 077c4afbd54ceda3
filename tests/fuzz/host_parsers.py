"""Parsers of the host as fuzzing targets; see parsers.py."""

import contextlib
from array import array

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from host_tools.ingest import waveform
from host_tools.ingest.batch import VERSION, Malformed, decode, decode_cbor
from host_tools.ingest.orders import Giving, Orders
from host_tools.trust.verify import DeviceState, split, verify
from host_tools.trust.verify_file import claimed_device
from host_tools.updates.rollout import Serving
from vigil.crypto.signer import device_id
from vigil.wire import envelope
from vigil.wire.batch import encode
from vigil.wire.waveform import MOST_BYTES, Encoder


class Signer:
    """Seals quickly."""

    def __init__(self):
        self._key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.device_id = device_id(self.public_key)

    def sign(self, message):
        return self._key.sign(bytes(message))


SIGNER = Signer()
_STATE = DeviceState(SIGNER.public_key)


def _batch(data):
    """What is taken has reasonable times; of version 2 it has no other bytes than the device's encoder makes."""
    batch = decode(data)
    assert all(reading.t_start_ms <= reading.t_end_ms for reading in batch.readings)
    value = decode_cbor(data)
    if value[0] == VERSION:
        made = encode(boot=0, seq=0, prev_digest=b"", oldest_seq=0, t0_ms=batch.t0_ms, readings=batch.readings)
        assert decode_cbor(made)[6] == value[6], "read, and written otherwise"


def _envelope(data):
    return verify(data, topic_device=SIGNER.device_id, device=_STATE).verdict == "accepted"


def _sealed(data):
    """What a device has signed, whatever it is."""
    return _envelope(envelope.seal(SIGNER, data))


def _file(data):
    assert b"".join(split(data)) == data


def _claimed(data):
    assert isinstance(claimed_device(data), str)


def _waveform(data):
    took_in = False
    for columns in (1, 2):
        with contextlib.suppress(waveform.BadBlock):
            took_in = len(waveform.decode(data, columns)) > 0
    return took_in


def _codec(data):
    """The firmware's encoder, read back: a byte of columns and width, then samples of two bytes."""
    columns, wide = 1 + data[0] % 2, data[0] & 2
    samples = [int.from_bytes(data[i : i + 2], "big", signed=True) for i in range(1, len(data) - 1, 2)]
    samples = samples[: len(samples) // columns * columns]
    if wide:
        samples = [x + 2 * y for x, y in zip(samples, samples[1:] + samples[:1], strict=True)]
    encoder, out = Encoder(columns, bool(wide)), bytearray(MOST_BYTES)
    rows = encoder.put(array("i" if wide else "h", samples), 0, len(samples) // columns)
    if not rows:
        return False
    block = bytes(out[: encoder.finish_into(out, 0)])
    assert waveform.decode(block, columns).ravel().tolist() == samples[: columns * rows], "read otherwise"


class _Serving(Serving):
    def __init__(self):
        self.said = 0
        self._log = self._count

    def _count(self, name, **_):
        self.said += 1

    def _current(self, *, now=False):
        return {}


_serving = _Serving()


class _NoOrders(Orders):
    def open(self):
        return {SIGNER.device_id: (7, b"")}

    def end(self, *_):
        return False


_giving = Giving(None, None, _serving._count)
_giving._orders = _NoOrders(None)


def _wish(data):
    """As the gateway: what tells how an order went, else what is about an update."""
    before = _serving.said
    if not _giving.answer(SIGNER.device_id, data):
        _serving.answer(SIGNER.device_id, data)
    return _serving.said == before


TARGETS = {
    "batch": (_batch, Malformed),
    "envelope": (_envelope, ()),
    "sealed": (_sealed, ()),
    "file": (_file, Malformed),
    "claimed": (_claimed, Malformed),
    "waveform": (_waveform, ()),
    "codec": (_codec, ()),
    "wish": (_wish, ()),
}


def run(name, data):
    """Tell whether `data` was accepted. Raises whatever a parser must not raise."""
    function, refusal = TARGETS[name]
    try:
        return function(data) is not False
    except refusal:
        return False
