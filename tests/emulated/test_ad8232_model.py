"""The emulated AD8232 against its datasheet's cardiac monitor circuit (Rev. A, page 25)."""

import numpy as np
import pytest

from boards.virtual.devices.ad8232 import GAIN, RAIL_UV, REFERENCE_UV, Ad8232, LeadOffPin


def sine(hz, mv=0.5, seconds=30, fs=500):
    return Ad8232(mv * np.sin(2 * np.pi * hz * np.arange(seconds * fs) / fs), fs)


def out_uv(part, from_us, period_us, n):
    return part.out_uv((from_us + period_us * np.arange(n)) * 1e-6)


def amplitude_mv(part, hz):
    """Amplitude at the electrodes of the tone that comes out, at 250 Hz."""
    t_us = 10_000_000 + 4000 * np.arange(2500)
    uv = out_uv(part, 10_000_000, 4000, 2500) - REFERENCE_UV
    tone = np.exp(-2j * np.pi * hz * t_us * 1e-6)
    return 2 * abs(np.mean(uv * tone)) / GAIN / 1000


# Frequency, gain relative to the pass band: two poles at 0.5 Hz and two at 40 Hz.
@pytest.mark.parametrize("hz,gain", [(0.1, 0.04), (0.5, 0.707), (5, 1.0), (17, 0.98), (40, 0.707), (80, 0.24)])
def test_frequency_response(hz, gain):
    assert amplitude_mv(sine(hz), hz) == pytest.approx(0.5 * gain, rel=0.05, abs=0.004)


def test_rests_at_half_the_supply():
    uv = out_uv(sine(1, mv=0), 5_000_000, 4000, 1000)
    assert np.all(abs(uv - REFERENCE_UV) < 1)


def test_output_stops_at_the_rails():
    uv = out_uv(sine(10, mv=9), 5_000_000, 4000, 500)
    assert uv.min() == 0 and uv.max() == RAIL_UV


def test_electrode_off_and_back():
    part = Ad8232(np.zeros(5000), 500.0, off_s=[(2.0, 3.0)])
    pin = LeadOffPin(part)
    assert [pin.level(t) for t in (1_900_000, 2_000_000, 2_999_999, 3_000_000)] == [0, 1, 1, 0]
    assert pin.level(11_000_000) == 1  # the recording is over
    uv = out_uv(part, 2_500_000, 100_000, 15)
    assert np.all(uv[:5] == RAIL_UV) and np.all(abs(uv[10:] - REFERENCE_UV) < 6000)


def test_lost_samples_are_bridged():
    ecg = np.sin(np.arange(5000) / 30)
    ecg[1000:1010] = np.nan
    assert np.all(np.isfinite(Ad8232(ecg, 500.0)._out_uv))


@pytest.mark.parametrize("gain,clips", [(400, False), (1100, True)])
def test_the_breakout_as_sold_clips_tall_r_waves(gain, clips):
    part = Ad8232(1.8 * np.sin(2 * np.pi * 10 * np.arange(5000) / 500), 500.0, gain=gain)
    assert (out_uv(part, 5_000_000, 4000, 500).max() == RAIL_UV) == clips
