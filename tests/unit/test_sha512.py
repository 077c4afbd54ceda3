"""SHA-512: published vectors, constants from their definition, block borders."""

import hashlib
from binascii import hexlify

from vigil.crypto import sha512 as module
from vigil.crypto.sha512 import sha512

EMPTY = (
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)
ABC = (
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)
TWO_BLOCKS = (  # the 896-bit message of FIPS 180-4's examples
    "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
    "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
)


def _primes(n):
    found = []
    i = 2
    while len(found) < n:
        if all(i % p for p in found):
            found.append(i)
        i += 1
    return found


def _root(n, power):
    low, high = 0, 1 << 80
    while high - low > 1:
        middle = (low + high) // 2
        if middle**power <= n:
            low = middle
        else:
            high = middle
    return low


def test_published_vectors():
    assert hexlify(sha512(b"")).decode() == EMPTY
    assert hexlify(sha512(b"abc")).decode() == ABC
    message = b"".join(bytes(range(97 + i, 105 + i)) for i in range(14))  # abcdefgh bcdefghi ... nopqrstu
    assert hexlify(sha512(message)).decode() == TWO_BLOCKS


def test_constants_are_roots_of_primes():
    mask = (1 << 64) - 1
    for i, prime in enumerate(_primes(80)):
        assert (_root(prime << 192, 3) & mask).to_bytes(8, "big") == module._K[8 * i : 8 * i + 8]
        if i < 8:
            assert (_root(prime << 128, 2) & mask).to_bytes(8, "big") == module._H[8 * i : 8 * i + 8]


def test_every_kind_of_buffer():
    data = bytes(range(200))
    assert sha512(bytearray(data)) == sha512(data) == sha512(memoryview(data))


def test_chain_over_all_lengths_of_two_blocks():
    # Each digest feeds the next message; the end was computed with CPython's hashlib, which also runs here if it can.
    link = b""
    for n in range(0, 290, 17):
        message = (link + bytes(300))[:n]
        link = sha512(message)
        if hasattr(hashlib, "sha512"):
            assert link == hashlib.sha512(message).digest()
    assert hexlify(link[:8]) == b"3ff3d131b8f4eef3"
