"""From arrays of any rate to the sample blocks that a front end would deliver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import interpolate, signal

from host_tools.errors import UserError
from vigil.core import records

BLOCK_S = 0.1
BRIDGED_S = 0.02  # a file's drop-out of one sample, or so long, is no gap: no chain could tell it from its filters
TAIL_S = 1.0  # the last value stands still for so long, so that beats still being decided come out
RATES_HZ = {records.ECG: 250, records.PPG: 100, records.ACC: 50}  # DESIGN.md section 6
PPG_COLUMNS = {"red": records.RED, "ir": records.IR, "green": records.GREEN}
PPG_FULL_SCALE = 0x3FFFF  # 18-bit converter
RELATIVE_SPAN = 100_000  # counts that the largest excursion of a relative pulse is scaled to


@dataclass
class Stream:
    """Quantised samples of one source: data (n, k) integers, and per-sample flags (records)."""

    source: int
    columns: tuple[int, ...]
    fs: int
    data: np.ndarray
    flags: np.ndarray

    @property
    def duration_s(self) -> float:
        """Length without the tail."""
        return len(self.data) / self.fs


@dataclass
class Block:
    """One block, ready to be pushed: the fields of core SampleBlock with numpy data."""

    source: int
    columns: tuple[int, ...]
    t0_ms: int
    period_us: int
    flags: int
    data: np.ndarray  # (n, k)


def resample(x: np.ndarray, fs: float, fs_out: int) -> np.ndarray:
    """Resample (n, k) from fs to fs_out Hz; the time of the first sample stays.

    Exact for rational ratios (polyphase low-pass, zero phase); other rates go through a cubic spline after a
    low-pass where the rate falls. Before the first and after the last sample the signal is taken to stand still.
    """
    if fs == fs_out:
        return x
    ratio = Fraction(fs_out / fs).limit_denominator(1000)
    n_out = int(np.floor((len(x) - 1) * fs_out / fs + 1e-6)) + 1
    if abs(float(ratio) * fs / fs_out - 1) < 1e-9:
        up, down = ratio.numerator, ratio.denominator
        window = _low_pass(up, down)
        return signal.resample_poly(x, up, down, axis=0, window=window, padtype="edge")[:n_out]
    if fs_out < fs and len(x) > 33:
        x = signal.sosfiltfilt(signal.butter(6, 0.8 * fs_out / 2, fs=fs, output="sos"), x, axis=0)
    return interpolate.make_interp_spline(np.arange(len(x)) / fs, x, axis=0)(np.arange(n_out) / fs_out)


def _low_pass(up: int, down: int) -> np.ndarray:
    """Anti-alias filter for resample_poly whose every phase has a DC gain of exactly one.

    A plain windowed sinc differs by up to 1e-3 between phases, which on the DC of a PPG (1e5 counts) would be a
    ripple as large as a weak pulse.
    """
    half = 16 * max(up, down)
    taps = signal.firwin(2 * half + 1, 1 / max(up, down), window=("kaiser", 7.0))  # type: ignore[arg-type]
    phase = (np.arange(len(taps)) - half) % up
    gain = np.bincount(phase, weights=taps, minlength=up)
    return taps / gain[phase] / up


def _prepare(x: npt.ArrayLike, fs: float | None, what: str, columns: int, source: int) -> tuple[np.ndarray, np.ndarray]:
    """Check, fill lost samples and resample; returns (n, k) floats and the mask of lost samples."""
    array = np.asarray(x, float)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != columns:
        raise UserError(f"{what} has the shape {np.shape(x)}", f"it should be (n, {columns})")
    if not fs or not 0 < fs < 100_000:
        raise UserError(f"{what} has no usable sample rate ({fs!r} Hz)", f"give {what}_fs in hertz")
    if len(array) < 4:
        raise UserError(f"{what} holds {len(array)} samples", "give at least a few seconds of signal")
    lost = np.logical_not(np.isfinite(array).all(axis=1)).ravel()
    if lost.all():
        raise UserError(f"{what} holds no finite sample", "check the file's columns and units")
    if lost.any():
        good = np.flatnonzero(~lost)
        array = np.stack([np.interp(np.arange(len(array)), good, array[good, k]) for k in range(columns)], axis=1)
        inside = np.flatnonzero(np.diff(good) <= max(2, BRIDGED_S * fs + 1))
        for k in inside:
            lost[good[k] : good[k + 1]] = False
    fs_out = RATES_HZ[source]
    out = resample(array, fs, fs_out)
    nearest = np.minimum((np.arange(len(out)) * fs / fs_out).round().astype(int), len(lost) - 1)
    return out, lost[nearest]


def _quantise(x: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Round to integers within the converter's range; returns them and the SATURATED flags."""
    clipped = (x < low) | (x > high)
    flags = np.where(clipped.any(axis=1), records.SATURATED, 0)
    return np.clip(x, low, high).round().astype(np.int32), flags


