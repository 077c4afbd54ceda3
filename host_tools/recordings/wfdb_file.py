"""Recordings as WFDB records: header, signals of one or several rates, and annotations beside them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import wfdb

from host_tools.errors import UserError
from host_tools.recordings.signals import Mark, Options, Signals, frame_rate, of_counts
from signal_models.datasets import wfdb_record

SUFFIXES = (".hea", ".dat")
_FORMATS = (("16", 15), ("24", 23), ("32", 31))  # the least integer of each stands for a lost sample
_ANNOTATORS = ("atr", "qrs", "beats")

claims = wfdb_record.claims


def read(path: Path, options: Options) -> Signals:
    """Read a record, and its annotations when `.atr`, `.qrs` or `.beats` lies beside it."""
    name = wfdb_record.stem(path)
    record = wfdb_record.read(name, physical=False, smooth_frames=False)
    fs = float(record.fs or 0)
    if options.fs is not None and abs(options.fs / fs - 1) > 1e-6:
        raise UserError(f"record `{name.name}` says its rate itself: {fs:g} Hz", "leave out --fs")
    channels = []
    columns = record.e_d_signal or []
    for i, counts in enumerate(columns):
        lost = np.asarray(counts) == _lost_in((record.fmt or [])[i])
        rate = fs * (record.samps_per_frame or [1] * len(columns))[i]
        gain, baseline = float((record.adc_gain or [])[i]), int((record.baseline or [])[i])
        c = of_counts((record.sig_name or [])[i].strip(" ,"), (record.units or [])[i], rate, counts, gain, baseline)
        c.values[lost] = np.nan
        channels.append(c)
    beside = next((a for a in _ANNOTATORS if name.with_name(f"{name.name}.{a}").is_file()), None)
    marks = marks_of(name.with_name(f"{name.name}.{beside}"), fs) if beside else []
    return Signals(name.name, channels, marks, record.base_datetime)


def marks_of(path: Path, fs: float | None = None) -> list[Mark]:
    """Marks of an annotation file, whose suffix is the annotator. fs: where the file does not tell."""
    note = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
    rate = float(note.fs or fs or 0)
    if not rate:
        raise UserError(f"`{path.name}` does not tell its sample rate", "put it beside its record's .hea")
    texts = note.aux_note or [""] * len(note.sample)
    rows = zip(note.sample, note.symbol or [], texts, strict=True)
    return [Mark(int(s) / rate, symbol, text.strip("\0 ")) for s, symbol, text in rows]


def write(file: Signals, path: Path) -> list[str]:
    """Write `path` (.hea) and its .dat and .atr; returns what is lost."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", path.stem)
    base, times = frame_rate([c.fs for c in file.channels], "a WFDB record")
    frames = max(-(-len(c.values) // k) for c, k in zip(file.channels, times, strict=True))
    lost_says = []
    data, formats, scaled = [], [], []
    for c, k in zip(file.channels, times, strict=True):
        c, exact = c.scaled()
        assert c.gain is not None
        if not exact:
            lost_says.append(f"{c.name}: rounded to steps of {1 / c.gain:.1g} {c.unit}".strip())
        if c.baseline != round(c.baseline):
            shift = abs(c.baseline - round(c.baseline)) / c.gain
            lost_says.append(f"{c.name}: its zero, which moves by {shift:.2g} {c.unit}".strip())
        counts = c.counts()
        most = int(np.abs(counts[~c.lost()]).max(initial=0))
        fmt, bits = next(((f, b) for f, b in _FORMATS if most < 1 << b), (None, 0))
        if fmt is None:
            raise UserError(f"`{c.name}` has values beyond 32 bits", "write csv or npz")
        counts[c.lost()] = -1 << bits
        padded = np.full(frames * k, -1 << bits, np.int64)
        padded[: len(counts)] = counts
        data.append(padded)
        formats.append(fmt)
        scaled.append(c)
    wfdb.wrsamp(
        name,
        fs=int(base) if base == int(base) else base,
        units=[c.unit.replace(" ", "_") or "NU" for c in scaled],
        sig_name=[c.name for c in scaled],
        e_d_signal=data,
        samps_per_frame=times,
        fmt=formats,
        adc_gain=[c.gain for c in scaled],
        baseline=[round(c.baseline) for c in scaled],
        base_datetime=file.start.replace(tzinfo=None) if file.start else None,
        write_dir=str(path.parent),
    )
    if file.marks:
        at = np.rint(np.array([m.t_s for m in file.marks]) * base * max(times)).astype(int)
        wfdb.wrann(
            name,
            "atr",
            at,
            symbol=[m.symbol or '"' for m in file.marks],
            aux_note=[m.text for m in file.marks],
            fs=base * max(times),
            write_dir=str(path.parent),
        )
    if any(len(c.values) != frames * k for c, k in zip(file.channels, times, strict=True)):
        lost_says.append("the exact end: the last frame is filled up with lost samples")
    return lost_says + (["reference rates and saturations"] if file.truth else [])


def _lost_in(fmt: str) -> int:
    """The integer that stands for a lost sample in a format."""
    return -1 << {"8": 7, "80": 7, "212": 11, "310": 9, "311": 9, "24": 23, "32": 31}.get(fmt, 15)
