"""Values of the standard Bluetooth services, as the device sends them: integers in, bytes out, all little-endian.

Heart Rate (HRS 1.0), Pulse Oximeter (PLXS 1.0.1), Health Thermometer (HTS 1.0), Current Time (CTS 1.1) and the number
formats of IEEE 11073-20601. The host's decoder is host_tools/ble/gatt.py.
"""

import struct

from micropython import const

SFLOAT_NAN = const(0x07FF)
SFLOAT_NRES = const(0x0800)  # not at this resolution
SFLOAT_INF = const(0x07FE)
SFLOAT_NEG_INF = const(0x0802)
FLOAT_NAN = const(0x7FFFFF)
FLOAT_NRES = const(0x800000)

# Body location of the sensor (0x2A38).
OTHER = const(0)
CHEST = const(1)
WRIST = const(2)
FINGER = const(3)

# Measurement status of an oximeter, bits of a u16.
MEASURING = const(0x0020)
EARLY = const(0x0040)  # early estimate
VALIDATED = const(0x0080)
QUALIFIED = const(0x0100)  # fully qualified
STORED = const(0x0200)  # from measurement storage
UNAVAILABLE = const(0x2000)
QUESTIONABLE = const(0x4000)
INVALID = const(0x8000)

# Device and sensor status of an oximeter, bits of a u24.
IRREGULAR = const(0x0004)  # signal processing irregularity
INADEQUATE = const(0x0008)
POOR = const(0x0010)
LOW_PERFUSION = const(0x0020)
ERRATIC = const(0x0040)
NON_PULSATILE = const(0x0080)
ANALYSING = const(0x0200)
INTERFERENCE = const(0x0400)
UNCONNECTED = const(0x0800)  # to the user
DISPLACED = const(0x2000)
DISCONNECTED = const(0x8000)  # the sensor, from the device

_MAX_M = const(2045)  # of an SFLOAT's mantissa; those beyond are the specials
_MAX_M24 = const(8_388_605)  # of a FLOAT's
_MAX_RR = const(65_535)


def sfloat(mantissa, exp10: int) -> int:
    """Return mantissa * 10**exp10 as a 16-bit SFLOAT; None: NaN. Rounds half away from zero; too large: infinity."""
    return _short(mantissa, exp10, _MAX_M, 7, 12) if mantissa is not None else SFLOAT_NAN


def float32(mantissa, exp10: int) -> int:
    """Return mantissa * 10**exp10 as a 32-bit FLOAT; None: NaN. May exceed a small integer."""
    return _short(mantissa, exp10, _MAX_M24, 127, 24) if mantissa is not None else FLOAT_NAN


def _short(mantissa: int, exp10: int, most: int, top: int, bits: int) -> int:
    """Return exponent (-top-1..top) and mantissa (|m| <= most, `bits` wide) as one number."""
    size = abs(mantissa)
    drop = 0  # digits to drop, all at once: rounding digit by digit would round twice
    while (2 * size + 10**drop) // (2 * 10**drop) > most or exp10 + drop < -top - 1:
        drop += 1
    size = (2 * size + 10**drop) // (2 * 10**drop)
    exp10 += drop
    while size and exp10 > top and size * 10 <= most:
        size *= 10
        exp10 -= 1
    if not size:
        exp10 = 0
    elif exp10 > top:
        return most + 1 if mantissa > 0 else (1 << bits) - most - 1  # the infinities stand next to the last number
    return (exp10 & (2 * top + 1)) << bits | ((-size if mantissa < 0 else size) & ((1 << bits) - 1))


