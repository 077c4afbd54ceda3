"""Ed25519 verification (RFC 8032, section 5.1.7, without cofactor): for commands and updates, rarely needed.

Everything here is public, so time may depend on it. A verification takes about 3,800 field multiplications, seven
times a signature: import this where something has to be verified, and forget it afterwards.
"""

from vigil.crypto.ed25519 import IDENTITY, ORDER, P, add, double, encode, integer
from vigil.crypto.sha512 import sha512

_D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3  # -121665 / 121666
_ROOT = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0  # square root of -1
_BASE = b"\x58" + b"\x66" * 31  # y = 4 / 5, x even


def decompress(data: bytes):
    """Return (x, y) of an encoded point, or None where it is none (y not below P included)."""
    y = integer(data) & ((1 << 255) - 1)
    if len(data) != 32 or y >= P:
        return None
    u = (y * y - 1) % P
    v = (_D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P) % P, (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * _ROOT % P
        if v * x * x % P != u:
            return None
    sign = data[31] >> 7
    if x == 0 and sign:
        return None
    return (P - x if x & 1 != sign else x), y


def finished(steps):
    """Return what the generator `steps` returns, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as e:
            return e.value


def multiplying(s: int, k: int, x: int, y: int):
    """Return s * base point + k * (x, y): a generator that yields after each 4 of 256 bits."""
    base_x, base_y = decompress(_BASE)
    base_t = 2 * _D * base_x * base_y % P
    t = 2 * _D * x * y % P
    point = IDENTITY
    for i in range(255, -1, -1):
        point = double(point)
        if s >> i & 1:
            point = add(point, base_y + base_x, base_y - base_x, base_t)
        if k >> i & 1:
            point = add(point, y + x, y - x, t)
        if not i & 3:
            yield
    return point


def multiply_two(s: int, k: int, x: int, y: int) -> tuple:
    """Return s * base point + k * (x, y)."""
    return finished(multiplying(s, k, x, y))


def is_identity(point: tuple) -> bool:
    """Return whether `point` is the neutral element."""
    x, y, z, _, _ = point
    return x == 0 and y == z


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` of `message` was made by the holder of `public_key`. Never raises on bad bytes."""
    return finished(verifying(public_key, message, signature))


def verifying(public_key: bytes, message: bytes, signature: bytes):
    """Return what verify() returns: a generator that yields 64 times, about equally far apart."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    s = integer(signature[32:])
    point = decompress(public_key)
    if s >= ORDER or point is None:
        return False
    x, y = point
    k = integer(sha512(signature[:32] + public_key + message)) % ORDER
    point = yield from multiplying(s, k, P - x, y)
    return encode(point) == signature[:32]


def is_sound_key(public_key: bytes) -> bool:
    """Return whether `public_key` is a point of the large prime order: the only keys to enrol or pin.

    Signatures by a key of small order fit many messages; none such comes from an honest generator.
    """
    point = decompress(public_key)
    if point is None or point == (0, 1):
        return False
    return is_identity(multiply_two(0, ORDER, *point))
