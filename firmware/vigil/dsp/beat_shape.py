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


def cut(ring, at, out):
    """out[0..32] (array "h") = the window of the beat at halved sample `at`."""
    total = 0
    for i in range(max(0, at - 11), at + 16):
        total += ring[i & 511]
    mean = total // 27
    for k in range(WINDOW):
        i = at - 14 + k
        out[k] = min(2047, max(-2047, ((ring[i & 511] if i >= 0 else 0) - mean) >> 2))


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


def widths(v, first, shift, out):
    """out[0], out[1] (array "i") = both widths of v[first .. first+26] >> shift."""
    level = 0
    for k in (0, 1, 2, 24, 25, 26):
        level += v[first + k] >> shift
    level //= 6
    most = least = v[first] >> shift
    steep = high = 1
    area = 0
    for k in range(first, first + POINTS):
        u = v[k] >> shift
        most = max(most, u)
        least = min(least, u)
        if k > first + 1:
            steep = max(steep, abs(u - (v[k - 2] >> shift)))
        u = abs(u - level)
        high = max(high, u)
        area += u
    out[0] = ((most - least) << 8) // steep
    out[1] = (area << 8) // high


def blend(sums, v, at, place, part):
    """Move sums[at ..] (1/16) by 1/part to the shape v[place ..]."""
    for k in range(POINTS):
        sums[at + k] += ((v[place + k] << 4) - sums[at + k]) // part


def template(sums, templates, at, norm):
    """templates[at ..] (array "b") = that of the mean sums[at ..] of a norm, each in 1/16."""
    for k in range(at, at + POINTS):
        templates[k] = min(127, max(-127, (sums[k] >> 4) * 2032 // norm))


def wave(ring, at, scratch, out):
    """out[0..20] (array "b") = the wave before the beat at halved sample `at` >= 40. scratch: array "i" of 21.

    Scaling and overflow: values within 2**15, the slope times 19 within 2**21, less the line within 2**18, less the
    mean within 2**19; shifted, 21 squares are within 2**27, before the root within 2**28.
    """
    low = high = total = 0
    for k in range(3):
        low += ring[(at - 30 + k) & 511]
        high += ring[(at - 10 - k) & 511]
    low //= 3
    high //= 3
    for k in range(WAVE):
        v = scratch[k] = ring[(at - 30 + k) & 511] - low - (high - low) * (k - 1) // 18
        total += v
    mean = total // WAVE
    most = 0
    for k in range(WAVE):
        scratch[k] -= mean
        most = max(most, abs(scratch[k]))
    shift = squares = 0
    while most >> (shift + 11):
        shift += 1
    for k in range(WAVE):
        v = scratch[k] >> shift
        squares += v * v
    norm = max(16, root(squares << 8) if squares < 1 << 20 else root(squares) << 4)
    for k in range(WAVE):
        out[k] = min(127, max(-127, (scratch[k] >> shift) * 2032 // norm))


def agree(v, sums, part):
    """Cosine in 1/256 of v (array "b", 21 points) and sums (array "h", a mean in 1/16); sums then move to v by 1/part.

    Scaling and overflow: both norms are about 127 and 16 * 127: the product is about 2**18, times 256 within 2**30.
    """
    dot = squares = 0
    for k in range(WAVE):
        s = sums[k]
        dot += v[k] * s
        squares += s * s
        sums[k] = s + ((v[k] << 4) - s) // part
    return (dot << 8) // (127 * max(1, root(squares)))