def heart_rate(bpm: int, contact=None, energy_kj=None, rr=()) -> bytes:
    """Return a Heart Rate Measurement (0x2A37).

    bpm: 0..65535. contact: whether the sensor is on skin; None: it cannot be told. energy_kj: 0..65535 or None.
    rr: intervals in 1/1024 s, oldest first, each at most 65535; 7 with energy, 9 without fit the smallest MTU.
    """
    flags = 0x01 if bpm > 255 else 0
    if contact is not None:
        flags |= 0x06 if contact else 0x04
    if energy_kj is not None:
        flags |= 0x08
    if rr:
        flags |= 0x10
    out = struct.pack("<BH" if bpm > 255 else "<BB", flags, bpm)
    if energy_kj is not None:
        out += struct.pack("<H", energy_kj)
    for interval in rr:
        out += struct.pack("<H", min(interval, _MAX_RR))
    return out


def _tail(status, device, pai) -> tuple:
    """Return the last three optional fields of both PLX measurements and which of them are there (3 bits)."""
    out = b""
    there = 0
    if status is not None:
        there |= 1
        out += struct.pack("<H", status)
    if device is not None:
        there |= 2
        out += struct.pack("<HB", device & 0xFFFF, device >> 16)
    if pai is not None:
        there |= 4
        out += struct.pack("<H", pai)
    return out, there


def plx_continuous(spo2: int, pulse: int, fast=None, slow=None, status=None, device=None, pai=None) -> bytes:
    """Return a PLX Continuous Measurement (0x2A5F).

    spo2, pulse: SFLOATs in percent and per minute. fast, slow: pairs of the same. status: u16. device: u24. pai:
    pulse amplitude index, SFLOAT in percent. None: the field is not there.
    """
    tail, there = _tail(status, device, pai)
    out = struct.pack("<BHH", there << 2 | (fast is not None) | (slow is not None) << 1, spo2, pulse)
    for pair in (fast, slow):
        if pair is not None:
            out += struct.pack("<HH", pair[0], pair[1])
    return out + tail


def plx_spot(spo2: int, pulse: int, at=None, status=None, device=None, pai=None, clock_unset=False) -> bytes:
    """Return a PLX Spot-Check Measurement (0x2A5E). at: 7 bytes as of date_time, or None; others as above."""
    tail, there = _tail(status, device, pai)
    flags = (at is not None) | there << 1 | (0x10 if clock_unset else 0)
    return struct.pack("<BHH", flags, spo2, pulse) + (at or b"") + tail


def plx_features(status=None, device=None, stores=False, stamps=False, fast=False, slow=False, pai=False, bonds=False):
    """Return PLX Features (0x2A60). status, device: which of their bits the device can set; None: the field is never
    sent. stores, stamps: of spot checks. bonds: several at a time."""
    flags = 0
    for i, has in enumerate((status is not None, device is not None, stores, stamps, fast, slow, pai, bonds)):
        flags |= (1 if has else 0) << i
    return struct.pack("<H", flags) + _tail(status, device, None)[0]


def temperature(value: int, fahrenheit=False, at=None, site=None) -> bytes:
    """Return a Temperature Measurement (0x2A1C). value: FLOAT. at: 7 bytes or None. site: 1..9 or None."""
    flags = (1 if fahrenheit else 0) | (at is not None) << 1 | (site is not None) << 2
    return bytes((flags,)) + struct.pack("<I", value) + (at or b"") + (b"" if site is None else bytes((site,)))


def date_time(year: int, month: int, day: int, hour: int, minute: int, second: int) -> bytes:
    """Return a Date Time, 7 bytes; year 0, month 0, day 0: not known."""
    return struct.pack("<HBBBBB", year, month, day, hour, minute, second)


def current_time(stamp: bytes, weekday: int, reason: int = 0) -> bytes:
    """Return a Current Time (0x2A2B). stamp: as of date_time. weekday: 1 Monday .. 7, 0 unknown. reason: bits."""
    return stamp + bytes((weekday, 0, reason))


def read_current_time(data) -> tuple:
    """Return (year, month, day, hour, minute, second) of a Current Time; ValueError where it is none."""
    if len(data) != 10:
        raise ValueError("current time: length")
    fields = struct.unpack("<HBBBBB", data[:7])
    year, month, day, hour, minute, second = fields
    if not (1970 <= year < 2100 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        raise ValueError("current time: range")
    return fields
