"""MIT-BIH Arrhythmia Database: first channel, beats, and the stretches that EC57 leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb

from signal_models.datasets import wfdb_record
from signal_models.metrics.beats import heart_rate_series
from signal_models.recording import Recording

_SAMPLES, _FS = 650_000, 360  # of every record of this database


@dataclass(frozen=True)
class Annotations:
    """beats_s: times of all beats, symbols: one each. flutter_s: (start, end) of ventricular flutter.

    rhythm: (time in seconds, label such as "(N" or "(AFIB") at each change.
    """

    beats_s: np.ndarray
    symbols: list[str]
    flutter_s: list[tuple[float, float]]
    rhythm: list[tuple[float, str]]


def claims(path: Path) -> bool:
    """Is this a record of the database? All have 650,000 samples at 360 Hz, a three-digit name and an `.atr`."""
    name = wfdb_record.stem(path)
    if not (wfdb_record.claims(path) and name.name.isdigit() and name.with_suffix(".atr").is_file()):
        return False
    header = wfdb.rdheader(str(name))
    return header.sig_len == _SAMPLES and header.fs == _FS


def read_atr(path: Path) -> Annotations:
    """Read the `.atr` of a record."""
    note = wfdb.rdann(str(wfdb_record.stem(path)), "atr")
    times = note.sample / _FS
    symbols = note.symbol or []
    keep = [i for i, s in enumerate(symbols) if s in wfdb_record.BEAT_SYMBOLS]
    starts = [times[i] for i, s in enumerate(symbols) if s == "["]
    ends = [times[i] for i, s in enumerate(symbols) if s == "]"]
    if len(ends) < len(starts):
        ends.append(_SAMPLES / _FS)
    rhythm = [(float(times[i]), (note.aux_note or [])[i].strip("\0")) for i, s in enumerate(symbols) if s == "+"]
    return Annotations(times[keep], [symbols[i] for i in keep], list(zip(starts, ends, strict=True)), rhythm)


def load(path: Path) -> Recording:
    """First channel in mV (V5 in 102, 104 and 114, MLII elsewhere), beats and heart rate."""
    name = wfdb_record.stem(path)
    record = wfdb_record.read(name, channels=[0])
    beats_s = read_atr(path).beats_s
    assert record.p_signal is not None and record.sig_name
    return Recording(
        name.name,
        ecg=record.p_signal[:, 0],
        ecg_fs=float(_FS),
        beats_s=beats_s,
        truth={"heart_rate": heart_rate_series(beats_s)},
        meta={"data set": "mitdb", "signal": record.sig_name[0]},
    )
