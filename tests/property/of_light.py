"""Kernels of the light's chain, each against its specification in plain integers."""

from array import array

import numpy as np
from cases import Case, equal, ints, oracle, signal

from signal_models.fixed import ppg
from vigil.dsp import ppg_beats, ppg_front, ppg_window, pulse_shape
from vigil.dsp.coeffs.ppg import HIGHPASS_Q14


@oracle("dsp.ppg_front.decimate")
def decimate(case):
    k, n, shift = 1 + case.a % 4, 8 + case.n, 3 * (case.b % 2)
    x = signal(case, (n, k), -(2**18), 2**18 - 1)
    state, rows, at = array("i", bytes(40)), [], 0
    while at < n:
        m = min(1 + int(case.rng.integers(0, 64)), n - at)
        out = array("i", bytes(4 * k * (m // 4 + 1)))
        made = ppg_front.decimate(ints(x[at : at + m], "i"), m, k, shift, state, out)
        rows += list(out[: made * k])
        at += m
    equal(rows, ppg.decimate(x, shift))


@oracle("dsp.ppg_front.highpass")
def highpass(case):
    k, relative = 1 + case.a % 3, bool(case.b % 2)
    low = -(2**18) if relative else 0
    x = 8 * signal(case, (case.n, k), low, 2**18 - 1) >> (3 if relative else 0)
    column = case.c % k
    state, ring = array("i", bytes(4 * 25)), array("h", bytes(512 * (k + 1)))
    state[ppg_front.SIGN], state[ppg_front.OFF] = (1, 0) if relative else (-1, ppg.OFF)
    state[ppg_front.PULSE] = column
    want = ppg.front(x, column, relative=relative)
    for i, row in enumerate(x):
        age = ppg_front.highpass(ints(row, "i"), 0, k, state, HIGHPASS_Q14, ring)
        now = [ring[c * 256 + ((i + 1) & 255)] for c in range(k + 1)]
        equal([age, *now], [want.age[i], *want.pulse[i], want.slow[i]], f"row {i}: age, pulse, slow:")
        equal([state[ppg_front.DC + 5 * c] for c in range(k)], want.dc_q8[i], f"row {i}: dc")


@oracle("dsp.ppg_beats.step")
def beats_step(case):
    t = np.arange(200 + case.n)
    pulse = np.sin(2 * np.pi * t / (8 + case.a % 30)) + 0.4 * np.sin(4 * np.pi * t / (8 + case.a % 30) + 1)
    x = (pulse * (case.b % 20000)).astype(np.int64) + signal(case, len(t), -(case.c % 12000), case.c % 12000)
    x = np.clip(x, -32768, 32767).tolist()
    state, beat, ring = array("i", bytes(4 * ppg_beats.WORDS)), array("i", bytes(12)), array("h", bytes(512))
    ppg_beats.restart(state)
    mirror = ppg.Beats()
    for n, v in enumerate(x):
        ring[n & 255] = v
        made = ppg_beats.step(ring, 0, n, state, beat)
        want = mirror.step(x, n)
        assert bool(made) == (want is not None), f"sample {n}: a beat is {'' if made else 'not '}made"
        if want is not None:
            equal([(n << 8) - beat[0], beat[1]], want, f"sample {n}: onset, height:")


def newest(case: Case, n: int, limit: int = 32767) -> tuple[array, int, int, np.ndarray]:
    """A ring of two columns, a column, a count, and its newest n samples."""
    ring = signal(case, 512, -limit - 1, limit)
    column, count = case.a % 2, 300 + case.b % 1000
    return ints(ring), column, count, ring[column * 256 + (np.arange(count - n + 1, count + 1) & 255)]


@oracle("dsp.ppg_window.scale")
def scale(case):
    n = 1 + case.n % 200
    ring, column, count, x = newest(case, n, 2 ** (case.c % 16) - 1)
    out = array("h", bytes(2 * n))
    shift = ppg_window.scale(ring, column, count, n, out)
    want, by = ppg.scaled(x)
    equal([*out, shift], [*want, by])


@oracle("dsp.ppg_window.smooth")
def smooth(case):
    x = signal(case, 4 + case.n % 200, -8192, 8191)
    ours = ints(x)
    ppg_window.smooth(ours, len(x))
    equal(ours, ppg.smoothed(x))


@oracle("dsp.ppg_window.autocorrelate")
def autocorrelate(case):
    x = signal(case, 60 + case.n % 141, -2048, 2047)
    out = array("h", bytes(2 * (ppg.LAST + 1)))
    ppg_window.autocorrelate(ints(x), len(x), ppg.FIRST, ppg.LAST, out)
    equal(out, ppg.autocorrelation_q10(x))


@oracle("dsp.ppg_window.period")
def period(case):
    acf = signal(case, ppg.LAST + 1, -1024, 1024)
    lags = np.arange(ppg.FIRST + 1, ppg.LAST)
    peaks = lags[(acf[lags] > 0) & (acf[lags] >= acf[lags - 1]) & (acf[lags] > acf[lags + 1])]
    high = peaks[100 * acf[peaks] >= 85 * acf[peaks].max()] if len(peaks) else peaks
    equal(ppg_window.period(ints(acf), ppg.FIRST, ppg.LAST), int(high[0]) if len(high) else 0)


@oracle("dsp.ppg_window.moments")
def moments(case):
    n = 1 + case.n % 200
    x, y = signal(case, n, -2048, 2047), signal(case, n, -2048, 2047, salt=1)
    out = array("i", bytes(12))
    ppg_window.moments(ints(x), ints(y), n, out)
    equal(out, [(x * x).sum(), (x * y).sum(), (y * y).sum()])


@oracle("dsp.pulse_shape.moments")
def shape_moments(case):
    n = 1 + case.n % 200
    ring, column, count, x = newest(case, n)
    x = x - int(x.sum()) // n
    small = x >> max(0, int(np.abs(x).max()).bit_length() - 7)
    out = array("i", bytes(12))
    pulse_shape.moments(ring, column, count, n, out)
    equal(out, [int(np.abs(x).sum()) // n, int((small**2).sum()) // n, int((small**3).sum()) // n])
