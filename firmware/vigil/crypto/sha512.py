"""SHA-512 (FIPS 180-4) in the portable viper subset: MicroPython has none, and Ed25519 is made of it.

Every 64-bit word is four 16-bit limbs, the least significant first, so that nothing leaves int32 on any port.
"""

from array import array

import micropython
from micropython import const

_BLOCK = const(128)

# First 64 bits of the fractional parts of the square roots of the first 8 primes and of the cube roots of the first
# 80, big-endian; tests/unit/test_sha512.py computes both anew. Bytes, because a tuple of big integers would take
# five times the heap.
_H = (
    b"\x6a\x09\xe6\x67\xf3\xbc\xc9\x08\xbb\x67\xae\x85\x84\xca\xa7\x3b\x3c\x6e\xf3\x72\xfe\x94\xf8\x2b"
    b"\xa5\x4f\xf5\x3a\x5f\x1d\x36\xf1\x51\x0e\x52\x7f\xad\xe6\x82\xd1\x9b\x05\x68\x8c\x2b\x3e\x6c\x1f"
    b"\x1f\x83\xd9\xab\xfb\x41\xbd\x6b\x5b\xe0\xcd\x19\x13\x7e\x21\x79"
)
_K = (
    b"\x42\x8a\x2f\x98\xd7\x28\xae\x22\x71\x37\x44\x91\x23\xef\x65\xcd\xb5\xc0\xfb\xcf\xec\x4d\x3b\x2f"
    b"\xe9\xb5\xdb\xa5\x81\x89\xdb\xbc\x39\x56\xc2\x5b\xf3\x48\xb5\x38\x59\xf1\x11\xf1\xb6\x05\xd0\x19"
    b"\x92\x3f\x82\xa4\xaf\x19\x4f\x9b\xab\x1c\x5e\xd5\xda\x6d\x81\x18\xd8\x07\xaa\x98\xa3\x03\x02\x42"
    b"\x12\x83\x5b\x01\x45\x70\x6f\xbe\x24\x31\x85\xbe\x4e\xe4\xb2\x8c\x55\x0c\x7d\xc3\xd5\xff\xb4\xe2"
    b"\x72\xbe\x5d\x74\xf2\x7b\x89\x6f\x80\xde\xb1\xfe\x3b\x16\x96\xb1\x9b\xdc\x06\xa7\x25\xc7\x12\x35"
    b"\xc1\x9b\xf1\x74\xcf\x69\x26\x94\xe4\x9b\x69\xc1\x9e\xf1\x4a\xd2\xef\xbe\x47\x86\x38\x4f\x25\xe3"
    b"\x0f\xc1\x9d\xc6\x8b\x8c\xd5\xb5\x24\x0c\xa1\xcc\x77\xac\x9c\x65\x2d\xe9\x2c\x6f\x59\x2b\x02\x75"
    b"\x4a\x74\x84\xaa\x6e\xa6\xe4\x83\x5c\xb0\xa9\xdc\xbd\x41\xfb\xd4\x76\xf9\x88\xda\x83\x11\x53\xb5"
    b"\x98\x3e\x51\x52\xee\x66\xdf\xab\xa8\x31\xc6\x6d\x2d\xb4\x32\x10\xb0\x03\x27\xc8\x98\xfb\x21\x3f"
    b"\xbf\x59\x7f\xc7\xbe\xef\x0e\xe4\xc6\xe0\x0b\xf3\x3d\xa8\x8f\xc2\xd5\xa7\x91\x47\x93\x0a\xa7\x25"
    b"\x06\xca\x63\x51\xe0\x03\x82\x6f\x14\x29\x29\x67\x0a\x0e\x6e\x70\x27\xb7\x0a\x85\x46\xd2\x2f\xfc"
    b"\x2e\x1b\x21\x38\x5c\x26\xc9\x26\x4d\x2c\x6d\xfc\x5a\xc4\x2a\xed\x53\x38\x0d\x13\x9d\x95\xb3\xdf"
    b"\x65\x0a\x73\x54\x8b\xaf\x63\xde\x76\x6a\x0a\xbb\x3c\x77\xb2\xa8\x81\xc2\xc9\x2e\x47\xed\xae\xe6"
    b"\x92\x72\x2c\x85\x14\x82\x35\x3b\xa2\xbf\xe8\xa1\x4c\xf1\x03\x64\xa8\x1a\x66\x4b\xbc\x42\x30\x01"
    b"\xc2\x4b\x8b\x70\xd0\xf8\x97\x91\xc7\x6c\x51\xa3\x06\x54\xbe\x30\xd1\x92\xe8\x19\xd6\xef\x52\x18"
    b"\xd6\x99\x06\x24\x55\x65\xa9\x10\xf4\x0e\x35\x85\x57\x71\x20\x2a\x10\x6a\xa0\x70\x32\xbb\xd1\xb8"
    b"\x19\xa4\xc1\x16\xb8\xd2\xd0\xc8\x1e\x37\x6c\x08\x51\x41\xab\x53\x27\x48\x77\x4c\xdf\x8e\xeb\x99"
    b"\x34\xb0\xbc\xb5\xe1\x9b\x48\xa8\x39\x1c\x0c\xb3\xc5\xc9\x5a\x63\x4e\xd8\xaa\x4a\xe3\x41\x8a\xcb"
    b"\x5b\x9c\xca\x4f\x77\x63\xe3\x73\x68\x2e\x6f\xf3\xd6\xb2\xb8\xa3\x74\x8f\x82\xee\x5d\xef\xb2\xfc"
    b"\x78\xa5\x63\x6f\x43\x17\x2f\x60\x84\xc8\x78\x14\xa1\xf0\xab\x72\x8c\xc7\x02\x08\x1a\x64\x39\xec"
    b"\x90\xbe\xff\xfa\x23\x63\x1e\x28\xa4\x50\x6c\xeb\xde\x82\xbd\xe9\xbe\xf9\xa3\xf7\xb2\xc6\x79\x15"
    b"\xc6\x71\x78\xf2\xe3\x72\x53\x2b\xca\x27\x3e\xce\xea\x26\x61\x9c\xd1\x86\xb8\xc7\x21\xc0\xc2\x07"
    b"\xea\xda\x7d\xd6\xcd\xe0\xeb\x1e\xf5\x7d\x4f\x7f\xee\x6e\xd1\x78\x06\xf0\x67\xaa\x72\x17\x6f\xba"
    b"\x0a\x63\x7d\xc5\xa2\xc8\x98\xa6\x11\x3f\x98\x04\xbe\xf9\x0d\xae\x1b\x71\x0b\x35\x13\x1c\x47\x1b"
    b"\x28\xdb\x77\xf5\x23\x04\x7d\x84\x32\xca\xab\x7b\x40\xc7\x24\x93\x3c\x9e\xbe\x0a\x15\xc9\xbe\xbc"
    b"\x43\x1d\x67\xc4\x9c\x10\x0d\x4c\x4c\xc5\xd4\xbe\xcb\x3e\x42\xb6\x59\x7f\x29\x9c\xfc\x65\x7e\x2a"
    b"\x5f\xcb\x6f\xab\x3a\xd6\xfa\xec\x6c\x44\x19\x8c\x4a\x47\x58\x17"
)

