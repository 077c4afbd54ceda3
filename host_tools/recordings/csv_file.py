"""Recordings as text: a header line, one row a sample.

Columns are named with their units: `ecg_mv`, `ECG [mV]`, `red`, `ir`, `ax_g`. The rate comes from a column `t_s` or
`t_ms` (or `utc_ms`, `device_ms`), from a comment line `# fs=250`, or from the user. `beat` is 1 at an R peak; `mark`
holds an annotation's symbol. Comma, semicolon or tab. Written so that it reads back bit for bit:
`# gain ecg_mv=200.0/1024` keeps
the integers' scale and `# fs red_counts=100` the rate of a column that has not a sample in each row.
"""

from __future__ import annotations

import csv
import math
from datetime import datetime
from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from host_tools.recordings import roles
from host_tools.recordings.signals import Channel, Mark, Options, Signals

SUFFIXES = (".csv", ".tsv")
_LOST = "nan"


def claims(path: Path) -> bool:
    """Is this a text with columns?"""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(path: Path, options: Options) -> Signals:
    """Read it. Raises UserError when it has no header line, or its rate cannot be told."""
    notes, names, body = cells(path)
    split = [roles.split(name) for name in names]
    short = [name for name, _ in split]
    where = f"`{path.name}`"
    fs, own = _rates(notes)
    time_at = roles.chosen(short, "t", options, where)
    skip = {time_at, roles.chosen(short, "beat", options, where), roles.chosen(short, "mark", options, where)}
    index = np.arange(len(body))
    if options.fs is not None:
        fs = options.fs
    elif fs is None and not own and time_at is not None:
        unit = roles.time_unit(split[time_at][1], options)
        if unit not in roles.TO_S:
            found = f"has the unit `{unit}`" if unit else "has no unit"
            raise UserError(
                f"the time column `{names[time_at]}` of {where} {found}",
                "say --unit t=s (or ms, us), or name it t_s or t_ms, or give the rate: --fs 250",
            )
        fs, index = _regular(numbers(body, time_at) * roles.TO_S[unit], where)
    if fs is None and not own:
        raise UserError(
            f"the sample rate of {where} is missing; its columns are {', '.join(names)}",
            "say --fs 250, or name a time column t_s or t_ms (--column t=NAME --unit t=ms), or add a line `# fs=250`",
        )
    gains = _gains(notes)
    channels = []
    for i, (name, unit) in enumerate(split):
        if i in skip:
            continue
        values = numbers(body, i)
        if names[i] in own:  # has its own rate: its body stand where its samples are
            rate, values = own[names[i]], values[[bool(row[i].strip()) for row in body]]
        else:
            rate, values = fs, _placed(values, index)
        if rate is None or np.isnan(values).all():
            continue
        gain, baseline = gains.get(names[i], (None, 0))
        channels.append(Channel(name, unit, rate, values, gain, baseline))
    t_s = numbers(body, time_at) if own and time_at is not None else index / (fs or 1.0)
    start = notes.get("start")
    when = datetime.fromisoformat(start) if start else None
    marks = _marks(body, short, options, where, t_s)
    return Signals(path.stem, channels, marks, when, columns=short)


def write(file: Signals, path: Path) -> list[str]:
    """Write a file; returns what is lost."""
    rates = {c.fs for c in file.channels}
    heads = [_head(c) for c in file.channels]
    lines = ["# Vigil recording"]
    if file.start is not None:
        lines.append(f"# start={file.start.isoformat()}")
    if len(rates) == 1:
        lines.append(f"# fs={rates.copy().pop()!r}")
    else:
        lines += [f"# fs {head}={c.fs!r}" for head, c in zip(heads, file.channels, strict=True)]
    lines += [f"# gain {h}={c.gain!r}/{c.baseline:.17g}" for h, c in zip(heads, file.channels, strict=True) if c.gain]
    times = np.unique(np.concatenate([np.round(np.arange(len(c.values)) / c.fs, 9) for c in file.channels]))
    columns = []
    for c in file.channels:
        column = [""] * len(times)
        for at, v in zip(np.searchsorted(times, np.round(np.arange(len(c.values)) / c.fs, 9)), c.values, strict=True):
            column[at] = _LOST if math.isnan(v) else repr(float(v))
        columns.append(column)
    if file.marks:
        heads.append("mark")
        said = [""] * len(times)
        for mark in file.marks:
            at = min(int(np.abs(times - mark.t_s).argmin()), len(times) - 1)
            said[at] = f"{said[at]}; {mark.said}" if said[at] else mark.said
        columns.append(said)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write("\n".join(lines) + "\n")
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["t_s", *heads])
        table.writerows(zip((f"{t:.9g}" for t in times), *columns, strict=True))
    return ["reference rates and saturations"] if file.truth else []


def _head(channel: Channel) -> str:
    name = channel.name.replace(",", " ").strip()
    if not channel.unit:
        return name
    suffix = f"{name}_{channel.unit}"
    return suffix if roles.split(suffix) == (name, channel.unit) else f"{name} [{channel.unit}]"


