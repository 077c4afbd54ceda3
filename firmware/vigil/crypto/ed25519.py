"""Ed25519 signing (RFC 8032) on MicroPython's big integers, within the budget of a plain ESP32.

A point is (X, Y, Z, E, H) with x = X / Z, y = Y / Z, E * H = x * y * Z: that product is left to whoever needs it.
Formulas of Hisil, Wong, Carter and Dawson (2008, doi 10.1007/978-3-540-89255-7_20), complete for this curve: no
special cases. A multiple of the base point is a signed comb: four teeth, two blocks of 32 columns, so 32 doublings
and 64 additions of precomputed points, whatever the scalar.

What is constant: the sequence of operations, of table reads (always 96 bytes) and of loops does not depend on a
secret, and no branch does. What is not: big integers drop leading zeros and keep a sign, so one operation may be a
little shorter than another; therefore the coordinates are scaled by a secret random factor before the first step, and
neither these differences nor the inversion's number of steps say anything about key or nonce. The address of a
table read depends on the nonce (the ESP32's internal RAM has no data cache; PSRAM has one). See
docs/adr/0002-ed25519-on-the-chip.md.
"""

from micropython import const

from vigil.crypto.ed25519_comb import TABLE
from vigil.crypto.sha512 import sha512

P = (1 << 255) - 19  # the field
_MASK = (1 << 255) - 1
ORDER = (1 << 252) + 27742317777372353535851937790883648493  # of the base point

IDENTITY = (0, 1, 1, 0, 1)

_TEETH = const(4)  # bits taken together
_ROWS = const(32)  # doublings
_BLOCKS = const(2)  # table halves: 32 columns apart
_COLUMNS = const(64)  # distance of the teeth: _ROWS * _BLOCKS
_BITS = const(256)  # _TEETH * _COLUMNS, more than the 254 of a scalar made odd
_ENTRY = const(96)  # bytes of y + x, y - x, 2 * d * x * y


def integer(data) -> int:
    """Return little-endian `data` as an integer."""
    return int.from_bytes(data, "little")


def _fold(n: int) -> int:
    """Return n modulo P at half the price of %, not fully reduced.

    |n| < 2**(255 + k) gives |result| < 2**255 + 19 * 2**k.
    """
    return (n & _MASK) + 19 * (n >> 255)


def double(point: tuple) -> tuple:
    """Return point + point: seven multiplications. Coordinates are below P; |factors| of the results < 2**264."""
    x, y, z, _, _ = point
    a = _fold(x * x)
    b = _fold(y * y)
    e = -2 * _fold(x * y)
    g = a - b
    f = g + 2 * _fold(z * z)
    h = a + b
    return e * f % P, g * h % P, f * g % P, e, h


def add(point: tuple, plus: int, minus: int, t2d: int) -> tuple:
    """Return point + (x, y), given plus = y + x, minus = y - x, t2d = 2 * d * x * y: seven multiplications.

    |E|, |H| < 2**264 give |E * H| folded < 2**278, and |c| < 2**283: one or two digits more than the field has.
    """
    x, y, z, e, h = point
    a = _fold((y - x) * minus)
    b = _fold((y + x) * plus)
    c = _fold(_fold(e * h) * t2d)
    e = b - a
    h = b + a
    f = 2 * z - c
    g = 2 * z + c
    return e * f % P, g * h % P, f * g % P, e, h


def multiply_base(scalar: int, blind: int = 1) -> tuple:
    """Return scalar * base point, 0 <= scalar < ORDER; blind: secret factor of all coordinates, not a multiple of P."""
    # Made odd by adding the order, which is odd, once or twice; then 256 digits are +1 or -1: bit b means 2 * b - 1.
    scalar += (ORDER, 2 * ORDER)[scalar & 1]
    bits = ((scalar + (1 << _BITS) - 1) >> 1).to_bytes((_BITS + 7) // 8, "little")
    point = (0, blind, blind, 0, 1)  # the neutral element
    for row in range(_ROWS - 1, -1, -1):
        point = double(point)
        for block in range(_BLOCKS):
            column = row + _ROWS * block
            index = 0
            for tooth in range(_TEETH):
                at = column + _COLUMNS * tooth
                index |= (bits[at >> 3] >> (at & 7) & 1) << tooth
            # The uppermost tooth is the sign of all: the table holds the half where it is +1.
            negative = 1 - (index >> (_TEETH - 1))
            index = (index ^ -negative) & ((1 << (_TEETH - 1)) - 1)
            at = ((block << (_TEETH - 1)) + index) * _ENTRY
            # -(x, y) swaps y + x with y - x and negates x * y; both signs are computed, one is picked.
            plus = at + 32 * negative
            minus = at + 32 - 32 * negative
            t2d = integer(TABLE[at + 64 : at + 96])
            point = add(
                point,
                integer(TABLE[plus : plus + 32]),
                integer(TABLE[minus : minus + 32]),
                (t2d, P - t2d)[negative],
            )
    return point


def inverse(z: int) -> int:
    """Return 1 / z in the field, 0 < z < P, by Euclid's algorithm.

    Some 150 short steps: a fifth of the work of z**(P - 2), and no single long call into C that would hold back the
    timer interrupt that samples the ECG. Their number depends on z, which is therefore blinded where it is secret.
    """
    a, b = P, z
    u, v = 0, 1
    while b:
        q = a // b
        a, b = b, a - q * b
        u, v = v, u - q * v
    return u


def encode(point: tuple) -> bytes:
    """Return the 32 bytes of a point."""
    z = inverse(point[2])
    x = point[0] * z % P
    y = point[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def expand(seed: bytes) -> tuple:
    """Return (scalar, prefix, public key) of a 32-byte seed."""
    digest = sha512(seed)
    scalar = integer(digest[:32])
    scalar = (scalar & ((1 << 254) - 8) | 1 << 254) % ORDER
    return scalar, digest[32:], encode(multiply_base(scalar, integer(digest) % P))


def sign(scalar: int, prefix: bytes, public_key: bytes, message: bytes) -> bytes:
    """Return the 64-byte signature of `message` by the key that `expand` gave."""
    # The digest has 512 bits: its remainders by ORDER and by P, the nonce and the blind, are independent.
    digest = integer(sha512(prefix + message))
    nonce = digest % ORDER
    commitment = encode(multiply_base(nonce, digest % P))
    challenge = integer(sha512(commitment + public_key + message)) % ORDER
    return commitment + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")
