"""The PPG channel on every engine: what is reported when, and what is withheld why."""

from array import array

from vigil.core.records import (
    CONTACT,
    CONTACT_OFF,
    CONTACT_ON,
    CONTACT_OTHER,
    GAP,
    IR,
    NO_CONTACT,
    NO_PULSE,
    NO_SENSOR,
    OUT_OF_RANGE,
    PERFUSION_INDEX,
    PPG,
    PRESENT,
    PULSE_RATE,
    RED,
    RELATIVE,
    SATURATED,
    SETTLING,
    SETTLING_IN,
    SIGNAL_SATURATED,
    SPO2,
    SampleBlock,
)
from vigil.estimators.ppg_channel import PpgChannel
from vigil.estimators.pulse_rate import PulseRate

# One pulse in 32 steps, 0..1000: systole, notch, dicrotic wave, run-off.
WAVE = (0, 90, 290, 540, 770, 920, 990, 1000, 960, 880, 780, 680, 590, 520, 480, 470, 470, 460, 430, 390, 340, 290, 240)
WAVE += (195, 155, 120, 92, 68, 48, 30, 16, 6)


def blocks(channel, seconds, period=80, depth=2000, red=60, size=50, start=0, dc=100000, flags=0):
    """Push seconds of pulses of `period` samples (100 Hz): counts dc minus depth (infrared), red % of it (red)."""
    out = []
    n = seconds * 100
    for at in range(0, n, size):
        rows = min(size, n - at)
        data = array("i", [0] * (2 * rows))
        for i in range(rows):
            phase = (start + at + i) % period * 32 * 16 // period
            j, part = phase >> 4, phase & 15
            w = (WAVE[j] * (16 - part) + WAVE[(j + 1) % 32] * part) // 16
            data[2 * i] = dc - depth * w * red // 100000
            data[2 * i + 1] = dc - depth * w // 1000
        channel.push(SampleBlock(PPG, (RED, IR), data, t0_ms=(start + at) * 10, period_us=10000, n=rows, flags=flags))
        flags &= ~GAP
    channel.report((start + n) * 10, out)
    return {r.kind: r for r in out}


def test_a_clean_pulse():
    beats = []
    channel = PpgChannel(beats.append)
    got = blocks(channel, 12)
    assert [got[k].absent_reason for k in (PULSE_RATE, SPO2, PERFUSION_INDEX, CONTACT)] == [PRESENT] * 4
    assert abs(got[PULSE_RATE].mantissa - 750) <= 5 and got[PULSE_RATE].quality_pct >= 80
    # R is 0.6: 112.69 - 34.66 * 0.6 + 1.6 * 0.36 = 92.5
    assert abs(got[SPO2].mantissa - 925) <= 2
    assert abs(got[PERFUSION_INDEX].mantissa - 200) <= 20
    assert got[CONTACT].mantissa == CONTACT_ON
    assert got[SPO2].t_end_ms == 12000
    assert (got[PULSE_RATE].t_start_ms, got[PULSE_RATE].t_end_ms) == (
        2840,
        11240,
    )  # 0.4 s before the first beat; the last
    onsets_q8 = [b.index * 256 + b.frac_q8 for b in beats]
    gaps = [onsets_q8[i + 1] - onsets_q8[i] for i in range(len(beats) - 1)]
    assert len(gaps) >= 9 and all(abs(g - 80 * 256) < 256 for g in gaps)
    assert all(abs(b.t_ms - b.index * 10) <= 10 for b in beats)


def test_a_beat_split_by_an_artefact_counts_once():
    rate = PulseRate()
    onset_q8 = 0
    for interval in (25, 25, 9, 16, 25, 25, 15, 10, 25, 25, 25, 25, 25):
        onset_q8 += interval << 8
        rate.beat(onset_q8, 100)
    silent = array("h", bytes(512))
    rate.evaluate(silent, 0, onset_q8 >> 8, 300, 0)
    assert rate.bpm_x10 == 600
    rate.beat(onset_q8 + (8 << 8), 100)  # half of one alone is no beat, either
    rate.evaluate(silent, 0, (onset_q8 >> 8) + 10, 300, 0)
    assert rate.bpm_x10 == 600


