"""WFDB records: names, headers, and what counts as a beat. Shared by the data sets and by host_tools.recordings."""

from __future__ import annotations

from pathlib import Path

import wfdb

from host_tools.errors import UserError

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")  # what EC57 counts as a beat


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
