"""The emulated MAX30102 against the facts of its datasheet (19-7740 Rev 1), as a master on the bus sees them."""

import numpy as np
import pytest

from boards.virtual.bus import BusFault, I2CBus
from boards.virtual.devices import max30102 as m

US = 1_000_000


def flat(na_per_ma=100.0):
    return lambda t_us, led: np.full(len(t_us), na_per_ma * (1.0 if led == "red" else 0.5))


def part(**kwargs):
    return m.Max30102(flat(), **{"noise_counts": 0.0, **kwargs})


def put(p, register, value, t_us=0):
    p.write(register, bytes([value]), t_us)


def get(p, register, t_us=0):
    return p.read(register, 1, t_us)[0]


def start(p, *, spo2=0x2F, fifo=0x0F, mode=3, red=50, ir=50, enable=0x80, t_us=0):
    get(p, m.STATUS1, t_us)
    for register, value in (
        (m.FIFO_CONFIG, fifo),
        (m.SPO2, spo2),
        (m.LED1_PA, red),
        (m.LED2_PA, ir),
        (m.ENABLE1, enable),
        (m.MODE, mode),
    ):
        put(p, register, value, t_us)


def samples(p, n, t_us, channels=2):
    raw = p.read(m.FIFO_DATA, 3 * channels * n, t_us)
    values = [int.from_bytes(raw[i : i + 3], "big") for i in range(0, len(raw), 3)]
    return [tuple(values[i : i + channels]) for i in range(0, len(values), channels)]


def test_reset_values():
    p = part()
    assert p.read(0x00, 1, 0) == b"\x01"  # PWR_RDY, which only power-up gives
    assert all(get(p, r) == 0 for r in (*range(0x01, 0x07), *range(0x08, 0x22)))
    assert get(p, m.ID) == 0x15


def test_power_up_interrupts_until_the_status_is_read():
    p = part()
    assert p.level(0) == 0
    assert get(p, m.STATUS1) == m.PWR_RDY
    assert p.level(0) == 1
    assert get(p, m.STATUS1) == 0


def test_read_only_registers_stay():
    p = part()
    for register in (m.STATUS1, m.ID, m.REV_ID, m.TEMP_INT):
        before = p._reg[register]
        put(p, register, 0xAA)
        assert p._reg[register] == before
    put(p, m.FIFO_WR, 5)  # not in a measuring mode
    assert get(p, m.FIFO_WR) == 0


def test_reset_bit_clears_itself_and_everything():
    p = part()
    start(p)
    put(p, m.MODE, m.RESET, 100_000)
    assert get(p, m.MODE, 100_000) == 0 and get(p, m.SPO2, 100_000) == 0
    assert get(p, m.FIFO_WR, US) == 0  # no longer measuring


