"""The device's signing key and the identity that follows from it."""

import hashlib
from binascii import hexlify

from vigil.crypto import ed25519

# What a proof of possession signs is PROOF_PREFIX + nonce: no envelope begins so (SPEC.md section 5).
PROOF_PREFIX = b"vigil proof of possession 1\x00"


def device_id(public_key: bytes) -> str:
    """Return the device id of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return hexlify(hashlib.sha256(public_key).digest()[:8]).decode()


class Signer:
    """Signs with one Ed25519 key. A signer in a secure element has the same three members.

    seed: 32 secret bytes from the hardware generator. `public_key` is 32 bytes, `device_id` 16 hexadecimal digits.
    Nothing here shows the seed again; keep no second copy of it on the heap.
    """

    def __init__(self, seed: bytes):
        if len(seed) != 32:
            raise ValueError("seed: 32 bytes")
        self._scalar, self._prefix, self.public_key = ed25519.expand(seed)
        self.device_id = device_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return ed25519.sign(self._scalar, self._prefix, self.public_key, message)
