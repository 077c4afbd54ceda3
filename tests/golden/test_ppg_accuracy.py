"""What the PPG chain makes of synthetic wearers, by the mirror (equal to the firmware bit for bit)."""

import numpy as np
import pytest

from host_tools.validate.ppg import measure, reference
from signal_models.metrics.agreement import agreement, error_against_coverage
from signal_models.metrics.beats import score
from signal_models.recording import Recording
from signal_models.synth.ppg import ppg, regular_beats
from signal_models.synth.wearer import wearer


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_wearer(seed):
    made = wearer(90, seed)
    series = measure(made)
    rate = agreement(series.bpm, reference(made, "pulse_rate", series), series.rate_shown)
    spo2 = agreement(series.spo2, reference(made, "spo2", series), series.spo2_shown)
    assert rate.mae <= 1.0 and rate.coverage >= 0.95
    assert spo2.arms <= 1.0 and spo2.coverage >= 0.95


def test_wearer_is_named_by_its_seed():
    a, b = wearer(10, 7), wearer(10, 7)
    assert np.array_equal(a.ppg, b.ppg) and np.array_equal(a.ecg, b.ecg)
    assert not np.array_equal(a.ppg, wearer(10, 8).ppg)
    assert set(a.truth) == {"heart_rate", "pulse_rate", "spo2", "perfusion_index", "resp_rate"}


# requirement: PPG-1
@pytest.mark.parametrize("rate", [30, 45, 60, 100, 140, 180, 220, 240])
@pytest.mark.parametrize("notch", [0.0, 0.35, 0.6])
def test_rates_and_notches(rate, notch):
    made = ppg(30, np.random.default_rng(rate), regular_beats(30, rate), notch=notch)
    series = measure(Recording("", ppg=made.counts, ppg_fs=100.0))
    late = series.t_s >= 10
    shown = late & series.rate_shown
    assert shown.sum() / late.sum() > (0.4 if rate == 30 else 0.9)  # breathing is as fast as the slowest pulse
    assert np.abs(series.bpm[shown] - rate).max() <= max(5, 0.04 * rate)  # a missed beat of the first seconds
    assert np.abs(np.median(series.bpm[shown]) - rate) <= 1.0


# requirement: PPG-4
def test_an_irregular_pulse_has_spo2_and_motion_has_none():
    rng = np.random.default_rng(11)
    beats = np.cumsum(np.maximum(0.33, 0.8 + 0.16 * rng.normal(size=60))) - 2
    for motion, least, most in ((0.0, 0.85, 1.0), (0.4, 0.0, 0.05), (2.0, 0.0, 0.0)):
        made = ppg(40, rng, beats, spo2_pct=92.0, motion=motion)
        series = measure(Recording("", ppg=made.counts, ppg_fs=100.0))
        assert least <= series.spo2_shown.mean() <= most
        assert not series.spo2_shown.any() or np.abs(series.spo2[series.spo2_shown] - 92).max() <= 3


# requirement: PPG-2
@pytest.mark.parametrize("rate", [36, 60, 120, 210])
@pytest.mark.parametrize("notch, wander, snr_db", [(0.8, 1.0, 6), (0.8, 0.1, None), (0.0, 1.0, 10)])
def test_what_is_sure_is_right(rate, notch, wander, snr_db):
    made = ppg(30, np.random.default_rng(rate), regular_beats(30, rate), notch=notch, wander=wander, snr_db=snr_db)
    recording = Recording("", ppg=made.counts, ppg_fs=100.0, truth={"pulse_rate": made.pulse_rate})
    series = measure(recording)
    error = np.abs(series.bpm - reference(recording, "pulse_rate", series))
    assert not (error[series.quality >= 50] > 5).any()


# requirement: PPG-2
def test_a_missed_pulse_of_a_fast_heart_in_noise_is_not_sure():
    rng = np.random.default_rng(220_100)
    made = ppg(30, rng, regular_beats(30, 220), wander=1.0, perfusion_pct=10.0, snr_db=6)
    recording = Recording("", ppg=made.counts, ppg_fs=100.0, truth={"pulse_rate": made.pulse_rate})
    series = measure(recording)
    error = np.abs(series.bpm - reference(recording, "pulse_rate", series))
    assert (error > 4).any() and not (error[series.quality >= 50] > 5).any()


def test_onsets_are_where_they_were_made():
    made = ppg(60, np.random.default_rng(4), regular_beats(60, 72))
    found = measure(Recording("", ppg=made.counts, ppg_fs=100.0)).onsets_s
    result = score(made.onsets_s, found, 0.05, 5, 58)
    assert result.f1_pct == 100 and result.sd_ms < 15


def test_agreement():
    a = agreement([1, 2, 3, np.nan, 9], [1, 1, 1, 1, np.nan])
    assert (a.n, a.shown, a.coverage, a.bias, a.mae, a.worst) == (4, 3, 0.75, 1, 1, 2)
    assert a.arms == pytest.approx(np.sqrt(5 / 3)) and a.high == pytest.approx(1 + 1.96 * np.sqrt(2 / 3))
    curve = error_against_coverage([1, 2, 3, 5], [1, 1, 1, 1], [90, 80, 70, 10], (1.0, 0.5))
    assert curve == {1.0: 1.75, 0.5: 0.5}


@pytest.mark.parametrize("falls", [0, 1, 2])
def test_noise_shows_no_pulse_and_so_no_breath(falls):
    """White noise, 1 / f noise and a random walk: a breath is told where a pulse is, and there is none."""
    x = np.fft.rfft(np.random.default_rng(falls).normal(size=9000))
    x[1:] /= np.arange(1, len(x)) ** (falls / 2)
    light = np.fft.irfft(x, 9000)[:, None]
    series = measure(Recording("", ppg=light, ppg_fs=100.0, ppg_channels=("ir",), ppg_unit="relative"))
    assert series.rate_shown.mean() < 0.05 and series.quality.max() < 50
