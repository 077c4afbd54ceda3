"""The signal side of QRS detection: two views of one lead, candidates for a beat, and the place of the R peak.

Input: int16 microvolts, 250 Hz, any polarity. Two linear-phase views of the input x are kept (coeffs/ecg.py):

    d[i] = sum(QRS[k] x[i-k]) / 2**15               QRS view, 8-20 Hz, 30 samples late, int16
    l[i] = sum(WIDE[k] x[i-k]) / 2**15              low-pass 34 Hz, 15 samples late, int16
    e[i] = sum(|d[i-19]| .. |d[i]|)                 energy of the QRS view over 80 ms, < 2**20
    w[i] = (41 l[i-20] - sum(l[i-40] .. l[i])) / 32 wide view, 35 samples late, units of 0.78 uV, int16

Divisions by a power of two round half up (add half, shift right); int16 results saturate; before the first sample
the lead had stood at its value for ever. Candidate: a sample c where e[c] is at least FLOOR, above the 25 values
before it and not below the 25 after it. It is taken at c + 42. Its R peak is sought in the wide view at c-30 .. c+20:
the first largest |w|, refined by a parabola through it and its neighbours to 1/256 samples. In input time the peak is
35 samples earlier. Its valley is the least e of c-40 .. c: what noise leaves between the waves.

Shape: the 16 points w[i-24], w[i-21] .. w[i+21] about a place i, shifted right until all of w[c-54] .. w[c+41] fits
11 bits and a sign (the floor of each), times 127, by the root of the sum of their squares (floors).

Noise has a colour, and what is sought in it is sought best after a filter that takes the colour away: of muscle that
is nearly nothing, of electrode motion nearly two differences. r1 and r2 of a candidate: the sums of products of its 16
points about i = c-6 (shifted) with those 1 and 2 points before, by the sum of their squares, all three shifted right
alike until the last is below 2**14; times 4369 and 4681 (16/15 and 16/14 in q12), floor, within 4095. From what no
beat was the estimator learns a1 and a2, q8; whitened is (256 v[i] - a1 v[i-3] - a2 v[i-6]) >> 9, of a template (times
16) likewise with 1 and 2 points for 3 and 6 samples. Likeness of a candidate and a template: the cosine of the angle
of their last 14 points, whitened, 256 for 1, at the best of the places i = c-26, c-24 .. c+18 (the first of equals).
Fitted height: that of the template's highest point where the template is scaled to fit best there.
"""

from array import array

import micropython
from micropython import const

from vigil.dsp.coeffs.ecg import QRS_Q15, WIDE_Q15

BLOCK = const(32)  # samples a block at most
_QRS_HALF = const(30)
_WIDE_HALF = const(15)
_RING = const(128)  # values kept of either view: c-54 .. c+42 and the rest of a block
_FLOOR = const(60)  # 3 uV mean

DELAY = const(35)  # samples from the input to the wide view
CONFIRM = const(42)  # samples from a candidate until it is taken
POINTS = const(16)  # of a shape

# State of the kernels (array "i").
_POS = const(0)  # samples since reset
_SUM_E = const(1)
_SUM_L = const(2)
_STATE_N = const(3)

# What refine() writes (array "i").
AT = const(0)  # position of the R peak in the wide view, samples since reset
FRAC_Q8 = const(1)  # refinement, -128..128
HEIGHT = const(2)  # w at the peak, with its sign
SLOPE = const(3)  # largest |w[i] - w[i-3]| of the window
REFINED_N = const(4)


