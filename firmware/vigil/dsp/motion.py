"""Kernels of the pulse rate in motion: acceleration at 25 Hz, cancelling it from the pulse, and judging its spectrum.

A window is 200 samples of 25 Hz; the acceleration's has 8 more, so that the pulse may follow it by -2..6 samples.
"""

import micropython
from micropython import const

_AXES = const(3)
TAPS = const(15)  # 3 axes, 5 delays 80 ms apart
SPAN = const(208)  # samples of acceleration to a window
FIRST_BIN = const(20)  # 29.3 bpm
BINS = const(145)  # up to 240.2 bpm
INPUTS = const(13)
HIDDEN = const(8)

# Words of the acceleration's state, array('i', 12).
PHASE = const(0)  # rows in the running sum of 2
WARM = const(1)  # previous sums there are: 0, 1, or 2 once the DC is known too
COUNT = const(2)  # decimated samples, modulo 2**22
_SUMS = const(3)  # per axis: running sum, previous sum, dc_q8


@micropython.viper
def decimate(data, n: int, state, ring) -> int:
    """Sum 4 rows every 2 (50 to 25 Hz), take away the slow part (gravity), and append to ring. Returns the samples.

    data: int16 milli-g, n rows of 3. ring: int16, 3 * 256, quarter milli-g, axis a's newest at a * 256 + COUNT % 256.
    Scaling and overflow: |sum| <= 4 * 2**15 = 2**17; dc_q8 <= 2**25.
    """
    p = ptr16(data)
    s = ptr32(state)
    s16 = ptr16(state)
    r = ptr16(ring)
    phase = int(s[PHASE])
    warm = int(s[WARM])
    count = int(s[COUNT])
    made = 0
    i = 0
    while i < n:
        phase += 1
        if phase == 2 and warm:
            count = (count + 1) & 0x3FFFFF
            made += 1
        a = 0
        while a < _AXES:
            q = _SUMS + 3 * a
            w = 2 * q
            acc = (((int(s16[w + 1]) ^ 0x8000) - 0x8000) << 16) | int(s16[w])
            acc += (int(p[3 * i + a]) ^ 0x8000) - 0x8000
            if phase == 2:
                v = acc + ((((int(s16[w + 3]) ^ 0x8000) - 0x8000) << 16) | int(s16[w + 2]))
                s[q + 1] = acc
                acc = 0
                if warm:
                    dc = (((int(s16[w + 5]) ^ 0x8000) - 0x8000) << 16) | int(s16[w + 4])
                    if warm == 1:
                        dc = v << 8
                    z = v - (dc >> 8)
                    s[q + 2] = dc + ((v << 3) - (dc >> 5))  # one pole, 32 samples
                    if z > 32767:
                        z = 32767
                    if z < -32767:
                        z = -32767
                    r[a * 256 + (count & 255)] = z
            s[q] = acc
            a += 1
        if phase == 2:
            phase = 0
            if warm < 2:
                warm += 1
        i += 1
    s[PHASE] = phase
    s[WARM] = warm
    s[COUNT] = count
    return made


@micropython.viper
def level(ring, count: int, n: int) -> int:
    """Mean over the newest n <= 256 samples of |x| + |y| + |z| of `decimate`'s ring, in milli-g."""
    r = ptr16(ring)
    total = 0
    a = 0
    while a < _AXES:
        i = 0
        while i < n:
            v = (int(r[a * 256 + ((count - i) & 255)]) ^ 0x8000) - 0x8000
            if v < 0:
                v = 0 - v
            total += v
            i += 1
        a += 1
    return total // (4 * n)


@micropython.viper
def gather(ring, base: int, end: int, n: int, known: int, ahead: int, out, at: int, step_q14: int):
    """Copy n samples of a ring of 256 that begins at `base`, the last of them at `end`, to out[at:].

    They are step_q14 of the ring's samples apart, < 1.2, on straight lines between them: two parts' clocks differ.
    Samples older than the newest `known`, and the newest `ahead`, are not there: 0 stands for them.
    Scaling and overflow: 208 * 1.2 * 2**14 < 2**22; a difference of 2**16 times 2**10 is 2**26.
    """
    r = ptr16(ring)
    o = ptr16(out)
    i = 0
    while i < n:
        back = (n - 1 - i) * step_q14
        whole = (back + 16383) >> 14
        v = 0
        if whole < known and whole >= ahead:
            v = (int(r[base + ((end - whole) & 255)]) ^ 0x8000) - 0x8000
            part = ((whole << 14) - back) >> 4
            if part:
                v += (((int(r[base + ((end - whole + 1) & 255)]) ^ 0x8000) - 0x8000 - v) * part) >> 10
        o[at + i] = v
        i += 1


