"""Kernels of the spectrum, of the pulse rate in motion and of breath, each against its specification."""

from array import array

import numpy as np
from cases import Case, equal, ints, oracle, signal

from signal_models.design import fft as design_fft
from signal_models.design import motion as design
from signal_models.design import resp as design_resp
from signal_models.fixed import motion as mirror
from signal_models.fixed import resp as breath
from vigil.dsp import fft, motion, resp
from vigil.dsp.coeffs import fft as tables
from vigil.dsp.coeffs import motion as nets
from vigil.dsp.coeffs.resp import WEIGHTS_Q5

BINS = mirror.BINS


def window(case: Case, salt: int = 0) -> np.ndarray:
    return signal(case, 200, -2047, 2047, salt)


def loaded(x: np.ndarray) -> array:
    buffer = array("h", bytes(2 * fft.WORDS))
    fft.load(ints(np.pad(x, (7, 0))), 7, tables.WINDOW_Q10, buffer)
    return buffer


@oracle("dsp.fft.load")
def load(case):
    x = window(case)
    y = (x * design_fft.window_q10() + 512) >> 10
    want = np.zeros((512, 2), np.int64)
    want[[int(f"{i:09b}"[::-1], 2) for i in range(100)]] = y.reshape(100, 2)
    equal(loaded(x), want)


def transformed(x: np.ndarray) -> array:
    buffer = loaded(x)
    fft.transform(buffer, tables.SINE_Q14)
    return buffer


@oracle("dsp.fft.transform")
def transform(case):
    x = window(case)
    re, im = mirror.transform(x[None])
    equal(transformed(x), np.stack([re[0], im[0]], axis=1))


@oracle("dsp.fft.log_power")
def log_power(case):
    x = window(case)
    re, im = mirror.transform(x[None])
    out = array("h", bytes(2 * 400))
    fft.log_power(ints(np.stack([re[0], im[0]], axis=1)), tables.SINE_Q14, out, 10, 240, mirror.LAST)
    equal(out[: mirror.LAST], mirror.spectrum(x[None])[0])


@oracle("dsp.motion.decimate")
def decimate(case):
    n = 4 + case.n
    x = signal(case, (n, 3), -32768, 32767)
    state, ring, at = array("i", bytes(48)), array("h", bytes(6 * 256)), 0
    while at < n:
        m = min(1 + int(case.rng.integers(0, 32)), n - at)
        motion.decimate(ints(x[at : at + m]), m, state, ring)
        at += m
    want = mirror.acceleration(x)
    place = np.arange(1, len(want) + 1)[-256:] & 255
    equal([np.array(ring)[a * 256 + place] for a in range(3)], want[-256:].T)