# Places in the work area, in 16-bit limbs: eight chaining words, eight working words, sixteen of the schedule.
_V = const(32)
_W = const(64)
_LIMBS = const(128)


@micropython.viper
def _compress(area, constants, data, at: int):
    """Take the 128 bytes at `data[at:]` into the chaining words of `area` (128 limbs).

    Scaling and overflow: limbs are 0..65535. A rotation by 16 * q + r, 1 <= r <= 14, takes limb i from two
    neighbours: lo >> r | hi << (16 - r) <= 2**31 - 1 for r >= 1, then 16 bits are kept. A sum has at most seven limbs
    and a carry: < 2**19.
    """
    x = ptr16(area)
    k = ptr8(constants)
    p = ptr8(data)
    for i in range(32):
        x[32 + i] = x[i]
    for t in range(80):
        w = _W + 4 * (t & 15)
        if t < 16:
            for i in range(4):
                j = at + 8 * t + 6 - 2 * i
                x[w + i] = (int(p[j]) << 8) | int(p[j + 1])
        else:
            w1 = _W + 4 * ((t + 1) & 15)  # t - 15
            w9 = _W + 4 * ((t + 9) & 15)  # t - 7
            w14 = _W + 4 * ((t + 14) & 15)  # t - 2
            carry = 0
            for i in range(4):
                j1 = (i + 1) & 3
                j2 = (i + 2) & 3
                j3 = (i + 3) & 3
                a = int(x[w1 + i])
                b = int(x[w1 + j1])
                s = (a >> 1 | b << 15) ^ (a >> 8 | b << 8)  # rotations by 1 and 8
                if i == 3:
                    b = 0
                s ^= a >> 7 | b << 9  # shift by 7
                a = int(x[w14 + i])
                b = int(x[w14 + j1])
                u = (b >> 3 | int(x[w14 + j2]) << 13) ^ (int(x[w14 + j3]) >> 13 | a << 3)  # rotations by 19 and 61
                if i == 3:
                    b = 0
                u ^= a >> 6 | b << 10  # shift by 6
                carry += int(x[w + i]) + (s & 0xFFFF) + int(x[w9 + i]) + (u & 0xFFFF)
                x[w + i] = carry
                carry >>= 16
        # Working words a..h turn backwards through their eight places instead of being moved.
        a0 = _V + 4 * ((0 - t) & 7)
        b0 = _V + 4 * ((1 - t) & 7)
        c0 = _V + 4 * ((2 - t) & 7)
        d0 = _V + 4 * ((3 - t) & 7)
        e0 = _V + 4 * ((4 - t) & 7)
        f0 = _V + 4 * ((5 - t) & 7)
        g0 = _V + 4 * ((6 - t) & 7)
        h0 = _V + 4 * ((7 - t) & 7)
        carry = 0
        carry_e = 0
        carry_a = 0
        for i in range(4):
            j1 = (i + 1) & 3
            j2 = (i + 2) & 3
            j3 = (i + 3) & 3
            a = int(x[e0 + i])
            b = int(x[e0 + j1])
            c = int(x[e0 + j2])
            s = (a >> 14 | b << 2) ^ (b >> 2 | c << 14) ^ (c >> 9 | int(x[e0 + j3]) << 7)  # by 14, 18, 41
            u = int(x[g0 + i])
            u ^= a & (int(x[f0 + i]) ^ u)
            j = 8 * t + 6 - 2 * i
            carry += int(x[h0 + i]) + (s & 0xFFFF) + u + (int(k[j]) << 8 | int(k[j + 1])) + int(x[w + i])
            t1 = carry & 0xFFFF
            carry >>= 16
            carry_e += int(x[d0 + i]) + t1
            x[d0 + i] = carry_e
            carry_e >>= 16
            b = int(x[a0 + j1])
            c = int(x[a0 + j2])
            a = int(x[a0 + j3])
            s = (b >> 12 | c << 4) ^ (c >> 2 | a << 14) ^ (c >> 7 | a << 9)  # by 28, 34, 39
            a = int(x[a0 + i])
            b = int(x[b0 + i])
            carry_a += t1 + (s & 0xFFFF) + ((a & b) | (int(x[c0 + i]) & (a | b)))
            x[h0 + i] = carry_a
            carry_a >>= 16
    for t in range(8):
        carry = 0
        for i in range(4 * t, 4 * t + 4):
            carry += int(x[i]) + int(x[32 + i])
            x[i] = carry
            carry >>= 16


def sha512(data) -> bytes:
    """Return the 64-byte digest of `data` (bytes, bytearray or memoryview, shorter than 2**29 bytes)."""
    area = array("H", bytes(2 * _LIMBS))
    for i in range(32):
        j = 2 * (i ^ 3)  # limbs of a word stand the other way round
        area[i] = _H[j] << 8 | _H[j + 1]
    n = len(data)
    rest = n % _BLOCK
    for at in range(0, n - rest, _BLOCK):
        _compress(area, _K, data, at)
    tail = bytearray(_BLOCK if rest < _BLOCK - 16 else 2 * _BLOCK)
    tail[:rest] = data[n - rest :]
    tail[rest] = 0x80
    tail[-4:] = (8 * n).to_bytes(4, "big")
    for at in range(0, len(tail), _BLOCK):
        _compress(area, _K, tail, at)
    out = bytearray(64)
    for i in range(32):
        out[2 * i] = area[i ^ 3] >> 8
        out[2 * i + 1] = area[i ^ 3] & 0xFF
    return bytes(out)