@micropython.viper
def peak(x, n: int) -> int:
    """Largest magnitude of x (int16) among its first n."""
    p = ptr16(x)
    most = 0
    i = 0
    while i < n:
        v = (int(p[i]) ^ 0x8000) - 0x8000
        if v < 0:
            v = 0 - v
        if v > most:
            most = v
        i += 1
    return most


@micropython.viper
def normalise(x, at: int, n: int):
    """Scale x[at : at + n] (int16) by a power of two, so that the largest magnitude is 1024..2047."""
    p = ptr16(x)
    most = 1
    i = at
    while i < at + n:
        v = (int(p[i]) ^ 0x8000) - 0x8000
        if v < 0:
            v = 0 - v
        if v > most:
            most = v
        i += 1
    right = 0
    left = 0
    while most > 2047:
        most = most >> 1
        right += 1
    while most < 1024 and left < 11:
        most = most << 1
        left += 1
    i = at
    while i < at + n:
        p[i] = (((int(p[i]) ^ 0x8000) - 0x8000) >> right) << left
        i += 1


@micropython.viper
def products(x, at: int, acc, out, to: int, shift: int):
    """out[to + t] (int32) = sum(x[at + i] * tap t of acc) >> shift, for all 15 taps.

    acc: int16, 3 * 208; tap 5 a + d is axis a from sample 2 d on.
    Scaling and overflow: 200 * 2**22 < 8.4e8.
    """
    p = ptr16(x)
    q = ptr16(acc)
    o = ptr32(out)
    t = 0
    while t < TAPS:
        start = t // 5 * SPAN + t % 5 * 2
        total = 0
        i = 0
        while i < 200:
            total += ((int(p[at + i]) ^ 0x8000) - 0x8000) * ((int(q[start + i]) ^ 0x8000) - 0x8000)
            i += 1
        o[to + t] = total >> shift
        t += 1


@micropython.viper
def solve(gram, work):
    """Weights of the 15 taps that leave least of the pulse, by 32 sweeps of coordinate descent.

    gram: int32, 15 * 15, products of taps >> 18. work: int32, 45: in words 0..14 the products of the pulse with the
    taps >> 8 come in; in words 15..29 the weights come out in Q10, held to -+8.
    Each step goes to the minimum along one tap, damped by 1/64 of its energy (ridge), so that taps which are
    nearly alike do not cancel each other by large weights.
    Scaling and overflow: |gram| <= 3200, |weight| <= 8192: 15 products <= 3.94e8; the input <= 3.3e6.
    """
    g = ptr16(gram)
    s = ptr32(work)
    s16 = ptr16(work)
    t = 0
    while t < TAPS:
        s[TAPS + t] = 0
        t += 1
    sweep = 0
    while sweep < 32:
        t = 0
        while t < TAPS:
            w = 2 * t
            e = (((int(s16[w + 1]) ^ 0x8000) - 0x8000) << 16) | int(s16[w])
            k = 0
            while k < TAPS:
                if k != t:
                    c = (int(g[2 * (TAPS * t + k)]) ^ 0x8000) - 0x8000
                    e -= c * ((int(s16[2 * (TAPS + k)]) ^ 0x8000) - 0x8000)
                k += 1
            c = int(g[2 * (TAPS * t + t)])
            e = e // (c + (c >> 6) + 1)
            if e > 8191:
                e = 8191
            if e < -8191:
                e = -8191
            s[TAPS + t] = e
            t += 1
        sweep += 1