@micropython.viper
def fir_q15(hist, first: int, y, n: int, taps, half: int):
    """y[0..n-1] = symmetric FIR of 2*half+1 taps over hist, rounded, int16; y[0] uses hist[first] onwards.

    taps: its first half and the centre, q15. Scaling and overflow: the gain at DC is sum(taps)/2**15. A pair of
    inputs is within 2**16, a tap within 2**14; the sum within 2**15 * 65534 + 2**14 < 2**31 as sum|taps| <= 65534.
    """
    px = ptr16(hist)
    py = ptr16(y)
    pt = ptr16(taps)
    i = 0
    while i < n:
        a = first + i
        b = a + half + half
        acc = 16384
        k = 0
        while k < half:
            t = (int(pt[k]) ^ 0x8000) - 0x8000
            acc += t * (((int(px[a]) ^ 0x8000) + (int(px[b]) ^ 0x8000)) - 0x10000)
            a += 1
            b -= 1
            k += 1
        acc += ((int(pt[half]) ^ 0x8000) - 0x8000) * ((int(px[a]) ^ 0x8000) - 0x8000)
        acc >>= 15
        if acc > 32767:
            acc = 32767
        elif acc < -32768:
            acc = -32768
        py[i] = acc
        i += 1


@micropython.viper
def views(d, low, n: int, bent, energy, lows, wide, state):
    """Continue e and w by n samples of d and l.

    bent: 32 last |d|; energy: 128 last e; lows: 64 last l; wide: 128 last w, each ring indexed by position.
    Scaling and overflow: |d| <= 32768, so e <= 20 * 32768 < 2**20; |41 l - sum| <= 40 * 65535 < 2**22.
    """
    pd = ptr16(d)
    pl = ptr16(low)
    pb = ptr16(bent)
    pe = ptr32(energy)
    ph = ptr16(lows)
    pw = ptr16(wide)
    ps = ptr32(state)
    pos = int(ps[_POS])
    sum_e = int(ps[_SUM_E])
    sum_l = ((int(ps[_SUM_L]) & 0x7FFFFF) ^ 0x400000) - 0x400000  # 23 bits hold it: no matter how it was loaded
    i = 0
    while i < n:
        v = (int(pd[i]) ^ 0x8000) - 0x8000
        if v < 0:
            v = 0 - v
        sum_e += v - int(pb[(pos - 20) & 31])
        pb[pos & 31] = v
        pe[pos & 127] = sum_e
        v = (int(pl[i]) ^ 0x8000) - 0x8000
        sum_l += v - ((int(ph[(pos - 41) & 63]) ^ 0x8000) - 0x8000)
        ph[pos & 63] = v
        v = ((int(ph[(pos - 20) & 63]) ^ 0x8000) - 0x8000) * 41 - sum_l
        v = (v + 16) >> 5
        if v > 32767:
            v = 32767
        elif v < -32768:
            v = -32768
        pw[pos & 127] = v
        pos += 1
        i += 1
    ps[_POS] = pos
    ps[_SUM_E] = sum_e
    ps[_SUM_L] = sum_l


@micropython.viper
def next_candidate(energy, after: int, upto: int) -> int:
    """First candidate c with after < c <= upto, or upto + 1. All of e[after-24] .. e[upto+25] must be in the ring."""
    pe = ptr32(energy)
    c = after + 1
    while c <= upto:
        e = int(pe[c & 127])
        if e >= _FLOOR:
            k = 1
            while k <= 25 and e > int(pe[(c - k) & 127]) and e >= int(pe[(c + k) & 127]):
                k += 1
            if k > 25:
                return c
        c += 1
    return c


