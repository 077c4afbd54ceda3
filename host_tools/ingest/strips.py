"""Waveforms that a gateway has stored: which there are, and their samples as csv or WFDB records.

A strip is the pieces of one number, source and boot; what somebody asked for is cut where more than GAP_S are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from host_tools.errors import UserError
from host_tools.ingest.batch import Waveform
from host_tools.ingest.store import Store
from host_tools.ingest.waveform import BadBlock, decode
from host_tools.trust.verify import batch_of
from vigil.core import records

GAP_S = 5.0
SOURCES = {records.ECG: "ecg", records.PPG: "ppg"}
COLUMNS = {
    (records.ECG, 0): ("ecg", "uV"),
    (records.PPG, records.RED): ("red", "counts"),
    (records.PPG, records.IR): ("ir", "counts"),
    (records.PPG, records.GREEN): ("green", "counts"),
}
CAUSES = ("asked for", "rhythm", "ventricular run", "fall", "button")
FORMATS = ("csv", "wfdb")


@dataclass
class Strip:
    """One stretch of one source. Times are milliseconds of the device since `boot`; utc_offset_ms makes them UTC."""

    device: str
    boot: int
    number: int
    source: int
    cause: int
    event_ms: int
    utc_offset_ms: int | None
    pieces: list[Waveform] = field(default_factory=list)

    @property
    def name(self) -> str:
        """A file's name for it."""
        what = SOURCES.get(self.source, str(self.source))
        return f"{self.device}-{self.boot}-{self.pieces[0].t_start_ms}-{what}"

    @property
    def why(self) -> str:
        """Its cause in words."""
        return CAUSES[self.cause] if self.cause < len(CAUSES) else f"cause {self.cause}"

    @property
    def seconds(self) -> float:
        """From the first sample to the last, gaps included."""
        return (self.pieces[-1].t_end_ms - self.pieces[0].t_start_ms) / 1000

    def columns(self) -> list[tuple[str, str]]:
        """(name, unit) of each column."""
        return [COLUMNS.get((self.source, c), (f"column {c}", "")) for c in self.pieces[0].columns]

    def samples(self) -> tuple[float, np.ndarray]:
        """(rate in Hz, (n, columns) floats): one grid from the first sample on, NaN where nothing was kept."""
        blocks = [block for piece in self.pieces for block in piece.blocks]
        fs = 1e6 / float(np.median([block.period_us for block in blocks]))
        parts: list[tuple[int, np.ndarray]] = []
        at = 0
        for block in sorted(blocks, key=lambda one: one.t_ms):
            try:
                data = decode(block.data, len(self.pieces[0].columns))
            except BadBlock as e:
                raise UserError(
                    f"a block of {self.name} cannot be read: {e}", "the device's encoder is at fault"
                ) from e
            start = round((block.t_ms - blocks[0].t_ms) * fs / 1000)
            if abs(start - at) <= max(2, fs / 50):  # what the clock's milliseconds blur is no gap
                start = at
            if start < at:
                continue  # it came twice
            parts.append((start, data))
            at = start + len(data)
        out = np.full((at, len(self.pieces[0].columns)), np.nan)
        for start, data in parts:
            out[start : start + len(data)] = data
        return fs, out


def strips(store: Store, device: str | None = None) -> Iterator[Strip]:
    """All stretches that the store holds, by device, boot and number."""
    current: Strip | None = None
    key = None
    for row in store.waveforms(device):
        piece = batch_of(row.raw).waveforms[row.ordinal]
        this = row.device, row.boot, row.strip, row.source
        far = current is not None and not row.strip and row.t_start_ms - current.pieces[-1].t_end_ms > 1000 * GAP_S
        if current is None or this != key or far:
            if current is not None:
                yield current
            key = this
            current = Strip(row.device, row.boot, row.strip, row.source, row.cause, row.event_ms, row.utc_offset_ms, [])
        current.pieces.append(piece)
    if current is not None:
        yield current


def write(strip: Strip, folder: Path, form: str) -> Path:
    """Write one stretch into `folder`; returns the file (a WFDB record's header). Raises UserError."""
    if form not in FORMATS:
        raise UserError(f"`{form}` is not a format", f"one of {', '.join(FORMATS)}")
    fs, data = strip.samples()
    columns = strip.columns()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if form == "csv":
            path = folder / f"{strip.name}.csv"
            t_ms = strip.pieces[0].t_start_ms + (strip.utc_offset_ms or 0) + np.arange(len(data)) * 1000 / fs
            clock = "utc_ms" if strip.utc_offset_ms is not None else "device_ms"
            head = ",".join([clock, *(f"{name}_{unit}" if unit else name for name, unit in columns)])
            lines = [
                f"{t:.1f}," + ",".join("" if np.isnan(v) else f"{v:.0f}" for v in row)
                for t, row in zip(t_ms, data, strict=True)
            ]
            path.write_text("\n".join([head, *lines]) + "\n")
            return path
        import wfdb

        name = strip.name.replace("-", "_")
        ecg = strip.source == records.ECG
        wfdb.wrsamp(
            name,
            fs=round(fs, 4),
            units=["mV" if ecg else "NU"] * len(columns),
            sig_name=[column.upper() for column, _ in columns],
            p_signal=data / 1000 if ecg else data,
            fmt=["24"] * len(columns),
            adc_gain=[1000.0 if ecg else 1.0] * len(columns),
            baseline=[0] * len(columns),
            write_dir=str(folder),
        )
        return folder / f"{name}.hea"
    except OSError as e:
        raise UserError(f"cannot write to `{folder}`", e.strerror or "") from e
