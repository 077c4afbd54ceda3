"""PhysioNet/CinC Challenge 2017: a hand-held lead, and one rhythm label a record."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from signal_models.datasets import wfdb_record
from signal_models.recording import Recording

MEANING = {"N": "normal", "A": "atrial fibrillation", "O": "other rhythm", "~": "too noisy"}


@lru_cache
def labels(folder: Path) -> dict[str, str]:
    """Record name to N, A, O or ~, from REFERENCE.csv."""
    file = folder / "REFERENCE.csv"
    if not file.is_file():
        return {}
    with file.open(newline="") as lines:
        return {row[0]: row[1] for row in csv.reader(lines) if len(row) >= 2}


def claims(path: Path) -> bool:
    """Is this a record that the REFERENCE.csv beside it labels?"""
    return wfdb_record.claims(path) and wfdb_record.stem(path).name in labels(path.parent)


def load(path: Path) -> Recording:
    """The lead in mV; meta["rhythm"] is the label."""
    name = wfdb_record.stem(path)
    record = wfdb_record.read(name)
    assert record.p_signal is not None
    label = labels(path.parent)[name.name]
    meta = {"data set": "cinc2017", "rhythm": label, "meaning": MEANING.get(label, "")}
    return Recording(name.name, ecg=record.p_signal[:, 0], ecg_fs=float(record.fs or 0), meta=meta)
