"""The emulated MAX30003 against its datasheet (19-8558): registers, FIFO and tags, interrupts, electrodes, recovery."""

import numpy as np
import pytest

from boards.virtual.bus import BusFault, SpiBus
from boards.virtual.devices import max30003 as model
from boards.virtual.devices.max30003 import (
    CNFG_ECG,
    CNFG_EMUX,
    CNFG_GEN,
    DCLOFFINT,
    EINT,
    EN_INT,
    EOVF,
    FIFO,
    FIFO_BURST,
    FIFO_RST,
    FSTINT,
    INFO,
    LONINT,
    MNGR_DYN,
    MNGR_INT,
    PLLINT,
    STATUS,
    SW_RST,
    SYNCH,
    Max30003,
)

FS = 500.0
GEN_250 = 0x181217  # 32000 Hz, channel, lead-off with 10 nA and 300 mV, 100 megohm to both


class Chip:
    """A part and the time, with registers read and written as the wire has them."""

    def __init__(self, ecg=None, **options):
        self.part = Max30003(np.zeros(20 * 500) if ecg is None else ecg, FS, noise_uv=0, **options)
        self.t_us = 0

    def get(self, register):
        answer = self.part.transfer(bytes([register << 1 | 1, 0, 0, 0]), self.t_us)
        return int.from_bytes(answer[1:], "big")

    def put(self, register, value):
        self.part.transfer(bytes([register << 1]) + value.to_bytes(3, "big"), self.t_us)

    def burst(self, n):
        """n FIFO words: (18-bit two's complement, tag)."""
        answer = self.part.transfer(bytes([FIFO_BURST << 1 | 1]) + bytes(3 * n), self.t_us)
        words = [int.from_bytes(answer[k : k + 3], "big") for k in range(1, 3 * n, 3)]
        return [((w >> 6 ^ 0x20000) - 0x20000, w >> 3 & 7) for w in words]

    def run(self, ecg_code=0x401000, general=GEN_250, efit=16):
        """Start at 250/s (after the PLL's 10 ms), gain 20, no digital high-pass, 40 Hz."""
        self.put(CNFG_EMUX, 0)
        self.put(CNFG_ECG, ecg_code)
        self.put(MNGR_INT, (efit - 1) << 19 | 4)
        self.put(EN_INT, EINT | EOVF | 3)
        self.put(CNFG_GEN, general)
        return self


def sine(hz, mv, seconds=20):
    return mv * np.sin(2 * np.pi * hz * np.arange(round(seconds * FS)) / FS)


def test_reset_values_and_identity():
    chip = Chip()
    assert chip.get(INFO) >> 20 == 5 and chip.get(INFO) >> 12 & 3 == 3
    resets = {EN_INT: 3, MNGR_INT: 0x780004, MNGR_DYN: 0x3F0000, CNFG_GEN: 4, CNFG_EMUX: 0x300000, CNFG_ECG: 0x805000}
    assert {register: chip.get(register) for register in resets} == resets
    chip.put(CNFG_ECG, 0x401000)
    chip.put(INFO, 0x123456)
    assert chip.get(CNFG_ECG) == 0x401000 and chip.get(INFO) >> 20 == 5
    chip.put(SW_RST, 0)
    assert chip.get(CNFG_ECG) == 0x805000


def test_a_short_transaction_does_nothing():
    chip = Chip()
    chip.part.transfer(bytes([CNFG_ECG << 1, 0x40]), 0)
    assert chip.get(CNFG_ECG) == 0x805000


def test_bias_needs_an_enabled_channel():
    chip = Chip()
    chip.put(CNFG_GEN, 0x17)
    assert chip.get(CNFG_GEN) == 0x07
    chip.put(CNFG_GEN, 0x080017)
    assert chip.get(CNFG_GEN) == 0x080017


RATES = [(0, 0, 512), (0, 1, 256), (0, 2, 128), (1, 0, 500), (1, 1, 250), (1, 2, 125), (2, 2, 200)]


@pytest.mark.parametrize("fmstr,rate,per_s", RATES)
@pytest.mark.parametrize("error", [0.0, 0.01])
def test_rates(fmstr, rate, per_s, error):
    chip = Chip(clock_error=error).run(rate << 22 | 0x1000, fmstr << 20 | 0x080000)
    chip.t_us = 10_000 + round(20.5e6 / per_s / (1 + error))
    assert [tag for _, tag in chip.burst(22)] == [0] * 19 + [2, 6, 6]


def test_the_pll_locks_and_says_so_until_read():
    chip = Chip().run()
    assert chip.get(STATUS) & PLLINT
    chip.t_us = 20_000
    assert not chip.get(STATUS) & PLLINT


