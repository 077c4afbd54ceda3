"""The fixed interface of replay on whole signals: the same on every engine, and true to the wearer."""

import numpy as np
import pytest

from host_tools.replay import replay, replay_recording
from signal_models import datasets
from signal_models.recording import Recording
from signal_models.synth.wearer import wearer


def cut(recording: Recording, seconds: float) -> Recording:
    """The first seconds of a recording's ECG and PPG."""
    assert recording.ecg is not None and recording.ecg_fs and recording.ppg is not None and recording.ppg_fs
    recording.ecg = recording.ecg[: int(seconds * recording.ecg_fs)]
    recording.ppg = recording.ppg[: int(seconds * recording.ppg_fs)]
    return recording


def same(a, b):
    assert np.array_equal(a.ecg_beats_s, b.ecg_beats_s) and np.array_equal(a.ppg_beats_s, b.ppg_beats_s)
    assert a.readings == b.readings


# requirement: SIG-1
@pytest.mark.parametrize("engine", ["micropython-bytecode", "cpython"])
def test_engines_agree_on_a_synthetic_wearer(engine):
    recording = wearer(24, seed=4)
    same(replay_recording(recording, engine), replay_recording(recording, "micropython"))


@pytest.mark.data
@pytest.mark.parametrize("engine", ["micropython-bytecode", "cpython"])
def test_engines_agree_on_a_recorded_heart(recordings, engine):
    recording = cut(datasets.load(recordings("bidmc") / "bidmc05"), 20)
    same(replay_recording(recording, engine), replay_recording(recording, "micropython"))


def test_a_wearer_is_read_right():
    recording = wearer(60, seed=2)
    result = replay_recording(recording)
    for kind, within in (("heart_rate", 1.0), ("pulse_rate", 2.0), ("spo2", 1.0)):
        readings = result.of(kind)
        shown = [r for r in readings if not r.withheld]
        errors = [r.value - recording.truth_mean(kind, r.t_start_s, r.t_end_s) for r in shown]
        assert np.abs(errors).mean() < within, kind
        assert len(shown) > 0.85 * len(readings), kind
        assert all(r.absent_reason for r in readings if r.withheld), kind
    assert recording.beats_s is not None
    late = result.ecg_beats_s[:, None] - recording.beats_s[None, :]
    assert np.abs(late).min(axis=0)[5:].max() < 0.02  # every true beat but the first ones has ours within 20 ms


# requirement: SIG-3
def test_a_reading_a_kind_each_two_seconds():
    recording = wearer(40, seed=3)
    result = replay_recording(recording)
    for kind in ("heart_rate", "pulse_rate", "spo2", "perfusion_index", "contact"):
        ends = np.array([r.t_end_s for r in result.of(kind)])
        assert len(ends) >= 19 and np.diff(ends).max() <= 2.6, kind


# requirement: SIG-3
def test_what_was_judged_does_not_depend_on_the_future():
    whole = wearer(30, seed=6)
    assert whole.ecg is not None and whole.ppg is not None
    spoilt = np.concatenate([whole.ecg[: int(20 * whole.ecg_fs)], np.random.default_rng(1).normal(0, 2, 2500)])
    a = replay(ecg=whole.ecg, ecg_fs=whole.ecg_fs)
    b = replay(ecg=spoilt, ecg_fs=whole.ecg_fs)
    early = [r for r in a.readings if r.t_end_s <= 19]
    assert early and early == [r for r in b.readings if r.t_end_s <= 19][: len(early)]
    assert [t for t in a.ecg_beats_s if t < 19] == [t for t in b.ecg_beats_s if t < 19]


def test_a_relative_pulse_gives_a_rate_and_judges_no_contact():
    t = np.arange(0, 30, 1 / 125)
    pulse = np.exp(4 * np.sin(2 * np.pi * 1.2 * t))
    result = replay(ppg=pulse[:, None], ppg_fs=125, ppg_channels=("ir",), ppg_unit="relative")
    rates = [r for r in result.of("pulse_rate") if not r.withheld]
    assert rates and all(abs(r.value - 72) < 1 for r in rates)
    assert all(r.withheld for r in result.of("spo2") + result.of("contact"))
