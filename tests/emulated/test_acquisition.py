"""The shipped drivers and acquisition under the real MicroPython, on the virtual board, from .mpy in 192 KB."""

import os
import subprocess
import time

import numpy as np
import pytest
from worn import DEVICE, FS, recording, run

from boards.virtual.devices.ad8232 import GAIN, REFERENCE_UV, Ad8232
from boards.virtual.scenario import (
    FRONT_ENDS,
    BrownOut,
    LeadOff,
    Missing,
    Nak,
    OffSkin,
    Scenario,
    Stall,
    StuckSda,
    SwappedLeds,
    WrongId,
)
from boards.virtual.server import Server
from host_tools.virtual.device import launch
from signal_models.synth.wearer import wearer
from vigil.core.records import ABSENT, ECG, GAP, LEAD_OFF, PPG, PRESENT, SATURATED, SETTLING, SPO2


def test_samples_times_and_interrupts(tmp_path):
    result = run(tmp_path, Scenario(recording(), noise_counts=0), 12)
    blocks = result.of(PPG)
    assert [b.seq for b in blocks] == list(range(len(blocks)))
    assert blocks[0].flags == GAP | SETTLING
    assert not any(b.flags for b in blocks[1:])
    for block in blocks[1:]:
        assert 17 <= block.n <= 20 and len(block.data) == 2 * block.n
        t_s = (block.t0_ms - 3.75) * 1e-3 + 0.01 * np.arange(block.n)  # the mean of four conversions 2.5 ms apart
        pulse = np.sin(2 * np.pi * 1.25 * t_s)
        assert np.max(np.abs(np.array(block.data[0::2]) - 131072 * (1 - 0.01 * pulse))) < 25  # 1 ms of slope: 10
        assert np.max(np.abs(np.array(block.data[1::2]) - 120000 * (1 - 0.02 * pulse))) < 40
    assert 1150 < sum(b.n for b in blocks) <= 1200
    assert result.end["lost"] == [0, 0, 0]


def test_ecg_is_the_amplifiers_output(tmp_path):
    scenario = Scenario(recording(), ecg="ad8232")
    result = run(tmp_path, scenario, 10)
    part = Ad8232(scenario.recording.ecg, FS)
    blocks = result.of(ECG)
    assert blocks[0].flags == GAP and not any(b.flags for b in blocks[1:])
    x = np.concatenate([b.data for b in blocks])
    clean = (np.interp(0.004 * (1 + np.arange(len(x))), np.arange(len(part._out_uv)) / part._fs, part._out_uv)) / GAIN
    error = x - (clean - REFERENCE_UV / GAIN)
    error -= np.median(error)  # the converter's slope moves the rest by 41 uV, which the chain takes out
    assert np.max(np.abs(error)) < 90  # microvolts; late turns are a few ms
    assert np.median(np.abs(error)) < 8  # noise of 3 mV at the pin
    assert all(abs(b.t0_ms - 4 * (1 + sum(c.n for c in blocks[:k]))) <= 1 for k, b in enumerate(blocks))
    assert len(x) >= 2400 and 800 < x.max() < 1200


@pytest.mark.parametrize("error", [-0.03, 0.0, 0.03])
def test_the_rate_is_measured(tmp_path, error):
    result = run(tmp_path, Scenario(recording(), clock_error=error), 20)
    true_us = 10000 / (1 + error)
    for block in result.of(PPG):
        if block.t0_ms > 2000:
            assert abs(block.period_us - true_us) <= 0.002 * true_us
        if block.t0_ms > 10000:
            assert abs(block.period_us - true_us) <= 0.0005 * true_us
    assert result.end["lost"] == [0, 0, 0]


def test_two_runs_are_equal_byte_for_byte_at_any_speed(tmp_path):
    scenario = Scenario(recording(), faults=(Nak(3, 4), Stall(6, 0.5)), clock_error=0.02)
    texts = []
    for k, speed in enumerate((0.0, 0.0, 20.0)):
        text = run(tmp_path / str(k), scenario, 10, speed=speed, show="blocks").text
        texts.append(text[: text.index("END ")])
    assert texts[0] == texts[1] == texts[2] and texts[0].count("\n") > 100


def test_both_engines_are_equal(tmp_path):
    texts = []
    for engine in ("viper", "bytecode"):
        text = run(tmp_path / engine, Scenario(recording()), 5, show="blocks", engine=engine).text
        texts.append(text[: text.index("END ")])
    assert texts[0] == texts[1]


