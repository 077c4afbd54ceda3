"""Integer kernels against float64 scipy on the unquantised design: SNR and largest error, each stated and checked."""

import numpy as np

from signal_models.fixed import ecg as fixed
from signal_models.reference import ecg as reference
from signal_models.synth.ecg import ecg


def lead(**options):
    signal = ecg(60, np.random.default_rng(11), **options)
    return np.rint(signal.ecg * 1000).astype(np.int16), signal


def snr_db(exact, integer):
    return 10 * np.log10(np.sum(exact**2) / np.sum((integer - exact) ** 2))


def test_qrs_view():
    x, _ = lead()
    exact, integer = reference.qrs_view(x), fixed.qrs_view(x)
    assert snr_db(exact, integer) >= 48
    assert np.abs(integer - exact).max() <= 1.0
    assert np.abs(fixed.energy(x) - reference.energy(x)).max() <= 20.0


def test_wide_view():
    x, _ = lead()
    exact, integer = reference.wide_view(x), fixed.wide_view(x) * 32 / 41
    assert snr_db(exact, integer) >= 48
    assert np.abs(integer - exact).max() <= 2.0


def test_r_peak():
    x, signal = lead(muscle_mv=0.02)
    found = fixed.detect(x)
    wide = reference.wide_view(x)
    exact = np.array([reference.peak(wide, int(at) + 35, 10) - 35 for at in found.at])
    apart_ms = np.abs(found.at + found.frac_q8 / 256 - exact) * 4
    assert len(exact) > 50
    assert apart_ms.mean() <= 0.2 and apart_ms.max() <= 1.0
    later = [found.time_s[np.argmin(np.abs(found.time_s - beat))] - beat for beat in signal.beats_s if 1 < beat < 58]
    assert np.std(later) <= 0.001 and abs(np.mean(later)) <= 0.0005


def test_dc_leaves_no_trace():
    for level in (-32768, -1, 1, 30000, 32767):
        x = np.full(500, level, np.int16)
        assert not fixed.qrs_view(x).any() and not fixed.wide_view(x).any()
