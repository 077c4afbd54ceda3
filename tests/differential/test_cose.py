"""Envelopes against COSE by other hands: cbor2 writes and reads them, the `cryptography` package signs and verifies."""

import hashlib

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vigil.crypto.signer import Signer
from vigil.wire import envelope

SEED = bytes(range(32))


def independent_envelope(seed: bytes, payload: bytes) -> bytes:
    """RFC 9052 section 4.4 read once more, with no code of ours."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    kid = hashlib.sha256(key.public_key().public_bytes_raw()).digest()[:8]
    protected = cbor2.dumps({1: -8, 4: kid})
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def test_equal_bytes():
    for n in (0, 1, 23, 24, 255, 256, 300, 5000):
        payload = bytes(i & 0xFF for i in range(n))
        assert envelope.seal(Signer(SEED), payload) == independent_envelope(SEED, payload)


def test_read_by_another():
    signer = Signer(SEED)
    tag = cbor2.loads(envelope.seal(signer, b"payload"))
    assert tag.tag == 18
    protected, unprotected, payload, signature = tag.value
    assert (cbor2.loads(protected), dict(unprotected)) == ({1: -8, 4: bytes.fromhex(signer.device_id)}, {})
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    Ed25519PublicKey.from_public_bytes(signer.public_key).verify(signature, signed)
    assert payload == b"payload"


def test_digest_is_of_all_bytes():
    sealed = independent_envelope(SEED, b"payload")
    assert envelope.digest(sealed) == hashlib.sha256(sealed).digest()