@micropython.viper
def refine(wide, c: int, out):
    """Place the R peak of candidate c: writes AT, FRAC_Q8, HEIGHT and SLOPE (signed, see above) to out.

    Scaling and overflow: |w| <= 2**15; a difference is within 2**16, times 128 within 2**23.
    """
    pw = ptr16(wide)
    po = ptr32(out)
    best = 0
    at = c - 30
    slope = 0
    i = c - 30
    while i <= c + 20:
        v = (int(pw[i & 127]) ^ 0x8000) - 0x8000
        d = v - ((int(pw[(i - 3) & 127]) ^ 0x8000) - 0x8000)
        if d < 0:
            d = 0 - d
        if d > slope:
            slope = d
        if v < 0:
            v = 0 - v
        if v > best:
            best = v
            at = i
        i += 1
    v = (int(pw[at & 127]) ^ 0x8000) - 0x8000
    a = (int(pw[(at - 1) & 127]) ^ 0x8000) - 0x8000
    b = (int(pw[(at + 1) & 127]) ^ 0x8000) - 0x8000
    po[2] = v
    if v < 0:
        a = 0 - a
        b = 0 - b
    curve = best + best - a - b
    frac = 0
    if curve > 0:
        frac = ((b - a) << 7) // curve
        if frac > 128:
            frac = 128
        elif frac < -128:
            frac = -128
    po[0] = at
    po[1] = frac
    po[3] = slope


@micropython.viper
def valley(energy, c: int) -> int:
    """Least of e[c-40] .. e[c]."""
    pe = ptr32(energy)
    least = int(pe[c & 127])
    k = 1
    while k <= 40:
        v = int(pe[(c - k) & 127])
        if v < least:
            least = v
        k += 1
    return least


@micropython.viper
def fit(wide, c: int) -> int:
    """Shift that makes every w[c-54] .. w[c+41] fit 11 bits and a sign."""
    pw = ptr16(wide)
    most = 0
    i = c - 54
    while i <= c + 41:
        v = (int(pw[i & 127]) ^ 0x8000) - 0x8000
        if v < 0:
            v = 0 - v
        if v > most:
            most = v
        i += 1
    shift = 0
    while most >> (shift + 11):
        shift += 1
    return shift


@micropython.viper
def root(x: int) -> int:
    """Integer square root (floor), 0 <= x < 2**28."""
    r = 0
    bit = 1 << 13
    while bit:
        v = r + bit
        if v * v <= x:
            r = v
        bit >>= 1
    return r


@micropython.viper
def shape_at(wide, at: int, shift: int, out, first: int):
    """out[first .. first+15] (array "b") = the shape at place `at`: the sum of its squares is at most 127**2.

    Scaling and overflow: |v| <= 2**11, 16 squares within 2**26; v * 127 within 2**18.
    """
    pw = ptr16(wide)
    po = ptr8(out)
    total = 0
    i = at - 24
    while i <= at + 21:
        v = ((int(pw[i & 127]) ^ 0x8000) - 0x8000) >> shift
        total += v * v
        i += 3
    norm = int(root(total))
    if norm < 1:
        norm = 1
    k = first
    i = at - 24
    while i <= at + 21:
        po[k] = ((((int(pw[i & 127]) ^ 0x8000) - 0x8000) >> shift) * 127) // norm
        k += 1
        i += 3


@micropython.viper
def colour(wide, c: int, shift: int, out, first: int):
    """out[first], out[first + 1] (array "h") = r1 and r2 of candidate c, q12.

    Scaling and overflow: |v| <= 2**11, 16 squares within 2**26, a sum of products within as much (Cauchy); scaled, it
    is below 2**14, times 4681 below 2**27.
    """
    pw = ptr16(wide)
    po = ptr16(out)
    power = 0
    one = 0
    two = 0
    a = 0
    b = 0
    i = c - 30
    while i <= c + 15:
        v = ((int(pw[i & 127]) ^ 0x8000) - 0x8000) >> shift
        power += v * v
        one += v * a
        two += v * b
        b = a
        a = v
        i += 3
    if power < 1:
        power = 1
    scale = 0
    while power >> (scale + 14):
        scale += 1
    power >>= scale
    one = ((one >> scale) * 4369) // power
    two = ((two >> scale) * 4681) // power
    po[first] = 4095 if one > 4095 else -4095 if one < -4095 else one
    po[first + 1] = 4095 if two > 4095 else -4095 if two < -4095 else two


