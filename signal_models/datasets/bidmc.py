"""BIDMC PPG and Respiration: PLETH as a relative pulse, ECG lead II, the monitor's numerics at 1 Hz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb

from host_tools.errors import UserError
from signal_models.datasets import wfdb_record
from signal_models.recording import Recording

_TRUTH = {"HR": "heart_rate", "PULSE": "pulse_rate", "SpO2": "spo2", "RESP": "resp_rate"}


def claims(path: Path) -> bool:
    """Is this a record of the set, `bidmcNN`, and not its numerics alone?"""
    name = wfdb_record.stem(path).name
    return name[:5] == "bidmc" and name[5:].isdigit() and wfdb_record.claims(path)


def load(path: Path) -> Recording:
    """One record. Signals are found by name: their order, gain and baseline differ from record to record.

    The pulse has no DC, so the column is named infrared only because that is the column of the pulse: there is no
    pair for SpO2. Numerics are NaN where the monitor had none. Raises UserError when PLETH is missing.
    """
    name = wfdb_record.stem(path)
    record = wfdb_record.read(name)
    signals = {s.strip(" ,"): i for i, s in enumerate(record.sig_name or [])}
    if "PLETH" not in signals or record.p_signal is None:
        raise UserError(f"record `{name.name}` has no PLETH signal", f"its signals are {', '.join(signals)}")
    truth = {}
    numerics = name.with_name(name.name + "n")
    if wfdb_record.claims(numerics):
        monitor = wfdb_record.read(numerics)
        values = np.asarray(monitor.p_signal)
        t_s = np.arange(len(values)) / float(monitor.fs or 1)
        for i, s in enumerate(monitor.sig_name or []):
            kind = _TRUTH.get(s.strip(" ,"))
            if kind:
                truth[kind] = (t_s, values[:, i])
    fs = float(record.fs or 0)
    return Recording(
        name.name,
        ecg=record.p_signal[:, signals["II"]] if "II" in signals else None,
        ecg_fs=fs if "II" in signals else None,
        ppg=record.p_signal[:, [signals["PLETH"]]],
        ppg_fs=fs,
        ppg_channels=("ir",),
        ppg_unit="relative",
        truth=truth,
        meta={"data set": "bidmc"},
    )


def breaths(path: Path) -> list[np.ndarray]:
    """Times of breaths in seconds as marked by each of the two annotators; an empty list without annotations."""
    name = wfdb_record.stem(path)
    if not name.with_name(name.name + ".breath").is_file():
        return []
    note = wfdb.rdann(str(name), "breath")
    by = np.array([a.strip("\0 ") for a in note.aux_note or []])
    return [note.sample[by == a] / 125.0 for a in sorted(set(by))]