@pytest.mark.parametrize("code,gain", [(0, 20), (1, 40), (2, 80), (3, 160)])
def test_gain_and_resolution(code, gain):
    chip = Chip(sine(10, 2.0), offset_mv=0).run(0x401000 | code << 16)
    values = []
    for k in range(1, 60):
        chip.t_us = 1_000_000 + 64_000 * k
        if k == 1:
            chip.put(FIFO_RST, 0)
            continue
        values += [v for v, _ in chip.burst(16)]
    mv = np.array(values) * 1000 / (2**17 * gain)
    assert np.max(np.abs(mv)) == pytest.approx(2.0, rel=0.02)


def test_fifo_interrupt_follows_its_level():
    chip = Chip().run(efit=16)
    assert chip.part.next_edge_us(0) == 10_000 + 16 * 4000
    chip.t_us = 10_000 + 16 * 4000
    assert chip.part.level(chip.t_us) == 0 and chip.get(STATUS) & EINT
    assert chip.get(STATUS) & EINT  # reading STATUS does not clear it
    chip.burst(1)
    assert chip.part.level(chip.t_us) == 1 and not chip.get(STATUS) & EINT
    assert chip.part.next_edge_us(chip.t_us) == 10_000 + 17 * 4000


def test_an_interrupt_enabled_late_falls_at_once_and_is_told_once():
    chip = Chip().run()
    chip.put(EN_INT, 3)
    chip.t_us = 100_000
    assert chip.part.next_edge_us(chip.t_us) is None and chip.part.level(chip.t_us) == 1
    chip.put(EN_INT, EINT | 3)
    assert chip.part.next_edge_us(chip.t_us) == 100_000
    assert chip.part.next_edge_us(chip.t_us) is None


def test_overflow_ruins_the_fifo_until_it_is_reset():
    chip = Chip().run(efit=32)
    chip.t_us = 10_000 + 32 * 4000
    assert chip.get(STATUS) & (EINT | EOVF) == EINT
    chip.t_us += 4000
    assert chip.get(STATUS) & EOVF
    assert [tag for _, tag in chip.burst(3)] == [7, 7, 7]
    chip.put(FIFO_RST, 0)
    assert not chip.get(STATUS) & (EINT | EOVF)
    chip.t_us += 8000  # sampling went on in step
    assert [tag for _, tag in chip.burst(3)] == [0, 2, 6]


def test_synch_restarts_the_sampling():
    chip = Chip().run()
    chip.t_us = 200_000
    chip.put(SYNCH, 0)
    assert chip.burst(1)[0][1] == 6
    assert chip.part.next_edge_us(chip.t_us) == 200_000 + 10_000 + 16 * 4000


def test_one_word_without_a_burst():
    chip = Chip().run()
    chip.t_us = 10_000 + 2 * 4000
    assert [chip.get(FIFO) >> 3 & 7 for _ in range(3)] == [0, 2, 6]


def test_lead_off_is_told_after_115_ms_and_held_until_read():
    chip = Chip(off_s=[(2.0, 3.0)]).run()
    chip.put(EN_INT, DCLOFFINT | 3)
    assert chip.part.next_edge_us(0) == 2_115_000
    chip.t_us = 2_110_000
    assert chip.get(STATUS) & (DCLOFFINT | 15) == 8  # the comparator sees the positive electrode high at once
    chip.t_us = 2_115_000
    assert chip.part.level(chip.t_us) == 0
    chip.t_us = 3_500_000
    assert chip.get(STATUS) & (DCLOFFINT | 15) == DCLOFFINT  # over, but held
    assert not chip.get(STATUS) & DCLOFFINT


def test_a_short_loss_of_contact_is_not_lead_off():
    chip = Chip(off_s=[(2.0, 2.1)]).run()
    chip.t_us = 2_500_000
    assert not chip.get(STATUS) & DCLOFFINT


# Current, threshold, bias resistor, impedance of the electrode: is one that is off seen, and a good one taken as off?
@pytest.mark.parametrize(
    "general,contact_mohm,sees,cries",
    [
        (0x181217, 0.2, True, False),  # 10 nA, 300 mV, 100 megohm: 900 mV
        (0x181117, 0.2, True, False),  # 5 nA: 500 mV
        (0x1811D7, 0.2, False, False),  # 5 nA, 500 mV: not beyond it
        (0x181017, 0.2, False, False),  # no current
        (0x181213, 0.2, True, False),  # 10 nA into 50 megohm: 500 mV
        (0x181517, 5.0, True, True),  # 100 nA through a dry electrode: 500 mV
        (0x180217, 0.2, False, False),  # detection is off
    ],
)
def test_lead_off_current_and_threshold(general, contact_mohm, sees, cries):
    chip = Chip(off_s=[(2.0, 3.0)], contact_mohm=contact_mohm).run(general=general)
    chip.t_us = 1_500_000
    assert bool(chip.get(STATUS) & DCLOFFINT) == cries
    chip.t_us = 2_500_000
    assert bool(chip.get(STATUS) & DCLOFFINT) == sees


