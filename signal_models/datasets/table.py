"""A recording of one's own: csv with a header line, or npz.

csv: one row a sample, a column for each signal, and a first column `t_s` or `t_ms` (or a comment line `# fs=250`).
Columns: ecg_mv or ecg_uv; red, ir, green (counts); ax_g, ay_g, az_g; beat (1 at an R peak). npz: the same names
as arrays plus `fs` (or `ecg_fs`, `ppg_fs`, `accel_fs`), or the fields of a Recording (ecg in mV, ppg, accel, beats_s).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from signal_models.recording import Recording

_ECG = {"ecg": 1.0, "ecg_mv": 1.0, "ecg_uv": 1e-3}
_PPG = ("red", "ir", "green")
_ACCEL = ("ax_g", "ay_g", "az_g")
_KNOWN = (*_ECG, *_PPG, *_ACCEL)


def claims(path: Path) -> bool:
    """Is this a csv whose header names a signal, or an npz?"""
    if path.suffix == ".npz":
        return path.is_file()
    return path.suffix == ".csv" and path.is_file() and any(n in _KNOWN for n in _header(path)[0])


def load(path: Path) -> Recording:
    """Read it. Raises UserError when the rate cannot be told or no column is a signal."""
    return _load_npz(path) if path.suffix == ".npz" else _load_csv(path)


def save(recording: Recording, path: Path) -> None:
    """Write a recording as npz, which `load` reads back."""
    fields = {k: v for k, v in vars(recording).items() if isinstance(v, (np.ndarray, float, str)) and v is not None}
    fields["ppg_channels"] = np.array(recording.ppg_channels)
    for kind, (t_s, value) in recording.truth.items():
        fields[f"truth_{kind}"] = np.stack([t_s, value])
    np.savez_compressed(path, **fields)  # type: ignore[arg-type]  # a name may be anything but allow_pickle


def _header(path: Path) -> tuple[list[str], float | None, int]:
    """Column names in lower case, the rate of a `# fs=` line, and how many lines to skip."""
    fs = None
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        for skipped, line in enumerate(lines):
            if not line.startswith("#"):
                return [w.strip().strip('"').lower() for w in line.split(",")], fs, skipped + 1
            words = line.lstrip("# ").replace(" ", "").lower().split("=")
            if words[0] == "fs" and len(words) == 2:
                fs = float(words[1])
    return [], fs, 0


def _load_csv(path: Path) -> Recording:
    names, fs, skip = _header(path)
    rows = np.genfromtxt(path, delimiter=",", skip_header=skip, encoding="utf-8-sig", ndmin=2)
    if rows.shape[1] != len(names):
        raise UserError(f"`{path}` has {rows.shape[1]} columns and {len(names)} names in its header line")
    columns = {n: rows[:, i] for i, n in enumerate(names)}
    for name, scale in (("t_s", 1.0), ("t_ms", 1e-3)):
        if fs is None and name in columns and len(rows) > 1:
            fs = float((len(rows) - 1) / (columns[name][-1] - columns[name][0]) / scale)
    return _assemble(path.stem, columns, {"fs": fs})


def _load_npz(path: Path) -> Recording:
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    rates: dict[str, float | None] = {
        n: float(columns[n]) for n in ("fs", "ecg_fs", "ppg_fs", "accel_fs") if n in columns
    }
    return _assemble(path.stem, columns, rates)


def _assemble(name: str, columns: dict[str, np.ndarray], rates: dict[str, float | None]) -> Recording:
    def rate(kind: str) -> float:
        fs = rates.get(f"{kind}_fs") or rates.get("fs")
        if not fs or not 1 <= fs <= 10_000:
            raise UserError(
                f"the sample rate of `{name}` is {'missing' if not fs else f'{fs:g} Hz'}",
                "give a column t_s or t_ms, a line `# fs=250`, or an array `fs`",
            )
        return fs

    recording = Recording(name)
    for column, scale in _ECG.items():
        if column in columns:
            recording.ecg, recording.ecg_fs = np.ravel(columns[column]).astype(float) * scale, rate("ecg")
    present = tuple(c for c in _PPG if c in columns)
    if present:
        recording.ppg = np.stack([columns[c] for c in present], axis=1).astype(float)
        recording.ppg_channels, recording.ppg_fs = present, rate("ppg")
    elif "ppg" in columns:
        recording.ppg, recording.ppg_fs = np.atleast_2d(columns["ppg"].T).T.astype(float), rate("ppg")
        if "ppg_channels" in columns:
            recording.ppg_channels = tuple(str(c) for c in columns["ppg_channels"])
        recording.ppg_unit = str(columns.get("ppg_unit", "counts"))
    if all(c in columns for c in _ACCEL):
        recording.accel, recording.accel_fs = np.stack([columns[c] for c in _ACCEL], axis=1), rate("accel")
    elif "accel" in columns:
        recording.accel, recording.accel_fs = columns["accel"].astype(float), rate("accel")
    if recording.duration_s == 0:
        raise UserError(f"`{name}` holds no signal", f"name a column one of {', '.join(_KNOWN)}")
    if "beats_s" in columns:
        recording.beats_s = columns["beats_s"].astype(float)
    elif "beat" in columns and recording.ecg_fs:
        recording.beats_s = np.flatnonzero(columns["beat"] > 0) / recording.ecg_fs
    for key, value in columns.items():
        if key.startswith("truth_"):
            recording.truth[key.removeprefix("truth_")] = (value[0], value[1])
    return recording
