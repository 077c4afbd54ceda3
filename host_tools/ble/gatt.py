"""Standard Bluetooth health values, decoded: what any monitor of these profiles sends, not ours alone.

Heart Rate (HRS 1.0), Pulse Oximeter (PLXS 1.0.1), Health Thermometer (HTS 1.0), Battery, Current Time. Every decoder
takes the whole value and raises ValueError where it is not one; what the profile reserves is ignored, as it asks.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

UUID_HEART_RATE = 0x2A37
UUID_BODY_LOCATION = 0x2A38
UUID_PLX_SPOT = 0x2A5E
UUID_PLX_CONTINUOUS = 0x2A5F
UUID_PLX_FEATURES = 0x2A60
UUID_TEMPERATURE = 0x2A1C
UUID_BATTERY = 0x2A19
UUID_CURRENT_TIME = 0x2A2B

LOCATIONS = ("other", "chest", "wrist", "finger", "hand", "ear lobe", "foot")
SITES = ("", "armpit", "body", "ear", "finger", "gastro-intestinal", "mouth", "rectum", "toe", "ear drum")
MEASUREMENT_STATUS = {
    5: "measurement ongoing",
    6: "early estimate",
    7: "validated",
    8: "fully qualified",
    9: "from storage",
    10: "demonstration",
    11: "testing",
    12: "calibrating",
    13: "unavailable",
    14: "questionable",
    15: "invalid",
}
DEVICE_STATUS = {
    0: "extended display update",
    1: "equipment malfunction",
    2: "signal processing irregularity",
    3: "inadequate signal",
    4: "poor signal",
    5: "low perfusion",
    6: "erratic signal",
    7: "non-pulsatile signal",
    8: "questionable pulse",
    9: "analysing",
    10: "interference",
    11: "not on the user",
    12: "unknown sensor",
    13: "sensor displaced",
    14: "sensor malfunction",
    15: "sensor disconnected",
}
_NAN, _INF = float("nan"), float("inf")
_SPECIAL_16 = {0x07FF: _NAN, 0x0800: _NAN, 0x0801: _NAN, 0x07FE: _INF, 0x0802: -_INF}
_SPECIAL_32 = {0x7FFFFF: _NAN, 0x800000: _NAN, 0x800001: _NAN, 0x7FFFFE: _INF, 0x800002: -_INF}


class Value:
    """What all decoded values share."""

    def as_json(self) -> dict:
        """For machines: only what is there, no NaN."""
        return {k: v for k, v in asdict(self).items() if v is not None and v == v}  # type: ignore[call-overload]


@dataclass(frozen=True)
class HeartRate(Value):
    """bpm as sent (0: none). contact: None where the sensor cannot tell. rr_s: seconds, oldest first."""

    bpm: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plx(Value):
    """One oximeter measurement; NaN: it cannot tell. fast, slow: (SpO2, pulse rate). pai_pct: pulse amplitude."""

    spo2_pct: float
    pulse_bpm: float
    fast: tuple[float, float] | None = None
    slow: tuple[float, float] | None = None
    at: datetime | None = None
    status: tuple[str, ...] | None = None
    device: tuple[str, ...] | None = None
    pai_pct: float | None = None
    clock_unset: bool = False

    def as_json(self) -> dict:
        """For machines."""
        return super().as_json() | ({"at": self.at.isoformat()} if self.at else {})


@dataclass(frozen=True)
class PlxFeatures(Value):
    """What an oximeter can say. status, device: names of the bits it may set, None: it never sends that field."""

    stores: bool
    stamps: bool
    fast: bool
    slow: bool
    pai: bool
    bonds: bool
    status: tuple[str, ...] | None
    device: tuple[str, ...] | None


@dataclass(frozen=True)
class Temperature(Value):
    """Degrees Celsius, whatever was sent; NaN: the device cannot tell."""

    celsius: float
    at: datetime | None = None
    site: str | None = None

    def as_json(self) -> dict:
        """For machines."""
        return super().as_json() | ({"at": self.at.isoformat()} if self.at else {})


class _Reader:
    """Takes fields from the front."""

    def __init__(self, data: bytes, what: str):
        self._data = bytes(data)
        self._what = what

    def take(self, form: str) -> Any:
        n = struct.calcsize("<" + form)
        if len(self._data) < n:
            raise ValueError(f"{self._what}: {n - len(self._data)} bytes are missing")
        values = struct.unpack("<" + form, self._data[:n])
        self._data = self._data[n:]
        return values[0] if len(values) == 1 else values

    def u24(self) -> int:
        low, high = self.take("HB")
        return low | high << 16

    def when(self) -> datetime | None:
        year, month, day, hour, minute, second = self.take("HBBBBB")
        if not (year and month and day):
            return None  # the profile lets a device not know
        return datetime(year, month, day, hour, minute, second)

    def rest(self) -> bytes:
        rest, self._data = self._data, b""
        return rest

    def end(self) -> None:
        if self._data:
            raise ValueError(f"{self._what}: {len(self._data)} bytes too many")


def sfloat(raw: int) -> float:
    """Number that a 16-bit SFLOAT means; NaN for NaN, "not at this resolution" and the reserved value."""
    if raw in _SPECIAL_16:
        return _SPECIAL_16[raw]
    mantissa, exponent = raw & 0xFFF, raw >> 12
    return float(f"{mantissa - ((mantissa & 0x800) << 1)}e{exponent - ((exponent & 8) << 1)}")


def float32(raw: int) -> float:
    """Number that a 32-bit FLOAT means."""
    if raw in _SPECIAL_32:
        return _SPECIAL_32[raw]
    mantissa, exponent = raw & 0xFFFFFF, raw >> 24
    return float(f"{mantissa - ((mantissa & 0x800000) << 1)}e{exponent - ((exponent & 0x80) << 1)}")


def heart_rate(data: bytes) -> HeartRate:
    """Heart Rate Measurement (0x2A37)."""
    read = _Reader(data, "heart rate measurement")
    flags = read.take("B")
    bpm = read.take("H" if flags & 1 else "B")
    contact = bool(flags & 2) if flags & 4 else None
    energy = read.take("H") if flags & 8 else None
    rest = read.rest() if flags & 16 else b""
    if len(rest) % 2:
        raise ValueError("heart rate measurement: half an RR interval")
    read.end()
    return HeartRate(bpm, contact, energy, tuple(rr / 1024 for (rr,) in struct.iter_unpack("<H", rest)))


def _bits(raw: int, names: dict[int, str]) -> tuple[str, ...]:
    return tuple(name for bit, name in names.items() if raw >> bit & 1)


def _tail(read: _Reader, there: int) -> dict:
    found: dict = {}
    if there & 1:
        found["status"] = _bits(read.take("H"), MEASUREMENT_STATUS)
    if there & 2:
        found["device"] = _bits(read.u24(), DEVICE_STATUS)
    if there & 4:
        found["pai_pct"] = sfloat(read.take("H"))
    return found


def plx_continuous(data: bytes) -> Plx:
    """PLX Continuous Measurement (0x2A5F)."""
    read = _Reader(data, "continuous oximeter measurement")
    flags, spo2, pulse = read.take("BHH")
    pairs = {}
    for bit, name in ((1, "fast"), (2, "slow")):
        if flags & bit:
            one, two = read.take("HH")
            pairs[name] = sfloat(one), sfloat(two)
    tail = _tail(read, flags >> 2)
    read.end()
    return Plx(sfloat(spo2), sfloat(pulse), **pairs, **tail)


def plx_spot(data: bytes) -> Plx:
    """PLX Spot-Check Measurement (0x2A5E)."""
    read = _Reader(data, "oximeter spot check")
    flags, spo2, pulse = read.take("BHH")
    at = read.when() if flags & 1 else None
    tail = _tail(read, flags >> 1)
    read.end()
    return Plx(sfloat(spo2), sfloat(pulse), at=at, clock_unset=bool(flags & 16), **tail)


def plx_features(data: bytes) -> PlxFeatures:
    """PLX Features (0x2A60)."""
    read = _Reader(data, "oximeter features")
    flags = read.take("H")
    tail = _tail(read, flags & 3)
    read.end()
    stores, stamps, fast, slow, pai, bonds = (bool(flags >> bit & 1) for bit in range(2, 8))
    return PlxFeatures(stores, stamps, fast, slow, pai, bonds, tail.get("status"), tail.get("device"))


def temperature(data: bytes) -> Temperature:
    """Temperature Measurement (0x2A1C)."""
    read = _Reader(data, "temperature measurement")
    flags, raw = read.take("BI")
    value = float32(raw)
    at = read.when() if flags & 2 else None
    site = read.take("B") if flags & 4 else None
    read.end()
    name = None if site is None else SITES[site] if 0 < site < len(SITES) else f"site {site}"
    return Temperature((value - 32) / 1.8 if flags & 1 else value, at, name)


def battery(data: bytes) -> int:
    """Battery Level (0x2A19) in percent."""
    if len(data) != 1 or data[0] > 100:
        raise ValueError("battery level: not a percentage")
    return data[0]


def body_location(data: bytes) -> str:
    """Body Sensor Location (0x2A38) as a word."""
    if len(data) != 1:
        raise ValueError("body location: length")
    return LOCATIONS[data[0]] if data[0] < len(LOCATIONS) else f"location {data[0]}"


def current_time(data: bytes) -> datetime | None:
    """Current Time (0x2A2B), local to the device; None: it does not know."""
    read = _Reader(data, "current time")
    at = read.when()
    read.take("BBB")
    read.end()
    return at


DECODERS = {
    UUID_HEART_RATE: heart_rate,
    UUID_BODY_LOCATION: body_location,
    UUID_PLX_SPOT: plx_spot,
    UUID_PLX_CONTINUOUS: plx_continuous,
    UUID_PLX_FEATURES: plx_features,
    UUID_TEMPERATURE: temperature,
    UUID_BATTERY: battery,
    UUID_CURRENT_TIME: current_time,
}
