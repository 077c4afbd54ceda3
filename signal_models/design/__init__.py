"""Filter design: scipy designs, quantised here, written as the firmware's coefficient files.

`python -m signal_models.design` writes `firmware/vigil/dsp/coeffs/<name>.py` for every name in DESIGNS, and
`--check` fails when a file is not what its design makes. A design is a module `signal_models/design/<name>.py`
with a function `tables() -> list[Table]` and a docstring that says what was asked of the filters; add its name
to DESIGNS. The unquantised design stays available to signal_models/reference through functions of the module.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host_tools.paths import FIRMWARE

DESIGNS = ("ecg", "fft", "motion", "ppg", "resp", "waveform")
FOLDER = FIRMWARE / "vigil" / "dsp" / "coeffs"
COMMAND = "python -m signal_models.design"


@dataclass(frozen=True)
class Table:
    """One array of the firmware: its name (with the format as suffix), its integers and what they are.

    typecode: of the `array` on the device, "B" (uint8), "h" (int16) or "i" (int32).
    """

    name: str
    values: np.ndarray
    comment: str
    typecode: str = "h"


def quantise(taps: np.ndarray, shift: int, *, total: int | None = None) -> np.ndarray:
    """Round float taps to integers in units of 2**-shift.

    total: what the integers must add up to (the gain at DC, e.g. 0 for a band-pass, 1 << shift for a low-pass).
    What rounding leaves over goes, in mirrored pairs, to the taps that were rounded furthest the other way, and an
    odd one to the middle: a symmetric filter stays symmetric.
    """
    exact = np.asarray(taps, float) * (1 << shift)
    q = np.rint(exact).astype(np.int64)
    if total is not None:
        left = int(total - q.sum())
        step = 1 if left > 0 else -1
        half = len(q) // 2
        for i in np.argsort(-step * (exact - q)[:half])[: abs(left) // 2]:
            q[i] += step
            q[-1 - i] += step
        q[half] += total - q.sum()
    return q


def render(name: str) -> str:
    """Text of the coefficient file of design `name`."""
    tables = importlib.import_module(f"signal_models.design.{name}").tables()
    lines = [
        f'"""Made by `{COMMAND}` from signal_models/design/{name}.py; change it there."""',
        "",
        "from array import array",
    ]
    for table in tables:
        data = np.asarray(table.values).astype({"B": "u1", "h": "<i2", "i": "<i4"}[table.typecode])
        if not np.array_equal(data, table.values):
            raise ValueError(f"{table.name} does not fit its type {table.typecode!r}")
        lines += ["", f"# {table.comment}"]
        lines += [f"#   {row}" for row in _rows([str(v) for v in data])]
        # A bytes constant takes a third of the memory of a tuple of integers on the chip.
        lines += [f'{table.name} = array(\n    "{table.typecode}",']
        raw = data.tobytes()
        lines += ['    b"' + "".join(f"\\x{b:02x}" for b in raw[i : i + 24]) + '"' for i in range(0, len(raw), 24)]
        lines[-1] += ","
        lines += [")"]
    return "\n".join(lines) + "\n"


def _rows(words: list[str], width: int = 100) -> list[str]:
    rows = [""]
    for word in words:
        if len(rows[-1]) + len(word) > width:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    return rows


def write(folder: Path = FOLDER) -> list[Path]:
    """Write all coefficient files; returns those that changed."""
    changed = [folder / f"{name}.py" for name in stale(folder)]
    for path in changed:
        path.write_text(render(path.stem))
    return changed


def stale(folder: Path = FOLDER) -> list[str]:
    """Names of the designs whose file is missing or is not what the design makes."""
    files = {name: folder / f"{name}.py" for name in DESIGNS}
    return [name for name, file in files.items() if not file.exists() or file.read_text() != render(name)]
