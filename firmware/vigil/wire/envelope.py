"""Sealed envelope: a payload as tagged COSE_Sign1 (RFC 9052), EdDSA, key id in the protected header.

Signed once; the bytes that leave here are stored, sent and sent again, never encoded a second time.
"""

import hashlib
from binascii import unhexlify

from micropython import const

from vigil.wire import cbor

_TAG_SIGN1 = const(0xD2)  # tag 18 in one byte
_ALGORITHM = const(1)  # header label alg
_EDDSA = const(-8)
_KEY_ID = const(4)  # header label kid


def protected_header(device_id: str) -> bytes:
    """Return the encoded protected header of a device: algorithm EdDSA, key id = the eight bytes of its id."""
    return cbor.encode({_ALGORITHM: _EDDSA, _KEY_ID: unhexlify(device_id)})


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure of RFC 9052 section 4.4, with no external data."""
    return cbor.encode(["Signature1", protected, b"", payload])


def seal(signer, payload: bytes, signature=None) -> bytes:
    """Return `payload` signed by `signer` (crypto.signer.Signer or anything with its device_id and sign).

    signature: where it was made before and kept; nothing is computed then.
    """
    protected = protected_header(signer.device_id)
    out = bytearray((_TAG_SIGN1,))
    cbor.put(out, [protected, {}, payload, signature or signer.sign(to_be_signed(protected, payload))])
    return bytes(out)


def digest(envelope: bytes) -> bytes:
    """Return the SHA-256 of a whole envelope: the next one's prev_digest, and its name in acknowledgements."""
    return hashlib.sha256(envelope).digest()