def cells(path: Path) -> tuple[dict[str, str], list[str], list[list[str]]]:
    """Comment lines as `key=value`, column names, and rows of text."""
    notes: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        text = lines.read().splitlines()
    while text and (text[0].startswith("#") or not text[0].strip()):
        key, _, value = text.pop(0).lstrip("# ").partition("=")
        notes[key.strip()] = value.strip()
    if len(text) < 2:
        raise UserError(f"`{path.name}` holds no samples", "a header line with names, then one row a sample")
    delimiter = max(",;\t", key=text[0].count)
    rows = list(csv.reader(text, delimiter=delimiter, skipinitialspace=True))
    if delimiter == ";":  # where the comma is the decimal point
        rows = [rows[0], *[[cell.replace(",", ".") for cell in row] for row in rows[1:]]]
    names = [name.strip() for name in rows[0]]
    if all(_number(name) is not None for name in names):
        raise UserError(
            f"`{path.name}` has no header line: it begins with `{text[0][:40]}`",
            "put names with units into its first line, e.g. `t_s,ecg_mv`",
        )
    body = [row for row in rows[1:] if row]
    uneven = next((i for i, row in enumerate(body) if len(row) != len(names)), None)
    if uneven is not None:
        raise UserError(
            f"row {uneven + 2} of `{path.name}` has {len(body[uneven])} cells and its header line {len(names)} names",
            "is the file complete, and is the delimiter the same in each line?",
        )
    return notes, names, body


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def numbers(cells: list[list[str]], at: int) -> np.ndarray:
    """A column as numbers, NaN where a cell holds none."""
    found = (_number(row[at]) for row in cells)
    return np.array([math.nan if v is None else v for v in found])


def _rates(notes: dict[str, str]) -> tuple[float | None, dict[str, float]]:
    """The rate of the table, and of columns that have their own."""
    own = {key.removeprefix("fs "): _rate(value) for key, value in notes.items() if key.startswith("fs ")}
    fs = next((_rate(value) for key, value in notes.items() if key.lower() == "fs"), None)
    return fs, own


def _rate(text: str) -> float:
    rate = _number(text.lower().removesuffix("hz"))
    if rate is None or not 0 < rate <= 100_000:
        raise UserError(f"`# fs={text}` is not a sample rate", "e.g. `# fs=250`")
    return rate


def _gains(notes: dict[str, str]) -> dict[str, tuple[float, float]]:
    pairs = {k.removeprefix("gain "): v.partition("/") for k, v in notes.items() if k.startswith("gain ")}
    return {name: (float(gain), float(baseline or 0)) for name, (gain, _, baseline) in pairs.items()}


def _regular(t_s: np.ndarray, where: str) -> tuple[float, np.ndarray]:
    """Rate of a column of times, and the place of each row on its grid. Raises UserError when there is no grid."""
    steps = np.diff(t_s)
    if not np.isfinite(t_s).all() or len(steps) < 2 or (steps <= 0).any():
        bad = int(np.argmax(~(steps > 0))) + 2 if len(steps) else 1
        raise UserError(f"the times of {where} do not rise in row {bad}", "give the rate instead: --fs 250")
    mean_s = (t_s[-1] - t_s[0]) / len(steps)
    middle_s = float(np.median(steps))
    if steps.max() < 2.5 * mean_s:  # no gaps: the ends tell the rate best
        return _round(1 / mean_s, t_s), np.arange(len(t_s))
    index = np.rint((t_s - t_s[0]) / middle_s)
    for _ in range(3):  # times may be rounded to milliseconds
        slope_s = float(np.polyfit(index, t_s, 1)[0])
        index = np.rint((t_s - t_s[0]) / slope_s)
    if (np.diff(index) < 1).any():
        raise UserError(f"the times of {where} follow no rate: {1 / middle_s:.4g} Hz and others", "say it: --fs 250")
    return _round(1 / slope_s, t_s), index.astype(int)


def _round(fs: float, t_s: np.ndarray) -> float:
    """To the rate that was meant, within what the digits of the times leave open."""
    step_s = next((s for s in (1e-3, 1e-6) if np.allclose(t_s / s, np.rint(t_s / s), rtol=0, atol=1e-3)), 1e-9)
    blur = max(2 * step_s / float(t_s[-1] - t_s[0]), 1e-6)
    return next((float(r) for r in (round(fs), round(fs, 1), round(fs, 2)) if r and abs(fs / r - 1) < blur), fs)


def _placed(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values on their grid, NaN in gaps."""
    out = np.full(int(index[-1]) + 1, math.nan)
    out[index] = values
    return out


def _marks(cells: list[list[str]], names: list[str], options: Options, where: str, t_s: np.ndarray) -> list[Mark]:
    found = []
    beat = roles.chosen(names, "beat", options, where)
    if beat is not None:
        found += [Mark(float(t_s[i]), "N") for i in np.flatnonzero(np.nan_to_num(numbers(cells, beat)) > 0)]
    said = roles.chosen(names, "mark", options, where)
    if said is not None:
        rows = [(i, row[said].strip()) for i, row in enumerate(cells) if row[said].strip()]
        found += [Mark.of(float(t_s[i]), one) for i, cell in rows for one in cell.split("; ")]
    return sorted(found)