@micropython.viper
def whiten(wide, c: int, shift: int, out, a1_q8: int, a2_q8: int):
    """out[0 .. 83] (array "h") = the whitened wide view at c-44 .. c+39.

    Scaling and overflow: |v| <= 2**11, |a1| < 2**9, |a2| < 2**8: the sum is within 2**21, the result within 2**12.
    """
    pw = ptr16(wide)
    po = ptr16(out)
    i = c - 44
    k = 0
    while k < 84:
        v = (((int(pw[i & 127]) ^ 0x8000) - 0x8000) >> shift) << 8
        v -= a1_q8 * (((int(pw[(i - 3) & 127]) ^ 0x8000) - 0x8000) >> shift)
        v -= a2_q8 * (((int(pw[(i - 6) & 127]) ^ 0x8000) - 0x8000) >> shift)
        po[k] = v >> 9
        i += 1
        k += 1


@micropython.viper
def likeness(white, template, first: int, ar_q8, scratch, out):
    """out[0], out[1] (array "i") = likeness, 0..256, of the whitened candidate to template[first ..] (array "b") and
    the fitted height (not shifted back), within 2**16; scratch: 14 values, array "h"; ar_q8: a1 and a2, array "h".

    Scaling and overflow: 14 whitened points are within 2**12 each, so norms are below 2**14, and that of the template
    too. dot is at most the product of both, so dot / norm below 2**14; the sums of 14 products within 2**28.
    """
    pz = ptr16(white)
    pt = ptr8(template)
    pa = ptr16(ar_q8)
    ps = ptr16(scratch)
    po = ptr32(out)
    a1 = (int(pa[0]) ^ 0x8000) - 0x8000
    a2 = (int(pa[1]) ^ 0x8000) - 0x8000
    peak = 0
    total = 0
    k = 0
    while k < 16:
        t = (int(pt[first + k]) ^ 0x80) - 0x80
        if k > 1:
            v = (t << 12) - (a1 * ((int(pt[first + k - 1]) ^ 0x80) - 0x80) << 4)
            v = (v - (a2 * ((int(pt[first + k - 2]) ^ 0x80) - 0x80) << 4)) >> 9
            ps[k - 2] = v
            total += v * v
        if t < 0:
            t = 0 - t
        if t > peak:
            peak = t
        k += 1
    norm_t = int(root(total))
    if norm_t < 1:
        norm_t = 1
    best = 0
    height = 0
    at = 0
    while at <= 44:
        total = 0
        dot = 0
        k = 0
        while k < 14:
            v = (int(pz[at + 3 * k]) ^ 0x8000) - 0x8000
            total += v * v
            dot += v * ((int(ps[k]) ^ 0x8000) - 0x8000)
            k += 1
        if dot > 0:
            # dot < 2**28: in two steps, or eight times it would be 2**31.
            along = ((dot // norm_t) << 3) + (((dot % norm_t) << 3) // norm_t)
            norm = int(root(total))
            if norm < 1:
                norm = 1
            v = (along << 5) // norm
            if v > best:
                best = v
                height = (along * (peak << 4)) // (norm_t << 3)
        at += 2
    if best > 256:
        best = 256
    po[0] = best
    po[1] = height


# Once a beat, so bytecode: a third of the size.


def dot8(a, first_a, b, first_b):
    """Sum of the products of 16 values of two arrays "b"; within 2**18."""
    total = 0
    for k in range(16):
        total += a[first_a + k] * b[first_b + k]
    return total


def blend(sums, template, first, shape, from_, fresh):
    """Move template[first ..] towards shape[from_ ..] by an eighth, or set it when fresh; sums: 16 times it, array "h".

    Scaling and overflow: |sums| <= 16 * 128; 16 squares within 2**26.
    """
    total = 0
    for k in range(16):
        v = shape[from_ + k] << 4
        if not fresh:
            u = sums[first + k]
            v = u + ((v - u) >> 3)
        sums[first + k] = v
        total += v * v
    norm = max(1, root(total))
    for k in range(first, first + 16):
        template[k] = sums[k] * 127 // norm


@micropython.viper
def nth_smallest(values, n: int, nth: int) -> int:
    """The nth smallest (0: the least) of values[0..n-1], non-negative int32, without moving or storing them."""
    pv = ptr32(values)
    i = 0
    while i < n:
        v = int(pv[i])
        below = 0
        equal = 0
        k = 0
        while k < n:
            u = int(pv[k])
            if u < v:
                below += 1
            elif u == v:
                equal += 1
            k += 1
        if below <= nth and nth < below + equal:
            return v
        i += 1
    return 0


@micropython.viper
def at_limit(data, n: int, state) -> int:
    """Did the converter stand at its limit anywhere in data[0..n-1] (array "h")? 0 or 1.

    It did where 8 samples are equal, none before lay beyond them, and the first of them came by a step above 16: a
    line that fades into rest has none. state: 5 values, array "i", zero before the first block of a stretch.
    """
    px = ptr16(data)
    ps = ptr32(state)
    low = ((int(ps[0]) & 0xFFFF) ^ 0x8000) - 0x8000
    high = ((int(ps[1]) & 0xFFFF) ^ 0x8000) - 0x8000
    last = ((int(ps[2]) & 0xFFFF) ^ 0x8000) - 0x8000
    run = int(ps[3])
    stepped = int(ps[4])
    found = 0
    i = 0
    while i < n:
        v = (int(px[i]) ^ 0x8000) - 0x8000
        if v == last and run:
            if run < 8:
                run += 1
            if run == 8 and stepped and (v <= low or v >= high):
                found = 1
        else:
            d = v - last
            stepped = 1 if run and (d > 16 or d < -16) else 0
            if not run:
                low = v
                high = v
            run = 1
        if v < low:
            low = v
        if v > high:
            high = v
        last = v
        i += 1
    ps[0] = low
    ps[1] = high
    ps[2] = last
    ps[3] = run
    ps[4] = stepped
    return found


@micropython.viper
def _move(to, at: int, source, first: int, n: int):
    """to[at .. at+n-1] = source[first .. first+n-1] (array "h"), lowest first."""
    pt = ptr16(to)
    ps = ptr16(source)
    i = 0
    while i < n:
        pt[at + i] = ps[first + i]
        i += 1


class EcgViews:
    """Both views of one lead, continued block by block. About 1.3 KB of state; allocates nothing after that."""

    def __init__(self):
        self.energy = array("i", bytes(4 * _RING))
        self.wide = array("h", bytes(2 * _RING))
        self._hist = array("h", bytes(2 * (2 * _QRS_HALF + BLOCK)))
        self._d = array("h", bytes(2 * BLOCK))
        self._low = array("h", bytes(2 * BLOCK))
        self._bent = array("H", bytes(2 * 32))
        self._lows = array("h", bytes(2 * 64))
        self._state = array("i", bytes(4 * _STATE_N))

    def reset(self):
        """Forget every sample."""
        for ring in (self.energy, self.wide, self._bent, self._state):
            for i in range(len(ring)):
                ring[i] = 0

    def push(self, data, n):
        """Take data[0..n-1] (array "h", microvolts), 0 < n <= BLOCK <= len(data). Returns the samples since reset."""
        hist = self._hist
        state = self._state
        if not state[_POS]:
            first = data[0]
            for ring in (hist, self._lows):
                for i in range(len(ring)):
                    ring[i] = first
            state[_SUM_L] = 41 * first
        _move(hist, 2 * _QRS_HALF, data, 0, n)
        fir_q15(hist, 0, self._d, n, QRS_Q15, _QRS_HALF)
        fir_q15(hist, 2 * (_QRS_HALF - _WIDE_HALF), self._low, n, WIDE_Q15, _WIDE_HALF)
        views(self._d, self._low, n, self._bent, self.energy, self._lows, self.wide, state)
        _move(hist, 0, hist, n, 2 * _QRS_HALF)
        return state[_POS]
