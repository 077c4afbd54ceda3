"""The shape of a beat, to tell one kind from another: its points, its likeness to a kind, its widths.

The lead (int16 microvolts, 250 Hz) is halved to the means of pairs of samples (floor), of which the last 512 are kept.
A beat with its R peak at input sample i has the window y[i//2-14] .. y[i//2+18] of the halved lead y (0 before its
start), less the mean of the inner 27 (floor), in units of 4 uV (floor), each at most 2047. A shape is 27 points of the
window, at one of 7 places. Its norm is the root of the sum of its squares less 27 times the square of its mean (each
floored), times 16, at least 16. A kind is the slow mean of shapes, sums in 1/16; its template that mean times 127 by
its norm, each point at most 127. Likeness: 256 times the sum of products of shape and template, by 127 norms (floor).

Widths, in 1/256 points: height (largest less least) over the largest |v[i+2] - v[i]|; and area over height when both
are measured from the mean of the three points at either end (floor).

The wave before a beat, P if there is one: v = y[i//2-30] .. y[i//2-10] less the line through the means of the three
points at either end, l and h (floors): l + (h - l)(k - 1) / 18 (floor) at point k = 0..20; then less its mean (floor);
shifted right until all fits 11 bits and a sign; times 127 by its norm, each at most 127.
"""

import micropython
from micropython import const

from vigil.dsp.ecg import root

RING = const(512)
POINTS = const(27)
WINDOW = const(33)
PLACES = const(7)
WAVE = const(21)


@micropython.viper
def halve(data, n: int, ring, state):
    """Take n samples; state[0]: samples so far, state[1]: the one that waits for its pair."""
    px = ptr16(data)
    py = ptr16(ring)
    ps = ptr32(state)
    pos = int(ps[0])
    i = 0
    while i < n:
        v = (int(px[i]) ^ 0x8000) - 0x8000
        if pos & 1:
            py[(pos >> 1) & 511] = (((int(ps[1]) & 0xFFFF) ^ 0x8000) - 0x8000 + v) >> 1
        else:
            ps[1] = v & 0xFFFF
        pos += 1
        i += 1
    ps[0] = pos


@micropython.viper
def cut(ring, at: int, out):
    """out[0..32] (array "h") = the window of the beat at halved sample `at`.

    Scaling and overflow: 27 values of 16 bits; a difference within 2**17.
    """
    py = ptr16(ring)
    po = ptr16(out)
    total = 0
    i = at - 11
    while i <= at + 15:
        if i >= 0:
            total += (int(py[i & 511]) ^ 0x8000) - 0x8000
        i += 1
    mean = total // 27
    i = at - 14
    k = 0
    while k < 33:
        v = 0 - mean
        if i >= 0:
            v += (int(py[i & 511]) ^ 0x8000) - 0x8000
        v >>= 2
        if v > 2047:
            v = 2047
        elif v < -2047:
            v = -2047
        po[k] = v
        i += 1
        k += 1


@micropython.viper
def norm_q4(v, first: int, shift: int) -> int:
    """16 times the norm of v[first .. first+26] >> shift (array "h", within 12 bits when shifted).

    Scaling and overflow: 27 squares of 2**11 are within 2**27, below 2**20 before the second shift.
    """
    pv = ptr16(v)
    total = 0
    squares = 0
    k = 0
    while k < 27:
        u = ((int(pv[first + k]) ^ 0x8000) - 0x8000) >> shift
        total += u
        squares += u * u
        k += 1
    mean = total // 27
    squares -= 27 * mean * mean
    if squares < 0:
        squares = 0
    if squares < 1 << 20:
        norm = int(root(squares << 8))
    else:
        norm = int(root(squares)) << 4
    if norm < 16:
        norm = 16
    return norm


@micropython.viper
def likeness(v, first: int, norm: int, templates, at: int) -> int:
    """Likeness in 1/256 of the shape v[first ..] of a norm (1/16) and templates[at ..] (array "b"); may be negative.

    Scaling and overflow: the sum is within 27 * 127 * 2047 < 2**23, times 256 within 2**31.
    """
    pv = ptr16(v)
    pt = ptr8(templates)
    dot = 0
    k = 0
    while k < 27:
        dot += ((int(pv[first + k]) ^ 0x8000) - 0x8000) * ((int(pt[at + k]) ^ 0x80) - 0x80)
        k += 1
    return (dot << 8) // ((127 * norm) >> 4)