def test_speed_20_is_kept_and_loses_nothing(tmp_path):
    result = run(tmp_path, Scenario(recording()), 40, speed=20, show="")
    assert result.end["real_ms"] >= 1950  # never faster; a busy machine is slower, and loses nothing either
    assert result.end["lost"] == [0, 0, 0] and result.end["count"][str(PPG)] > 3900


def test_a_stopped_host_loses_nothing(tmp_path):
    """Virtual time stands still while the other side of the link sleeps."""
    scenario = Scenario(recording())
    wiring = scenario.wiring()
    bus, slow = wiring["i2c:sensors"], {"calls": 0}
    read = bus.read

    def sleepy(*args):
        slow["calls"] += 1
        if slow["calls"] in (40, 80):
            time.sleep(0.5)
        return read(*args)

    bus.read = sleepy
    scenario.wiring = lambda: wiring
    result = run(tmp_path, scenario, 10, speed=20, show="")
    assert slow["calls"] > 80 and result.end["lost"] == [0, 0, 0]


@pytest.mark.parametrize("ecg,lock", [("ad8232", "1"), ("max30003", "irq")])
def test_no_allocation_in_steady_state(tmp_path, ecg, lock):
    result = run(tmp_path, Scenario(recording(), clock_error=0.01, ecg=ecg), 20, show="", lock=lock)
    assert "MemoryError" not in result.text and result.end["count"][str(PPG)] > 1900


# requirement: ACQ-1
def test_a_stall_overflows_the_fifo_and_is_a_gap(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(Stall(5, 1.0),), ecg="ad8232"), 12)
    gaps = result.flagged(PPG, GAP)
    assert len(gaps) == 2 and 5900 < gaps[1].t0_ms < 6300  # the start, and after the stall
    assert 60 <= result.end["lost"][1] <= 75  # of 100; the FIFO holds 32 and stops counting at 31 more
    assert not any(b.flags & GAP and b.n == 0 for b in result.blocks)
    ecg_gaps = result.flagged(ECG, GAP)
    assert len(ecg_gaps) == 2 and 5900 < ecg_gaps[1].t0_ms < 6100
    assert 240 <= result.end["lost"][0] <= 251
    for block in result.of(PPG):  # what was kept is still at its place in time
        if block.t0_ms > 1000:
            pulse = np.sin(2 * np.pi * 1.25 * ((block.t0_ms - 3.75) * 1e-3 + 0.01 * np.arange(block.n)))
            assert np.max(np.abs(np.array(block.data[0::2]) - 131072 * (1 - 0.01 * pulse))) < 60


def test_a_short_stall_is_bridged_in_the_ecg(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(Stall(5, 0.014),), ecg="ad8232"), 8)
    assert len(result.flagged(ECG, GAP)) == 1 and result.end["lost"] == [0, 0, 0]
    assert sum(b.n for b in result.of(ECG)) >= 1960


# requirement: ACQ-2
def test_a_bus_that_does_not_answer_recovers(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(Nak(5, 5.3),)), 10)
    gaps = result.flagged(PPG, GAP)
    assert len(gaps) == 2 and 5000 < gaps[1].t0_ms < 5700 and gaps[1].flags & SETTLING
    assert result.end["faults"] >= 1 and result.end["absent"][str(PPG)] == 0


# requirement: ACQ-2
def test_a_long_silence_is_absence_and_ends(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(Nak(5, 12),)), 20)
    absent = result.flagged(PPG, ABSENT)
    assert 3 <= len(absent) <= 5
    back = [b for b in result.of(PPG) if b.n and b.t0_ms > 12000]
    assert back[0].flags & GAP and back[0].t0_ms < 15500
    assert sum(b.n for b in result.of(ECG)) > 4900  # the other sensor never noticed


def test_a_stuck_bus_is_clocked_free(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(StuckSda(4),)), 8)
    assert result.end["faults"] == 1 and result.of(PPG)[-1].t0_ms > 7500


def test_a_brown_out_is_noticed_at_once(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(BrownOut(4),)), 8)
    gaps = result.flagged(PPG, GAP)
    assert len(gaps) == 2 and 4000 < gaps[1].t0_ms < 4150
    assert "lost its settings" in result.text


