"""One pulse of a synthetic wearer by the pipeline: beats that move no blood, noise in either source, one source."""

import numpy as np
import pytest

from host_tools.replay import replay
from signal_models.recording import Recording
from signal_models.synth import arrhythmia
from signal_models.synth.ppg import pulse

DURATION_S = 44.0


def worn(
    heart: Recording, moves: np.ndarray, rng: np.random.Generator, *, noise: float = 0.0, ecg_noise_mv: float = 0.0
):
    """Replay's result. moves: how high each beat's pulse is. noise: of the light, in pulse amplitudes."""
    assert heart.ecg is not None and heart.beats_s is not None
    t_s = np.arange(round(DURATION_S * 100)) / 100
    shape = pulse(heart.beats_s + 0.2, t_s, amplitude=moves) + noise * arrhythmia.band_noise(len(t_s), 100, rng, 0.5, 5)
    light = [dc * (1 - 0.02 * part * shape) + 8 * rng.normal(size=len(t_s)) for dc, part in ((90e3, 0.6), (120e3, 1))]
    ecg = heart.ecg + ecg_noise_mv * arrhythmia.band_noise(len(heart.ecg), 250, rng, 1, 40)
    return replay(ecg=ecg, ecg_fs=250, ppg=np.rint(light).T, ppg_fs=100)


def deficits(result) -> list[float]:
    """What is told of the deficit from 20 s on."""
    return [r.value for r in result.of("pulse_deficit") if r.t_end_s >= 20 and not r.withheld]


def fibrillating(seed: int, bpm: float) -> tuple[Recording, np.ndarray]:
    """A heart and the interval (s) before each of its beats."""
    heart = arrhythmia.fibrillation(DURATION_S, np.random.default_rng(seed), bpm=bpm)
    assert heart.beats_s is not None
    return heart, np.diff(heart.beats_s, prepend=heart.beats_s[0] - 1)


# requirement: FUS-1
@pytest.mark.parametrize("bpm", [80, 120])
def test_early_beats_of_atrial_fibrillation_that_move_no_blood(bpm):
    heart, before_s = fibrillating(1, bpm)
    moves = before_s > np.quantile(before_s, 0.3)
    result = worn(heart, moves.astype(float), np.random.default_rng(1))
    told = [r for r in result.of("pulse_deficit") if r.t_end_s >= 20 and not r.withheld and r.value]
    assert len(told) >= 5 and heart.beats_s is not None
    for deficit in told:
        counted = (heart.beats_s > deficit.t_end_s - 18) & (heart.beats_s <= deficit.t_end_s - 2)
        assert abs(deficit.value - (counted & ~moves).sum() * 60 / 16) <= 6
        one = next(r for r in result.of("pulse") if r.t_end_s == deficit.t_end_s)
        assert not one.withheld and abs(one.value - (counted & moves).sum() * 60 / 16) <= 6


def test_fibrillation_whose_beats_all_move_blood_has_no_deficit():
    heart, before_s = fibrillating(2, 80)
    told = deficits(worn(heart, np.ones(len(before_s)), np.random.default_rng(2)))
    assert len(told) >= 8 and max(told) == 0


# requirement: FUS-1
@pytest.mark.parametrize("disturbance", [{"noise": 0.35}, {"noise": 0.8}, {"ecg_noise_mv": 0.5}])
def test_noise_in_one_source_is_no_deficit_and_the_other_answers(disturbance):
    heart = arrhythmia.steady(DURATION_S, 76)
    assert heart.beats_s is not None
    result = worn(heart, np.ones(len(heart.beats_s)), np.random.default_rng(3), **disturbance)
    assert not any(deficits(result))
    late = [r for r in result.of("pulse") if r.t_end_s >= 24]
    assert np.mean([not r.withheld for r in late]) >= 0.9
    assert max(abs((r.value or 0) - 76) for r in late if not r.withheld) <= 4


def test_one_sensor_alone_is_the_pulse():
    heart = arrhythmia.steady(DURATION_S, 66)
    result = replay(ecg=heart.ecg, ecg_fs=250)
    assert not result.of("pulse_deficit")
    assert [r.value for r in result.of("pulse")][-1] == pytest.approx(66, abs=1)