@micropython.viper
def widths(v, first: int, shift: int, out):
    """out[0], out[1] (array "i") = both widths of v[first .. first+26] >> shift.

    Scaling and overflow: a difference is within 2**13, 27 of them within 2**18, times 256 within 2**26.
    """
    pv = ptr16(v)
    po = ptr32(out)
    level = 0
    k = 0
    while k < 3:
        level += ((int(pv[first + k]) ^ 0x8000) - 0x8000) >> shift
        level += ((int(pv[first + 26 - k]) ^ 0x8000) - 0x8000) >> shift
        k += 1
    level //= 6
    most = -4096
    least = 4096
    steep = 1
    area = 0
    high = 1
    k = 0
    while k < 27:
        u = ((int(pv[first + k]) ^ 0x8000) - 0x8000) >> shift
        if u > most:
            most = u
        if u < least:
            least = u
        if k > 1:
            d = u - (((int(pv[first + k - 2]) ^ 0x8000) - 0x8000) >> shift)
            if d < 0:
                d = 0 - d
            if d > steep:
                steep = d
        u -= level
        if u < 0:
            u = 0 - u
        if u > high:
            high = u
        area += u
        k += 1
    po[0] = ((most - least) << 8) // steep
    po[1] = (area << 8) // high


@micropython.viper
def blend(sums, templates, at: int, v, first: int, part: int, norm: int):
    """Move sums[at ..] (1/16) a part of the way to v[first ..] when part > 0; else set the template by its norm (1/16).

    Scaling and overflow: |sums| <= 16 * 2047 < 2**15; a mean times 127 * 16 within 2**23.
    """
    ps = ptr16(sums)
    pt = ptr8(templates)
    pv = ptr16(v)
    k = 0
    while k < 27:
        u = (int(ps[at + k]) ^ 0x8000) - 0x8000
        if part:
            ps[at + k] = u + ((((int(pv[first + k]) ^ 0x8000) - 0x8000) << 4) - u) // part
        else:
            u = (u >> 4) * 2032 // norm
            if u > 127:
                u = 127
            elif u < -127:
                u = -127
            pt[at + k] = u
        k += 1


@micropython.viper
def wave(ring, at: int, scratch, out):
    """out[0..20] (array "b") = the wave before the beat at halved sample `at` >= 40. scratch: array "i" of 21.

    Scaling and overflow: values within 2**15, the slope times 19 within 2**21, less the line within 2**18, less the
    mean within 2**19: 20 bits hold it, however loaded. Shifted, 21 squares are within 2**27, 2**11 * 2032 in 2**22.
    """
    py = ptr16(ring)
    pv = ptr32(scratch)
    po = ptr8(out)
    low = 0
    high = 0
    k = 0
    while k < 3:
        low += (int(py[(at - 30 + k) & 511]) ^ 0x8000) - 0x8000
        high += (int(py[(at - 10 - k) & 511]) ^ 0x8000) - 0x8000
        k += 1
    low //= 3
    high //= 3
    total = 0
    k = 0
    while k < 21:
        v = (int(py[(at - 30 + k) & 511]) ^ 0x8000) - 0x8000 - low - ((high - low) * (k - 1)) // 18
        total += v
        pv[k] = v & 0xFFFFF
        k += 1
    mean = total // 21
    most = 0
    k = 0
    while k < 21:
        v = ((int(pv[k]) & 0xFFFFF) ^ 0x80000) - 0x80000 - mean
        pv[k] = v & 0xFFFFF
        if v < 0:
            v = 0 - v
        if v > most:
            most = v
        k += 1
    shift = 0
    while most >> (shift + 11):
        shift += 1
    squares = 0
    k = 0
    while k < 21:
        v = (((int(pv[k]) & 0xFFFFF) ^ 0x80000) - 0x80000) >> shift
        squares += v * v
        k += 1
    if squares < 1 << 20:
        norm = int(root(squares << 8))
    else:
        norm = int(root(squares)) << 4
    if norm < 16:
        norm = 16
    k = 0
    while k < 21:
        v = ((((int(pv[k]) & 0xFFFFF) ^ 0x80000) - 0x80000) >> shift) * 2032 // norm
        if v > 127:
            v = 127
        elif v < -127:
            v = -127
        po[k] = v
        k += 1


@micropython.viper
def agree(v, sums, part: int) -> int:
    """Cosine in 1/256 of v (array "b", 21 points) and sums (array "h", a mean in 1/16); sums then move to v by 1/part.

    Scaling and overflow: products within 2**7 * 2**11 * 21 < 2**23, times 256 within 2**31; squares within 2**27.
    """
    pv = ptr8(v)
    ps = ptr16(sums)
    dot = 0
    squares = 0
    k = 0
    while k < 21:
        u = (int(pv[k]) ^ 0x80) - 0x80
        s = (int(ps[k]) ^ 0x8000) - 0x8000
        dot += u * s
        squares += s * s
        ps[k] = s + ((u << 4) - s) // part
        k += 1
    norm = int(root(squares))
    if norm < 1:
        norm = 1
    return (dot << 8) // (127 * norm)
