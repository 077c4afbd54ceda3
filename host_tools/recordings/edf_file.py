"""Recordings as EDF+ (16 bits) or BDF+ (24 bits), by edfio.

EDF has no lost samples and ends with a whole data record: both are said by annotations, which reading turns back.
"""

from __future__ import annotations

import math
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import edfio
import numpy as np

from host_tools.errors import UserError
from host_tools.recordings.signals import Channel, Mark, Options, Signals, of_counts

SUFFIXES = (".edf", ".bdf")
_LOST = "lost samples: "
_END = "end of samples: "
_UNKNOWN_START = datetime(1985, 1, 1)  # the least date that EDF can say


def claims(path: Path) -> bool:
    """Is this an EDF or BDF file?"""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(path: Path, options: Options) -> Signals:
    """Read it. Raises UserError when it is discontinuous."""
    file = edfio.read_bdf(path) if path.suffix.lower() == ".bdf" else edfio.read_edf(path)
    if not getattr(file, "is_continuous", True):
        raise UserError(f"`{path.name}` is interrupted (EDF+D)", "export it as a continuous EDF+C, or in parts")
    if options.fs is not None and any(abs(options.fs / s.sampling_frequency - 1) > 1e-6 for s in file.signals):
        rates = ", ".join(f"{s.label} {s.sampling_frequency:g} Hz" for s in file.signals)
        raise UserError(f"`{path.name}` says its rates itself: {rates}", "leave out --fs")
    channels = []
    for s in file.signals:
        low, high = s.digital_range
        p_low, p_high = s.physical_range
        gain = (high - low) / (p_high - p_low)
        c = of_counts(s.label, s.physical_dimension, _exact(s.sampling_frequency), s.digital, gain)
        offset = p_low * gain - low  # value = (count + offset) / gain
        near = round(-offset)  # what the header's 8 characters have blurred
        c.baseline = near if abs(offset + near) < 0.05 else -offset
        c.values -= c.baseline / gain
        channels.append(c)
    marks = []
    for note in file.annotations:
        if note.text.startswith(_END):
            for c in channels:
                if c.name == note.text.removeprefix(_END):
                    c.values = c.values[: round(note.onset * c.fs)]
        elif note.text.startswith(_LOST):
            for c in channels:
                if c.name == note.text.removeprefix(_LOST):
                    c.values[round(note.onset * c.fs) : round((note.onset + (note.duration or 0)) * c.fs)] = np.nan
        else:
            marks.append(Mark.of(float(note.onset), note.text))
    return Signals(path.stem, channels, marks, _start(file))


def write(file: Signals, path: Path) -> list[str]:
    """Write a file; returns what is lost."""
    wide = path.suffix.lower() == ".bdf"
    bits, make, signal = (23, edfio.Bdf, edfio.BdfSignal) if wide else (15, edfio.Edf, edfio.EdfSignal)
    seconds = math.lcm(*(Fraction(c.fs).limit_denominator(1000).denominator for c in file.channels))
    records = max(-(-len(c.values) // round(c.fs * seconds)) for c in file.channels)
    lost_says, signals, notes = [], [], []
    for c in file.channels:
        c, exact = c.scaled()
        assert c.gain is not None
        counts = c.counts()
        known = counts[~c.lost()]
        shift = 0
        if len(known) and (known.min() < -(1 << bits) or known.max() >= 1 << bits):
            shift = int(known.min() + known.max()) // 2
            if known.max() - known.min() >= 2 << bits:
                raise UserError(
                    f"`{c.name}` spans {int(known.max() - known.min())} counts: more than {bits + 1} bits",
                    "write .bdf (24 bits), .hea (WFDB), csv or npz",
                )
        if not exact:
            lost_says.append(f"{c.name}: rounded to steps of {1 / c.gain:.1g} {c.unit}".strip())
        padded = np.full(records * round(c.fs * seconds), 0, np.int64)
        padded[: len(counts)] = _held(counts, c.lost()) - shift
        padded[len(counts) :] = padded[len(counts) - 1]
        ends = _ends(c, padded, shift, bits)
        scale = _physical(c, shift, *ends)
        if scale[2] > 1e-9:
            lost_says.append(f"{c.name}: its scale is kept to {scale[2]:.0e} of itself (8 characters in the header)")
        try:
            signals.append(
                signal.from_digital(
                    padded.astype(np.int32 if wide else np.int16),  # type: ignore[arg-type]
                    c.fs,
                    label=c.name[:16],
                    physical_dimension=c.unit[:8],
                    physical_range=scale[:2],
                    digital_range=ends,
                )
            )
        except ValueError as e:
            raise UserError(f"`{c.name}` does not fit an EDF header: {e}", "write .hea (WFDB), csv or npz") from e
        edges = np.flatnonzero(np.diff(np.concatenate([[0], c.lost().astype(int), [0]])))
        notes += [
            edfio.EdfAnnotation(a / c.fs, (b - a) / c.fs, _LOST + c.name[:16])
            for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        ]
        if len(counts) < len(padded):
            notes.append(edfio.EdfAnnotation(len(counts) / c.fs, None, _END + c.name[:16]))
    notes += [edfio.EdfAnnotation(m.t_s, None, m.said) for m in file.marks]
    when = file.start or _UNKNOWN_START
    made = make(
        signals,
        starttime=when.time().replace(tzinfo=None),
        recording=edfio.Recording(startdate=when.date()),
        data_record_duration=float(seconds),
        annotations=sorted(notes, key=lambda n: n.onset),
    )
    made.write(path)
    if any(len(c.name) > 16 for c in file.channels):
        lost_says.append("names beyond 16 characters")
    return lost_says + (["reference rates and saturations"] if file.truth else [])


def _ends(c: Channel, counts: np.ndarray, shift: int, bits: int) -> tuple[int, int]:
    """A digital range around the counts; at whole units for a whole gain, so that few characters say it."""
    assert c.gain is not None
    if c.gain == round(c.gain) and c.baseline == round(c.baseline):
        zero, step = round(c.baseline) - shift, round(c.gain)
        low = zero + (int(counts.min()) - zero) // step * step
        high = zero - (zero - int(counts.max()) - 1) // step * step
        if low >= -(1 << bits) and high < 1 << bits:
            return low, high
    return -(1 << bits), (1 << bits) - 1


def _physical(c: Channel, shift: int, least: int, most: int) -> tuple[float, float, float]:
    """(least, most) of the physical range in 8 characters each, and the relative error of the scale that makes."""
    assert c.gain is not None
    low, high = (((d + shift) - c.baseline) / c.gain for d in (least, most))
    said = _eight(low), _eight(high)
    return *said, abs((said[1] - said[0]) / (high - low) - 1)


def _eight(value: float) -> float:
    """The nearest number that is written with at most 8 characters."""
    for digits in range(8, -1, -1):
        text = f"{value:.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        if len(text) <= 8:
            return float(text)
    return float(f"{value:.0f}")


def _held(counts: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Lost samples as the last one before."""
    if not lost.any() or lost.all():
        return counts
    at = np.maximum.accumulate(np.where(lost, -1, np.arange(len(counts))))
    return counts[np.where(at < 0, int(np.flatnonzero(~lost)[0]), at)]


def _exact(fs: float) -> float:
    """A rate that the division by the record's length has blurred."""
    return float(Fraction(fs).limit_denominator(1000))


def _start(file: Any) -> datetime | None:
    try:
        found = file.startdatetime
    except (ValueError, edfio.AnonymizedDateError):
        return None
    return None if found.date() == _UNKNOWN_START.date() else found
