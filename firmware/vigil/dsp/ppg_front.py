"""PPG front: 18-bit counts at 100 Hz to a decimated DC and a high-passed pulse at 25 Hz.

Decimation is a boxcar over 8 samples every 4: nulls at 12.5, 25, 37.5 and 50 Hz, -3 dB at 5.6 Hz, delay 3.5
samples. A pulse needs no more than 25 Hz, and all that follows costs a quarter.
"""

import micropython
from micropython import const

# Words of the decimator's state, array('i', COLUMNS_MAX * 2 + 2).
_D_PHASE = const(0)  # samples in the running sum of 4
_D_WARM = const(1)  # 1 once there is a previous sum
_D_SUMS = const(2)  # per column: running sum, previous sum

# Words of the front's state, array('i', 5 + COLUMNS_MAX * 5).
COUNT = const(0)  # decimated samples since the chain began, modulo 2**22
AGE = const(1)  # decimated samples since contact began or the light last jumped; 0: off
SIGN = const(2)  # -1: a pulse makes fewer counts (reflected light); 1: upright
OFF = const(3)  # decimated DC below which nothing is on the sensor; 0 or less: not judged (relative pulse)
PULSE = const(4)  # column that judges contact
_COLUMNS = const(5)  # per column: x[-1], x[-2], y_q3[-1], y_q3[-2] (all + _BIAS), dc_q8
_BIAS = const(1 << 22)  # keeps stored words positive, so that a plain 32-bit load is right on every port
DC = const(9)  # word of column 0's dc_q8; 5 further for each next column

COLUMNS_MAX = const(4)
RING = const(256)  # samples of history per column: 10.24 s
COUNT_MASK = const(0x3FFFFF)


@micropython.viper
def decimate(data, n: int, k: int, shift: int, state, out) -> int:
    """Sum 8 samples every 4, for n rows of k columns. Returns the rows written to out.

    data: int32, n * k. shift: right shift of the sums (0 for counts, 3 for a relative pulse). out: int32,
    (n // 4 + 1) * k.
    Scaling and overflow: |data| <= 2**18, so |sum| <= 8 * 2**18 = 2**21.
    """
    p = ptr16(data)
    s = ptr32(state)
    s16 = ptr16(state)
    o = ptr32(out)
    phase = int(s[_D_PHASE])
    m = 0
    i = 0
    j = 0
    while i < n:
        c = 0
        while c < k:
            # 32-bit loads by halves: the sign is right on every port.
            w = 4 * c + 4
            acc = (((int(s16[w + 1]) ^ 0x8000) - 0x8000) << 16) | int(s16[w])
            acc += (((int(p[2 * j + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[2 * j])
            s[2 * c + _D_SUMS] = acc
            j += 1
            c += 1
        phase += 1
        if phase == 4:
            phase = 0
            c = 0
            while c < k:
                w = 4 * c + 4
                acc = (((int(s16[w + 1]) ^ 0x8000) - 0x8000) << 16) | int(s16[w])
                was = (((int(s16[w + 3]) ^ 0x8000) - 0x8000) << 16) | int(s16[w + 2])
                o[m * k + c] = (acc + was) >> shift
                s[2 * c + _D_SUMS + 1] = acc
                s[2 * c + _D_SUMS] = 0
                c += 1
            if int(s[_D_WARM]):
                m += 1
            else:
                s[_D_WARM] = 1
        i += 1
    s[_D_PHASE] = phase
    return m


@micropython.viper
def highpass(x, row: int, k: int, state, coef_q14, ring) -> int:
    """One decimated row of k columns: update DC and pulse of each, append the pulse to `ring`. Returns the age.

    ring: int16, (k + 1) * RING; column c's newest sample is ring[c * RING + COUNT % RING] after the call. Unit: half
    counts at the converter, upright. Column k is the pulse column less its DC only (a high-pass of first order at
    0.12 Hz): beats are sought there, because the steeper one makes a rise out of the flat end of a long diastole.
    Below OFF, and where the light jumps by more than a quarter of its DC, the filters start again from the sample at
    hand, with the pulse at 0.
    Scaling and overflow: |x| <= 2**21. The second difference e is clamped to 2**17 and held in Q3, y in Q3 to
    2**20: each product is split, |c| * 2**13 <= 2**28, and the sum of the three is <= 4.9e8 < 2**29.
    """
    p = ptr16(x)
    s = ptr32(state)
    s16 = ptr16(state)
    c16 = ptr16(coef_q14)
    r = ptr16(ring)
    b0 = (int(c16[0]) ^ 0x8000) - 0x8000
    a1 = (int(c16[1]) ^ 0x8000) - 0x8000
    a2 = (int(c16[2]) ^ 0x8000) - 0x8000
    age = int(s[AGE])
    upright = 1
    if int(s16[2 * SIGN + 1]):
        upright = 0
    w = 2 * (row * k + int(s[PULSE]))
    v = (((int(p[w + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[w])
    off = int(s[OFF])
    if off:
        if v < off:
            age = 0
        elif age:
            dc = int(s[5 * int(s[PULSE]) + DC]) >> 8
            if v - dc > dc >> 2 or dc - v > dc >> 2:
                age = 0
    begin = age == 0
    if begin:
        if v >= off:
            age = 1
    elif age < COUNT_MASK:
        age += 1
    if not off and age == 0:
        begin = True
        age = 1
    at = (int(s[COUNT]) + 1) & COUNT_MASK
    s[COUNT] = at
    s[AGE] = age
    c = 0
    while c < k:
        w = 2 * (row * k + c)
        v = (((int(p[w + 1]) ^ 0x8000) - 0x8000) << 16) | int(p[w])
        q = _COLUMNS + 5 * c
        if begin:
            s[q] = v + _BIAS
            s[q + 1] = v + _BIAS
            s[q + 2] = _BIAS
            s[q + 3] = _BIAS
            s[q + 4] = v << 8
            y = z = 0
        else:
            x1 = int(s[q])
            y1 = int(s[q + 2]) - _BIAS
            y2 = int(s[q + 3]) - _BIAS
            w = 2 * q + 8
            dc = (((int(s16[w + 1]) ^ 0x8000) - 0x8000) << 16) | int(s16[w])
            z = (v - (dc >> 8)) >> 2
            s[q + 4] = dc + ((v << 3) - (dc >> 5))  # one pole, 32 samples; |dc_q8| <= 2**29
            e = v - 2 * x1 + int(s[q + 1]) + _BIAS
            if e > 131071:
                e = 131071
            if e < -131071:
                e = -131071
            e = e << 3
            acc = b0 * (e >> 7) + a1 * (y1 >> 7) + a2 * (y2 >> 7)
            acc += (b0 * (e & 127) + a1 * (y1 & 127) + a2 * (y2 & 127) + 64) >> 7
            y = (acc + 64) >> 7
            if y > 1048540:
                y = 1048540
            if y < -1048540:
                y = -1048540
            s[q] = v + _BIAS
            s[q + 1] = x1
            s[q + 2] = y + _BIAS
            s[q + 3] = y1 + _BIAS
        if not upright:
            y = 0 - y
            z = 0 - z
        r[c * RING + (at & 255)] = (y + 16) >> 5
        if c == int(s[PULSE]):
            if z > 32767:
                z = 32767
            if z < -32767:
                z = -32767
            r[k * RING + (at & 255)] = z
        c += 1
    return age
