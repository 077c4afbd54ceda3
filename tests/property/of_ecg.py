"""Kernels of the ECG chain and of beats' shapes, each against its specification in plain integers."""

from array import array
from math import isqrt

import numpy as np
from cases import Case, equal, ints, oracle, signal

from signal_models.fixed import beat_class, ecg
from vigil.dsp import beat_shape
from vigil.dsp import ecg as kernels
from vigil.dsp.coeffs.ecg import QRS_Q15, WIDE_Q15

INT16 = (-32768, 32767)


def ring_at(x, i, mask=127):
    return int(x[i & mask])


def wide(case: Case, limit: int = 32767) -> np.ndarray:
    return signal(case, 128, -limit - 1, limit)


@oracle("dsp.ecg.fir_q15")
def fir_q15(case):
    half_taps = QRS_Q15 if case.a % 2 else WIDE_Q15
    half = len(half_taps) - 1
    taps = np.array([*half_taps, *half_taps[-2::-1]], np.int64)
    n = 1 + case.n % 32
    x = signal(case, 2 * half + n, *INT16)
    y = array("h", bytes(64))
    kernels.fir_q15(ints(x), 0, y, n, half_taps, half)
    equal(y[:n], np.clip((np.convolve(x, taps, "valid") + 16384) >> 15, *INT16))


@oracle("dsp.ecg.views")
def views(case):
    n = 20 + case.n
    d, low = signal(case, n, *INT16), signal(case, n, *INT16, salt=1)
    first = int(low[0])
    bent, lows = array("H", bytes(64)), array("h", [first] * 64)
    energy, ring = array("i", bytes(512)), array("h", bytes(256))
    state = array("i", [0, 0, 41 * first])
    at = 0
    rng = case.rng
    e, w = np.zeros(n, np.int64), np.zeros(n, np.int64)
    while at < n:
        k = min(int(rng.integers(1, 33)), n - at)
        kernels.views(ints(d[at : at + k]), ints(low[at : at + k]), k, bent, energy, lows, ring, state)
        place = np.arange(at, at + k)
        e[place], w[place] = np.array(energy)[place & 127], np.array(ring)[place & 127]
        at += k
    equal(e, ecg._running_sum(np.abs(d), 20, 0), "energy")
    late = np.concatenate([np.full(20, first), low])[:n]
    equal(w, np.clip((41 * late - ecg._running_sum(low, 41, first) + 16) >> 5, *INT16), "wide")


@oracle("dsp.ecg.next_candidate")
def next_candidate(case):
    e = case.rng.choice([0, 59, 60, 61, *case.rng.integers(0, 2**20, 5)], 128)
    e[int(case.a) % 128] = 2**20 - 1
    after = 30 + case.b % 500
    upto = after + case.n % 70
    want = upto + 1
    for c in range(upto, after, -1):
        v = ring_at(e, c)
        if v >= 60 and all(v > ring_at(e, c - k) and v >= ring_at(e, c + k) for k in range(1, 26)):
            want = c
    equal(kernels.next_candidate(ints(e, "i"), after, upto), want)


