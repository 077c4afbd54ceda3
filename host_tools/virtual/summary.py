"""What a run was worth: counts of envelopes, errors against the reference, coverage. Pure: rows in, numbers out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from host_tools.vocabulary import kind_name, value
from signal_models.recording import Recording
from vigil.core import records

_SENSORS = (
    ("ECG front end", lambda recording: recording.ecg, records.HEART_RATE),
    ("pulse oximeter", lambda recording: recording.ppg, records.PULSE_RATE),
)


def errors(rows: Iterable[Any], recording: Recording) -> dict[str, list[float]]:
    """Kind to the errors of its readings that were shown, where the reference knows the truth.

    rows: readings as stored (kind, t_start_ms, t_end_ms, mantissa, exp10, absent_reason), device time 0 = start of
    the recording. The truth of a reading is the mean of the reference over the reading's own window.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.absent_reason != records.PRESENT or row.mantissa is None:
            continue
        kind = kind_name(row.kind)
        truth = recording.truth_mean(kind, row.t_start_ms / 1000, row.t_end_ms / 1000)
        if math.isfinite(truth):
            found[kind].append(value(row.mantissa, row.exp10) - truth)  # type: ignore[operator]
    return found


def coverage_pct(rows: Iterable[Any]) -> dict[str, float]:
    """Kind to the percentage of its readings that were shown rather than withheld."""
    shown: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for row in rows:
        kind = kind_name(row.kind)
        total[kind] += 1
        shown[kind] += row.absent_reason == records.PRESENT
    return {kind: round(100 * shown[kind] / total[kind], 1) for kind in total}


def missing_sensors(rows: Iterable[Any], recording: Recording) -> list[str]:
    """Sensors that never answered although there was something to measure."""
    rows = list(rows)
    missing = []
    for name, signal, kind in _SENSORS:
        reasons = {row.absent_reason for row in rows if row.kind == kind}
        if signal(recording) is not None and reasons == {records.NO_SENSOR}:
            missing.append(name)
    return missing


def mean_absolute(values: list[float]) -> float | None:
    """Mean absolute error, None of nothing."""
    return round(sum(map(abs, values)) / len(values), 3) if values else None


def root_mean_square(values: list[float]) -> float | None:
    """Arms of ISO 80601-2-61: the root mean square of the errors, None of nothing."""
    return round(math.sqrt(sum(v * v for v in values) / len(values)), 3) if values else None


def summarise(
    rows: list[Any], recording: Recording, counts: Mapping[str, int], end_report: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """The summary line of a run.

    counts: verified, duplicates, rejected from the store. end_report: what the device said at its end (sealed,
    pending, heap figures). SpO2 is judged only where the recording has two wavelengths as raw counts.
    """
    error = errors(rows, recording)
    two_colours = recording.ppg_unit == "counts" and {"red", "ir"} <= set(recording.ppg_channels)
    sealed = int(end_report["sealed"])
    return {
        "sealed": sealed,
        "verified": counts["verified"],
        "rejected": counts["rejected"],
        "duplicates": counts["duplicates"],
        "lost": sealed - counts["verified"],
        "heart_rate_mae_bpm": mean_absolute(error["heart_rate"]),
        "pulse_rate_mae_bpm": mean_absolute(error["pulse_rate"]),
        "spo2_arms_pct": root_mean_square(error["spo2"]) if two_colours else None,
        "readings": len(rows),
        "coverage_pct": coverage_pct(rows),
        "missing_sensors": missing_sensors(rows, recording),
        "recording": recording.name,
        "device": {name: figure for name, figure in end_report.items() if name != "sealed"},
        **more,
    }
