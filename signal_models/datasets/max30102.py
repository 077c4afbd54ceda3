"""Raw MAX30102 captures on an ESP32 at 25 Hz: red and infrared counts, without a reference but the file's name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from signal_models.recording import Recording

FS_HZ = 25.0
_SETTLING = 3  # samples until the LED has settled
_NAME = re.compile(r"\d\d-\d\d-\d{4}_\d\d-\d\d")


def claims(path: Path) -> bool:
    """Is this a capture, `DD-MM-YYYY_HH-MM...`? One file of the set has no suffix."""
    return path.is_file() and bool(_NAME.match(path.name)) and path.name.endswith("csv")


def load(path: Path) -> Recording:
    """One capture: red, infrared. The words behind the date are kept as meta `label`."""
    rows = []
    for line in path.read_text(errors="replace").splitlines():
        cells = line.split(",")
        try:
            rows.append((float(cells[0]), float(cells[1])))
        except (ValueError, IndexError):
            continue  # a line cut by the serial port
    if len(rows) <= _SETTLING:
        raise UserError(f"`{path.name}` holds no samples", "rows are red,infrared,...")
    label = _NAME.sub("", path.name).removesuffix("csv").strip("._")
    return Recording(
        path.name.removesuffix("csv").strip("."),
        ppg=np.array(rows)[_SETTLING:],
        ppg_fs=FS_HZ,
        ppg_channels=("red", "ir"),
        meta={"data set": "max30102", "label": label},
    )
