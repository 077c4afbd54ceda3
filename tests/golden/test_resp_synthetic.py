"""Respiration rate of synthetic light, by the mirror: every rate is read, and a pulse that does not breathe is none."""

import numpy as np
import pytest

from signal_models.design import resp as design
from signal_models.fixed import resp as mirror

LIGHT = 5  # views


def told(seed: int, seconds: int, *, breaths_min: float = 0.0, beats_min: float = 96.0, sway: float = 0.04):
    """Rate (a minute) and quality of each reading of a pulse. sway: of its intervals, share; breaths_min 0: none."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(seconds * 25) / 25
    onsets_s = np.cumsum(60 / beats_min * (1 + sway * rng.normal(size=round(seconds * beats_min / 60))))
    turns = 2 * np.pi * np.interp(t_s, onsets_s, np.arange(len(onsets_s)))
    light = 3000 * np.sin(turns) + 1200 * np.sin(2 * turns + 1) + 60 * rng.normal(size=len(t_s))
    if breaths_min:
        breath = np.sin(2 * np.pi * breaths_min / 60 * t_s + seed)
        light = light * (1 + 0.08 * breath) + 800 * breath + 12 * np.cumsum(rng.normal(size=len(t_s)))
    known = np.ceil(onsets_s * 25).astype(int) + 8
    beats = [(n, int((n - 25 * s) * 256)) for n, s in zip(known.tolist(), onsets_s, strict=True) if 32 < n < len(t_s)]
    views = mirror.of_pulse(np.rint(light).astype(int), beats, relative=True)
    at = np.arange(16 * 50, len(t_s), 50)
    spectra = mirror.spectra(views.windows(at).reshape(-1, mirror.WINDOW)).reshape(len(at), LIGHT, -1)
    intervals = [views.interval_at(int(n)) for n in at]
    scores = mirror.score(spectra, design.weights_q5()[:LIGHT])
    belief = mirror.follow(scores, intervals)
    return mirror.read(belief)[0] / 10, mirror.quality(belief, scores, intervals)


# requirement: RSP-1
@pytest.mark.parametrize("breaths_min", [6, 8, 12, 17, 24, 32, 40])
def test_every_rate_is_read(breaths_min):
    rate, quality = told(3, 80, breaths_min=breaths_min)
    assert np.abs(rate[8:] - breaths_min).max() <= 1.0
    assert quality[-1] >= 60


# requirement: RSP-1
def test_a_pulse_that_does_not_breathe_is_seldom_given_a_rate():
    shown = [told(seed, 200, sway=sway)[1][3:] >= 60 for seed in range(6) for sway in (0.01, 0.04)]
    assert np.mean(shown) <= 0.17
