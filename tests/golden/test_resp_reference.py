"""The integer respiration rate against its float64 reference: errors stated, and met."""

import numpy as np
import pytest

from signal_models.design import resp as design
from signal_models.fixed import resp as mirror
from signal_models.reference import resp as reference

BREATHS_MIN = 16.0


@pytest.fixture(scope="module")
def views():
    """Slopes (n, 5, 100) of light that breathes, and what the reference makes of the same beats: peak and foot."""
    rng = np.random.default_rng(4)
    t_s = np.arange(100 * 25) / 25
    onsets_s = np.cumsum(0.75 * (1 + 0.04 * rng.normal(size=130)))
    breath = np.sin(2 * np.pi * BREATHS_MIN / 60 * t_s)
    turns = 2 * np.pi * np.interp(t_s, onsets_s, np.arange(130))
    light = 30_000 * (1 + 0.08 * breath) * np.sin(turns) + 6000 * breath + 1500 * rng.normal(size=len(t_s))
    known = np.ceil(onsets_s * 25).astype(int) + 8
    beats = [(n, int((n - 25 * s) * 256)) for n, s in zip(known.tolist(), onsets_s, strict=True) if 32 < n < len(t_s)]
    x = np.rint(light).astype(int)
    at = np.arange(16 * 50, len(t_s), 50)
    return x, beats, at, mirror.of_pulse(x, beats, relative=True).windows(at)


def test_slopes(views):
    """Of the level within one, of what beats tell within two: values and slopes are rounded down."""
    x, beats, at, got = views
    sums = x[: len(x) // 8 * 8].reshape(-1, 8).sum(axis=1)
    level = (sums[2:] - sums[:-2]) / 32
    where = np.array([(n * 256 - back) / 2048 for n, back in beats])
    highest = np.array([x[n - (b >> 8) - 2 : n - (b >> 8) + 11][: 2 + (b >> 8)].max() for n, b in beats]) / 4
    for row, n in zip(got[1::7], at[1::7], strict=True):
        slots = np.arange(n // 8 - mirror.WINDOW, n // 8)
        sure = slots < where[[k for k, (known, _) in enumerate(beats) if known <= n][-1]] - 1
        assert np.abs(row[0] - level[slots - 2]).max() <= 1
        assert np.abs(row[1] - reference.slopes(where, highest, slots))[sure].max() <= 2


def test_spectrum(views):
    """Of the rates within a quarter octave (1.5 dB) of power, 24 dB below the largest and up."""
    x = views[3].reshape(-1, mirror.WINDOW)
    rates = slice(design.FIRST_BIN, design.FIRST_BIN + design.BINS)
    got, want = mirror.spectra(x)[:, rates], reference.spectrum(x.astype(float))[:, rates]
    strong = want > 160 - 16 * 8
    assert np.abs(got - want)[strong].max() <= 4 and np.abs(got - want)[strong].mean() <= 1.0


def test_score_and_belief(views):
    """From the float spectra on: rates within 0.15 a minute, margins within 0.7 of a natural logarithm,
    0.25 in the median: where the best bin differs by one, so does which rates are its rivals."""
    x = views[3].reshape(-1, mirror.WINDOW)
    got, want = (s.reshape(len(views[3]), 5, -1) for s in (mirror.spectra(x), reference.spectrum(x.astype(float))))
    weights = design.weights_q5()[:5]
    scores = mirror.score(got, weights)
    rate, margin = mirror.read(mirror.follow(scores, [0] * len(scores)))
    rate_, margin_ = reference.followed(reference.score(want, weights))
    assert np.abs(rate / 10 - rate_).max() <= 0.15
    apart = np.abs(margin / 64 - margin_)
    assert apart.max() <= 0.7 and np.median(apart) <= 0.25
    assert np.abs(rate_[5:] - BREATHS_MIN).max() < 0.5