@pytest.mark.parametrize("fault", [Missing("max30102"), WrongId(0x11)])
def test_a_missing_oximeter_is_said_every_two_seconds(tmp_path, fault):
    result = run(tmp_path, Scenario(recording(), faults=(fault,)), 9)
    absent = result.flagged(PPG, ABSENT)
    assert 4 <= len(absent) <= 5 and all(b.n == 0 for b in absent) and absent[0].t0_ms < 500
    assert result.end["count"][str(ECG)] > 2200


@pytest.mark.parametrize("part", FRONT_ENDS)
def test_a_missing_ecg_front_end(tmp_path, part):
    result = run(tmp_path, Scenario(recording(), faults=(Missing(part),), ecg=part), 9)
    assert 4 <= len(result.flagged(ECG, ABSENT)) <= 5 and "ecg: no sensor" in result.text
    assert result.end["count"][str(PPG)] > 850


def test_an_electrode_off(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(LeadOff(3, 5),), ecg="ad8232"), 8)
    off = result.flagged(ECG, LEAD_OFF)
    assert 2840 < off[0].t0_ms < 3200 and 4700 < off[-1].t0_ms < 5100
    assert all(b.flags & SATURATED for b in off[1:-1])
    after = [b for b in result.of(ECG) if 5100 < b.t0_ms < 5300]
    assert after and all(b.flags & SETTLING for b in after)
    assert not result.of(ECG)[-1].flags


@pytest.mark.parametrize("dc", [(40000, 250000), (262000, 20000)])
def test_led_currents_bring_the_dc_to_the_middle(tmp_path, dc):
    result = run(tmp_path, Scenario(recording(dc=dc)), 8)
    last = np.array(result.of(PPG)[-1].data).reshape(-1, 2).mean(axis=0)
    assert np.all((last > 65536) & (last < 196608))
    assert result.flagged(PPG, SETTLING)[-1].t0_ms < 4000  # and they come to rest


def test_off_skin_leaves_the_leds_alone(tmp_path):
    result = run(tmp_path, Scenario(recording(), faults=(OffSkin(4, 7),)), 11)
    off = [b for b in result.of(PPG) if 4500 < b.t0_ms < 6500]
    assert off and max(max(b.data) for b in off) < 4000
    on = [b for b in result.of(PPG) if b.t0_ms > 7500]
    assert abs(np.mean([b.data[0] for b in on]) - 131072) < 3000


def test_swapped_leds_swap_the_columns(tmp_path):
    result = run(tmp_path, Scenario(recording(dc=(140000, 90000)), faults=(SwappedLeds(),)), 4)
    assert result.of(PPG)[-1].data[0] < result.of(PPG)[-1].data[1]


def saturation(tmp_path, swap):
    keystore = tmp_path / "state" / "nvs"
    keystore.mkdir(parents=True)
    (keystore / "ppg.swap").write_bytes(swap)
    made = wearer(14, 1, spo2_pct=(97.0, 97.0))
    text = run(tmp_path, Scenario(made, faults=(SwappedLeds(),)), 14, show="readings").text
    rows = [list(map(int, line.split()[1:])) for line in text.splitlines() if line.startswith(f"R {SPO2} ")]
    return [value for _, value, _, absent, _ in rows if absent == PRESENT]


def test_a_board_with_swapped_leds_reads_right_once_it_knows(tmp_path):
    assert not saturation(tmp_path / "a", b"0")
    told = saturation(tmp_path / "b", b"1")
    assert told and all(abs(value - 970) <= 20 for value in told)


def test_the_device_ends_with_its_emulators(tmp_path):
    server = Server(Scenario(recording()).wiring())
    process = launch(str(DEVICE), state=tmp_path / "s", server=server, output=subprocess.PIPE, speed=1)
    try:
        time.sleep(0.5)
        assert process.poll() is None
        server.close()
        process.communicate(timeout=10)
        assert process.returncode
    finally:
        process.kill()
        server.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_without_the_interrupt_line_the_fifo_is_polled(tmp_path):
    scenario = Scenario(recording(), clock_error=0.02)
    wiring = scenario.wiring()
    del wiring["irq:max30102"]
    scenario.wiring = lambda: wiring
    result = run(tmp_path, scenario, 25)
    assert result.end["lost"] == [0, 0, 0] and len(result.flagged(PPG, GAP)) == 1
    assert all(abs(b.period_us - 9804) < 40 for b in result.of(PPG) if b.t0_ms > 12000)
