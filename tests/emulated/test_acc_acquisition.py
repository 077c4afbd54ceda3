"""The shipped acquisition on the virtual board with an accelerometer: samples, times, faults; and a runner's pulse."""

import numpy as np
import pytest
from worn import recording, run

from boards.virtual.scenario import BrownOut, Missing, Nak, Scenario, Stall, StuckSda, WrongId
from signal_models.synth.motion import exerciser
from vigil.core.records import ABSENT, ACC, GAP, MOTION, MOTION_ARTIFACT, PPG, PULSE_RATE, SATURATED, SETTLING


def swinging(g=1.5, seconds=70):
    """The wearer of the other acquisition tests, with a sine of 1 Hz and `g` on the first axis."""
    worn = recording(seconds)
    t_s = np.arange(seconds * 200) / 200
    worn.accel = np.stack([g * np.sin(2 * np.pi * t_s), np.zeros(len(t_s)), np.ones(len(t_s))], axis=1)
    worn.accel_fs = 200.0
    return worn


def test_samples_and_times(tmp_path):
    result = run(tmp_path, Scenario(swinging()), 12)
    blocks = result.of(ACC)
    assert [b.seq for b in blocks] == list(range(len(blocks)))
    assert blocks[0].flags & (GAP | SETTLING) == GAP | SETTLING
    assert not any(b.flags for b in blocks[2:])
    for block in blocks[3:]:
        assert 5 <= block.n <= 6
        t_s = block.t0_ms * 1e-3 + 0.02 * np.arange(block.n)
        x = np.array(block.data).reshape(-1, 3)
        assert np.abs(x[:, 0] - 1500 * np.sin(2 * np.pi * t_s)).max() < 40  # 2 ms of slope 19, half a step of 10 bits 8
        assert np.abs(x[:, 2] - 1000).max() < 20
    assert 585 < sum(b.n for b in blocks) <= 600 and result.end["lost"] == [0, 0, 0]


@pytest.mark.parametrize("error", [-0.05, 0.05])
def test_the_rate_is_measured(tmp_path, error):
    result = run(tmp_path, Scenario(swinging(), accel_clock_error=error), 12)
    last = result.of(ACC)[-1]
    assert last.period_us == pytest.approx(20000 / (1 + error), rel=0.002)


def test_beyond_the_range_is_saturated(tmp_path):
    result = run(tmp_path, Scenario(swinging(9.0)), 4)
    assert result.flagged(ACC, SATURATED)


@pytest.mark.parametrize("fault", [Missing("lis3dh"), WrongId(0x32, "lis3dh")])
def test_an_accelerometer_that_never_answered_is_not_missed(tmp_path, fault):
    result = run(tmp_path, Scenario(swinging(), faults=(fault,)), 8)
    assert not result.of(ACC) and result.end["faults"] == 0 and result.end["count"][str(PPG)] > 740


def test_a_stall_overflows_and_is_a_gap(tmp_path):
    result = run(tmp_path, Scenario(swinging(), faults=(Stall(5, 1.2),)), 9)
    gaps = [b for b in result.flagged(ACC, GAP) if b.t0_ms > 1000]
    assert len(gaps) == 1 and gaps[0].n == 32 and 5400 < gaps[0].t0_ms < 5700
    assert 20 <= result.end["lost"][2] <= 32


@pytest.mark.parametrize("fault,until_ms", [(Nak(4, 4.4), 4700), (StuckSda(4), 4700), (BrownOut(4, "lis3dh"), 5300)])
def test_it_comes_back(tmp_path, fault, until_ms):
    result = run(tmp_path, Scenario(swinging(), faults=(fault,)), 8)
    back = [b for b in result.flagged(ACC, GAP) if b.t0_ms > 3900]
    assert back and back[0].t0_ms < until_ms and not result.flagged(ACC, ABSENT)
    assert not result.of(ACC)[-1].flags and result.of(ACC)[-1].t0_ms > 7700


def test_without_its_line_it_is_polled_and_nothing_allocates(tmp_path):
    scenario = Scenario(swinging())
    wiring = scenario.wiring()
    del wiring["irq:lis3dh"]
    scenario.wiring = lambda: wiring
    result = run(tmp_path, scenario, 8, show="", lock="irq")
    assert "MemoryError" not in result.text
    assert result.end["lost"] == [0, 0, 0] and result.end["count"][str(ACC)] > 380


def read(tmp_path, scenario, seconds):
    """{kind: rows of mantissa, quality, absent reason, end in ms} that the device reports."""
    text = run(tmp_path, scenario, seconds, show="readings").text
    rows = [list(map(int, line.split()[1:])) for line in text.splitlines() if line.startswith("R ")]
    return {kind: np.array([r[1:] for r in rows if r[0] == kind]) for kind in (PULSE_RATE, MOTION)}


def test_a_runner_from_light_and_acceleration_to_the_pulse_rate(tmp_path):
    """Both parts and both clocks wrong, as they are: the pulse is found beside the swing of the arm."""
    worn = exerciser((("rest", 16.0), ("walk", 20.0), ("run", 34.0)), seed=2)
    scenario = Scenario(worn, clock_error=0.02, accel_clock_error=-0.03)
    readings = read(tmp_path / "with", scenario, 68)
    pulse, motion = readings[PULSE_RATE], readings[MOTION]
    assert motion[motion[:, 3] < 15000, 0].max() < 60 and motion[-1, 0] > 600  # milli-g
    t_s = pulse[:, 3] / 1000 - 4
    error = np.abs(pulse[:, 0] / 10 - np.interp(t_s, *worn.truth["pulse_rate"]))
    assert np.median(error[t_s > 4]) < 2 and error[t_s > 4].mean() < 4, error
    alone = read(tmp_path / "without", Scenario(worn, faults=(Missing("lis3dh"),)), 68)
    assert not len(alone[MOTION])
    assert (alone[PULSE_RATE][-8:, 2] == MOTION_ARTIFACT).mean() > 0.7
