"""The emulated LIS3DH against the facts of its datasheet (DocID17530 Rev 2), as a master on the bus sees them."""

import numpy as np
import pytest

from boards.virtual.bus import BusFault, I2CBus
from boards.virtual.devices import lis3dh as m

US = 1_000_000
STREAM = 0x80


def part(g=(0.0, 0.0, 1.0), **kwargs):
    return m.Lis3dh(np.tile(g, (3, 1)), 50.0, **{"noise_mg": 0.0, "fifo_bits": 12, **kwargs})


def put(p, register, value, t_us=0):
    p.write(register, bytes([value]), t_us)


def get(p, register, t_us=0):
    return p.read(register, 1, t_us)[0]


def words(raw):
    return np.frombuffer(raw, "<i2").reshape(-1, 3).tolist()


def start(p, *, fifo=STREAM | 4, ctrl3=0x04, ctrl4=0x88, ctrl1=0x47, t_us=0):
    for register, value in (
        (m.CTRL4, ctrl4),
        (m.CTRL3, ctrl3),
        (m.CTRL6, 0x02),
        (m.CTRL5, 0x40),
        (m.FIFO_CTRL, fifo),
        (m.CTRL1, ctrl1),
    ):
        put(p, register, value, t_us)


def test_reset_values():
    p = part()
    assert get(p, m.WHO_AM_I) == 0x33 and get(p, m.CTRL1) == 0x07 and get(p, m.CTRL0) == 0x10
    assert all(get(p, r) == 0 for r in range(m.CTRL2, m.STATUS + 1))
    assert p.level(US) == 1 and get(p, m.FIFO_SRC) & 0x1F == 0


def test_identity_and_sources_are_read_only():
    p = part()
    for register in (m.WHO_AM_I, m.STATUS, m.FIFO_SRC, 0x31):
        before = get(p, register)
        put(p, register, 0xAA)
        assert get(p, register) == before


def test_the_address_moves_on_with_its_top_bit_only():
    p = part()
    put(p, m.CTRL2, 0x11)
    assert p.read(m.CTRL1, 2, 0) == b"\x07\x07" and p.read(m.CTRL1 | 0x80, 2, 0) == b"\x07\x11"


# Low power, high resolution, range code: steps of 16-bit words that 1 g gives (sensitivity, table 4).
SCALES = [(0, 1, 0, 1000 << 4), (0, 1, 1, 500 << 4), (0, 1, 2, 250 << 4), (0, 1, 3, 83 << 4)]
SCALES += [(0, 0, 0, 250 << 6), (0, 0, 3, 21 << 6), (1, 0, 0, 63 << 8), (1, 0, 2, 16 << 8)]


@pytest.mark.parametrize("low,high,range_code,word", SCALES)
def test_sensitivity(low, high, range_code, word):
    p = part()
    start(p, ctrl4=0x80 | range_code << 4 | high << 3, ctrl1=0x47 | low << 3)
    p.read(m.OUT_X_L | 0x80, 6 * 8, 160_000 + 10)
    assert words(p.read(m.OUT_X_L | 0x80, 6, 180_010)) == [[0, 0, word]]


def test_full_scale_saturates():
    p = part((9.0, -9.0, 0.0))
    start(p, ctrl4=0xA8)
    assert words(p.read(m.OUT_X_L | 0x80, 48, 170_000))[7] == [2047 << 4, -(1 << 15), 0]


def test_high_resolution_settles_in_seven_samples():
    p = part()
    start(p)
    z = [w[2] for w in words(p.read(m.OUT_X_L | 0x80, 6 * 8, 161_000))]
    assert z[0] < z[5] < z[6] == z[7] == 1000 << 4


@pytest.mark.parametrize("code,rate", [(1, 1), (2, 10), (3, 25), (4, 50), (5, 100), (6, 200), (7, 400)])
@pytest.mark.parametrize("error", [0.0, 0.05])
def test_rate(code, rate, error):
    p = part(clock_error=error)
    start(p, ctrl1=code << 4 | 7)
    due_us = int(20 * US / rate / (1 + error))
    assert get(p, m.FIFO_SRC, due_us - 20) & 31 == 19 and get(p, m.FIFO_SRC, due_us + 20) & 31 == 20


def test_watermark_is_one_more_than_its_number_and_goes_when_read():
    p = part()
    start(p)
    assert p.next_edge_us(0) == 100_000  # the 5th sample
    assert p.level(99_999) == 1 and p.level(100_000) == 0 and p.next_edge_us(100_000) is None
    assert get(p, m.FIFO_SRC, 100_000) == m.WTM | 5
    p.read(m.OUT_X_L | 0x80, 6, 100_001)
    assert p.level(100_001) == 1 and p.next_edge_us(100_001) == 120_000


def test_stream_mode_keeps_the_newest_and_fifo_mode_the_oldest():
    ramp = np.arange(200)[:, None] * [0.01, 0, 0]
    for fifo, first in ((STREAM, 41), (0x40, 1)):
        p = m.Lis3dh(ramp, 50.0, noise_mg=0.0, fifo_bits=12)
        start(p, fifo=fifo, ctrl1=0x47, ctrl4=0x80)
        assert get(p, m.FIFO_SRC, 72 * 20_000) == m.WTM | m.OVRN | 31
        got = [w[0] / 16 for w in words(p.read(m.OUT_X_L | 0x80, 6 * 32, 72 * 20_000))]
        assert got[0] == pytest.approx(10 * first, abs=4) and got[31] - got[0] == pytest.approx(310, abs=4)
        assert get(p, m.FIFO_SRC, 72 * 20_000) == m.EMPTY


def test_bypass_empties_and_data_ready_overruns():
    p = part()
    start(p)
    get(p, m.FIFO_SRC, 90_000)
    put(p, m.FIFO_CTRL, 0, 90_000)
    assert get(p, m.FIFO_SRC, 90_000) == m.EMPTY
    assert get(p, m.STATUS, 110_000) == 0x0F and get(p, m.STATUS, 130_000) == 0xFF
    p.read(m.OUT_X_L | 0x80, 6, 130_000)
    assert get(p, m.STATUS, 130_000) == 0


def test_a_brown_out_forgets_all():
    p = part(brownouts_us=(500_000,))
    start(p)
    assert get(p, m.CTRL1, 499_000) == 0x47 and get(p, m.CTRL1, 500_000) == 0x07
    assert get(p, m.FIFO_SRC, US) == m.EMPTY and p.level(US) == 1


def test_users_see_ten_bits_through_the_fifo():
    p = part((0.003, 0.0, 0.997), fifo_bits=10)
    start(p)
    assert words(p.read(m.OUT_X_L | 0x80, 48, 170_000))[7] == [1 << 6, 0, 249 << 6]


def test_bus_faults():
    bus = I2CBus({m.ADDRESS: part()}, (BusFault(0, 100), BusFault(200, 300, stuck=True)))
    for t_us in (50, 250):
        with pytest.raises(OSError):
            bus.read(m.ADDRESS, m.WHO_AM_I, 1, t_us)
    bus.recover(260)
    assert bus.read(m.ADDRESS, m.WHO_AM_I, 1, 270) == b"\x33"
