"""Reads a batch: the payload of an envelope, after firmware/SPEC.md section 3, with every limit checked.

Decoded by cbor2, which shares no code with the device's encoder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import cbor2

from host_tools.ingest import columns, waveform

VERSION = 2  # what devices write; 1 is read, too: journals in the field hold it

# Limits, the same as in SPEC.md section 6 (a test compares).
MAX_DEPTH = 8  # arrays and maps inside each other
MAX_READINGS = 1024
MAX_UINT32 = 2**32 - 1  # boot, seq, kind
MAX_UNIT = 2**16 - 1
MAX_MANTISSA = 2**31 - 1  # absolute
MAX_EXPONENT = 12  # absolute
MAX_REASON = 63
MAX_STATUS_KEY = 63
MAX_STATUS = 2**53 - 1  # absolute
MAX_TIME_MS = 2**41  # 69 years after the start of the device
MAX_FROM_T0_MS = 86_400_000  # a reading's end, before or after its batch's t0
MAX_SPAN_MS = 3_600_000  # of one reading
MIN_UTC_MS, MAX_UTC_MS = 1_577_836_800_000, 4_102_444_800_000  # 2020, 2100
MAX_UNCERTAINTY_MS = 86_400_000

MAX_GONE = 16  # ranges
MAX_WAVEFORMS = 4  # in a batch
MAX_BLOCKS = 64  # of a waveform
MAX_PERIOD_US = 1_000_000
MAX_BLOCK_FLAGS = 255
_KEYS = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
_REQUIRED = {0, 1, 2, 3, 4, 6, 9}
_BOUND = 2 * (MAX_FROM_T0_MS + MAX_MANTISSA)  # of a difference in version 1: keeps every sum small


class Malformed(ValueError):
    """Bytes that no device writes. The message names the rule."""


class WrongVersion(Malformed):
    """A batch of a version that this reader does not know."""


@dataclass(frozen=True)
class Reading:
    """A reading as it left the device: value = mantissa * 10**exp10 in `unit`.

    A withheld one (absent_reason not 0) has no mantissa (None) and quality 0. Names, codes and units are those of
    vigil.core.records.
    """

    kind: int
    mantissa: int | None
    exp10: int
    unit: int
    quality_pct: int
    t_start_ms: int
    t_end_ms: int
    absent_reason: int


@dataclass(frozen=True)
class Block:
    """Consecutive samples: device time of the first, their period, records' flags, and the compressed bytes."""

    t_ms: int
    period_us: int
    flags: int
    data: bytes
    rows: int


@dataclass(frozen=True)
class Waveform:
    """A part of what one source measured. columns: as in a SampleBlock. cause: records.WAVE_*. strip: its number since
    the start of the device, 0 where somebody asked for it; event_ms: device time of what happened."""

    source: int
    columns: tuple[int, ...]
    cause: int
    strip: int
    event_ms: int
    blocks: tuple[Block, ...]

    @property
    def t_start_ms(self) -> int:
        """Device time of the first sample."""
        return self.blocks[0].t_ms

    @property
    def t_end_ms(self) -> int:
        """Device time after the last sample."""
        last = self.blocks[-1]
        return last.t_ms + last.rows * last.period_us // 1000

    @property
    def rows(self) -> int:
        """Samples of each column."""
        return sum(block.rows for block in self.blocks)


@dataclass(frozen=True)
class Batch:
    """One decoded batch. Times are milliseconds of the device; utc = (UTC ms at device time 0, uncertainty ms)."""

    boot: int
    seq: int
    prev_digest: bytes
    oldest_seq: int
    t0_ms: int
    readings: tuple[Reading, ...]
    utc: tuple[int, int] | None
    status: dict[int, int]
    waveforms: tuple[Waveform, ...] = ()
    gone: tuple[tuple[int, int], ...] = ()  # first and last of sequences that the device does not have any more


