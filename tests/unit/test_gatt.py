"""Bytes of the standard services, written from the specifications: field by field, in the order that they fix."""

from binascii import unhexlify

from vigil.wire import gatt

SFLOATS = (  # mantissa, exponent, SFLOAT (IEEE 11073-20601 annex F)
    (97, 0, 0x0061),
    (974, -1, 0xF3CE),
    (-1, 0, 0x0FFF),
    (0, 5, 0x0000),
    (2045, 0, 0x07FD),
    (2046, 0, 0x10CD),  # 205e1: what lies beyond are the specials
    (-2046, 0, 0x1F33),
    (20454, 0, 0x17FD),  # 2045e1: rounded once
    (20455, 0, 0x20CD),  # to 205e2
    (14449, -2, 0xF5A5),  # 144.5
    (1, 9, 0x7064),  # 100e7
    (204, 8, 0x77F8),  # 2040e7
    (300, 8, gatt.SFLOAT_INF),
    (-300, 8, gatt.SFLOAT_NEG_INF),
    (1, -9, 0x0000),
    (5, -9, 0x8001),
    (None, 0, gatt.SFLOAT_NAN),
)


def test_sfloat():
    for mantissa, exp10, raw in SFLOATS:
        assert gatt.sfloat(mantissa, exp10) == raw, (mantissa, exp10, hex(gatt.sfloat(mantissa, exp10)))


def test_float():
    assert gatt.float32(366, -1) == 0xFF00016E
    assert gatt.float32(-5, 0) == 0x00FFFFFB
    assert gatt.float32(8388605, 0) == 0x007FFFFD
    assert gatt.float32(8388606, 0) == 0x010CCCCD  # 838861e1
    assert gatt.float32(9, 200) == 0x007FFFFE
    assert gatt.float32(-9, 200) == 0x00800002
    assert gatt.float32(None, 0) == gatt.FLOAT_NAN


VECTORS = (
    (gatt.heart_rate(72), "0048"),
    (gatt.heart_rate(72, False), "0448"),
    (gatt.heart_rate(72, True), "0648"),
    (gatt.heart_rate(300, True, 1000, (1024, 853)), "1f2c01e80300045503"),
    (gatt.heart_rate(60, rr=(70000,)), "103cffff"),
    (gatt.plx_continuous(0xF3CE, 0x0048), "00cef34800"),
    (gatt.plx_continuous(0xF3CE, 0x0048, status=0x0120, device=0x012345, pai=0xF012), "1ccef34800200145230112f0"),
    (gatt.plx_continuous(97, 72, (96, 71), (98, 73)), "036100480060004700620049" + "00"),
    (gatt.plx_spot(97, 72), "0061004800"),
    (
        gatt.plx_spot(97, 72, gatt.date_time(2026, 2, 3, 4, 5, 6), 0x8000, 0x800000, 7, True),
        "1f61004800ea0702030405060080" + "0000800700",
    ),
    (gatt.plx_features(), "0000"),
    (gatt.plx_features(0x01E0, 0x00FFFE, True, True, False, False, True, True), "cf00e001feff00"),
    (gatt.temperature(0xFF00016E), "006e0100ff"),
    (gatt.temperature(0xFF00016E, True, gatt.date_time(2026, 2, 3, 4, 5, 6), 2), "076e0100ffea07020304050602"),
    (gatt.current_time(gatt.date_time(2026, 2, 3, 4, 5, 6), 2, 1), "ea070203040506020001"),
)


def test_vectors():
    for made, expected in VECTORS:
        assert made == unhexlify(expected), (made, expected)


def test_time_that_is_written():
    assert gatt.read_current_time(unhexlify("ea070203040506020001")) == (2026, 2, 3, 4, 5, 6)
    for bad in ("", "ea0702030405060200", "ea070d03040506020001", "ea070200040506020001", "ea070203180506020001"):
        try:
            gatt.read_current_time(unhexlify(bad))
        except ValueError:
            continue
        raise AssertionError(bad)
