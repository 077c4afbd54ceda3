"""What is known to be true of a recording, from a file of its own.

Beats: a WFDB annotation file (`name.atr`, `name.qrs`), EDF+ annotations, npz `beats_s`, or a csv with one row a beat: a
column `t_s` (or `t_ms`, or `sample`), and `symbol` where classes are known. Rates: a csv with a column of time and
`heart_rate`, `pulse_rate`, `spo2` or `resp_rate`, or npz `truth_KIND`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from host_tools.recordings import csv_file, edf_file, npz_file, roles, wfdb_file
from host_tools.recordings.signals import Mark, Options
from signal_models.datasets.wfdb_record import BEAT_SYMBOLS
from signal_models.recording import Recording

_KINDS = {
    "heart_rate": ("heart rate", "hr", "bpm", "heart rate bpm"),
    "pulse_rate": ("pulse rate", "pr", "pulse", "pulse rate bpm"),
    "spo2": ("spo2", "spo2 pct", "sao2"),
    "resp_rate": ("resp rate", "rr", "resp", "respiration rate", "respiration", "resp rate min"),
}
_SYMBOLS = ("symbol", "label", "type", "class")
_HINT = "beats: WFDB annotations, or a csv with a column t_s, t_ms or sample; rates: a csv with t_s and heart_rate"


def attach(recording: Recording, path: Path, options: Options | None = None) -> None:
    """Put what `path` holds into a recording, in the place of what it said itself. Raises UserError."""
    options = options or Options()  # of its time: other roles are those of the recording
    options = Options(options.fs, {}, {role: unit for role, unit in options.units.items() if role == "t"})
    if not path.is_file():
        raise UserError(f"there is no reference at `{path}`", _HINT)
    fs = recording.ecg_fs or recording.ppg_fs or 0.0
    if csv_file.claims(path):
        beats, truth = _of_table(path, options, fs)
    elif npz_file.claims(path):
        file = npz_file.read(path, Options(fs=options.fs or fs))
        beats, truth = file.marks, file.truth
    elif edf_file.claims(path):
        beats, truth = edf_file.read(path, Options()).marks, {}
    else:
        beats, truth = _of_annotations(path, fs), {}
    known = [mark for mark in beats if mark.symbol in BEAT_SYMBOLS]
    if not known and not truth:
        raise UserError(f"`{path.name}` tells neither beats nor rates", _HINT)
    if known:
        recording.beats_s = np.array([mark.t_s for mark in known])
        recording.beat_labels = [mark.symbol for mark in known]
        recording.truth.pop("heart_rate", None)
    recording.truth |= truth
    late_s = recording.beats_s[-1] if known and recording.beats_s is not None else 0.0
    if late_s > 1.5 * recording.duration_s + 10:
        raise UserError(
            f"the last beat of `{path.name}` is at {late_s:.0f} s, the recording ends at {recording.duration_s:.0f} s",
            "is its rate or its unit of time another? name the column t_s, t_ms or sample, or say --unit t=ms",
        )


def _of_annotations(path: Path, fs: float) -> list[Mark]:
    try:
        return wfdb_file.marks_of(path, fs)
    except UserError:
        raise
    except Exception as e:  # wfdb raises anything on a file that is none
        if _is_text(path):
            hint = "a csv of beats begins with a line `t_s` (or t_ms, or sample) and is named .csv"
            raise UserError(f"`{path.name}` is text, and its name does not say how to read it", hint) from None
        raise UserError(f"`{path.name}` is not a reference: {e or type(e).__name__}", _HINT) from e


def _is_text(path: Path) -> bool:
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in path.read_bytes()[:1000])


def _of_table(path: Path, options: Options, fs: float) -> tuple[list[Mark], dict]:
    _, heads, cells = csv_file.cells(path)
    split = [roles.split(name) for name in heads]
    names = [roles.plain_name(name) for name, _ in split]
    time_at = roles.chosen([name for name, _ in split], "t", options, f"`{path.name}`")
    if time_at is not None:
        unit = roles.time_unit(split[time_at][1], options)
        if unit not in roles.TO_S:
            raise UserError(
                f"the time column `{heads[time_at]}` of `{path.name}` has no unit",
                "say --unit t=s (or ms, us), or name it t_s or t_ms",
            )
        t_s = csv_file.numbers(cells, time_at) * roles.TO_S[unit]
    elif "sample" in names and fs:
        t_s = csv_file.numbers(cells, names.index("sample")) / fs
    else:
        raise UserError(f"`{path.name}` has no column of time; its columns are {', '.join(heads)}", _HINT)
    full = [roles.plain_name(name) for name in heads]
    truth = {
        kind: (t_s, csv_file.numbers(cells, i))
        for kind, known in _KINDS.items()
        for i in range(len(heads))
        if names[i] in known or full[i] in known
    }
    if truth:
        return [], truth
    symbol = next((names.index(s) for s in _SYMBOLS if s in names), None)
    symbols = ["N" if symbol is None else row[symbol].strip() for row in cells]
    return [Mark(float(t), s) for t, s in zip(t_s, symbols, strict=True) if np.isfinite(t)], {}
