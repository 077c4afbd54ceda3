"""Recordings as numpy arrays: a signal `NAME` with `NAME_fs` (Hz), and `NAME_unit`, `NAME_gain`, `NAME_baseline`.

`fs` is the rate of all that have none. Without a unit `ecg` is mV, and `accel` (n, 3) is g; `ppg` (n, k) has its
columns named in `ppg_channels` and `ppg_unit` counts or relative. `beats_s` are R peaks, or `marks_s` with `marks`;
`truth_KIND` is (2, n).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from host_tools.recordings import roles
from host_tools.recordings.signals import Channel, Mark, Options, Signals
from signal_models.recording import Recording

SUFFIXES = (".npz",)
_GROUPS = {"ppg": "ppg", "accel": "accel"}  # two-dimensional fields of a Recording
_ABOUT = ("_fs", "_unit", "_gain", "_baseline", "_channels")
_MARKS = ("beats_s", "marks_s", "marks", "beat", "start", "name", "fs")


def claims(path: Path) -> bool:
    """Is this an npz file?"""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(path: Path, options: Options) -> Signals:
    """Read it. Raises UserError when a rate is missing."""
    with np.load(path, allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}

    def rate(*names: str) -> float:
        for name in (*(f"{n}_fs" for n in names), "fs"):
            if name in held:
                fs = float(held[name])
                if not 0 < fs <= 100_000:
                    raise UserError(f"the sample rate of `{path.name}` is {fs:g} Hz", f"mend its array `{name}`")
                return fs
        if options.fs is not None:
            return options.fs
        raise UserError(
            f"the sample rate of `{names[0]}` in `{path.name}` is missing; its arrays are {', '.join(held)}",
            f"say --fs 250, or store an array `{names[0]}_fs` or `fs`",
        )

    channels = []
    for key, value in held.items():
        if key in _MARKS or key.startswith("truth_") or any(key.endswith(end) for end in _ABOUT):
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or not array.ndim:
            continue
        if key in _GROUPS:
            table = np.atleast_2d(array.T).T.astype(float)
            names = [str(n) for n in held.get("ppg_channels", ())] if key == "ppg" else ["ax", "ay", "az"]
            names = names or ["red", "ir", "green"][: table.shape[1]]
            if len(names) != table.shape[1]:
                raise UserError(f"`{key}` of `{path.name}` has {table.shape[1]} columns", f"named: {', '.join(names)}")
            unit = str(held.get(f"{key}_unit", "counts" if key == "ppg" else "g"))
            channels += [Channel(n, unit, rate(key), table[:, i]) for i, n in enumerate(names)]
            continue
        name, unit = roles.split(key)
        gain = float(held[f"{key}_gain"]) if f"{key}_gain" in held else None
        unit = str(held.get(f"{key}_unit", unit or ("mV" if key == "ecg" else "")))
        kind = {"ecg": "ecg", "red": "ppg", "ir": "ppg", "green": "ppg"}.get(name, "accel")
        fs = rate(key, kind) if roles.role_of(name) in roles.SIGNALS or f"{key}_fs" in held else None
        if fs is None and "fs" not in held and options.fs is None:
            continue  # some array of the user's own
        flat = array.ravel().astype(float)
        channels.append(Channel(name, unit, fs or rate(key), flat, gain, float(held.get(f"{key}_baseline", 0))))
    truth = {k.removeprefix("truth_"): (v[0], v[1]) for k, v in held.items() if k.startswith("truth_")}
    start = str(held["start"]) if "start" in held else ""
    return Signals(path.stem, channels, _marks(held, channels), datetime.fromisoformat(start) if start else None, truth)


def write(file: Signals, path: Path) -> list[str]:
    """Write a file; nothing is lost."""
    held: dict[str, np.ndarray] = {}
    for c in file.channels:
        held |= {c.name: c.values, f"{c.name}_fs": np.array(c.fs), f"{c.name}_unit": np.array(c.unit)}
        if c.gain is not None:
            held |= {f"{c.name}_gain": np.array(c.gain), f"{c.name}_baseline": np.array(c.baseline)}
    if file.marks:
        held["marks_s"] = np.array([m.t_s for m in file.marks])
        held["marks"] = np.array([m.said for m in file.marks])
    if file.start is not None:
        held["start"] = np.array(file.start.isoformat())
    held |= {f"truth_{kind}": np.stack(pair) for kind, pair in file.truth.items()}
    with path.open("wb") as out:
        np.savez_compressed(out, **held)  # type: ignore[arg-type]  # a name may be anything but allow_pickle
    return []


def save(recording: Recording, path: Path) -> None:
    """Write a Recording, which reads back as it was."""
    fields = {k: v for k, v in vars(recording).items() if isinstance(v, (np.ndarray, float, str)) and k != "name"}
    fields["ppg_channels"] = np.array(recording.ppg_channels)
    for kind, (t_s, value) in recording.truth.items():
        fields[f"truth_{kind}"] = np.stack([t_s, value])
    np.savez_compressed(path, **fields)  # type: ignore[arg-type]


def _marks(held: dict[str, np.ndarray], channels: list[Channel]) -> list[Mark]:
    if "marks_s" in held and "marks" in held:
        return [Mark.of(float(t), str(s)) for t, s in zip(held["marks_s"], held["marks"], strict=True)]
    if "beats_s" in held:
        return [Mark(float(t), "N") for t in np.ravel(held["beats_s"])]
    if "beat" in held and channels:
        return [Mark(float(i) / channels[0].fs, "N") for i in np.flatnonzero(np.ravel(held["beat"]) > 0)]
    return []