def ecg_stream(ecg: npt.ArrayLike, fs: float | None) -> Stream:
    """(n,) mV to int16 microvolts at 250 Hz. Lost samples are flagged as lead-off."""
    mv, lost = _prepare(ecg, fs, "ecg", 1, records.ECG)
    data, flags = _quantise(mv * 1000, -32768, 32767)
    return Stream(records.ECG, (0,), 250, data, flags | np.where(lost, records.LEAD_OFF, 0))


def ppg_stream(ppg: npt.ArrayLike, fs: float | None, channels: tuple[str, ...], unit: str) -> Stream:
    """(n, k) counts to 18-bit counts at 100 Hz, or a relative pulse to signed counts of a fixed span.

    A converter wider than 18 bits is scaled down by a power of two.
    """
    unknown = [c for c in channels if c not in PPG_COLUMNS]
    if unknown or not channels:
        raise UserError(f"unknown PPG channel {unknown}", "name the columns red, ir or green")
    x, lost = _prepare(ppg, fs, "ppg", len(channels), records.PPG)
    flags = np.where(lost, records.GAP, 0)
    if unit == "relative":
        x = x - np.median(x, axis=0)
        x = x * (RELATIVE_SPAN / (np.abs(x).max(axis=0) + 1e-12))
        flags |= records.RELATIVE
        data, clipped = _quantise(x, -RELATIVE_SPAN, RELATIVE_SPAN)
    elif unit == "counts":
        while np.percentile(x, 90) > PPG_FULL_SCALE:
            x = x / 2
        data, clipped = _quantise(x, 0, PPG_FULL_SCALE)
    else:
        raise UserError(f"unknown PPG unit `{unit}`", "use counts or relative")
    return Stream(records.PPG, tuple(PPG_COLUMNS[c] for c in channels), 100, data, flags | clipped)


def accel_stream(accel: npt.ArrayLike, fs: float | None) -> Stream:
    """(n, 3) g to int16 milli-g at 50 Hz."""
    g, lost = _prepare(accel, fs, "accel", 3, records.ACC)
    data, flags = _quantise(g * 1000, -32768, 32767)
    return Stream(records.ACC, (0, 1, 2), 50, data, flags | np.where(lost, records.GAP, 0))


def _blocks(stream: Stream) -> Iterator[tuple[float, Block]]:
    """Cut a stream and its tail into blocks of BLOCK_S; yields (time of its end in s, block).

    Lost PPG and ACC rows are left out.
    """
    size = round(BLOCK_S * stream.fs)
    period_us = 1_000_000 // stream.fs
    gap = 0
    tail = ((0, round(TAIL_S * stream.fs)),)
    samples, marks = np.pad(stream.data, (*tail, (0, 0)), mode="edge"), np.pad(stream.flags, tail, mode="edge")
    for start in range(0, len(samples), size):
        data, flags = samples[start : start + size], marks[start : start + size]
        lost = (flags & records.GAP) != 0
        if lost.any():  # one cut is enough: what was lost inside the block makes the whole of it unusable
            gap = records.GAP
            continue
        union = int(np.bitwise_or.reduce(flags)) | gap
        gap = 0
        yield (
            (start + len(data)) / stream.fs,
            Block(stream.source, stream.columns, start * 1000 // stream.fs, period_us, union, data),
        )


def interleave(streams: list[Stream]) -> list[Block]:
    """Blocks of all streams in the order in which they would be complete."""
    timed = [pair for stream in streams for pair in _blocks(stream)]
    return [block for _, block in sorted(timed, key=lambda pair: pair[0])]
