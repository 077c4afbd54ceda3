"""Ed25519 signing (RFC 8032) on MicroPython's big integers, within the budget of a plain ESP32.

Points are (X, Y, Z, T), x = X / Z, y = Y / Z, x * y = T / Z; formulas of Hisil, Wong, Carter and Dawson (2008,
doi 10.1007/978-3-540-89255-7_20), complete for this curve: no special cases. A multiple of the base point is a signed
comb: five teeth, two blocks of 26 rows, so 26 doublings and 52 additions of precomputed points, whatever the scalar.

What is constant: the sequence of operations, of table reads (always 96 bytes) and of loops does not depend on a
secret, and no branch does. The one loop that depends on its data, the inversion, runs on a value blinded by a
uniform secret. What is not: big integers drop leading zero digits, so an operation in some 2**16 is a digit shorter;
the address of a table read depends on the nonce (internal RAM of the ESP32 has no data cache; PSRAM has); collections
of garbage happen when they happen. See docs/adr/0002-ed25519-on-the-chip.md.
"""

from micropython import const

from vigil.crypto.ed25519_comb import TABLE
from vigil.crypto.sha512 import sha512

P = (1 << 255) - 19  # the field
ORDER = (1 << 252) + 27742317777372353535851937790883648493  # of the base point

IDENTITY = (0, 1, 1, 0)

_TEETH = const(5)  # bits taken together
_ROWS = const(26)  # doublings
_BLOCKS = const(2)  # table halves: 26 columns apart
_COLUMNS = const(52)  # distance of the teeth: _ROWS * _BLOCKS
_BITS = const(260)  # _TEETH * _COLUMNS, more than the 254 of a scalar made odd
_ENTRY = const(96)  # bytes of y + x, y - x, 2 * d * x * y


def integer(data) -> int:
    """Return little-endian `data` as an integer."""
    return int.from_bytes(data, "little")


def double(point: tuple) -> tuple:
    """Return point + point: eight multiplications."""
    x, y, z, _ = point
    a = x * x % P
    b = y * y % P
    h = a + b
    e = h - (x + y) * (x + y) % P
    g = a - b
    f = g + 2 * (z * z % P)
    return e * f % P, g * h % P, f * g % P, e * h % P


def add(point: tuple, plus: int, minus: int, t2d: int) -> tuple:
    """Return point + (x, y), given plus = y + x, minus = y - x, t2d = 2 * d * x * y: seven multiplications."""
    x, y, z, t = point
    a = (y - x) * minus % P
    b = (y + x) * plus % P
    c = t * t2d % P
    e = b - a
    h = b + a
    f = 2 * z - c
    g = 2 * z + c
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply_base(scalar: int) -> tuple:
    """Return scalar * base point. 0 <= scalar < ORDER."""
    # Odd, by adding the (odd) order to an even scalar; then every one of 260 digits is +1 or -1: bit b means 2 * b - 1.
    scalar += ORDER * (1 - (scalar & 1))
    bits = ((scalar + (1 << _BITS) - 1) >> 1).to_bytes((_BITS + 7) // 8, "little")
    point = IDENTITY
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
            one = at + 32 * negative  # -(x, y) swaps y + x with y - x and negates x * y
            other = at + 32 - 32 * negative
            point = add(
                point,
                integer(TABLE[one : one + 32]),
                integer(TABLE[other : other + 32]),
                integer(TABLE[at + 64 : at + 96]) * (1 - 2 * negative),
            )
    return point


def inverse(z: int, blind: int) -> int:
    """Return 1 / z in the field, z not 0, by Euclid's algorithm on z * blind.

    With a blind uniform and secret, the quotients say nothing about z. Some 150 short steps: a fifth of the work of
    z**(P - 2), and no single long call into C that would hold back the timer interrupt that samples the ECG.
    """
    a, b = P, z * blind % P
    u, v = 0, 1
    while b:
        q = a // b
        a, b = b, a - q * b
        u, v = v, u - q * v
    return u * blind % P


def encode(point: tuple, blind: int = 1) -> bytes:
    """Return the 32 bytes of a point; `blind` hides its Z from the inversion's timing."""
    x, y, z, _ = point
    z = inverse(z, blind)
    x = x * z % P
    y = y * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def expand(seed: bytes) -> tuple:
    """Return (scalar, prefix, public key) of a 32-byte seed."""
    digest = sha512(seed)
    scalar = integer(digest[:32])
    scalar = (scalar & ((1 << 254) - 8) | 1 << 254) % ORDER
    return scalar, digest[32:], encode(multiply_base(scalar), integer(digest) % P)


def sign(scalar: int, prefix: bytes, public_key: bytes, message: bytes) -> bytes:
    """Return the 64-byte signature of `message` by the key that `expand` gave."""
    # The digest has 512 bits: its remainders by ORDER and by P, the nonce and the blind, are independent.
    digest = integer(sha512(prefix + message))
    nonce = digest % ORDER
    commitment = encode(multiply_base(nonce), digest % P)
    challenge = integer(sha512(commitment + public_key + message)) % ORDER
    return commitment + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")
