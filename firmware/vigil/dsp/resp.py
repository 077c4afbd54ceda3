"""Kernels of the respiration rate: a window of slopes, a view's say on every rate, and a belief over all rates."""

import micropython
from micropython import const

RING = const(128)  # slots kept of a view
WINDOW = const(100)  # slots looked at: 32 s
FIRST_BIN = const(11)  # 4.03 breaths a minute
BINS = const(145)  # up to 56.8
LAST = const(313)  # bins of a spectrum that are looked at, so that it fits the transform's own buffer
APART = const(20)  # bins between two lines of a window that can be told from each other
STEP = const(64)  # cost of moving by one bin in 2 s: 1/64 of a natural logarithm
JUMP = const(640)  # cost of moving to any bin


@micropython.viper
def gather(rings, view: int, minus: int, now: int, out):
    """The last 100 slots before slot `now`, each twice, ready for `fft.load`: out, int16, 200, magnitude <= 2047.

    rings: int16, RING a view. minus: another view to be taken away, -1 for none. Values are held to four times their
    mean magnitude (one artefact is not a breath), freed of their mean, and scaled by a power of two.
    Scaling and overflow: 100 values below 2**15: sums < 2**22; a value less the mean < 2**16.
    """
    r = ptr16(rings)
    o = ptr16(out)
    total = 0
    i = 0
    while i < WINDOW:
        at = (now - WINDOW + i) & 127
        v = (int(r[view * RING + at]) ^ 0x8000) - 0x8000
        if minus >= 0:
            v -= (int(r[minus * RING + at]) ^ 0x8000) - 0x8000
            if v > 32767:
                v = 32767
            if v < -32767:
                v = -32767
        o[2 * i] = v
        if v < 0:
            v = 0 - v
        total += v
        i += 1
    limit = total // 25 + 1
    total = 0
    i = 0
    while i < WINDOW:
        v = (int(o[2 * i]) ^ 0x8000) - 0x8000
        if v > limit:
            v = limit
        if v < 0 - limit:
            v = 0 - limit
        o[2 * i] = v
        total += v
        i += 1
    mean = total // WINDOW
    most = 1
    i = 0
    while i < WINDOW:
        v = ((int(o[2 * i]) ^ 0x8000) - 0x8000) - mean
        if v < 0:
            v = 0 - v
        if v > most:
            most = v
        i += 1
    right = 0
    while most > 2047:
        most = most >> 1
        right += 1
    left = 0
    while most < 1024:
        most = most << 1
        left += 1
    i = 0
    while i < WINDOW:
        v = ((int(o[2 * i]) ^ 0x8000) - 0x8000) - mean
        v = (v >> right) << left
        o[2 * i] = v
        o[2 * i + 1] = v
        i += 1


@micropython.viper
def add_say(spectrum, weights_q5, view: int, score):
    """Add to score[j] (int16) what a view's spectrum says of bin FIRST_BIN + j, there and at its double and half.

    Below 7.3 a minute the double may lie on the flank of the rate's own line: it is when it does not stand above what
    lies between, and then it says nothing.

    spectrum: of `fft.log_power`, 0..160. weights_q5: int16, 3 a view.
    Scaling and overflow: |weight| < 2**7 (the table is checked by tests/golden): 3 * 160 * 2**7 >> 5 < 2**11 a view.
    """
    s = ptr16(spectrum)
    w = ptr16(weights_q5)
    o = ptr16(score)
    w0 = (int(w[3 * view]) ^ 0x8000) - 0x8000
    w1 = (int(w[3 * view + 1]) ^ 0x8000) - 0x8000
    w2 = (int(w[3 * view + 2]) ^ 0x8000) - 0x8000
    j = 0
    while j < BINS:
        b = FIRST_BIN + j
        double = int(s[2 * b])
        if b < APART and int(s[3 * b >> 1]) >= double:
            double = 0
        v = (w0 * int(s[b]) + w1 * double + w2 * int(s[b >> 1])) >> 5
        o[j] = ((int(o[j]) ^ 0x8000) - 0x8000) + v
        j += 1


@micropython.viper
def follow(belief, score, top: int) -> int:
    """One step of the tracker: each bin is as likely as the likeliest way there. Returns the likeliest bin's index.

    belief: int16, 145, logarithms (1/64 natural), 0 at its best and never below -2 JUMP: a rate that was ruled out
    comes back within seconds. top: index above which breathing would be faster than half the beats, and is not seen.
    Scaling and overflow: |score| <= 7 * 2**11 < 2**14.
    """
    p = ptr16(belief)
    s = ptr16(score)
    turn = 0
    while turn < 2:
        run = -2 * JUMP
        i = 0
        while i < BINS:
            j = i
            if turn:
                j = BINS - 1 - i
            v = (int(p[j]) ^ 0x8000) - 0x8000
            if v < -JUMP:
                v = -JUMP
            run -= STEP
            if v > run:
                run = v
            p[j] = run
            i += 1
        turn += 1
    best = 0
    most = -32768
    j = 0
    while j < BINS:
        v = ((int(p[j]) ^ 0x8000) - 0x8000) + ((int(s[j]) ^ 0x8000) - 0x8000)
        p[j] = v
        if j <= top and v > most:
            most = v
            best = j
        j += 1
    j = 0
    while j < BINS:
        v = ((int(p[j]) ^ 0x8000) - 0x8000) - most
        if j > top:
            v = -JUMP
        if v < -2 * JUMP:
            v = -2 * JUMP
        p[j] = v
        j += 1
    return best


@micropython.viper
def rival(belief, best: int, near: int) -> int:
    """The largest belief in a bin more than `near` from `best`, at most 0."""
    p = ptr16(belief)
    most = -2 * JUMP
    j = 0
    while j < BINS:
        if j < best - near or j > best + near:
            v = (int(p[j]) ^ 0x8000) - 0x8000
            if v > most:
                most = v
        j += 1
    return most


@micropython.viper
def evidence(score, best: int, top: int) -> int:
    """How much likelier breath at `best` is than none: its score less the mean of all rates up to `top`."""
    s = ptr16(score)
    if top > BINS - 1:
        top = BINS - 1
    total = 0
    j = 0
    while j <= top:
        total += (int(s[j]) ^ 0x8000) - 0x8000
        j += 1
    return ((int(s[best]) ^ 0x8000) - 0x8000) - total // (top + 1)
