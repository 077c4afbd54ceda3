"""Looks at the last seconds of the pulse: autocorrelation for its period, moments of two columns for their ratio."""

import micropython


@micropython.viper
def scale(ring, column: int, count: int, n: int, out) -> int:
    """Copy the newest n samples of a ring's column to out (int16), scaled by a power of two to |out| <= 2047.

    Returns the right shift that was applied, negative for a left one. The largest magnitude comes to 1024..2047,
    so that a sum of 200 products stays below 8.4e8 < 2**30. A silent column (all zero) is shifted by -11.
    """
    r = ptr16(ring)
    o = ptr16(out)
    base = column * 256
    start = count - n + 1
    most = 1
    i = 0
    while i < n:
        v = (int(r[base + ((start + i) & 255)]) ^ 0x8000) - 0x8000
        if v < 0:
            v = 0 - v
        if v > most:
            most = v
        i += 1
    shift = 0
    while most > 2047:
        most = most >> 1
        shift += 1
    while most < 1024 and shift > -11:
        most = most << 1
        shift -= 1
    i = 0
    while i < n:
        v = (int(r[base + ((start + i) & 255)]) ^ 0x8000) - 0x8000
        if shift > 0:
            v = v >> shift
        else:
            v = v << (0 - shift)
        o[i] = v
        i += 1
    return shift


@micropython.viper
def smooth(x, n: int):
    """Replace x (int16, |x| <= 2**13) by the rounded mean of each value and the three before it; the first 3 by 0."""
    p = ptr16(x)
    i = n - 1
    while i >= 0:
        v = 0
        if i >= 3:
            v = 2
            k = i - 3
            while k <= i:
                v += (int(p[k]) ^ 0x8000) - 0x8000
                k += 1
        p[i] = v >> 2
        i -= 1


@micropython.viper
def autocorrelate(x, n: int, first: int, last: int, out):
    """Normalised autocorrelation out[lag] (Q10, int16) of x (int16, n <= 200, |x| <= 2048) at lags first..last.

    2 sum(x[i] x[i+lag]) / sum(x[i]^2 + x[i+lag]^2), McLeod's normalised square difference: 1024 at a full period,
    also where few samples overlap.
    Scaling and overflow: each sum <= 200 * 2**22 < 2**30; twice that and the energy of both < 2**31.
    """
    p = ptr16(x)
    o = ptr16(out)
    lag = first
    while lag <= last:
        product = 0
        energy = 0
        i = 0
        while i + lag < n:
            a = (int(p[i]) ^ 0x8000) - 0x8000
            b = (int(p[i + lag]) ^ 0x8000) - 0x8000
            product += a * b
            energy += (a * a + b * b) >> 1
            i += 1
        o[lag] = product // ((energy >> 10) + 1)
        lag += 1


@micropython.viper
def period(acf, first: int, last: int) -> int:
    """The lag of the pulse in acf (Q10): the first local maximum within 85 % of the highest one; 0 when there is none.

    A double wave has its highest maxima at the full period; multiples of the period come later.
    """
    a = ptr16(acf)
    most = 0
    turn = 0
    while turn < 2:
        i = first + 1
        while i < last:
            v = (int(a[i]) ^ 0x8000) - 0x8000
            if v > 0 and v >= (int(a[i - 1]) ^ 0x8000) - 0x8000 and v > (int(a[i + 1]) ^ 0x8000) - 0x8000:
                if turn == 0:
                    if v > most:
                        most = v
                elif v * 100 >= most * 85:
                    return i
            i += 1
        turn += 1
    return 0


@micropython.viper
def moments(x, y, n: int, out):
    """out (int32): sum of x*x, x*y, y*y over n <= 200 samples (int16, magnitude <= 2048): each <= 8.4e8 < 2**30."""
    p = ptr16(x)
    q = ptr16(y)
    o = ptr32(out)
    xx = 0
    xy = 0
    yy = 0
    i = 0
    while i < n:
        a = (int(p[i]) ^ 0x8000) - 0x8000
        b = (int(q[i]) ^ 0x8000) - 0x8000
        xx += a * a
        xy += a * b
        yy += b * b
        i += 1
    o[0] = xx
    o[1] = xy
    o[2] = yy
