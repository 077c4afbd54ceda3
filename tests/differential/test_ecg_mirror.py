"""The int64 mirror and the firmware are equal bit for bit, however the stream is cut."""

from array import array

import numpy as np
import pytest

from boards.cpython import shim
from signal_models.fixed import ecg as fixed
from vigil.core.records import ECG, SampleBlock
from vigil.estimators.ecg_channel import EcgChannel


def firmware(x, rng):
    """Beats of the firmware's channel, blocks of random lengths 1..64."""
    beats = []
    channel = EcgChannel(beats.append)
    at = 0
    while at < len(x):
        n = min(int(rng.integers(1, 65)), len(x) - at)
        channel.push(SampleBlock(ECG, (0,), array("h", x[at : at + n].tobytes()), t0_ms=4 * at, period_us=4000, n=n))
        at += n
    return [(256 * b.index + b.frac_q8, b.quality_pct) for b in beats]


def mirror(x):
    found = fixed.detect(x)
    return list(zip((256 * found.at + found.frac_q8).tolist(), found.quality_pct.tolist(), strict=True))


def beats_of(rng, n, height, noise):
    """Something that beats: biphasic spikes of changing height at changing distance, and a wave after each."""
    x = rng.normal(0, noise, n)
    at = 100
    while at < n - 100:
        size = height * rng.choice([1, 1, 1, 1, -1.5, 0.3])
        x[at - 10 : at + 20] += size * np.array([np.sin(k / 2) * np.exp(-(k**2) / 30) for k in range(-10, 20)])
        x[at + 40 : at + 80] += 0.2 * size * np.sin(np.arange(40) / 40 * np.pi)
        at += int(rng.choice([80, 120, 200, 210, 220, 700]))
    return np.clip(np.rint(x), -32768, 32767).astype(np.int16)


# requirement: SIG-1
@pytest.mark.parametrize(
    ("seed", "height", "noise"),
    [(1, 1000, 5), (2, 1000, 200), (3, 30, 2), (4, 60000, 500), (5, 0, 20000), (6, 300, 100), (7, 5000, 0)],
)
def test_equal_on_anything(seed, height, noise):
    rng = np.random.default_rng(seed)
    x = beats_of(rng, 8000, height, noise)
    assert firmware(x, rng) == mirror(x)


@pytest.mark.parametrize("signed", [True, False])
def test_words_may_load_signed_or_unsigned(signed, monkeypatch):
    """Xtensa loads signed words, x86-64 unsigned ones: no kernel may depend on it."""
    monkeypatch.setattr(shim, "SIGNED_PTR32", signed)
    rng = np.random.default_rng(9)
    x = (beats_of(rng, 4000, 800, 20).astype(int) - 9000).astype(np.int16)
    found = firmware(x, rng)
    assert len(found) > 5 and found == mirror(x)


# requirement: SIG-2
def test_equal_at_the_limits():
    rng = np.random.default_rng(8)
    square = np.where(np.arange(4000) // 60 % 2, 32767, -32768).astype(np.int16)
    corners = rng.choice(np.array([-32768, 32767], np.int16), 4000)
    for x in (square, corners, np.full(3000, -32768, np.int16), np.zeros(3000, np.int16)):
        assert firmware(x, rng) == mirror(x)


@pytest.mark.data
@pytest.mark.parametrize("gain", [1, 40])
def test_equal_on_recorded_hearts(recordings, gain):
    from signal_models.datasets import mitdb

    rng = np.random.default_rng(gain)
    for record in ("104", "203", "208"):
        ecg = mitdb.load(recordings("mitdb") / record).ecg
        assert ecg is not None
        x = np.clip(np.rint(1000 * gain * ecg[100_000:106_000]), -32768, 32767).astype(np.int16)
        assert firmware(x, rng) == mirror(x)