def test_how_far_back_a_rate_looks():
    steady = [25] * 40
    rising = [40 - i // 2 for i in range(40)]
    uneven = [20 + i * 7 % 13 for i in range(40)]
    silent = array("h", bytes(512))
    for intervals, seconds in ((steady, 16), (rising, 12), (uneven, 20)):
        rate = PulseRate()
        onset_q8 = 0
        for interval in intervals:
            onset_q8 += interval << 8
            rate.beat(onset_q8, 100)
        rate.evaluate(silent, 0, onset_q8 >> 8, 500, 0)
        assert seconds * 25 - 30 < rate.span - 10 <= seconds * 25, (seconds, rate.span)


def test_blocks_may_be_cut_anywhere():
    seen = []
    for size in (1, 7, 64):
        beats = []
        got = blocks(PpgChannel(beats.append), 8, size=size)
        seen.append(([(b.index, b.frac_q8) for b in beats], [(r.mantissa, r.quality_pct) for r in got.values()]))
    assert seen[0] == seen[1] == seen[2]


def test_first_reading_within_ten_seconds():
    channel = PpgChannel()
    early = blocks(channel, 2)
    assert early[PULSE_RATE].absent_reason == SETTLING_IN and early[PULSE_RATE].mantissa is None
    assert blocks(channel, 6, start=200)[PULSE_RATE].absent_reason == PRESENT


def test_nothing_is_reported_off_the_skin():
    channel = PpgChannel()
    blocks(channel, 12)
    off = blocks(channel, 2, start=1200, dc=600, depth=0)
    assert [off[k].absent_reason for k in (PULSE_RATE, SPO2, PERFUSION_INDEX)] == [NO_CONTACT] * 3
    assert off[CONTACT].mantissa == CONTACT_OFF
    assert blocks(channel, 2, start=1400)[PULSE_RATE].absent_reason == SETTLING_IN
    assert blocks(channel, 8, start=1600)[PULSE_RATE].absent_reason == PRESENT


def test_a_table_has_no_pulse():
    got = blocks(PpgChannel(), 12, depth=0)
    assert [got[k].absent_reason for k in (PULSE_RATE, SPO2, PERFUSION_INDEX)] == [NO_CONTACT] * 3
    assert got[CONTACT].mantissa == CONTACT_OTHER
    assert blocks(PpgChannel(), 8, depth=0)[PULSE_RATE].absent_reason == NO_PULSE  # it may yet be skin


def test_low_saturation_is_out_of_range_but_guessed():
    got = blocks(PpgChannel(), 12, red=150)
    assert got[SPO2].absent_reason == OUT_OF_RANGE and 600 < got[SPO2].mantissa < 700


def test_saturation_gap_and_measured_rate():
    channel = PpgChannel()
    blocks(channel, 10)
    assert blocks(channel, 2, start=1000, flags=SATURATED)[PULSE_RATE].absent_reason == SIGNAL_SATURATED
    channel = PpgChannel()
    blocks(channel, 10)
    assert blocks(channel, 2, start=1000, flags=GAP)[PULSE_RATE].absent_reason == SETTLING_IN
    block = SampleBlock(PPG, (RED, IR), array("i", [0, 0]), t0_ms=0, period_us=10000, n=1)
    channel.push(block)
    slow = PpgChannel()
    blocks(slow, 12)
    slow._period_us = 10500  # the sensor's clock is 5 % slow: the pulse is slower than the samples say
    out = []
    slow.report(12000, out)
    assert abs(out[0].mantissa - 714) <= 5


def test_nothing_is_measured_while_the_light_settles():
    plain, stepped = PpgChannel(), PpgChannel()
    want = blocks(plain, 8)
    step = array("i", [30000, 30000] * 20)
    stepped.push(SampleBlock(PPG, (RED, IR), step, period_us=10000, n=20, flags=GAP | SETTLING))
    got = blocks(stepped, 8)
    assert [got[k].mantissa for k in want] == [want[k].mantissa for k in want]


def test_one_relative_column():
    channel = PpgChannel()
    out = []
    for at in range(0, 1200, 40):
        data = array("i", [WAVE[(at + i) % 64 // 2] * 80 - 30000 for i in range(40)])
        channel.push(SampleBlock(PPG, (IR,), data, t0_ms=at * 10, period_us=10000, n=40, flags=RELATIVE))
    channel.report(12000, out)
    got = {r.kind: r for r in out}
    assert abs(got[PULSE_RATE].mantissa - 938) <= 8 and got[PULSE_RATE].absent_reason == PRESENT
    assert [got[k].absent_reason for k in (SPO2, PERFUSION_INDEX, CONTACT)] == [NO_SENSOR] * 3
