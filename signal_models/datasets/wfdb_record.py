"""Any WFDB record with an ECG: the first signal that is one, and beat annotations when an `.atr` lies beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb

from host_tools.errors import UserError
from signal_models.recording import Recording

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")  # what EC57 counts as a beat
_ECG_NAMES = (
    "ECG",
    "MLI",
    "MLII",
    "MLIII",
    "I",
    "II",
    "III",
    "AVR",
    "AVL",
    "AVF",
    "V",
    "V1",
    "V2",
    "V3",
    "V4",
    "V5",
    "V6",
)
_MV = {"mV": 1.0, "uV": 1e-3, "V": 1e3}


def stem(path: Path) -> Path:
    """The record's name as wfdb wants it: without a suffix of the format."""
    return path.with_suffix("") if path.suffix in (".hea", ".dat", ".atr", ".mat") else path


def read(name: Path, **options) -> wfdb.Record:
    """The record called `name` (no suffix), a single segment. options: those of wfdb.rdrecord."""
    record = wfdb.rdrecord(str(name), **options)
    if not isinstance(record, wfdb.Record):
        raise UserError(f"record `{name.name}` has several segments", "give one of them")
    return record


def claims(path: Path) -> bool:
    """Is there a WFDB header for this path?"""
    return stem(path).with_name(stem(path).name + ".hea").is_file()


def load(path: Path) -> Recording:
    """The first ECG signal of the record in mV (NaN where samples are missing), and annotated beats.

    Raises UserError when no signal of the record is an ECG.
    """
    name = stem(path)
    record = read(name)
    names, units, signals = record.sig_name or [], record.units or [], record.p_signal
    if signals is None or not len(names):
        raise UserError(f"record `{name.name}` has no signals")
    for i in range(len(names)):
        if names[i].strip(" ,").upper() in _ECG_NAMES and units[i] in _MV:
            break
    else:
        raise UserError(f"record `{name.name}` has no ECG", f"its signals are {', '.join(names)}")
    meta = {"signal": names[i]}
    fs = float(record.fs or 0)
    beats_s = None
    if name.with_name(name.name + ".atr").is_file():
        note = wfdb.rdann(str(name), "atr")
        beats_s = np.array([s for s, c in zip(note.sample, note.symbol or [], strict=True) if c in BEAT_SYMBOLS]) / fs
    return Recording(name.name, ecg=signals[:, i] * _MV[units[i]], ecg_fs=fs, beats_s=beats_s, meta=meta)