@oracle("dsp.ecg.refine")
def refine(case):
    w, c = wide(case), 60 + case.a % 1000
    v = [ring_at(w, c - 33 + k) for k in range(55)]  # w[c-33] .. w[c+21]
    sizes = [abs(x) for x in v[3:54]]
    top = 3 + sizes.index(max(sizes)) if max(sizes) else 3
    sign = -1 if v[top] < 0 else 1
    a, b = sign * v[top - 1], sign * v[top + 1]
    curve = 2 * abs(v[top]) - a - b
    frac = min(128, max(-128, ((b - a) * 128) // curve)) if curve > 0 else 0
    slope = max(abs(v[k] - v[k - 3]) for k in range(3, 54))
    out = array("i", bytes(16))
    kernels.refine(ints(w), c, out)
    equal(out, [c - 33 + top, frac, v[top], slope])


@oracle("dsp.ecg.valley")
def valley(case):
    e, c = signal(case, 128, 0, 2**20), 50 + case.a % 999
    equal(kernels.valley(ints(e, "i"), c), min(ring_at(e, c - k) for k in range(41)))


def shift_of(w, c):
    return max(0, max(abs(ring_at(w, i)) for i in range(c - 54, c + 42)).bit_length() - 11)


@oracle("dsp.ecg.fit")
def fit(case):
    w, c = wide(case, 2 ** (case.b % 16) - 1), 60 + case.a % 999
    equal(kernels.fit(ints(w), c), shift_of(w, c))


@oracle("dsp.ecg.root")
def root(case):
    for x in (case.seed % 2**28, case.a**2 % 2**28, max(0, (case.a % 2**14) ** 2 - 1), 2**28 - 1, case.n):
        equal(kernels.root(x), isqrt(x), f"root of {x}, number")


@oracle("dsp.ecg.shape_at")
def shape_at(case):
    w, c = wide(case), 60 + case.a % 999
    shift, at = shift_of(w, c), c - 30 + case.b % 51
    v = [ring_at(w, at + k) >> shift for k in range(-24, 22, 3)] if at - 24 >= c - 54 and at + 21 <= c + 41 else None
    if v is None:
        return
    out = array("b", bytes(20))
    kernels.shape_at(ints(w), at, shift, out, 4)
    norm = max(1, isqrt(sum(x * x for x in v)))
    equal(out[4:], [x * 127 // norm for x in v])


@oracle("dsp.ecg.colour")
def colour(case):
    w, c = wide(case), 60 + case.a % 999
    shift = shift_of(w, c)
    v = [ring_at(w, i) >> shift for i in range(c - 30, c + 16, 3)]
    power = max(1, sum(x * x for x in v))
    scale = max(0, power.bit_length() - 14)
    want = []
    for k, n in ((1, 4369), (2, 4681)):
        products = sum(a * b for a, b in zip(v[k:], v, strict=False))
        want.append(min(4095, max(-4095, (products >> scale) * n // (power >> scale))))
    out = array("h", [0, 0, 0])
    kernels.colour(ints(w), c, shift, out, 1)
    equal(out[1:], want)


@oracle("dsp.ecg.whiten")
def whiten(case):
    w, c = wide(case), 60 + case.a % 999
    shift, a1, a2 = shift_of(w, c), case.b % 1023 - 511, case.c % 511 - 255
    v = {i: ring_at(w, i) >> shift for i in range(c - 50, c + 40)}
    out = array("h", bytes(2 * 84))
    kernels.whiten(ints(w), c, shift, out, a1, a2)
    equal(out, [(256 * v[i] - a1 * v[i - 3] - a2 * v[i - 6]) >> 9 for i in range(c - 44, c + 40)])


@oracle("dsp.ecg.likeness")
def likeness(case):
    white = signal(case, 84, -4088, 4088)
    template = case.rng.integers(-127, 128, 20)
    a1, a2 = case.b % 1023 - 511, case.c % 511 - 255
    t = [int(x) for x in template[4:]]
    thin = [(4096 * t[k] - 16 * a1 * t[k - 1] - 16 * a2 * t[k - 2]) >> 9 for k in range(2, 16)]
    norm_t = max(1, isqrt(sum(x * x for x in thin)))
    best = height = 0
    for at in range(0, 45, 2):
        own = [int(white[at + 3 * k]) for k in range(14)]
        dot = sum(x * y for x, y in zip(own, thin, strict=True))
        if dot > 0:
            along = dot * 8 // norm_t
            alike = along * 32 // max(1, isqrt(sum(x * x for x in own)))
            if alike > best:
                best, height = alike, along * (16 * max(map(abs, t))) // (8 * norm_t)
    out = array("i", [0, 0])
    kernels.likeness(ints(white), ints(template, "b"), 4, array("h", [a1, a2]), array("h", bytes(28)), out)
    equal(out, [min(best, 256), height])


@oracle("dsp.ecg.nth_smallest")
def nth_smallest(case):
    n = 1 + case.n % 40
    values = case.rng.integers(0, 2 ** (1 + case.a % 31) - 1, n) // (1 + case.b % 9)
    nth = case.c % n
    equal(kernels.nth_smallest(ints(values, "i"), n, nth), sorted(values.tolist())[nth])


@oracle("dsp.ecg.at_limit")
def at_limit(case):
    rng = case.rng
    limit = int(rng.integers(20, 32768))
    x = np.clip(np.repeat(signal(case, 60, *INT16), rng.integers(1, 14, 60)), -limit, limit)
    said, state, at = False, array("i", bytes(20)), 0
    while at < len(x):
        n = min(int(rng.integers(1, 33)), len(x) - at)
        said |= bool(kernels.at_limit(ints(x[at : at + n]), n, state))
        at += n
    starts = np.flatnonzero(np.diff(x, prepend=x[0] + 1))
    ends = [*starts[1:], len(x)]
    want = any(
        e - s >= 8 and s > 0 and abs(x[s] - x[s - 1]) > 16 and (x[s] <= x[:s].min() or x[s] >= x[:s].max())
        for s, e in zip(starts.tolist(), ends, strict=True)
    )
    equal(said, want)


@oracle("dsp.ecg._move")
def move(case):
    x = signal(case, 90, *INT16)
    n, first = 1 + case.n % 60, case.a % 30
    ours = ints(x)
    kernels._move(ours, 0, ours, first, n)
    equal(ours, [*x[first : first + n], *x[n:]])


@oracle("dsp.beat_shape.halve")
def halve(case):
    x = signal(case, 2 + case.n, *INT16)
    ring, state, at = array("h", bytes(1024)), array("i", [0, 0]), 0
    while at < len(x):
        n = min(1 + int(case.rng.integers(0, 40)), len(x) - at)
        beat_shape.halve(ints(x[at : at + n]), n, ring, state)
        at += n
    want = beat_class.halved(x)
    equal(ring[: len(want)], want)


@oracle("dsp.beat_shape.norm_q4")
def norm_q4(case):
    shift = case.a % 4
    v = signal(case, 27, -(2047 << shift), 2047 << shift)
    equal(beat_shape.norm_q4(ints(np.pad(v, (3, 0))), 3, shift), beat_class.norm_q4((v >> shift)[None])[0])


@oracle("dsp.beat_shape.likeness")
def beat_likeness(case):
    v, t = signal(case, 27, -2047, 2047), case.rng.integers(-127, 128, 27)
    norm = int(beat_class.norm_q4(v[None])[0])
    got = beat_shape.likeness(ints(v), 0, norm, ints(np.pad(t, (5, 0)), "b"), 5)
    equal(got, (int((v * t).sum()) << 8) // (127 * norm >> 4))


@oracle("dsp.beat_shape.widths")
def widths(case):
    v = signal(case, 27, -2047, 2047)
    out = array("i", [0, 0])
    beat_shape.widths(ints(v), 0, 0, out)
    equal(out, beat_class.widths(v))


@oracle("dsp.beat_shape.cut")
def cut(case):
    y = signal(case, 300, *INT16)
    at = case.a % 280
    out = array("h", bytes(66))
    beat_shape.cut(ints(np.pad(y, (0, 212))), at, out)
    mean = int(y[max(0, at - 11) : at + 16].sum()) // 27
    window = np.pad(y, (14, 40))[at : at + 33]
    equal(out, np.clip((window - mean) >> 2, -2047, 2047))
