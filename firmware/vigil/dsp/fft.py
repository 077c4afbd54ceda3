"""Power spectrum of 200 real int16 samples, padded with zeros to 1024 points, in half of a 512-point complex transform.

At 25 Hz a bin is 1.46 per minute wide. Nothing is scaled between the stages: the window makes the sum of all inputs
fit 16 bits, so no partial sum can leave them.
"""

import micropython
from micropython import const

SAMPLES = const(200)
WORDS = const(1024)  # of the buffer, array('h'): 512 complex values, real and imaginary in turn


@micropython.viper
def load(x, at: int, window_q10, buf):
    """Put x[at : at + 200] times the window into buf, two samples a complex value, in bit-reversed order.

    x: int16, |x| <= 2047. window_q10: 200 bytes, Hann of height 225: |y| <= 450.
    """
    p = ptr16(x)
    h = ptr8(window_q10)
    b = ptr16(buf)
    i = 0
    while i < 1024:
        b[i] = 0
        i += 1
    i = 0
    while i < 200:
        j = i >> 1
        place = 0
        bit = 0
        while bit < 9:
            place = (place << 1) | (j & 1)
            j = j >> 1
            bit += 1
        v = (int(p[at + i]) ^ 0x8000) - 0x8000
        b[2 * place] = (v * int(h[i]) + 512) >> 10
        v = (int(p[at + i + 1]) ^ 0x8000) - 0x8000
        b[2 * place + 1] = (v * int(h[i + 1]) + 512) >> 10
        i += 2


@micropython.viper
def transform(buf, sine_q14):
    """512-point complex transform in place, radix 2, from bit-reversed to natural order.

    sine_q14: a quarter wave, int16, sin(2 pi i / 1024) for i = 0..256.
    Scaling and overflow: none is scaled. Every partial sum is at most the sum of |z| of the input, 100 values of
    at most 450 * sqrt(2) under a Hann window: 32 000. Rounding adds at most 0.71 a stage, doubled by each stage
    that follows: 370 in all, and 32 370 < 2**15. Products: |z| * 2**14 <= 2**29. Error: at most 32, and 12 rms, of
    spectra whose peaks reach 23 000 (tests/differential).
    """
    b = ptr16(buf)
    s = ptr16(sine_q14)
    half = 1
    while half < 512:
        step = 512 // half
        j = 0
        while j < half:
            i = j * step
            if i <= 256:
                wr = int(s[256 - i])
                wi = int(s[i])
            else:
                wr = 0 - int(s[i - 256])
                wi = int(s[512 - i])
            i = 2 * j
            while i < 1024:
                k = i + 2 * half
                br = (int(b[k]) ^ 0x8000) - 0x8000
                bi = (int(b[k + 1]) ^ 0x8000) - 0x8000
                tr = (wr * br + wi * bi + 8192) >> 14
                ti = (wr * bi - wi * br + 8192) >> 14
                ar = (int(b[i]) ^ 0x8000) - 0x8000
                ai = (int(b[i + 1]) ^ 0x8000) - 0x8000
                b[k] = ar - tr
                b[k + 1] = ai - ti
                b[i] = ar + tr
                b[i + 1] = ai + ti
                i += 4 * half
            j += 1
        half = half << 1


@micropython.viper
def log_power(buf, sine_q14, out, first: int, most: int, last: int):
    """Spectrum of the 1024 real points from `transform`: out[i] = 16 log2(power), int16, for 0 < i < last <= 400.

    The fraction of the logarithm is that of a straight line between powers of two (at most 1.4 too low). Then the
    largest value of first <= i < most is brought to 160, and all is held to 0..160: a range of 30 dB.
    Scaling and overflow: |re|, |im| <= 2**15, their sums <= 2**16, halved before the products: 2**15 * 2**14 = 2**29
    each. |X| <= 23 000 (the sum of |y|), so the power is < 2**29.1.
    """
    b = ptr16(buf)
    s = ptr16(sine_q14)
    o = ptr16(out)
    top = 0
    o[0] = 0
    i = 1
    while i < last:
        k = 2 * i
        m = 1024 - k
        ar = (int(b[k]) ^ 0x8000) - 0x8000
        ai = (int(b[k + 1]) ^ 0x8000) - 0x8000
        cr = (int(b[m]) ^ 0x8000) - 0x8000
        ci = (int(b[m + 1]) ^ 0x8000) - 0x8000
        if i <= 256:
            wr = int(s[256 - i])
            wi = int(s[i])
        else:
            wr = 0 - int(s[i - 256])
            wi = int(s[512 - i])
        dr = (ai + ci) >> 1
        di = (cr - ar) >> 1
        xr = (ar + cr + ((wr * dr + wi * di + 4096) >> 13)) >> 1
        xi = (ai - ci + ((wr * di - wi * dr + 4096) >> 13)) >> 1
        p = xr * xr + xi * xi
        v = 0
        if p:
            e = 4
            if p >= 0x200000:
                p = p >> 16
                e = 20
            while p >= 32:
                p = p >> 1
                e += 1
            while p < 16:
                p = p << 1
                e -= 1
            v = 16 * e + p - 16
        o[i] = v
        if i >= first and i < most and v > top:
            top = v
        i += 1
    i = 0
    while i < last:
        v = int(o[i]) + 160 - top
        if v < 0:
            v = 0
        if v > 160:
            v = 160
        o[i] = v
        i += 1