def test_lead_on_while_the_channel_sleeps():
    chip = Chip(off_s=[(0.0, 2.0)])
    chip.put(EN_INT, LONINT | 3)
    chip.put(CNFG_GEN, 0x400000)
    assert chip.get(STATUS) & LONINT  # switching over sets it
    assert not chip.get(STATUS) & LONINT
    assert [chip.part.next_edge_us(0) for _ in range(2)] == [0, 2_000_000]
    chip.t_us = 2_000_000
    assert chip.get(STATUS) & LONINT
    assert chip.get(STATUS) & LONINT  # while it lasts


@pytest.mark.parametrize("automatic", [True, False])
def test_fast_recovery_after_an_electrode_came_back(automatic):
    """Time from the return until the baseline is within 1 mV: half a second and a bit, or seconds."""
    chip = Chip(off_s=[(2.0, 5.0)]).run()
    chip.put(MNGR_DYN, 0xBF0000 if automatic else 0x3F0000)
    values, tags = [], []
    for k in range(1, 300):
        chip.t_us = 30_000 * k
        for value, tag in chip.burst(16):
            if tag < 4:
                values.append(value * 1000 / 2**17 / 20)
                tags.append(tag & 1)
    values = np.array(values)
    back = round(5.0 * 250)
    late = np.flatnonzero(np.abs(values[back:]) > 1.0)[-1] / 250
    assert np.max(np.abs(values[back : back + 25])) > 49  # at the converter's limit
    if automatic:
        assert late < 0.3 and sum(tags) > 100
        assert chip.get(STATUS) & FSTINT and not chip.get(STATUS) & FSTINT
    else:
        assert late > 1.5 and sum(tags) == 0


def test_the_high_pass_takes_the_electrodes_dc_out_and_emux_connects_the_inputs():
    chip = Chip(sine(10, 1.0), offset_mv=300).run()
    chip.t_us = 3_000_000
    chip.put(FIFO_RST, 0)
    chip.t_us = 3_100_000
    mv = np.array([v for v, tag in chip.burst(20)]) * 1000 / 2**17 / 20
    assert 0.9 < np.max(np.abs(mv)) < 1.1
    chip.put(CNFG_EMUX, 0x300000)
    chip.put(SYNCH, 0)
    chip.t_us = 3_200_000
    assert all(v == 0 for v, tag in chip.burst(20) if tag < 4)


@pytest.mark.parametrize("hz,gain", [(1, 0.89), (10, 1.0), (25, 0.97), (80, 0.02)])
def test_frequency_response_with_the_40_hz_filter(hz, gain):
    chip = Chip(sine(hz, 1.0), offset_mv=0).run()
    values = []
    for k in range(1, 150):
        chip.t_us = 64_000 * k
        values += [v for v, tag in chip.burst(20) if tag < 4]
    tail = np.array(values[500:]) * 1000 / 2**17 / 20
    assert np.sqrt(2) * tail.std() == pytest.approx(gain, abs=0.07)


def test_a_brown_out_resets_everything():
    chip = Chip(brownouts_us=(1_000_000,)).run()
    chip.t_us = 1_000_001
    assert chip.get(CNFG_GEN) == 4 and chip.part.level(chip.t_us) == 1 and chip.burst(1)[0][1] == 6


def test_a_cut_wire_reads_as_ones_or_zeros_and_a_missing_part_too():
    faults = (BusFault(100, 200), BusFault(300, 400, stuck=True))
    bus = SpiBus(Max30003(np.zeros(500), FS), faults)
    ask = bytes([INFO << 1 | 1, 0, 0, 0])
    assert bus.transfer(ask, 150) == b"\xff" * 4 and bus.transfer(ask, 350) == bytes(4)
    assert bus.transfer(ask, 250)[1] >> 4 == 5
    assert SpiBus(None).transfer(ask, 0) == b"\xff" * 4


def test_the_end_of_the_recording_is_electrodes_off():
    chip = Chip(np.zeros(1000)).run()
    chip.t_us = 2_200_000
    assert chip.get(STATUS) & DCLOFFINT


def test_resistive_limits_are_the_datasheets():
    assert model.CURRENTS_NA[:6] == (0, 5, 10, 20, 50, 100) and model.THRESHOLDS_MV == (300, 400, 450, 500)
