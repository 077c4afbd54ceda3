"""The emulated converter against what Espressif and users say of it, and what the AD8232 path makes of it."""

import numpy as np
import pytest
from worn import recording, run

from boards.virtual.devices.ad8232 import GAIN, REFERENCE_UV, Ad8232
from boards.virtual.devices.esp32_adc import FULL_UV, HIGH_UV, LEAST_UV, LOW_UV, Esp32Adc
from boards.virtual.scenario import Scenario
from signal_models.recording import Recording
from vigil.core.records import ECG, SATURATED


def read(uv, n=1, **options):
    return np.frombuffer(Esp32Adc(lambda t_s: np.full(len(t_s), float(uv)), **options).read_uv(0, 4000, n), "<i4")


@pytest.mark.parametrize("slope_error", [-0.015, 0.0, 0.015])
def test_within_60_mv_where_it_is_specified(slope_error):
    uv = np.linspace(LOW_UV, HIGH_UV, 500)
    error_uv = Esp32Adc(lambda t_s: t_s, slope_error=slope_error).curve_uv(uv) - uv
    assert np.max(np.abs(error_uv)) < 60_000


def test_rails():
    for uv in (0, 100_000):
        assert read(uv, noise_uv=0)[0] == pytest.approx(LEAST_UV, abs=800)
    assert read(3_300_000, noise_uv=0)[0] == pytest.approx(FULL_UV, abs=2000)
    rising = [read(uv, noise_uv=0)[0] for uv in range(150_000, 3_250_000, 50_000)]
    assert np.all(np.diff(rising) > 0)  # bent, but monotonic


def test_noise_is_a_few_lsb_and_depends_on_time_alone():
    x = read(1_650_000, 1000)
    assert 2000 < x.std() < 4500
    one = Esp32Adc(lambda t_s: np.full(len(t_s), 1_650_000.0))
    assert [int(np.frombuffer(one.read_uv(4000 * k, 0, 1), "<i4")[0]) for k in range(50)] == x[:50].tolist()


def narrow(mv):
    """An R wave of `mv` each 0.8 s."""
    t = np.arange(30 * 500) / 500
    return Recording("r", ecg=mv * np.exp(-0.5 * (((t % 0.8) - 0.4) / 0.012) ** 2), ecg_fs=500.0)


# Gain, R wave at the electrodes: flagged? share of its height that is read, at most so far from 1.
AMPLITUDES = [
    (400, 0.5, False, 0.03),
    (400, 1.8, False, 0.03),
    (400, 3.2, False, 0.09),
    (400, 5.0, True, None),
    (1100, 0.5, False, 0.03),
    (1100, 1.0, False, 0.09),
    (1100, 1.8, True, None),
]


@pytest.mark.parametrize("gain,mv,flagged,loss", AMPLITUDES)
def test_amplitude_and_saturation_at_the_electrodes(tmp_path, gain, mv, flagged, loss):
    heart = narrow(mv)
    result = run(tmp_path, Scenario(heart, ecg="ad8232", ecg_gain=gain), 12)
    blocks = [b for b in result.of(ECG) if b.t0_ms > 3000]
    assert any(b.flags & SATURATED for b in blocks) == flagged
    if not flagged:
        x = np.concatenate([b.data for b in blocks])
        t_s = 3 + np.arange(4000) / 500
        true_uv = (Ad8232(heart.ecg, 500.0, gain=gain).out_uv(t_s) - REFERENCE_UV) / gain
        assert np.ptp(x) == pytest.approx(np.ptp(true_uv), rel=loss, abs=30_000 / gain)


def test_the_steady_state_is_not_flagged(tmp_path):
    result = run(tmp_path, Scenario(recording(), ecg="ad8232"), 6)
    assert not result.flagged(ECG, SATURATED) and GAIN == 400
