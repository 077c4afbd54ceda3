"""WEDA-FALL: wrist acceleration of falls and daily activities."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from signal_models.recording import Recording

FS_HZ = 50.0
_G = 9.80665
_NAME = re.compile(r"U\d+_R\d+_accel$")


def claims(path: Path) -> bool:
    """Is this an accelerometer file, `D01/U01_R01_accel.csv`?"""
    return path.is_file() and path.suffix == ".csv" and bool(_NAME.match(path.stem))


def load(path: Path) -> Recording:
    """One trial in g at 50 Hz. Time stamps come in bursts: the rows are taken as evenly spaced over their span.

    meta: `activity` (D01..D11, F01..F08); for a fall, `fall_start_s` and `fall_end_s` where they are listed.
    """
    table = np.genfromtxt(path, delimiter=",", skip_header=1, encoding="utf-8-sig")
    meta = {"data set": "weda-fall", "activity": path.parent.name}
    listed = path.parent.parent / "fall_timestamps.csv"
    if listed.is_file():
        key = f"{path.parent.name}/{path.stem.removesuffix('_accel')}"
        with listed.open(encoding="utf-8-sig") as f:
            for row in csv.DictReader(f):
                if row["filename"] == key:
                    meta |= {"fall_start_s": row["start_time"], "fall_end_s": row["end_time"]}
    span_s = table[-1, 0] - table[0, 0]
    fs = (len(table) - 1) / span_s if span_s > 0 else FS_HZ
    return Recording(f"{path.parent.name}-{path.stem}", accel=table[:, 1:4] / _G, accel_fs=fs, meta=meta)
