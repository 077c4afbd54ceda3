"""Respiration rate against its int64 mirror: slopes, spectra, scores, belief, value, over light and ECG together."""

from array import array

import numpy as np
import pytest

from signal_models.design import resp as design
from signal_models.fixed import resp as mirror
from vigil.dsp import resp as kernels
from vigil.estimators import resp_rate


def session(seconds, seed, scale):
    """Decimated light (m,), pulse beats (samples, age Q8) and ECG beats (samples, at, frac, height)."""
    rng = np.random.default_rng(seed)
    t = np.arange(seconds * 25) / 25
    breath = np.sin(2 * np.pi * 0.27 * t + seed)
    x = scale * (3 * breath + (1 + 0.2 * breath) * np.sin(2 * np.pi * 1.2 * t) + rng.normal(size=len(t)))
    x = np.clip(np.rint(x), -(2**21), 2**21).astype(int)
    light = []
    n = 20
    while n < len(t) - 1:
        light.append((n, int(rng.integers(3 * 256, 24 * 256))))
        n += int(rng.integers(8, 40)) if rng.random() > 0.05 else 150
    ecg, at = [], 300
    while at < seconds * 250 - 200:
        ecg.append((at + 150, at, int(rng.integers(0, 256)), int(rng.integers(0, 32768))))
        at += int(rng.integers(90, 350)) if rng.random() > 0.05 else 1500
    return x, light, ecg


def firmware(x, light, ecg):
    """Readings (value, quality) each 2 s, from both sensors."""
    pulse, heart, rate = resp_rate.PulseBreath(), resp_rate.EcgBreath(), resp_rate.RespRate()
    out, told = [], 0
    at_light = dict(light)
    for i, v in enumerate(x.tolist()):
        pulse.sample(v)
        n = i + 1
        if n in at_light:
            pulse.beat(at_light[n])
        heart.advance(10 * n)
        while told < len(ecg) and ecg[told][0] <= 10 * n:
            heart.beat(*ecg[told][1:])
            told += 1
        if n % 50 == 0:
            rate.report(((pulse, 0), (heart, 0)), n * 40, out)
    return [(r.mantissa, r.quality_pct) for r in out]


@pytest.mark.parametrize(("seed", "scale"), [(1, 300), (2, 20_000), (3, 2**20)])
def test_estimator_equals_the_mirror(seed, scale):
    x, light, ecg = session(46, seed, scale)
    pulse, heart = mirror.of_pulse(x, light, relative=True), mirror.of_ecg(ecg)
    at = np.arange(16 * 50, len(x) + 1, 50)
    windows = np.concatenate([pulse.windows(at), heart.windows(10 * at)], axis=1)
    spectra = mirror.spectra(windows.reshape(-1, mirror.WINDOW)).reshape(len(at), 7, -1)
    intervals = [
        min(i for i in (pulse.interval_at(n), heart.interval_at(10 * n)) if i)
        if pulse.interval_at(n) and not heart.interval_at(10 * n)
        else heart.interval_at(10 * n)
        for n in at
    ]
    scores = mirror.score(spectra, design.weights_q5())
    belief = mirror.follow(scores, intervals)
    value, _ = mirror.read(belief)
    want = list(zip(value.tolist(), mirror.quality(belief, scores, intervals).tolist(), strict=True))
    assert firmware(x, light, ecg)[15:] == want


def test_gather_holds_at_full_scale():
    rings = array("h", [32767, -32768] * 128)
    for view, minus in ((0, -1), (0, 1)):
        for i in range(128):
            rings[128 + i] = -rings[i] if rings[i] > -32768 else 32767
        out = array("h", bytes(400))
        kernels.gather(rings, view, minus, 1000, out)
        a, b = (np.array(rings[k * 128 : (k + 1) * 128], np.int64)[np.arange(900, 1000) & 127] for k in (0, 1))
        x = np.clip(a - b, -32767, 32767) if minus >= 0 else a
        assert list(out) == np.repeat(mirror.normalised(x), 2).tolist()


def test_weights_and_scores_keep_their_bounds():
    weights = design.weights_q5()
    assert np.abs(weights).max() < 128
    assert np.abs(weights).sum() * 160 // 32 < 1 << 14
    assert (design.FIRST_BIN, design.BINS, design.STEP, design.JUMP) == (
        kernels.FIRST_BIN,
        kernels.BINS,
        kernels.STEP,
        kernels.JUMP,
    )