@oracle("dsp.motion.level")
def level(case):
    ring, n, count = signal(case, (3, 256), -32767, 32767), 1 + case.n % 256, case.a
    last = (count - np.arange(n)) & 255
    equal(motion.level(ints(ring), count, n), int(np.abs(ring[:, last]).sum()) // (4 * n))


@oracle("dsp.motion.gather")
def gather(case):
    ring, n = signal(case, 768, -32768, 32767), 1 + case.n % 208
    end, step_q14 = 1000 + case.a, 16384 - 300 + case.b % 600
    known, ahead = 40 + case.c % 230, case.c % 4
    base = 256 * (case.a % 3)
    want = []
    for i in range(n):
        back = (n - 1 - i) * step_q14
        whole = -(-back // 16384)
        v = 0
        if ahead <= whole < known:
            v = int(ring[base + ((end - whole) & 255)])
            part = ((whole << 14) - back) >> 4
            if part:
                v += ((int(ring[base + ((end - whole + 1) & 255)]) - v) * part) >> 10
        want.append(v)
    out = array("h", bytes(2 * (n + 3)))
    motion.gather(ints(ring), base, end, n, known, ahead, out, 3, step_q14)
    equal(out[3:], want)


@oracle("dsp.motion.peak")
def peak(case):
    x = signal(case, case.n, -32768, 32767)
    equal(motion.peak(ints(x), case.n), np.abs(x).max())


@oracle("dsp.motion.normalise")
def normalise(case):
    x = signal(case, case.n, -(2 ** (case.a % 16)), 2 ** (case.a % 16) - 1)
    ours = ints(np.pad(x, (4, 0)))
    motion.normalise(ours, 4, case.n)
    equal(ours[4:], mirror.normalise(x[None])[0])


def taps_of(acc: np.ndarray) -> np.ndarray:
    return np.stack([acc[a, d : d + 200] for a in range(3) for d in (0, 2, 4, 6, 8)])


@oracle("dsp.motion.products")
def products(case):
    x, acc, shift = window(case), signal(case, (3, 208), -2047, 2047, salt=1), case.a % 19
    out = array("i", bytes(4 * 17))
    motion.products(ints(x), 0, ints(acc), out, 2, shift)
    equal(out[2:], (taps_of(acc) * x).sum(axis=1) >> shift)


@oracle("dsp.motion.solve")
def solve(case):
    x, acc = window(case), signal(case, (3, 208), -2047, 2047, salt=1)
    taps = taps_of(acc)
    gram, b = (taps @ taps.T) >> 18, (taps @ x) >> 8
    weight = np.zeros(15, np.int64)
    for _ in range(32):
        for t in range(15):
            rest = int(b[t] - gram[t] @ weight + gram[t, t] * weight[t])
            weight[t] = min(8191, max(-8191, rest // int(gram[t, t] + (gram[t, t] >> 6) + 1)))
    work = ints(np.pad(b, (0, 30)), "i")
    motion.solve(ints(gram, "i"), work)
    equal(work[15:30], weight)


@oracle("dsp.motion.cancel")
def cancel(case):
    x, acc = window(case), signal(case, (3, 208), -2047, 2047, salt=1)
    weight = case.rng.integers(-8191, 8192, 15)
    ours = ints(x)
    motion.cancel(ours, ints(acc), ints(np.pad(weight, (15, 15)), "i"))
    equal(ours, np.clip(x - (((weight[:, None] * taps_of(acc)).sum(axis=0) + 512) >> 10), -32767, 32767))


@oracle("dsp.motion.add")
def add(case):
    x, y = signal(case, case.n, -8191, 8191), signal(case, case.n, -8191, 8191, salt=1)
    ours = ints(y)
    motion.add(ints(x), ours, case.n)
    equal(ours, x + y)


@oracle("dsp.motion.keep_larger")
def keep_larger(case):
    x, y = signal(case, case.n, 0, 32767), signal(case, case.n, 0, 32767, salt=1)
    ours = ints(y)
    motion.keep_larger(ints(x), ours, case.n)
    equal(ours, np.maximum(x, y))


@oracle("dsp.motion.judge")
def judge(case):
    own, left, moved = (signal(case, mirror.LAST + 20, 0, 160, salt) for salt in range(3))
    before, shift, alone = case.rng.integers(-(2**20), 2**20, BINS), 11 + case.a % 2, bool(case.b % 2)
    score = ints(before, "i")
    net = nets.ALONE if alone else nets.HEARD
    motion.judge(ints(own), ints(left), ints(moved), net, array("h", bytes(2 * motion.INPUTS)), score, shift)
    u = mirror.inputs(own[None], left[None], moved[None])
    equal(score, before + mirror.judge(u, design.network(alone=alone), shift)[0])


@oracle("dsp.motion.follow")
def motion_follow(case):
    belief = case.rng.integers(0, 2**19, BINS)
    score = case.rng.integers(-(2 ** (1 + case.a % 14)), 2 ** (1 + case.a % 14), BINS)
    moved = (np.convolve(belief, design.step_q8())[8 : 8 + BINS] >> 8) + 1
    below = score.max() - score
    down = (below + 15) >> 4
    weighed = np.where(down > 24, 0, (moved * (16 + (down << 4) - below)) >> (4 + np.minimum(down, 24)))
    ours = ints(belief, "i")
    if not weighed.any():
        return
    best = motion.follow(ours, nets.STEP_Q8, ints(score, "i"), array("i", bytes(4 * BINS)))
    want = weighed << max(0, 19 - int(weighed.max()).bit_length())
    equal([best, *ours], [int(weighed.argmax()), *want])


@oracle("dsp.resp.gather")
def resp_gather(case):
    rings, now = signal(case, (3, 128), -32768, 32767), 100 + case.a
    view, minus = case.b % 3, case.c % 4 - 1
    at = np.arange(now - 100, now) & 127
    x = rings[view, at]
    if minus >= 0:
        x = np.clip(x - rings[minus, at], -32767, 32767)
    out = array("h", bytes(400))
    resp.gather(ints(rings), view, minus, now, out)
    equal(out, np.repeat(breath.normalised(x), 2))


@oracle("dsp.resp.add_say")
def add_say(case):
    spectrum, view = signal(case, breath.LAST, 0, 160), case.a % (len(WEIGHTS_Q5) // 3)
    before = case.rng.integers(-8000, 8001, breath.BINS)
    score = ints(before)
    resp.add_say(ints(spectrum), WEIGHTS_Q5, view, score)
    weights = design_resp.weights_q5()[view : view + 1]
    equal(score, before + breath.score(spectrum[None, None], weights)[0])


@oracle("dsp.resp.follow")
def resp_follow(case):
    scores = case.rng.integers(-(2 ** (1 + case.a % 13)), 2 ** (1 + case.a % 13), (4, breath.BINS))
    intervals = [int(v) for v in case.rng.choice([0, 300, 700, 2000], 4)]
    belief = array("h", bytes(2 * breath.BINS))
    want = breath.follow(scores, intervals)
    for s, interval, row in zip(scores, intervals, want, strict=True):
        best = resp.follow(belief, ints(s), breath.highest(interval))
        equal([best, *belief], [int(row.argmax()), *row])


@oracle("dsp.resp.rival")
def rival(case):
    belief, best, near = -signal(case, breath.BINS, 0, 1280), case.a % breath.BINS, case.b % 12
    far = np.abs(np.arange(breath.BINS) - best) > near
    equal(resp.rival(ints(belief), best, near), belief[far].max())


@oracle("dsp.resp.evidence")
def evidence(case):
    score, best, top = signal(case, breath.BINS, -16384, 16383), case.a % breath.BINS, case.b % 200
    upto = score[: min(top, breath.BINS - 1) + 1]
    equal(resp.evidence(ints(score), best, top), int(score[best]) - int(upto.sum()) // len(upto))
