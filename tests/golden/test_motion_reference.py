"""The integer pulse rate in motion against its float64 reference: errors stated, and met."""

import numpy as np
import pytest

from host_tools.replay import frontend
from signal_models.design import motion as design
from signal_models.fixed import motion as mirror
from signal_models.fixed import ppg
from signal_models.reference import motion as reference
from signal_models.synth.motion import exerciser


@pytest.fixture(scope="module")
def run():
    """A walk and a run: acceleration (mg), and windows of the light and of the acceleration."""
    wearer = exerciser((("walk", 25.0), ("run", 40.0)), 3)
    light = frontend.ppg_stream(wearer.ppg, wearer.ppg_fs, wearer.ppg_channels, wearer.ppg_unit)
    pulse = ppg.front(ppg.decimate(light.data, 0), 1, relative=False).pulse
    mg = frontend.accel_stream(wearer.accel, wearer.accel_fs).data
    return mg, pulse, *mirror.windows(pulse, mirror.acceleration(mg))[:2]


def test_acceleration(run):
    mg = run[0]
    got, want = mirror.acceleration(mg), reference.acceleration(mg)
    assert np.abs(got - want[: len(got)]).max() <= 1.0  # quarter milli-g


def test_spectrum(run):
    """Within 3/16 of an octave (1.1 dB) of power, 24 dB below the largest and up, 0.3 dB in the mean."""
    x = mirror.normalise(run[2][:, 1])
    got, want = mirror.spectrum(x), reference.spectrum(x, mirror.BAND, mirror.LAST)
    strong = want > 160 - 16 * 8
    strong[:, 0] = False
    assert np.abs(got - want)[strong].max() <= 3 and np.abs(got - want)[strong].mean() <= 0.8


def test_cancelling(run):
    """32 sweeps leave at most 0.4 dB more than the exact solution does, and 0.05 dB in the mean."""
    x, acc = mirror.normalise(run[2][:, 1]), mirror.normalise(run[3])
    got, want = (
        np.mean(np.square(v, dtype=float), axis=1) for v in (mirror.cancel(x, acc), reference.cancelled(x, acc))
    )
    more_db = 10 * np.log10(got / want)
    assert more_db.max() <= 0.4 and more_db.mean() <= 0.05


def test_judge_and_belief(run):
    """Scores within 1/8 of an octave, rates within 0.3 bpm where the tracker is not at a loss, 0.1 in the median."""
    columns, motion, _ = mirror.spectra(run[2], run[3])
    net = design.network()
    inputs = [mirror.inputs(own, left, motion) for own, left in columns]
    scores = [mirror.judge(u, net, shift) for u, shift in zip(inputs, (12, 12, 11), strict=True)]
    want = [reference.judged(u, net) / part for u, part in zip(inputs, (2, 2, 1), strict=True)]
    for got_, want_ in zip(scores, want, strict=True):
        assert np.abs(got_ / 16 - want_).max() <= 0.125
    rate, sure = mirror.track(np.sum(scores, axis=0))
    apart = np.abs(rate / 10 - reference.followed(np.sum(want, axis=0), mirror.LOW))
    assert np.median(apart) <= 0.1 and apart[sure > 65].max() <= 0.3
