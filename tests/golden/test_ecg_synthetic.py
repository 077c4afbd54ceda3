"""The synthetic ECG is what it says, and the chain finds its beats: the cases that monitors are accepted by."""

import numpy as np
import pytest

from signal_models.fixed import ecg as fixed
from signal_models.metrics.beats import score
from signal_models.synth.ecg import ecg

SWEEP = [
    {"rate_bpm": 15},
    {"rate_bpm": 30},
    {"rate_bpm": 120},
    {"rate_bpm": 240, "t_wave_mv": 0.1, "hrv_s": 0.0},
    {"rate_bpm": 300, "t_wave_mv": 0.1, "hrv_s": 0.0},
    {"rate_bpm": 80, "t_wave_mv": 1.2},
    {"amplitude_mv": 0.2},
    {"amplitude_mv": -1.0},
    {"amplitude_mv": 10.0},
    {"powerline_mv": 1.0, "powerline_hz": 50},
    {"powerline_mv": 1.0, "powerline_hz": 60},
    {"wander_mv": 2.0},
    {"muscle_mv": 0.1},
    {"motion_mv": 0.2},
    {"ectopic_share": 0.25},
    {"fibrillating": True},
    {"rate_bpm": [(0, 80), (25, 120)]},
    {"rate_bpm": [(0, 80), (25, 40)]},
    {"pauses_s": [(20, 4)]},
]


def found_in(signal):
    x = np.rint(signal.ecg * 1000).clip(-32768, 32767).astype(np.int16)
    return fixed.detect(x).time_s


@pytest.mark.parametrize("options", SWEEP, ids=str)
def test_every_beat_and_no_other(options):
    signal = ecg(60, np.random.default_rng(5), **options)
    s = score(signal.beats_s, found_in(signal), 0.05, 5, 58)
    assert s.tp and s.fn == 0 and s.fp == 0
    assert s.sd_ms < 3 and abs(s.bias_ms) < 2


def test_seeded():
    a, b, c = (ecg(10, np.random.default_rng(seed), muscle_mv=0.05, motion_mv=0.1) for seed in (1, 1, 2))
    assert np.array_equal(a.ecg, b.ecg) and not np.array_equal(a.ecg, c.ecg)


def test_truth_follows_the_steps():
    signal = ecg(60, np.random.default_rng(1), rate_bpm=[(0, 80), (30, 120)], hrv_s=0.01)
    t, bpm = signal.heart_rate
    assert bpm[(t > 5) & (t < 28)].mean() == pytest.approx(80, abs=1)
    assert bpm[(t > 32) & (t < 58)].mean() == pytest.approx(120, abs=1)


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 1000.0])
def test_any_rate_of_sampling(fs):
    signal = ecg(30, np.random.default_rng(2), fs=fs, muscle_mv=0, wander_mv=0)
    i = np.rint(signal.beats_s[1:-1] * fs).astype(int)
    assert len(signal.ecg) == 30 * fs and signal.ecg[i].min() > 0.75
