"""SHA-512 and Ed25519 against hashlib and the `cryptography` package (OpenSSL).

A few hundred messages here; `VIGIL_MESSAGES=10000 pytest tests/differential/test_crypto.py` for the long run.
"""

import hashlib
import os
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from host_tools.image import comb_table
from vigil.crypto import ed25519, ed25519_verify
from vigil.crypto.sha512 import sha512
from vigil.crypto.signer import Signer

MESSAGES = int(os.environ.get("VIGIL_MESSAGES", "300"))


def test_sha512_of_every_length_across_three_blocks():
    rng = random.Random(1)
    for n in range(0, 400, 1 if MESSAGES > 300 else 7):
        message = rng.randbytes(n)
        assert sha512(message) == hashlib.sha512(message).digest(), n
    for n in (111, 112, 127, 128, 129, 239, 240, 255, 256, 257, 4096, 8191):
        message = rng.randbytes(n)
        assert sha512(message) == hashlib.sha512(message).digest(), n


@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x80, 0x7F])
def test_sha512_of_extreme_limbs(fill):
    message = bytes([fill]) * 250
    assert sha512(message) == hashlib.sha512(message).digest()


def test_signatures():
    rng = random.Random(2)
    for i in range(MESSAGES):
        seed, message = rng.randbytes(32), rng.randbytes(rng.randrange(0, 400) if i % 8 == 0 else i % 64)
        theirs = Ed25519PrivateKey.from_private_bytes(seed)
        ours = Signer(seed)
        assert ours.public_key == theirs.public_key().public_bytes_raw(), seed.hex()
        assert ours.sign(message) == theirs.sign(message), (seed.hex(), message.hex())


def test_verification():
    rng = random.Random(3)
    for _ in range(MESSAGES // 15):
        seed, message = rng.randbytes(32), rng.randbytes(rng.randrange(200))
        key = Ed25519PrivateKey.from_private_bytes(seed)
        public_key, signature = key.public_key().public_bytes_raw(), key.sign(message)
        assert ed25519_verify.verify(public_key, message, signature)
        at = rng.randrange(64)
        changed = signature[:at] + bytes([signature[at] ^ 1 << rng.randrange(8)]) + signature[at + 1 :]
        assert not ed25519_verify.verify(public_key, message, changed)


def test_decompression_of_random_bytes():
    rng = random.Random(4)
    found = 0
    for _ in range(200):
        data = rng.randbytes(32)
        point = ed25519_verify.decompress(data)
        if point:
            found += 1
            x, y = point
            assert (y * y - x * x - 1 - comb_table.D * x * x * y * y) % comb_table.P == 0
            assert ed25519.encode((x, y, 1, x, y)) == data
    assert 70 < found < 130  # half of all y are on the curve


def test_sealing_takes_the_same_steps_whatever_the_secret(monkeypatch):
    """Operations on points do not depend on key, nonce or message: 32 doublings and 64 additions for each signature."""
    calls = []
    for name in ("double", "add"):
        real = getattr(ed25519, name)
        monkeypatch.setattr(ed25519, name, lambda *a, real=real, name=name: calls.append(name) or real(*a))
    rng = random.Random(5)
    patterns = set()
    for seed in (bytes(32), b"\xff" * 32, *(rng.randbytes(32) for _ in range(5))):
        signer = Signer(seed)
        calls.clear()
        signer.sign(rng.randbytes(100))
        patterns.add(tuple(calls))
    assert patterns == {("double", "add", "add") * 32}


def test_table_is_what_its_generator_makes():
    assert comb_table.main(["--check"]) == 0
