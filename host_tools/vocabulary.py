"""What the numbers of a reading are called, for people."""

from __future__ import annotations

from decimal import Decimal

from vigil.core import records

KIND_NAMES = {
    records.HEART_RATE: "heart_rate",
    records.PULSE_RATE: "pulse_rate",
    records.SPO2: "spo2",
    records.PERFUSION_INDEX: "perfusion_index",
    records.RESP_RATE: "resp_rate",
    records.RHYTHM: "rhythm",
    records.CONTACT: "contact",
    records.MOTION: "motion",
    records.FALL: "fall",
    records.HRV_SDNN: "hrv_sdnn",
    records.HRV_RMSSD: "hrv_rmssd",
    records.HRV_PNN50: "hrv_pnn50",
    records.VENTRICULAR_RATE: "ventricular_rate",
    records.PULSE: "pulse",
    records.PULSE_DEFICIT: "pulse_deficit",
}
UNIT_NAMES = {
    records.DIMLESS: "",
    records.PERCENT: "%",
    records.BEAT_PER_MIN: "/min",
    records.RESP_PER_MIN: "/min",
    records.MILLI_SEC: "ms",
}
CONTACT_NAMES = ("unknown", "off", "on", "not skin", "loose")  # by the value of a contact reading
RHYTHM_NAMES = ("unknown", "sinus", "possible AF", "other irregular", "pause", "bradycardia", "tachycardia")


def kind_name(kind: int) -> str:
    """Name of a kind of reading; its code where this version does not know it."""
    return KIND_NAMES.get(kind, f"kind {kind}")


def absent_name(reason: int) -> str:
    """Why a reading is withheld, "" when it is not."""
    names = records.ABSENT_NAMES
    return names[reason] if 0 <= reason < len(names) else f"reason {reason}"


def value(mantissa: int | None, exp10: int | None) -> float | None:
    """mantissa * 10**exp10 as the nearest float (72.1, not 72.10000000000001); None where there is no mantissa."""
    return None if mantissa is None else float(Decimal(mantissa).scaleb(exp10 or 0))


def shown_value(kind: int, mantissa: int | None, exp10: int | None, unit: int | None) -> str:
    """A value as a person reads it, with as many decimals as the device sent; "" where there is none."""
    number = value(mantissa, exp10)
    if number is None:
        return ""
    if kind == records.CONTACT and 0 <= number < len(CONTACT_NAMES):
        return CONTACT_NAMES[int(number)]
    if kind == records.RHYTHM and 0 <= number < len(RHYTHM_NAMES):
        return RHYTHM_NAMES[int(number)]
    return f"{number:.{max(0, -(exp10 or 0))}f} {UNIT_NAMES.get(unit or 0, '')}".strip()
