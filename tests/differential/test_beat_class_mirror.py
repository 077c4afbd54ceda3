"""The firmware's beat classes against their int64 mirror, however the stream is cut."""

from array import array

import numpy as np
import pytest

from boards.cpython import shim
from signal_models.fixed import beat_class as mirror
from vigil.estimators.beat_class import BeatClass


def _lead(rng, beats, height, noise):
    """Three kinds of waves at random places: int16 samples, places, intervals, qualities."""
    rr = rng.integers(60, 400, beats)
    at = 150 + np.cumsum(rr)
    x = rng.normal(0, noise, int(at[-1]) + 300)
    for i in at:
        width = int(rng.choice([5, 5, 5, 8, 16]))
        k = np.arange(-40, 60)
        x[i - 40 : i + 60] += height * rng.choice([1, 1, -0.7, 0.3]) * np.exp(-((k / width) ** 2)) * np.cos(k / width)
    x = np.clip(np.rint(x), -32768, 32767).astype(np.int16)
    rr[rng.random(beats) < 0.05] = 0
    return x, at, rr, rng.integers(0, 101, beats)


def _firmware(x, at, rr, quality_pct, rng):
    classes = BeatClass()
    codes = []
    pushed = 0
    for i, n, q in zip(at.tolist(), rr.tolist(), quality_pct.tolist(), strict=True):
        while pushed < i + 117:
            n_block = int(rng.integers(1, 40))
            classes.push(array("h", x[pushed : pushed + n_block].tobytes()), len(x[pushed : pushed + n_block]))
            pushed += n_block
        codes.append(classes.classify(i, n, q))
    return codes


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("seed", "height", "noise"), [(1, 1000, 20), (2, 60000, 0), (3, 0, 20000), (4, 20, 3), (5, 3000, 800), (6, 0, 0)]
)
def test_equal_on_anything(seed, height, noise, signed, monkeypatch):
    monkeypatch.setattr(shim, "SIGNED_PTR32", signed)
    rng = np.random.default_rng(seed)
    x, at, rr, quality_pct = _lead(rng, 150, height, noise)
    assert _firmware(x, at, rr, quality_pct, rng) == mirror.classify(x, at, rr, quality_pct).codes.tolist()
