"""The MAX30003 under the shipped driver and acquisition, on the real MicroPython and the virtual board."""

import itertools
from array import array

import numpy as np
import pytest
from worn import FS, recording, run

from boards.virtual.bus import BusFault, SpiBus
from boards.virtual.devices import max30003 as model
from boards.virtual.scenario import BrownOut, LeadOff, Missing, Scenario, SpiCut, Stall, WrongId
from signal_models.recording import Recording
from vigil.core.errors import SensorError
from vigil.core.records import ABSENT, ECG, GAP, LEAD_OFF, PPG, SATURATED, SETTLING
from vigil.drivers.max30003 import DCLOFF, EINT, LON, Max30003


class Wire:
    """hal.SPI over the emulated bus; the test moves the time."""

    def __init__(self, *faults, ecg=None, **part):
        ecg = np.zeros(20 * 500) if ecg is None else ecg
        self.part = model.Max30003(ecg, 500.0, noise_uv=0, **part)
        self.bus = SpiBus(self.part, faults)
        self.t_us = 0

    def write_readinto(self, out, into):
        into[:] = self.bus.transfer(bytes(out), self.t_us)


def test_the_driver_reads_what_the_electrodes_have():
    wire = Wire(ecg=1.5 * np.sin(2 * np.pi * 8 * np.arange(10_000) / 500))
    driver = Max30003(wire)
    driver.configure()
    buf = array("h", [0] * 64)
    values = []
    for k in range(1, 120):
        wire.t_us = 10_000 + 64_000 * k
        assert driver.status() & EINT
        assert driver.read_fifo_into(buf) == 16
        values += buf[:16]
    assert np.sqrt(2) * np.std(values[500:]) == pytest.approx(1500, rel=0.02)


def test_the_driver_finds_overflow_lead_off_and_lead_on():
    wire = Wire(off_s=[(1.0, 2.0)])
    driver = Max30003(wire)
    driver.configure()
    buf = array("h", [0] * 64)
    wire.t_us = 200_000
    assert driver.read_fifo_into(buf) < 0
    driver.reset_fifo()
    wire.t_us = 1_000_000
    driver.reset_fifo()
    assert driver.read_fifo_into(buf) == 0 and not driver.status() & DCLOFF
    wire.t_us = 1_116_000
    assert driver.status() & DCLOFF and driver.read_fifo_into(buf) == 29
    driver.standby()
    assert not driver.status() & LON
    wire.t_us = 2_500_000
    assert driver.status() & LON


@pytest.mark.parametrize("zeros", [False, True])
def test_the_driver_notices_a_cut_wire(zeros):
    wire = Wire(BusFault(1000, 2000, stuck=zeros))
    driver = Max30003(wire)
    driver.configure()
    wire.t_us = 1500
    with pytest.raises(SensorError):
        driver.check()
    with pytest.raises(SensorError):
        Max30003(wire)
    with pytest.raises(SensorError):
        Max30003(Wire(part=1))


def filtered(scenario, blocks):
    """What the part's filters make of the recording at the blocks' times, microvolts."""
    part = scenario.wiring()["irq:max30003"]
    fine = model._delayed(part._fine, part._fs, 1)
    t_s = np.concatenate([b.t0_ms * 1e-3 + 1e-6 * b.period_us * np.arange(b.n) for b in blocks])
    return 1000 * np.interp(t_s * part._fs, np.arange(len(fine)), fine)


def test_samples_and_times(tmp_path):
    scenario = Scenario(recording())
    result = run(tmp_path, scenario, 20)
    blocks = result.of(ECG)
    assert [b.seq for b in blocks] == list(range(len(blocks)))
    assert blocks[0].flags == GAP | SETTLING and not any(b.flags for b in blocks if b.t0_ms > 600)
    assert result.end["lost"] == [0, 0, 0] and sum(b.n for b in blocks) >= 4960
    for a, b in itertools.pairwise(blocks):
        assert abs(b.t0_ms - a.t0_ms - 4 * a.n) <= 1
    blocks = [b for b in blocks if b.t0_ms > 8000]
    x = np.concatenate([b.data for b in blocks])
    expected = filtered(scenario, blocks)
    at = np.abs(expected) > 200  # on the waves, where the high-passes' slow baseline matters least
    assert np.corrcoef(x[at], expected[at])[0, 1] > 0.995
    assert 800 < x.max() < 1100


@pytest.mark.parametrize("error", [-0.01, 0.01])
def test_the_rate_is_measured(tmp_path, error):
    result = run(tmp_path, Scenario(recording(), ecg_clock_error=error), 20)
    true_us = 4000 / (1 + error)
    assert all(abs(b.period_us - true_us) <= 2 for b in result.of(ECG) if b.t0_ms > 2500)
    assert result.end["lost"] == [0, 0, 0] and len(result.flagged(ECG, GAP)) == 1


def test_without_the_interrupt_line_the_fifo_is_polled(tmp_path):
    scenario = Scenario(recording(), ecg_clock_error=0.01)
    wiring = scenario.wiring()
    del wiring["irq:max30003"]
    scenario.wiring = lambda: wiring
    result = run(tmp_path, scenario, 25)
    assert result.end["lost"] == [0, 0, 0] and len(result.flagged(ECG, GAP)) == 1
    assert all(abs(b.period_us - 3960) < 8 for b in result.of(ECG) if b.t0_ms > 12000)


