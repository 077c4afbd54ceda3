"""Ventricular beats and the rhythm below them on synthetic hearts whose beats are named, by replay."""

import numpy as np
import pytest

from host_tools.replay import ENGINES, replay_recording
from signal_models.metrics.beats import match
from signal_models.synth import arrhythmia


def _judged(heart, engine="micropython"):
    """The replay, and (named V, said V) of each beat found after the first 20 s."""
    heard = replay_recording(heart, engine)
    pairs = match(heart.beats_s, heard.ecg_beats_s)
    return heard, [
        (heart.beat_labels[i] == "V", heard.ecg_beat_labels[j] == "V") for i, j in pairs if heart.beats_s[i] > 20
    ]


# requirement: RHY-3
@pytest.mark.parametrize("engine", ENGINES)
def test_ectopic_beats_now_and_then(engine):
    heart = arrhythmia.ectopy(75.0, np.random.default_rng(1), share=0.15)
    heard, beats = _judged(heart, engine)
    assert sum(named for named, _ in beats) > 4 and all(named == said for named, said in beats)
    rate = heard.of("ventricular_rate")[-1]
    until = [t for t, label in zip(heart.beats_s, heart.beat_labels, strict=True) if t < rate.t_end_s and label == "V"]
    assert not rate.withheld and rate.value == pytest.approx(len(until) * 3600 / rate.t_end_s, rel=0.4)


def test_bigeminus():
    heard, beats = _judged(arrhythmia.bigeminy(60.0))
    assert sum(named == said for named, said in beats) >= 0.98 * len(beats)
    assert {r.value for r in heard.of("rhythm")[12:]} == {3.0}  # other irregular


# requirement: RHY-3
def test_a_paced_heart_is_normal():
    heard, _ = _judged(arrhythmia.paced(60.0))
    assert set(heard.ecg_beat_labels[8:]) == {"N"}