@micropython.viper
def cancel(x, acc, work):
    """Take from x (int16, 200) what `solve` found of the acceleration; clipped to 16 bits.

    Scaling and overflow: 15 products of 2**13 by 2**11: < 2**28.
    """
    p = ptr16(x)
    q = ptr16(acc)
    s = ptr16(work)
    i = 0
    while i < 200:
        total = 512
        t = 0
        while t < TAPS:
            v = (int(q[t // 5 * SPAN + t % 5 * 2 + i]) ^ 0x8000) - 0x8000
            total += v * ((int(s[2 * (TAPS + t)]) ^ 0x8000) - 0x8000)
            t += 1
        v = ((int(p[i]) ^ 0x8000) - 0x8000) - (total >> 10)
        if v > 32767:
            v = 32767
        if v < -32767:
            v = -32767
        p[i] = v
        i += 1


@micropython.viper
def add(x, to, n: int):
    """to[i] += x[i], int16. Scaling and overflow: at most 4 columns of 2**11."""
    p = ptr16(x)
    q = ptr16(to)
    i = 0
    while i < n:
        q[i] = int(q[i]) + int(p[i])
        i += 1


@micropython.viper
def keep_larger(x, most, n: int):
    """most[i] = max(most[i], x[i]); int16, none negative."""
    p = ptr16(x)
    q = ptr16(most)
    i = 0
    while i < n:
        if int(p[i]) > int(q[i]):
            q[i] = int(p[i])
        i += 1


@micropython.viper
def judge(pulse, clean, motion, net, inputs, score, shift: int):
    """Add to score[j] (int32) how likely bin FIRST_BIN + j is the pulse: log2 of a likelihood, Q4 by a shift of 11.

    pulse, clean, motion: log spectra of `fft.log_power`, of a column, of what is left of it when the acceleration
    is taken away, and of the acceleration. net: int16; per hidden unit its 13 weights (Q14) and its bias (Q8), then
    the 8 weights of the hidden units (Q8), then the 13 straight ones (Q14). inputs: int16 scratch, 13.
    Scaling and overflow: checked for the table at hand by tests/golden: |unit| < 2**23, and with |weight| < 2**15
    of the units' output in Q8 < 2**15 the sum stays < 2**30.
    """
    s = ptr16(pulse)
    r = ptr16(clean)
    m = ptr16(motion)
    w = ptr16(net)
    u = ptr16(inputs)
    o = ptr32(score)
    o16 = ptr16(score)
    j = 0
    while j < BINS:
        b = FIRST_BIN + j
        u[0] = int(s[b]) << 1
        u[1] = int(r[b]) << 1
        u[2] = int(m[b]) << 1
        u[3] = int(s[2 * b]) << 1
        u[4] = int(r[2 * b]) << 1
        u[5] = int(m[2 * b]) << 1
        u[6] = int(s[b >> 1]) << 1
        u[7] = int(m[b >> 1]) << 1
        u[8] = int(s[b - 8]) + int(s[b + 8])
        u[9] = int(r[b - 8]) + int(r[b + 8])
        u[10] = int(m[b - 8]) + int(m[b + 8])
        u[11] = int(s[b - 16]) + int(s[b + 16])
        u[12] = int(r[b + (b >> 1)]) << 1  # there a pulse of half the rate has its third harmonic
        total = 0
        h = 0
        while h < HIDDEN:
            at = h * (INPUTS + 1)
            z = ((int(w[at + INPUTS]) ^ 0x8000) - 0x8000) << 6
            i = 0
            while i < INPUTS:
                z += int(u[i]) * ((int(w[at + i]) ^ 0x8000) - 0x8000)
                i += 1
            if z > 0:
                total += (z >> 7) * ((int(w[HIDDEN * (INPUTS + 1) + h]) ^ 0x8000) - 0x8000)
            h += 1
        at = HIDDEN * (INPUTS + 2)
        z = 0
        i = 0
        while i < INPUTS:
            z += int(u[i]) * ((int(w[at + i]) ^ 0x8000) - 0x8000)
            i += 1
        v = ((((int(o16[2 * j + 1]) ^ 0x8000) - 0x8000) << 16) | int(o16[2 * j])) + ((total + (z << 1)) >> shift)
        o[j] = v
        j += 1


@micropython.viper
def follow(belief, kernel_q8, score, work) -> int:
    """One step of the tracker: move the belief, weigh it by the score. Returns the likeliest bin's index.

    belief: int32, 145, each 0..2**19. kernel_q8: 17 bytes, how far the rate moves in 2 s. score: int32, Q4 log2.
    work: int32, 145. Every bin keeps at least 1 before it is weighed: no rate is ever ruled out, which is what
    brings the tracker back when it was lost.
    Scaling and overflow: 2**19 * 2**8 = 2**27 (the kernel's sum is 256); weighing multiplies by at most 31.
    """
    p = ptr32(belief)
    k = ptr8(kernel_q8)
    s = ptr16(score)
    q = ptr32(work)
    top = -0x20000000
    j = 0
    while j < BINS:
        total = 0
        i = 0
        while i < 17:
            at = j + i - 8
            if at >= 0 and at < BINS:
                total += int(p[at]) * int(k[i])
            i += 1
        q[j] = (total >> 8) + 1
        v = (((int(s[2 * j + 1]) ^ 0x8000) - 0x8000) << 16) | int(s[2 * j])
        if v > top:
            top = v
        j += 1
    most = 0
    best = 0
    j = 0
    while j < BINS:
        v = top - ((((int(s[2 * j + 1]) ^ 0x8000) - 0x8000) << 16) | int(s[2 * j]))
        down = (v + 15) >> 4
        if down > 24:
            v = 0
        else:  # 2**(-v/16) as (16 + r) / 16 / 2**down
            v = (int(q[j]) * (16 + (down << 4) - v)) >> (4 + down)
        q[j] = v
        if v > most:
            most = v
            best = j
        j += 1
    left = 0
    while most < 0x40000:
        most = most << 1
        left += 1
    j = 0
    while j < BINS:
        p[j] = int(q[j]) << left
        j += 1
    return best
