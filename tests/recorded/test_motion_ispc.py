"""Pulse rate of runners: the mirror's answers are replay's, and the error on three recordings."""

import numpy as np
import pytest

from host_tools.replay import replay
from host_tools.validate.motion import answers, coverage_curve, evaluate
from signal_models import datasets
from signal_models.recording import Recording

pytestmark = pytest.mark.data


@pytest.fixture
def runs(recordings) -> list[Recording]:
    recordings("ispc2015")
    return [datasets.load(path) for path in datasets.records("ispc2015")[2:5]]


def test_every_window_is_answered_and_the_quality_predicts_the_error(runs):
    rows = evaluate(runs)
    assert all(len(r.bpm) == len(runs[i].truth["heart_rate"][1]) for i, r in enumerate(rows))
    assert np.mean([r.mae for r in rows]) <= 1.2
    curve = coverage_curve(rows)
    assert curve[0.8] <= curve[0.9] <= curve[1.0]


@pytest.mark.parametrize("channel", [0, 1])
def test_one_channel(runs, channel):
    assert np.mean([r.mae for r in evaluate(runs, (channel,))]) <= 2.5


def test_replay_reports_what_the_mirror_says(runs):
    run = runs[0]
    n = 125 * 20
    cut = {"ppg_fs": 125.0, "ppg_channels": ("green", "green"), "ppg_unit": "relative", "accel_fs": 125.0}
    got = replay(ppg=run.ppg[:n], accel=run.accel[:n], engine="micropython", **cut)
    rates = {r.t_end_s: (r.value, r.quality_pct) for r in got.of("pulse_rate")}
    want = answers(Recording("", ppg=run.ppg[:n], accel=run.accel[:n], truth=run.truth, **cut), (0, 1))
    assert len(want.bpm) == 7
    for i, (bpm, quality) in enumerate(zip(want.bpm, want.quality, strict=True)):
        assert rates[8.0 + 2 * i] == (pytest.approx(bpm), quality)
