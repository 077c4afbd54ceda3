"""The firmware's beat classes against their int64 mirror, however the stream is cut."""

from array import array

import numpy as np
import pytest

from boards.cpython import shim
from signal_models.fixed import beat_class as mirror
from signal_models.fixed import rhythm as fixed_rhythm
from vigil.core.records import (
    BEAT_UNCLASSED,
    BEAT_VENTRICULAR,
    PRESENT,
    RHYTHM_AF,
    RHYTHM_BRADYCARDIA,
    RHYTHM_OTHER,
    RHYTHM_SINUS,
    RHYTHM_TACHYCARDIA,
)
from vigil.estimators.beat_class import BeatClass
from vigil.estimators.heart_rhythm import HeartRhythm

CODES = {
    RHYTHM_SINUS: fixed_rhythm.SINUS,
    RHYTHM_BRADYCARDIA: fixed_rhythm.SINUS,
    RHYTHM_TACHYCARDIA: fixed_rhythm.SINUS,
    RHYTHM_AF: fixed_rhythm.AF,
    RHYTHM_OTHER: fixed_rhythm.OTHER,
}


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
        codes.append((classes.classify(i, n, q), classes.atrial.state))
    return codes


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("seed", "height", "noise"), [(1, 1000, 20), (2, 60000, 0), (3, 0, 20000), (4, 20, 3), (5, 3000, 800), (6, 0, 0)]
)
def test_equal_on_anything(seed, height, noise, signed, monkeypatch):
    monkeypatch.setattr(shim, "SIGNED_PTR32", signed)
    rng = np.random.default_rng(seed)
    x, at, rr, quality_pct = _lead(rng, 150, height, noise)
    found = mirror.classify(x, at, rr, quality_pct)
    assert _firmware(x, at, rr, quality_pct, rng) == list(zip(found.codes.tolist(), found.atrial.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_the_wearers_rhythm_is_equal(seed):
    rng = np.random.default_rng(seed)
    n = 300
    rr_ms = np.where(np.arange(n) // 100 % 2, rng.integers(400, 1100, n), rng.integers(790, 810, n))
    flags = rng.choice([0, 0, 0, 0, 0, BEAT_VENTRICULAR, BEAT_UNCLASSED], n) * (np.arange(n) > 40)
    quality_pct, atrial = rng.integers(60, 100, n), rng.integers(0, 3, n)
    rhythm = HeartRhythm()
    said = []
    for row in zip(rr_ms.tolist(), quality_pct.tolist(), flags.tolist(), atrial.tolist(), strict=True):
        rhythm.add(*row)
        out: list = []
        rhythm.report(out, 0, 0, 0, PRESENT)
        said.append(fixed_rhythm.UNKNOWN if out[0].absent_reason else CODES[out[0].mantissa])
    told = fixed_rhythm.worn(rr_ms, quality_pct, flags == BEAT_VENTRICULAR, flags == BEAT_UNCLASSED, atrial)
    assert said == told.tolist()
