"""OxiWear: raw red and infrared counts of a MAXM86161 during induced hypoxia, one subject, captures of seconds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from signal_models.recording import Recording

FS_HZ = 64.0
_SETTLING = 16  # samples until the LEDs and the FIFO's first bursts have settled
_NAME = re.compile(r"\d{4}-(\d{2,3})-(\d{2,3})-?_*$")
_HEADER = "timestamp,"


def claims(path: Path) -> bool:
    """Is this a capture, `HHMM-SpO2-HR.csv`?"""
    if not (path.is_file() and path.suffix == ".csv" and _NAME.match(path.stem)):
        return False
    with path.open() as f:
        return f.readline().startswith("MAXM86161")


def load(path: Path) -> Recording:
    """One capture: columns red (LEDC2) and infrared (LEDC1); the first 16 samples are dropped.

    SpO2 and heart rate of the reference stand in the file's name and hold for the whole capture.
    """
    name = _NAME.match(path.stem)
    lines = path.read_text(errors="replace").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(_HEADER)), None)
    if name is None or start is None:
        raise UserError(f"`{path.name}` is not an OxiWear capture", "no line begins with `timestamp,`")
    column = {c: i for i, c in enumerate(lines[start].split(","))}
    rows = [line.split(",") for line in lines[start + 1 :]]
    wanted = [column["LEDC2"], column["LEDC1"]]
    values = [[row[i] for i in wanted] for row in rows if len(row) > max(wanted) and all(row[i] for i in wanted)]
    ppg = np.array(values, float).reshape(-1, 2)[_SETTLING:]
    t_s = np.arange(0, len(ppg) / FS_HZ, 0.5)
    return Recording(
        path.stem,
        ppg=ppg,
        ppg_fs=FS_HZ,
        ppg_channels=("red", "ir"),
        truth={
            "spo2": (t_s, np.full(len(t_s), float(name[1]))),
            "pulse_rate": (t_s, np.full(len(t_s), float(name[2]))),
        },
        meta={"data set": "oxiwear"},
    )
