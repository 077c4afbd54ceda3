"""The integer PPG chain against the float64 scipy reference: errors stated, and met."""

import numpy as np
import pytest

from signal_models.design import ppg as design
from signal_models.fixed import ppg as mirror
from signal_models.reference import ppg as reference
from signal_models.synth.ppg import ppg, ratio_of, regular_beats
from vigil.dsp.coeffs.ppg import SPO2_X100
from vigil.estimators.spo2 import calibrated_x100


def made(seed, seconds=20, **options):
    return ppg(seconds, np.random.default_rng(seed), regular_beats(seconds, 75), **options).counts


# Perfusion in %, least signal to noise in dB, largest error in counts: rounding, then the coefficients' 14 bits.
@pytest.mark.parametrize("perfusion, snr_db, most", [(0.3, 50, 0.75), (1.0, 60, 0.75), (10.0, 60, 4.0)])
def test_high_pass(perfusion, snr_db, most):
    counts = made(1, perfusion_pct=perfusion)
    want = reference.pulse(counts)
    got = mirror.front(mirror.decimate(counts), 1, relative=False).pulse / 2
    error = got - want[: len(got)]
    assert np.abs(error).max() <= most
    assert 10 * np.log10((want**2).mean() / (error**2).mean()) >= snr_db


def test_dc():
    counts = made(2)
    want = reference.dc(counts)
    got = mirror.front(mirror.decimate(counts), 1, relative=False).dc_q8 / 2048
    assert np.abs(got - want[: len(got)]).max() < 0.2  # counts


@pytest.mark.parametrize("spo2", [70.5, 80, 90, 97, 99])
@pytest.mark.parametrize("perfusion", [0.3, 1.0, 10.0])
def test_spo2_is_within_a_third_of_a_percent(spo2, perfusion):
    counts = made(int(spo2 * 10), seconds=15, spo2_pct=spo2, perfusion_pct=perfusion)
    tick = mirror.run(counts, pulse=1, red=0, ir=1).ticks[-1]
    rows = 4 * (tick.count + 1)
    assert abs(tick.spo2_x10 / 10 - reference.spo2_pct(counts[:rows])) <= 0.3
    assert abs(tick.r_q12 / 4096 / reference.ratio_of_ratios(counts[:rows]) - 1) < 0.005


def test_the_table_follows_the_curve_and_never_rises():
    r_q12 = np.arange(8192)
    got = np.array([calibrated_x100(int(r)) for r in r_q12])
    want = 100 * design.spo2_pct(r_q12 / 4096)
    assert np.abs(got - want)[want < 9990].max() < 3  # 0.03 %
    assert (np.diff(got) <= 0).all()
    assert len(SPO2_X100) == design.SPO2_ENTRIES


def test_saturation_falls_as_the_ratio_rises():
    """The whole path, not the table alone: more red pulse never reads as more oxygen."""
    counts = made(8, seconds=12).astype(float)
    mean = counts.mean(axis=0)
    last = 101.0
    for gain in np.sort(np.random.default_rng(7).uniform(0.6, 3.0, 12)):
        louder = np.rint(mean + (counts - mean) * [gain, 1]).astype(int)
        spo2 = mirror.run(louder, pulse=1, red=0, ir=1).ticks[-1].spo2_x10 / 10
        assert spo2 <= last
        last = spo2


def test_inverse_of_the_calibration():
    spo2 = np.linspace(70, 100, 31)
    assert np.allclose(design.spo2_pct(ratio_of(spo2)), spo2)