def test_two_runs_are_equal_at_any_speed(tmp_path):
    scenario = Scenario(recording(), faults=(SpiCut(3, 3.2), Stall(6, 0.5)), ecg_clock_error=0.005)
    texts = []
    for k, speed in enumerate((0.0, 20.0)):
        text = run(tmp_path / str(k), scenario, 10, speed=speed, show="blocks").text
        texts.append(text[: text.index("END ")])
    assert texts[0] == texts[1]


# A stall, whether anything is lost: 16 samples fit after the interrupt.
@pytest.mark.parametrize("stall_s,lost", [(0.03, False), (0.06, False), (0.2, True), (1.0, True)])
def test_stalls(tmp_path, stall_s, lost):
    result = run(tmp_path, Scenario(recording(), faults=(Stall(5, stall_s),)), 8)
    gaps = [b for b in result.flagged(ECG, GAP) if b.seq]
    assert bool(gaps) == lost == bool(result.end["lost"][0])
    if lost:
        assert 5000 * (1 + stall_s / 5) - 20 <= gaps[0].t0_ms <= 5000 + 1000 * stall_s + 100
        assert result.end["lost"][0] == pytest.approx(250 * stall_s, abs=40)
    t_ms = [b.t0_ms for b in result.of(ECG)]
    assert t_ms == sorted(t_ms) and t_ms[-1] > 7700


# requirement: ECG-4
def test_an_electrode_off_and_back(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(LeadOff(3, 5),)), 9)
    off = result.flagged(ECG, LEAD_OFF)
    assert 2900 < off[0].t0_ms < 3250 and 4850 < off[-1].t0_ms < 5200
    after = [b for b in result.of(ECG) if off[-1].t0_ms < b.t0_ms < 5900]
    assert after and all(b.flags & SETTLING for b in after[:4])
    before = [b for b in result.of(ECG) if b.t0_ms + 4 * b.n > 2990 and b.t0_ms < 3110]
    assert any(b.flags & (SATURATED | LEAD_OFF) for b in before)
    x = np.concatenate([b.data for b in result.of(ECG) if not b.flags and b.t0_ms > 5000])
    assert len(x) > 500 and np.max(np.abs(x)) < 1300  # nothing of the recovery is shown as signal
    assert not result.of(ECG)[-1].flags


def test_saturation_is_flagged(tmp_path):
    t = np.arange(10 * FS) / FS
    heart = Recording("tall", ecg=45 * np.exp(-0.5 * (((t % 0.8) - 0.4) / 0.02) ** 2), ecg_fs=FS)
    blocks = run(tmp_path, Scenario(heart), 5).of(ECG)
    assert all(bool(b.flags & SATURATED) == (max(b.data) >= 32767) for b in blocks)
    assert sum(bool(b.flags & SATURATED) for b in blocks) > 4


@pytest.mark.parametrize("zeros", [False, True])
def test_a_cut_wire_recovers(tmp_path, zeros):
    result = run(tmp_path, Scenario(recording(), faults=(SpiCut(5, 5.3, zeros),)), 9)
    gaps = [b for b in result.flagged(ECG, GAP) if b.seq]
    assert len(gaps) == 1 and 5000 < gaps[0].t0_ms < 5800 and gaps[0].flags & SETTLING
    assert result.end["ecg_faults"] >= 1 and result.end["absent"][str(ECG)] == 0
    assert "MAX30003" in result.text and not result.of(ECG)[-1].flags


def test_a_brown_out_is_noticed_and_started_again(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(BrownOut(4, "max30003"),)), 9)
    gaps = [b for b in result.flagged(ECG, GAP) if b.seq]
    assert len(gaps) == 1 and 4000 < gaps[0].t0_ms < 4400 and "lost its settings" in result.text
    assert result.end["faults"] == 0  # the oximeter goes on


def test_a_long_silence_is_absence_and_ends(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(SpiCut(5, 12),)), 20)
    absent = result.flagged(ECG, ABSENT)
    assert 3 <= len(absent) <= 5 and not result.flagged(PPG, ABSENT)
    back = [b for b in result.of(ECG) if b.n and b.t0_ms > 12000]
    assert back and back[0].flags & GAP and back[0].t0_ms < 15200


@pytest.mark.parametrize("fault", [Missing("max30003"), WrongId(1, "max30003")])
def test_what_is_missing_is_said(tmp_path, fault):
    result = run(tmp_path, Scenario(recording(), faults=(fault,)), 9)
    absent = result.flagged(ECG, ABSENT)
    assert 4 <= len(absent) <= 5 and absent[0].t0_ms < 500 and "ecg: no sensor" in result.text
    assert result.end["count"][str(PPG)] > 850


def test_an_ad8232_takes_over_where_no_max30003_answers(tmp_path):
    scenario = Scenario(recording(), faults=(Missing("max30003"),))
    wiring = scenario.wiring() | Scenario(recording(), ecg="ad8232").wiring()
    scenario.wiring = lambda: wiring
    result = run(tmp_path, scenario, 6)
    assert "AD8232 runs" in result.text and result.end["count"][str(ECG)] > 1400


def test_both_wired_the_max30003_is_taken(tmp_path):
    scenario = Scenario(recording())
    wiring = Scenario(recording(), ecg="ad8232").wiring() | scenario.wiring()
    scenario.wiring = lambda: wiring
    assert "MAX30003 runs" in run(tmp_path, scenario, 3).text


def test_a_scenario_knows_its_front_ends():
    with pytest.raises(ValueError, match="not an ECG front end"):
        Scenario(recording(), ecg="ads1292")