def decode_cbor(data: bytes) -> Any:
    """Return the one item in `data`. Raises Malformed unless it is in the deterministic form of RFC 8949, 4.2.1.

    That the bytes are what the canonical encoder makes of the value rules out trailing bytes, long forms, keys out
    of order and keys twice at once.
    """
    try:
        value = cbor2.loads(data, max_depth=MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
        canonical = cbor2.dumps(value, canonical=True)
    except Exception as e:  # whatever hostile bytes do to a decoder, they are malformed
        raise Malformed(f"not CBOR: {e}") from e
    if canonical != data:
        raise Malformed("not in deterministic form")
    return value


def _integer(value: Any, low: int, high: int, name: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Malformed(f"{name} must be an integer of {low}..{high}")
    return value


def _array(value: Any, length: int | None, name: str) -> list:
    if type(value) is not list or (length is not None and len(value) != length):
        raise Malformed(f"{name} must be an array" + (f" of {length}" if length is not None else ""))
    return value


def decode(payload: bytes) -> Batch:
    """Return the batch in `payload`. Raises WrongVersion or Malformed; nothing is believed by halves."""
    value = decode_cbor(payload)
    if type(value) is not dict:
        raise Malformed("a batch must be a map")
    version = _integer(value.get(0), 0, MAX_UINT32, "version")
    if version not in _SERIES:
        raise WrongVersion(f"version {version}")
    if not value.keys() >= _REQUIRED or not value.keys() <= _KEYS or any(type(key) is not int for key in value):
        raise Malformed("keys missing or unknown")
    prev_digest = value[3]
    if type(prev_digest) is not bytes or len(prev_digest) != 32:
        raise Malformed("prev_digest must be 32 bytes")
    seq = _integer(value[2], 0, MAX_UINT32, "seq")
    t0_ms = _integer(value[4], 0, MAX_TIME_MS, "t0_ms")
    return Batch(
        boot=_integer(value[1], 0, MAX_UINT32, "boot"),
        seq=seq,
        prev_digest=prev_digest,
        oldest_seq=seq - _integer(value[9], 0, seq, "backlog"),
        t0_ms=t0_ms,
        readings=tuple(_readings(_SERIES[version](value[6]), t0_ms)),
        utc=_utc(value[5]) if 5 in value else None,
        status=_status(value[8]) if 8 in value else {},
        waveforms=tuple(_waveforms(value[7], t0_ms)) if 7 in value else (),
        gone=tuple(_gone(value[10], seq)) if 10 in value else (),
    )


def _utc(value: Any) -> tuple[int, int]:
    offset, uncertainty = _array(value, 2, "utc")
    return (
        _integer(offset, MIN_UTC_MS, MAX_UTC_MS, "utc offset"),
        _integer(uncertainty, 0, MAX_UNCERTAINTY_MS, "utc uncertainty"),
    )


def _gone(value: Any, seq: int) -> Iterable[tuple[int, int]]:
    """Yield the ranges, which ascend and lie below the batch itself."""
    after = 0
    for one in _array(value, None, "gone"):
        first, last = _array(one, 2, "a range")
        after = _integer(first, after, seq - 1, "first of a range")
        after = _integer(last, after, seq - 1, "last of a range") + 1
        yield first, last
    if not 0 < len(value) <= MAX_GONE:
        raise Malformed("number of ranges")


def _status(value: Any) -> dict[int, int]:
    if type(value) is not dict or not value:
        raise Malformed("status must be a map with entries")
    return {
        _integer(key, 0, MAX_STATUS_KEY, "status key"): _integer(item, -MAX_STATUS, MAX_STATUS, "status value")
        for key, item in value.items()
    }


def _waveforms(value: Any, t0_ms: int) -> Iterable[Waveform]:
    if not 0 < len(_array(value, None, "waveforms")) <= MAX_WAVEFORMS:
        raise Malformed("number of waveforms")
    for one in value:
        source, columns, cause, strip, event, blocks = _array(one, 6, "a waveform")
        if not 0 < len(_array(columns, None, "columns")) <= waveform.MAX_COLUMNS:
            raise Malformed("number of columns")
        if not 0 < len(_array(blocks, None, "blocks")) <= MAX_BLOCKS:
            raise Malformed("number of blocks")
        yield Waveform(
            source=_integer(source, 1, 255, "source"),
            columns=tuple(_integer(column, 0, 255, "column") for column in columns),
            cause=_integer(cause, 0, 255, "cause"),
            strip=_integer(strip, 0, MAX_UINT32, "strip"),
            event_ms=t0_ms + _integer(event, -MAX_FROM_T0_MS, MAX_FROM_T0_MS, "event"),
            blocks=tuple(_blocks(blocks, t0_ms)),
        )


def _blocks(value: list, t0_ms: int) -> Iterable[Block]:
    for one in value:
        start, period, flags, data = _array(one, 4, "a block")
        if type(data) is not bytes:
            raise Malformed("a block must be bytes")
        try:
            rows = waveform.rows(data)
        except waveform.BadBlock as e:
            raise Malformed(f"a block: {e}") from e
        yield Block(
            t_ms=t0_ms + _integer(start, -MAX_FROM_T0_MS, MAX_FROM_T0_MS, "start of a block"),
            period_us=_integer(period, 1, MAX_PERIOD_US, "period"),
            flags=_integer(flags, 0, MAX_BLOCK_FLAGS, "flags of a block"),
            data=data,
            rows=rows,
        )


def _written_out(series: Any) -> Iterable[columns.Series]:
    """Yield the series of version 1: arrays, with second differences of ends, and values of what is not withheld."""
    seen = set()
    times: list | None = None
    for one in _array(series, None, "readings"):
        kind, exp10, unit, own_times, marks, values = _array(one, 6, "a series")
        key = (
            _integer(kind, 1, MAX_UINT32, "kind"),
            _integer(exp10, -MAX_EXPONENT, MAX_EXPONENT, "exponent"),
            _integer(unit, 0, MAX_UNIT, "unit"),
        )
        if key in seen:
            raise Malformed("a series occurs twice")
        seen.add(key)
        if type(own_times) is not int or own_times != 0:
            if own_times == times:
                raise Malformed("the same times are written twice")
            times = [_integer(time, -_BOUND, _BOUND, "time") for time in _array(own_times, None, "times")]
        if times is None:
            raise Malformed("the first series has no times")
        n = len(_array(marks, None, "marks"))
        if not 0 < n <= MAX_READINGS or len(times) != 2 * n:
            raise Malformed("number of times or readings")
        marks = [_integer(mark, -MAX_REASON, 100, "mark") for mark in marks]
        remaining = iter(_array(values, None, "values"))
        mantissas = [_integer(next(remaining, None), -_BOUND, _BOUND, "value") if mark >= 0 else 0 for mark in marks]
        if next(remaining, None) is not None:
            raise Malformed("more values than readings")
        yield columns.Series(
            key,
            [step - columns.CADENCE_MS * (i > 0) for i, step in enumerate(accumulate(times[:n]))],
            times[n:],
            [mark - before for mark, before in zip(marks, [columns.BEST, *marks], strict=False)],
            mantissas,
        )


def _packed(data: Any) -> Iterable[columns.Series]:
    """Yield the series of version 2."""
    if type(data) is not bytes:
        raise Malformed("readings must be bytes")
    try:
        yield from columns.read(data, MAX_READINGS)
    except columns.BadColumns as e:
        raise Malformed(str(e)) from e


_SERIES = {1: _written_out, VERSION: _packed}


def _readings(series: Iterable[columns.Series], t0_ms: int) -> Iterable[Reading]:
    """Yield the readings of all series, in their order: that order is a reading's ordinal."""
    count = 0
    for (kind, exp10, unit), *differences in series:
        _integer(kind, 1, MAX_UINT32, "kind")
        _integer(exp10, -MAX_EXPONENT, MAX_EXPONENT, "exponent")
        count += len(differences[0])
        if count > MAX_READINGS:
            raise Malformed("number of readings")
        end_ms, span_ms, mark, mantissa = t0_ms - columns.CADENCE_MS, 0, columns.BEST, 0
        for step_ms, longer_ms, better, more in zip(*differences, strict=True):
            end_ms += columns.CADENCE_MS + step_ms
            span_ms += longer_ms
            mark += better
            mantissa += more
            _integer(end_ms, max(0, t0_ms - MAX_FROM_T0_MS), t0_ms + MAX_FROM_T0_MS, "end of a reading")
            _integer(span_ms, 0, min(MAX_SPAN_MS, end_ms), "span of a reading")
            _integer(mark, -MAX_REASON, columns.BEST, "mark")
            _integer(mantissa, -MAX_MANTISSA, MAX_MANTISSA, "mantissa")
            if mark < 0 and more:
                raise Malformed("a value with a withheld reading")
            yield Reading(
                kind=kind,
                mantissa=mantissa if mark >= 0 else None,
                exp10=exp10,
                unit=unit,
                quality_pct=max(mark, 0),
                t_start_ms=end_ms - span_ms,
                t_end_ms=end_ms,
                absent_reason=max(-mark, 0),
            )
