"""Kernels of the lossless waveform codec: a gain between columns, the best of 16 predictors, adaptive Rice codes.

A block is `words`, int32, row by row, k columns. It is worked on in place: a column other than the last loses gain / 8
of the last, then each column becomes its first value and what its predictor leaves. SPEC.md section 11 has the bytes.
"""

import micropython
from micropython import const

_CODES = const(16)  # predictors to choose from


@micropython.viper
def take(source, start: int, wide: int, words, to: int, n: int):
    """Copy n values, from number `start` of `source` (int32 where `wide`, else int16) to number `to` of `words`."""
    s = ptr16(source)
    o = ptr16(words)
    i = 0
    while i < n:
        if wide:
            o[2 * (to + i)] = int(s[2 * (start + i)])
            o[2 * (to + i) + 1] = int(s[2 * (start + i) + 1])
        else:
            v = int(s[start + i])
            o[2 * (to + i)] = v
            o[2 * (to + i) + 1] = 0 - (v >> 15)
        i += 1


@micropython.viper
def steps(words, column: int, last: int, k: int, n: int, gain: int, apply: int) -> int:
    """Sum of the absolute steps of a column less gain / 8 of column `last`, n rows; `apply`: leave that in its place.

    Scaling and overflow: words are of 0 .. 2**18 - 1 or of -2**17 .. 2**17 - 1, 0 <= gain < 16: a difference has 20
    bits with its sign, a step is <= 753,663; 250 of them < 2**28.
    """
    p = ptr16(words)
    w = ptr32(words)
    total = 0
    before = 0
    i = 0
    while i < n:
        at = 2 * (i * k + column)
        v = (((int(p[at + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[at])
        at = 2 * (i * k + last)
        u = (((int(p[at + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[at])
        v -= (gain * u) >> 3
        if apply:
            w[i * k + column] = v
        d = v - before
        before = v
        if i:
            if d < 0:
                d = 0 - d
            total += d
        i += 1
    return total


@micropython.viper
def residue(words, column: int, k: int, n: int, table, code: int, limit: int, apply: int) -> int:
    """Sum of what predictor `code` leaves of a column's steps, absolute; `apply`: leave it in place, but the first row.

    Ends early once the sum exceeds `limit` (not with `apply`).
    Scaling and overflow: |step| <= 753,663 (23 / 8 of 2**18 - 1) times 2847 (the sum of a predictor's weights) + 128
    < 2**31; |prediction| < 2**23, so 250 rows leave < 2**31.
    """
    p = ptr16(words)
    w = ptr32(words)
    t = ptr16(table)
    c = 6 * code
    c0 = (int(t[c]) ^ 0x8000) - 0x8000
    c1 = (int(t[c + 1]) ^ 0x8000) - 0x8000
    c2 = (int(t[c + 2]) ^ 0x8000) - 0x8000
    c3 = (int(t[c + 3]) ^ 0x8000) - 0x8000
    c4 = (int(t[c + 4]) ^ 0x8000) - 0x8000
    c5 = (int(t[c + 5]) ^ 0x8000) - 0x8000
    d0 = 0
    d1 = 0
    d2 = 0
    d3 = 0
    d4 = 0
    d5 = 0
    at = 2 * column
    before = (((int(p[at + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[at])
    total = 0
    i = 1
    while i < n:
        at = 2 * (i * k + column)
        v = (((int(p[at + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[at])
        e = v - before - ((c0 * d0 + c1 * d1 + c2 * d2 + c3 * d3 + c4 * d4 + c5 * d5 + 128) >> 8)
        d5 = d4
        d4 = d3
        d3 = d2
        d2 = d1
        d1 = d0
        d0 = v - before
        before = v
        if apply:
            w[i * k + column] = e
        if e < 0:
            e = 0 - e
        total += e
        if apply == 0 and total > limit:
            return total
        i += 1
    return total


def choose(words, column: int, k: int, n: int, table) -> int:
    """Return the predictor that leaves least of a column; the first of equals."""
    best = 0
    least = residue(words, column, k, n, table, 0, 0x3FFFFFFF, 0)
    for code in range(1, _CODES):
        left = residue(words, column, k, n, table, code, least, 0)
        if left < least:
            least = left
            best = code
    return best


@micropython.viper
def pack(words, column: int, k: int, n: int, head: int, total: int, out, at: int) -> int:
    """Write a column, its first value and what was left by its predictor, from byte `at` of `out`; return the end.

    head: predictor | gain << 4. total: sum of what is left, absolute. At most 4 + 5 * (n - 1) bytes.
    Scaling and overflow: |left| < 2**23, folded to u < 2**24, its mean times 16 < 2**28; never more than 31 bits are
    held back.
    """
    p = ptr16(words)
    o = ptr8(out)
    start = 0
    mean = total // n * 2
    while start < 15 and (2 << start) <= mean:
        start += 1
    b = 2 * column
    v = (((int(p[b + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[b])
    o[at] = head
    o[at + 1] = start << 4 | ((v >> 16) & 15)
    o[at + 2] = (v >> 8) & 255
    o[at + 3] = v & 255
    at += 4
    mean = 24 << start  # 16 times 1.5 * 2**start
    held = 0
    bits = 0
    i = 1
    while i < n:
        b = 2 * (i * k + column)
        v = (((int(p[b + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[b])
        u = 2 * v
        if v < 0:
            u = 0 - u - 1
        r = 0
        while (16 << r) < mean:
            r += 1
        if r:
            r -= 1
        q = u >> r
        if q < 16:
            held = held << (q + 1) | ((2 << q) - 2)
            bits += q + 1
            u = u & ((1 << r) - 1)
        else:
            held = held << 16 | 0xFFFF
            bits += 16
            r = 24
        while bits >= 8:
            bits -= 8
            o[at] = held >> bits
            held = held & ((1 << bits) - 1)
            at += 1
        held = held << r | u
        bits += r
        while bits >= 8:
            bits -= 8
            o[at] = held >> bits
            held = held & ((1 << bits) - 1)
            at += 1
        u = 2 * v
        if v < 0:
            u = 0 - u - 1
        mean += u - (mean >> 4)
        i += 1
    if bits:
        o[at] = held << (8 - bits)
        at += 1
    return at


@micropython.viper
def crc16(data, start: int, end: int) -> int:
    """CRC-16 of bytes start .. end - 1: polynomial 0x1021, from 0, not reflected."""
    p = ptr8(data)
    crc = 0
    i = start
    while i < end:
        crc ^= int(p[i]) << 8
        j = 0
        while j < 8:
            crc = crc << 1
            if crc & 0x10000:
                crc ^= 0x11021
            j += 1
        i += 1
    return crc
