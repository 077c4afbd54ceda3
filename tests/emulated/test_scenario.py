"""From a recording to light and voltages."""

import numpy as np
import pytest

from boards.virtual import scenario as s
from signal_models.design.ppg import ratio_of, spo2_pct
from signal_models.recording import Recording

FS = 125


def relative(spo2=97.0, seconds=40):
    t = np.arange(seconds * FS) / FS
    pulse = 0.7 + 0.2 * np.sin(2 * np.pi * 1.2 * t) + 0.05 * t
    truth = {"spo2": (np.arange(float(seconds)), np.full(seconds, spo2))}
    return Recording("r", ppg=pulse[:, None], ppg_fs=FS, ppg_channels=("ir",), ppg_unit="relative", truth=truth)


def ac_dc(x):
    inner = x[5 * FS : -5 * FS]
    return np.ptp(inner) / inner.mean()


@pytest.mark.parametrize("spo2", [97.0, 90.0, 80.0])
def test_simulated_colour_has_the_recordings_spo2_and_the_perfusion_asked_for(spo2):
    red, ir = s.colours(relative(spo2), perfusion_pct=2.0)
    assert ac_dc(ir) == pytest.approx(0.02, rel=0.05)
    assert float(spo2_pct(ac_dc(red) / ac_dc(ir))) == pytest.approx(spo2, abs=0.5)
    assert ac_dc(red) / ac_dc(ir) == pytest.approx(float(ratio_of(spo2)), rel=0.02)


def test_more_blood_means_less_light():
    recording = relative()
    _, ir = s.colours(recording, 2.0)
    assert np.corrcoef(ir[625:-625], np.sin(2 * np.pi * 1.2 * np.arange(len(ir)) / FS)[625:-625])[0, 1] < -0.99


def test_counts_come_back_at_the_reference_setting():
    ppg = np.stack([np.linspace(90000, 110000, 500), np.full(500, 140000.0)], axis=1)
    light = s.Scenario(Recording("c", ppg=ppg, ppg_fs=100.0))._light()
    na = light(np.array([2_000_000.0]), "red") * s.REFERENCE_MA
    assert na[0] / s.REFERENCE_NA * 262144 == pytest.approx(ppg[200, 0], abs=1)


def test_the_end_of_the_recording_and_off_skin_are_dark():
    scenario = s.Scenario(relative(), faults=(s.OffSkin(10, 12),))
    light = scenario._light()
    na = light(np.array([9.0, 11.0, 13.0, 60.0]) * 1e6, "ir")
    assert na[1] < 0.01 * na[0] and na[3] < 0.01 * na[0] and na[2] == pytest.approx(na[0], rel=0.05)


def test_missing_parts_are_not_wired():
    recording = relative()
    assert set(s.Scenario(recording, faults=(s.Missing("max30102"),)).wiring()) == {"i2c:sensors"}
    assert set(s.Scenario(recording).wiring()) == {"i2c:sensors", "irq:max30102"}


def test_a_single_column_of_counts_is_refused():
    with pytest.raises(ValueError, match="red and ir"):
        s.colours(Recording("x", ppg=np.ones((10, 1)), ppg_fs=100.0, ppg_channels=("green",)), 2.0)
