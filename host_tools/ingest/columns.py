"""Reads the columns in which a batch of version 2 holds its readings (firmware/SPEC.md section 3).

What comes out are the numbers as written, differences and all; what they mean is batch.py's. Only what the device
writes is read: every other way to say the same is refused, so that equal readings have equal bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from vigil.core import records

# Series by number, from 1 on. A number is never used again for something else.
KNOWN = (
    (records.HEART_RATE, -1, records.BEAT_PER_MIN),
    (records.PULSE_RATE, -1, records.BEAT_PER_MIN),
    (records.SPO2, -1, records.PERCENT),
    (records.PERFUSION_INDEX, -2, records.PERCENT),
    (records.RESP_RATE, -1, records.RESP_PER_MIN),
    (records.RHYTHM, 0, records.DIMLESS),
    (records.CONTACT, 0, records.DIMLESS),
    (records.MOTION, -3, records.DIMLESS),
    (records.HRV_SDNN, -1, records.MILLI_SEC),
    (records.HRV_RMSSD, -1, records.MILLI_SEC),
    (records.HRV_PNN50, -1, records.PERCENT),
    (records.VENTRICULAR_RATE, 0, records.DIMLESS),
    (records.PULSE, -1, records.BEAT_PER_MIN),
    (records.PULSE_DEFICIT, -1, records.BEAT_PER_MIN),
)

CADENCE_MS = 2000  # what the ends of a regular series are apart; their differences count from it
BEST = 100  # quality, which the first mark's difference counts from
MAX_NUMBER_BYTES = 5

_KEY = struct.Struct("<IbH")  # kind, exponent, unit of a series without a number
_WHOLE, _ONCE, _SAME = range(3)  # forms of a column
_COLUMNS = 4


class BadColumns(ValueError):
    """Bytes that no device writes. The message names the rule."""


class Series(NamedTuple):
    """A series: kind, exponent and unit; and the differences of its columns, one a reading in each."""

    key: tuple[int, int, int]
    ends: list[int]
    spans: list[int]
    marks: list[int]
    mantissas: list[int]


class _Reader:
    def __init__(self, data: bytes):
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, n: int) -> bytes:
        part = self._data[self._at : self._at + n]
        if len(part) < n:
            raise BadColumns("columns end too early")
        self._at += n
        return part

    def number(self) -> int:
        folded = 0
        for i in range(MAX_NUMBER_BYTES):
            (byte,) = self.take(1)
            folded |= (byte & 127) << 7 * i
            if byte < 128:
                if i and not byte:
                    raise BadColumns("a number is longer than it need be")
                return folded >> 1 ^ -(folded & 1)
        raise BadColumns("a number is too long")


def read(data: bytes, most: int) -> Iterator[Series]:
    """Yield the series in `data`, of at most `most` readings together. Raises BadColumns."""
    reader = _Reader(data)
    seen = set()
    before = [[]] * _COLUMNS
    while reader.more:
        key = _key(reader)
        if key in seen:
            raise BadColumns("a series occurs twice")
        seen.add(key)
        n = reader.number()
        if not 0 < n <= most:
            raise BadColumns("number of readings")
        most -= n
        (forms,) = reader.take(1)
        before = [_column(reader, forms >> 2 * i & 3, n, before[i]) for i in range(_COLUMNS)]
        yield Series(key, *before)


def _key(reader: _Reader) -> tuple[int, int, int]:
    (number,) = reader.take(1)
    if number > len(KNOWN):
        raise BadColumns("no series has this number")
    if number:
        return KNOWN[number - 1]
    key = _KEY.unpack(reader.take(_KEY.size))
    if key in KNOWN:
        raise BadColumns("a series with a number is written out")
    return key


def _column(reader: _Reader, form: int, n: int, before: list[int]) -> list[int]:
    if form == _SAME:
        if len(before) != n:
            raise BadColumns("no column before is the same")
        return before
    if form not in (_WHOLE, _ONCE):
        raise BadColumns("no column has this form")
    column = [reader.number() for _ in range(n if form == _WHOLE else 1)]
    if form == _ONCE:
        column += [0] * (n - 1)
    elif not any(column[1:]):
        raise BadColumns("a column that never changes is written out")
    if column == before:
        raise BadColumns("the same column is written twice")
    return column