@pytest.mark.parametrize("code,rate", [*enumerate(m.RATES[:4])])
def test_rate_is_exact(code, rate):
    p = part()
    start(p, spo2=0x23 | code << 2)
    assert get(p, m.FIFO_WR, 30 * US // rate - 10) == 29
    assert get(p, m.FIFO_WR, 30 * US // rate) == 30


@pytest.mark.parametrize("error", [-0.03, 0.03])
def test_clock_error_changes_the_rate(error):
    p = part(clock_error=error)
    start(p, spo2=0x27)
    due_us = int(20 * 10_000 / (1 + error))
    assert get(p, m.FIFO_WR, due_us - 20) == 19
    assert get(p, m.FIFO_WR, due_us + 20) == 20


# Rate asked for, pulse width code, LEDs, rate that the part then has (tables 11 and 12, page 23).
TABLES = [
    (400, 3, 2, 400),
    (800, 3, 2, 400),
    (3200, 3, 2, 400),
    (800, 2, 2, 800),
    (1000, 2, 2, 800),
    (1000, 1, 2, 1000),
    (1600, 1, 2, 1000),
    (1600, 0, 2, 1600),
    (3200, 0, 2, 1600),
    (1000, 3, 1, 1000),
    (1600, 3, 1, 1000),
    (1600, 2, 1, 1600),
    (3200, 1, 1, 1600),
    (3200, 0, 1, 3200),
]


@pytest.mark.parametrize("asked,width,leds,given", TABLES)
def test_a_rate_too_high_becomes_the_highest_possible(asked, width, leds, given):
    p = part()
    start(p, spo2=0x20 | m.RATES.index(asked) << 2 | width, mode=3 if leds == 2 else 2)
    assert m.RATES[(get(p, m.SPO2) >> 2) & 7] == given


@pytest.mark.parametrize("average", range(6))
def test_averaging_decimates(average):
    p = part()
    start(p, spo2=0x2F, fifo=average << 5)
    assert get(p, m.FIFO_WR, 4 * (1 << average) * 2500) == 4


def test_counts_follow_current_and_range():
    for pa, code, expected in ((50, 1, 1000 / 4096), (25, 1, 500 / 4096), (50, 0, 1000 / 2048), (50, 3, 1000 / 16384)):
        p = part()
        start(p, spo2=code << 5 | 0x07, red=pa, ir=pa)
        red, ir = samples(p, 20, 200_000)[-1]
        assert abs(red - expected * 262144) <= 2 and abs(ir - expected * 131072) <= 2


def test_full_scale_saturates():
    p = part()
    start(p, spo2=0x07, red=255, ir=255)
    assert samples(p, 20, 200_000)[-1][0] == 262143


@pytest.mark.parametrize("width,bits", [(0, 15), (1, 16), (2, 17), (3, 18)])
def test_resolution_is_left_justified(width, bits):
    p = m.Max30102(lambda t_us, led: 100 + np.sin(t_us / 3e4), noise_counts=3)
    start(p, spo2=0x24 | width)
    values = np.array(samples(p, 25, 250_000))[5:]
    assert not np.any(values & ((1 << (18 - bits)) - 1))
    assert np.any(values & (1 << (18 - bits)))


def test_modes_have_their_channels():
    p = part()
    start(p, mode=2)
    assert {v for (v,) in samples(p, 32, 100_000, channels=1)[30:]} <= {63999, 64000}
    p = part()
    put(p, m.SLOTS12, 0x12)  # slot 1 IR, slot 2 red
    start(p, mode=7, spo2=0x27)
    ir, red = samples(p, 20, 200_000)[-1]
    assert abs(red - 2 * ir) <= 2


def test_almost_full_interrupts_at_17_and_is_foretold():
    p = part()
    start(p, spo2=0x27)
    assert p.next_edge_us(0) == 170_000
    assert p.level(169_999) == 1
    assert p.level(170_000) == 0
    assert p.next_edge_us(170_000) is None  # low already
    assert get(p, m.STATUS1, 171_000) & m.A_FULL
    assert p.level(171_000) == 1
    samples(p, 17, 172_000)
    assert p.next_edge_us(172_000) == 340_000


def test_sample_ready_is_cleared_by_status_or_data():
    p = part()
    start(p, spo2=0x27, enable=0x40)
    assert p.next_edge_us(0) == 10_000 and p.level(10_000) == 0
    samples(p, 1, 10_500)
    assert p.level(10_500) == 1
    assert p.level(20_000) == 0
    assert get(p, m.STATUS1, 20_001) & m.PPG_RDY and p.level(20_002) == 1


def test_full_fifo_keeps_the_oldest_and_counts_the_lost():
    ramp = m.Max30102(lambda t_us, led: t_us / 1e4, noise_counts=0)
    start(ramp, spo2=0x27)
    t_us = 400_000
    assert ramp.read(m.FIFO_WR, 3, t_us) == bytes([0, 8, 0])
    first = samples(ramp, 1, t_us)[0]
    assert get(ramp, m.FIFO_OVF, t_us) == 0  # reset by the first sample taken
    assert first[0] < samples(ramp, 1, t_us)[0][0]
    assert get(ramp, m.FIFO_RD, t_us) == 2


def test_overflow_counter_saturates():
    p = part()
    start(p, spo2=0x27)
    assert get(p, m.FIFO_OVF, 10 * US) == 31


def test_rollover_keeps_the_newest():
    ramp = m.Max30102(lambda t_us, led: t_us / 1e4, noise_counts=0)
    start(ramp, spo2=0x27, fifo=0x1F)
    newest = samples(ramp, 32, 400_000)[-1][0]
    assert abs(newest - 40 * 10 * 262144 / 4096) <= 8 * 64


def test_rereading_by_setting_the_read_pointer_back():
    p = m.Max30102(lambda t_us, led: t_us / 1e4, noise_counts=0)
    start(p, spo2=0x27)
    first = samples(p, 3, 100_000)
    put(p, m.FIFO_RD, 0, 100_000)
    assert samples(p, 3, 100_000) == first


def test_light_settles_after_a_change():
    p = part()
    start(p, spo2=0x27)
    samples(p, 20, 200_000)
    put(p, m.LED1_PA, 100, 200_000)
    reds = [red for red, _ in samples(p, 10, 300_000)]
    assert 60_000 < reds[0] < 125_000 and abs(reds[-1] - 128_000) < 10


def test_die_temperature_takes_29_ms():
    p = part(die_c=25.4375)
    get(p, m.STATUS1)
    put(p, m.ENABLE2, m.TEMP_RDY)
    put(p, m.TEMP_EN, 1)
    assert p.next_edge_us(0) == 29_000
    assert get(p, m.TEMP_EN, 28_000) == 1 and get(p, m.TEMP_EN, 29_000) == 0
    assert p.level(29_000) == 0
    assert get(p, m.TEMP_INT, 29_100) == 25
    assert get(p, m.TEMP_FRAC, 29_100) == 7
    assert p.level(29_200) == 1  # cleared by reading the fraction


def test_shutdown_stops_and_keeps_settings():
    p = part()
    start(p, spo2=0x27)
    put(p, m.MODE, 0x83, 100_000)
    assert get(p, m.FIFO_WR, US) == 10
    assert get(p, m.SPO2, US) == 0x27 and p.level(US) == 1


def test_brown_out_loses_everything_and_says_so():
    p = part(brownouts_us=(500_000,))
    start(p, spo2=0x27)
    get(p, m.STATUS1, 400_000)
    samples(p, 32, 400_000)
    assert p.next_edge_us(400_000) == 500_000
    assert p.level(500_000) == 0
    assert get(p, m.STATUS1, 600_000) == m.PWR_RDY and get(p, m.MODE, 600_000) == 0


def test_ambient_light_beyond_cancellation():
    p = part(ambient_na=lambda t_us: np.where(t_us > 300_000, 1e6, 0))
    start(p, spo2=0x27, enable=0xA0)
    samples(p, 20, 200_000)
    assert not get(p, m.STATUS1, 250_000) & m.ALC_OVF
    assert get(p, m.STATUS1, 400_000) & m.ALC_OVF
    assert samples(p, 15, 400_000)[-1] == (262143, 262143)


def test_swapped_leds():
    p = part(swap_leds=True)
    start(p, spo2=0x27)
    red, ir = samples(p, 20, 200_000)[-1]
    assert abs(ir - 2 * red) <= 2


def test_bus_faults():
    bus = I2CBus({m.ADDRESS: part()}, (BusFault(100, 200), BusFault(300, 1 << 60, stuck=True)))
    assert bus.scan(0) == [0x57] and bus.scan(150) == [] and bus.scan(250) == [0x57]
    with pytest.raises(OSError) as nobody:
        bus.read(0x20, 0, 1, 0)
    assert nobody.value.errno == 19
    with pytest.raises(OSError) as stuck:
        bus.read(0x57, 0xFF, 1, 400)
    assert stuck.value.errno == 110
    bus.recover(400)
    assert bus.read(0x57, 0xFF, 1, 500) == b"\x15"
