"""The emulated AD8232 against its datasheet's cardiac monitor circuit (Rev. A, page 25)."""

import numpy as np
import pytest

from boards.virtual.devices.ad8232 import GAIN, REFERENCE_UV, Ad8232, LeadOffPin


def sine(hz, mv=0.5, seconds=30, fs=500):
    return Ad8232(mv * np.sin(2 * np.pi * hz * np.arange(seconds * fs) / fs), fs)


def amplitude_mv(part, hz):
    """Amplitude at the electrodes of the tone that comes out, from conversions at 250 Hz."""
    t_us = 10_000_000 + 4000 * np.arange(2500)
    uv = np.frombuffer(part.read_uv(10_000_000, 4000, 2500), "<i4") - REFERENCE_UV
    tone = np.exp(-2j * np.pi * hz * t_us * 1e-6)
    return 2 * abs(np.mean(uv * tone)) / GAIN / 1000


# Frequency, gain relative to the pass band: two poles at 0.5 Hz and two at 40 Hz.
@pytest.mark.parametrize("hz,gain", [(0.1, 0.04), (0.5, 0.707), (5, 1.0), (17, 0.98), (40, 0.707), (80, 0.24)])
def test_frequency_response(hz, gain):
    assert amplitude_mv(sine(hz), hz) == pytest.approx(0.5 * gain, rel=0.05, abs=0.004)


def test_rests_at_half_the_supply():
    uv = np.frombuffer(sine(1, mv=0).read_uv(5_000_000, 4000, 1000), "<i4")
    assert abs(uv.mean() - REFERENCE_UV) < 500 and 500 < uv.std() < 1500


def test_output_stops_at_the_rails():
    uv = np.frombuffer(sine(10, mv=9).read_uv(5_000_000, 4000, 500), "<i4")
    assert uv.min() >= 0 and uv.min() < 3000 and 3_090_000 < uv.max() <= 3_100_000


def test_electrode_off_and_back():
    part = Ad8232(np.zeros(5000), 500.0, off_s=[(2.0, 3.0)])
    pin = LeadOffPin(part)
    assert [pin.level(t) for t in (1_900_000, 2_000_000, 2_999_999, 3_000_000)] == [0, 1, 1, 0]
    assert pin.level(11_000_000) == 1  # the recording is over
    uv = np.frombuffer(part.read_uv(2_500_000, 100_000, 15), "<i4")
    assert np.all(uv[:5] > 3_090_000) and np.all(abs(uv[10:] - REFERENCE_UV) < 6000)


def test_a_voltage_depends_on_time_alone():
    part = sine(7)
    block = np.frombuffer(part.read_uv(1_000_000, 4000, 64), "<i4")
    ones = [int(np.frombuffer(part.read_uv(1_000_000 + 4000 * k, 0, 1), "<i4")[0]) for k in range(64)]
    assert ones == block.tolist()


def test_lost_samples_are_bridged():
    ecg = np.sin(np.arange(5000) / 30)
    ecg[1000:1010] = np.nan
    assert np.all(np.isfinite(Ad8232(ecg, 500.0)._out_uv))


@pytest.mark.parametrize("gain,clips", [(400, False), (1100, True)])
def test_the_breakout_as_sold_clips_tall_r_waves(gain, clips):
    part = Ad8232(1.8 * np.sin(2 * np.pi * 10 * np.arange(5000) / 500), 500.0, gain=gain)
    uv = np.frombuffer(part.read_uv(5_000_000, 4000, 500), "<i4")
    assert (uv.max() > 3_095_000) == clips
