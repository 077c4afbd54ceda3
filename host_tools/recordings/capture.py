"""`vigil record`: raw samples and derived readings of a board, as WFDB and csv.

From a board on a port: the firmware's own sources and channels run there and print what they see (on_device.py);
nothing is written to the board. From the gateway: what devices have sent of ECG and light around events, or by order
(`vigil waveform start`), with the readings of the same time. Files of one capture `NAME`: `NAME-ecg`, `NAME-ppg`,
`NAME-acc` (.hea with .dat, and .csv), and `NAME-readings.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from host_tools import recordings
from host_tools.bringup.on_board import OnBoard, without_docstrings
from host_tools.errors import UserError
from host_tools.ingest import strips
from host_tools.ingest.store import Store
from host_tools.recordings.signals import Channel, Mark, Signals
from host_tools.vocabulary import UNIT_NAMES, absent_name, kind_name, value
from vigil.core import records

_PROGRAM = Path(__file__).with_name("on_device.py")
_COLUMNS = {  # of a source: (name, unit, counts a unit), by column
    records.ECG: {0: ("ECG", "mV", 1000.0)},
    records.PPG: {records.RED: ("RED", "counts", 1.0), records.IR: ("IR", "counts", 1.0),
                  records.GREEN: ("GREEN", "counts", 1.0)},
    records.ACC: {i: (name, "g", 1000.0) for i, name in enumerate(("AX", "AY", "AZ"))},
}  # fmt: skip
_NAMES = {records.ECG: "ecg", records.PPG: "ppg", records.ACC: "acc"}
_SYMBOLS = {0: "N", records.BEAT_VENTRICULAR: "V"}
_HEAD = ("t_start_s", "t_end_s", "kind", "value", "unit", "quality_pct", "withheld")


@dataclass
class Capture:
    """What was seen. signals: by source name. readings: rows of _HEAD. lost: samples, by source name."""

    signals: dict[str, Signals] = field(default_factory=dict)
    readings: list[tuple] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)


@dataclass
class _Block:
    t0_ms: int
    period_us: int
    gap: bool
    data: np.ndarray  # (n, columns)


def from_board(port: str, seconds: int, on_line: Callable[[str], None] | None = None) -> Capture:
    """Record at a port. Raises UserError when there is no board with the firmware, or it delivers nothing."""
    with OnBoard(port) as board:
        if board.said["board"] is None:
            raise UserError(
                f"there is no working firmware on {port}" + (f": {board.said['wrong']}" if board.said["wrong"] else ""),
                "vigil flash --board BOARD --firmware MICROPYTHON.bin, and vigil doctor --port PORT",
            )
        board.run(without_docstrings(_PROGRAM.read_text()))
        said = board.run(f"asyncio.run(record({int(seconds)}))", timeout_s=30, on_line=on_line)
    return of_lines(said.splitlines(), datetime.now(UTC).replace(tzinfo=None, microsecond=0))


def of_lines(lines: Iterable[str], start: datetime | None = None) -> Capture:
    """A capture from what on_device.py prints. Lines that a cable has spoilt are left out and are gaps."""
    blocks: dict[int, list[_Block]] = {}
    columns: dict[int, tuple[int, ...]] = {}
    marks: dict[int, list[tuple[int, int]]] = {}
    capture = Capture()
    for line in lines:
        tag, *words = line.split() or [""]
        try:
            if tag == "S":
                source, period_us, t0_ms, flags = map(int, words[:4])
                names = tuple(int(c) for c in words[4].split(","))
                data = np.frombuffer(bytes.fromhex(words[6]), "<i4" if source == records.PPG else "<i2")
                if len(data) != int(words[5]) * len(names) or columns.setdefault(source, names) != names:
                    continue
                lost = bool(flags & records.GAP)
                blocks.setdefault(source, []).append(_Block(t0_ms, period_us, lost, data.reshape(-1, len(names))))
            elif tag == "B":
                source, t_ms, _, flags = map(int, words)
                marks.setdefault(source, []).append((t_ms, flags))
            elif tag == "R":
                kind, mantissa, exp10, unit, quality, t_start, t_end, absent = words
                number = None if mantissa == "-" else value(int(mantissa), int(exp10))
                said = (
                    kind_name(int(kind)),
                    number,
                    UNIT_NAMES.get(int(unit), ""),
                    int(quality),
                    absent_name(int(absent)),
                )
                capture.readings.append((int(t_start) / 1000, int(t_end) / 1000, *said))
        except (ValueError, IndexError):
            continue
    if not blocks:
        raise UserError("the board has delivered no samples", "vigil doctor --port PORT says which sensor is silent")
    first_ms = min(b[0].t0_ms for b in blocks.values())
    for source, found in blocks.items():
        name = _NAMES.get(source, str(source))
        signals, capture.lost[name] = _joined(source, columns[source], found, start)
        began_ms = found[0].t0_ms
        signals.marks = sorted(
            Mark((t_ms - began_ms) / 1000, _SYMBOLS.get(flags, "Q"))
            for t_ms, flags in marks.get(source, [])
            if t_ms >= began_ms
        )
        capture.signals[name] = signals
    capture.readings = [(round(a - first_ms / 1000, 3), round(b - first_ms / 1000, 3), *rest)
                        for a, b, *rest in capture.readings]  # fmt: skip
    return capture


def _joined(source: int, columns: tuple[int, ...], blocks: list[_Block], start: datetime | None) -> tuple[Signals, int]:
    """Blocks on one grid, NaN where samples were lost."""
    fs = 1e6 / float(np.median([b.period_us for b in blocks]))
    placed, at, lost = [], 0, 0
    for b in blocks:
        due = round((b.t0_ms - blocks[0].t0_ms) * fs / 1000)
        if due > at + max(3, fs / 20) or (b.gap and due > at):  # what the clock's milliseconds blur is no gap
            lost += due - at
            at = due
        placed.append((at, b.data))
        at += len(b.data)
    out = np.full((at, len(columns)), np.nan)
    for first, data in placed:
        out[first : first + len(data)] = data
    channels = []
    for i, column in enumerate(columns):
        name, unit, gain = _COLUMNS.get(source, {}).get(column, (f"column {column}", "counts", 1.0))
        channels.append(Channel(name, unit, round(fs, 3), out[:, i] / gain, gain))
    return Signals(_NAMES.get(source, str(source)), channels, start=start), lost


def from_store(store: Store, device: str | None = None, seconds: float | None = None) -> dict[str, Capture]:
    """Captures by name from what a gateway has stored. seconds: of the newest of each device only.

    Raises UserError when nothing is stored.
    """
    found: dict[str, Capture] = {}
    kept = list(strips.strips(store, device))
    newest: dict[str, tuple[int, int]] = {}
    for strip in kept:
        end = strip.boot, strip.pieces[-1].t_end_ms
        newest[strip.device] = max(newest.get(strip.device, end), end)
    for strip in kept:
        boot, end_ms = newest[strip.device]
        late = strip.boot == boot and strip.pieces[-1].t_end_ms > end_ms - 1000 * (seconds or 0)
        if seconds is not None and not late:
            continue
        fs, data = strip.samples()
        start_ms, offset = strip.pieces[0].t_start_ms, strip.utc_offset_ms
        start = None if offset is None else datetime.fromtimestamp((start_ms + offset) / 1000, UTC).replace(tzinfo=None)
        channels = []
        for i, column in enumerate(strip.pieces[0].columns):
            name, unit, gain = _COLUMNS.get(strip.source, {}).get(column, (f"column {column}", "counts", 1.0))
            channels.append(Channel(name, unit, round(fs, 3), data[:, i] / gain, gain))
        source = _NAMES.get(strip.source, str(strip.source))
        capture = found.setdefault(f"{strip.device}-{strip.boot}-{start_ms}", Capture())
        capture.signals[source] = Signals(source, channels, start=start)
        capture.lost[source] = int(np.isnan(data[:, 0]).sum())
        capture.readings = _readings(store, strip.device, start_ms, strip.pieces[-1].t_end_ms)
    if not found:
        raise UserError("the gateway has stored no ECG and no light", "vigil waveform start --device NAME, then again")
    return found


def _readings(store: Store, device: str, from_ms: int, to_ms: int) -> list[tuple]:
    rows = [r for r in store.readings(device) if r.t_end_ms >= from_ms and r.t_end_ms <= to_ms + 2000]
    return [
        ((r.t_start_ms - from_ms) / 1000, (r.t_end_ms - from_ms) / 1000, kind_name(r.kind), value(r.mantissa, r.exp10),
         UNIT_NAMES.get(r.unit or 0, ""), r.quality_pct, absent_name(r.absent_reason or 0))
        for r in rows
    ]  # fmt: skip


def write(capture: Capture, folder: Path, name: str) -> list[Path]:
    """Write a capture's files; returns them."""
    paths = []
    for source, signals in capture.signals.items():
        for suffix in (".hea", ".csv"):
            path = folder / f"{name.replace('.', '_')}-{source}{suffix}"
            recordings.write(signals, path)
            paths.append(path)
    path = folder / f"{name.replace('.', '_')}-readings.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(_HEAD)
        table.writerows(["" if v is None else v for v in row] for row in capture.readings)
    return [*paths, path]
