"""Batch: readings of some seconds as deterministic CBOR, small because they are regular (SPEC.md section 3).

Readings of one kind form a series of columns. Times are differences, twice taken for ends of windows, so that a
value every two seconds costs one byte; series made at the same times name them once.
"""

from micropython import const

from vigil.core.records import POOR_SIGNAL, PRESENT
from vigil.wire import cbor

VERSION = const(1)

_SAME_TIMES = const(0)  # in place of a series' times: those of the series before


def _series(readings: list) -> list:
    """Group readings by (kind, exponent, unit), in the order in which each group first appears."""
    groups = []
    for reading in readings:
        key = (reading.kind, reading.exp10, reading.unit)
        for known, members in groups:
            if known == key:
                members.append(reading)
                break
        else:
            groups.append((key, [reading]))
    return groups


def _times(members: list, t0_ms: int) -> list:
    """Return the ends' second differences, then the spans' first differences, of one series."""
    ends = []
    spans = []
    end_ms, step_ms, span_ms = t0_ms, 0, 0
    for reading in members:
        step = reading.t_end_ms - end_ms
        span = reading.t_end_ms - max(reading.t_start_ms, 0)  # by rounding it may lie before the start: not allowed
        ends.append(step - step_ms)
        spans.append(span - span_ms)
        end_ms, step_ms, span_ms = reading.t_end_ms, step, span
    return ends + spans


def _columns(key: tuple, members: list, times) -> list:
    """Return one series: kind, exponent, unit, times, marks (quality, or minus the reason), mantissas' differences."""
    marks = []
    values = []
    last = 0
    for reading in members:
        if reading.absent_reason == PRESENT and reading.mantissa is not None:
            marks.append(reading.quality_pct)
            values.append(reading.mantissa - last)
            last = reading.mantissa
        else:
            # The value stays on the device. A fault of an estimator's must not hold up the batch for ever.
            marks.append(-(reading.absent_reason or POOR_SIGNAL))
    kind, exp10, unit = key
    return [kind, exp10, unit, times, marks, values]


def encode(*, boot, seq, prev_digest, oldest_seq, t0_ms, readings, utc=None, status=None, gone=(), waveform=None):
    """Return the payload of one envelope.

    boot: number of this start of the device. seq: number of the batch, +1 each across boots. prev_digest: 32 bytes,
    digest of the envelope before (zeros for the first). oldest_seq: lowest sequence still waiting on the device,
    this one included. t0_ms: device time that the batch's times count from. readings: list of core Reading; of a
    withheld one only kind, times and reason are written. utc: (UTC milliseconds at device time 0, uncertainty in
    milliseconds) once known. status: dict of small integers, keys in SPEC.md. gone: ranges (first, last) of sequences
    that the device was asked for and does not have any more. waveform: of store.strips.Strips.piece, with device times.
    """
    t0_ms = max(t0_ms, 0)
    series = []
    last_times = None
    for key, members in _series(readings):
        times = _times(members, t0_ms)
        series.append(_columns(key, members, _SAME_TIMES if times == last_times else times))
        last_times = times
    batch = {0: VERSION, 1: boot, 2: seq, 3: prev_digest, 4: t0_ms, 6: series, 9: seq - oldest_seq}
    if utc is not None:
        batch[5] = list(utc)
    if waveform:
        *about, event_ms, blocks = waveform
        blocks = [[start_ms - t0_ms, period_us, flags, block] for start_ms, period_us, flags, block in blocks]
        batch[7] = [about + [event_ms - t0_ms, blocks]]
    if status:
        batch[8] = status
    if gone:
        batch[10] = [list(one) for one in gone]
    return cbor.encode(batch)
