"""Reads the lossless blocks of a waveform, after firmware/SPEC.md section 11; shares no code with the encoder.

What is written here is bounded by what is read: a block has at most 256 rows, a sample at most 40 bits.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

import numpy as np

from signal_models.design.waveform import predictors_q8

MAX_COLUMNS = 4
MAX_BLOCK_BYTES = 1253
_ESCAPE = 16  # ones in a row: 24 plain bits follow
_PLAIN_BITS = 24
_WEIGHTS = [[int(w) for w in row] for row in predictors_q8()]


class BadBlock(ValueError):
    """Bytes that no encoder writes. The message names the rule."""


@dataclass(frozen=True)
class _Column:
    gain: int
    code: int
    first: int
    left: list[int]  # what the predictor left, of each row after the first


def rows(block: bytes) -> int:
    """Number of rows of a block whose length and check are right. Raises BadBlock."""
    if not 7 <= len(block) <= MAX_BLOCK_BYTES:
        raise BadBlock(f"{len(block)} bytes")
    if binascii.crc_hqx(block, 0):  # over the data and its check: zero
        raise BadBlock("check")
    return block[0] + 1


def decode(block: bytes, columns: int) -> np.ndarray:
    """Return (rows, columns) int32 samples of a block. Raises BadBlock for anything that no encoder writes."""
    n = rows(block)
    if not 0 < columns <= MAX_COLUMNS:
        raise BadBlock("number of columns")
    body = memoryview(block)[1:-2]
    parts = []
    at = 0
    for _ in range(columns):
        part, at = _column(body, at, n)
        parts.append(part)
    if at != len(body):
        raise BadBlock("bytes after the last column")
    if parts[-1].gain:
        raise BadBlock("the last column leans on nothing")
    last = _signal(parts[-1])
    out = np.empty((n, columns), np.int64)
    out[:, -1] = last
    for i, part in enumerate(parts[:-1]):
        out[:, i] = _signal(part) + (part.gain * out[:, -1] >> 3)
    if np.abs(out).max(initial=0) >= 1 << 18:
        raise BadBlock("a sample beyond 18 bits")
    return out.astype(np.int32)


def _column(body: memoryview, at: int, n: int) -> tuple[_Column, int]:
    head = bytes(body[at : at + 4])
    if len(head) < 4:
        raise BadBlock("truncated")
    start = head[1] >> 4
    first = int.from_bytes(head[1:], "big") & 0xFFFFF
    first -= (first & 0x80000) << 1
    at += 4
    rest = bytes(body[at : at + 5 * n])
    bits = bin(int.from_bytes(b"\1" + rest, "big"))[3:]
    left = []
    mean = 24 << start
    i = 0
    for _ in range(n - 1):
        r = max(0, ((mean - 1) >> 4).bit_length() - 1)  # the least r with 16 * 2**r >= mean, less one
        zero = bits.find("0", i, i + _ESCAPE)
        if zero < 0:
            end = i + _ESCAPE + _PLAIN_BITS
            word = bits[i + _ESCAPE : end]
            if end > len(bits):
                raise BadBlock("truncated")
            u = int(word, 2)
            if u >> r < _ESCAPE:
                raise BadBlock("an escape that was not needed")
        else:
            end = zero + 1 + r
            if end > len(bits):
                raise BadBlock("truncated")
            u = (zero - i << r) + (int(bits[zero + 1 : end], 2) if r else 0)
        i = end
        left.append((u >> 1) ^ -(u & 1))
        mean += u - (mean >> 4)
    if "1" in bits[i : i + (-i) % 8]:
        raise BadBlock("padding")
    return _Column(head[0] >> 4, head[0] & 15, first, left), at + (i + 7) // 8


def _signal(part: _Column) -> np.ndarray:
    """First value and what was left, back to samples."""
    w0, w1, w2, w3, w4, w5 = _WEIGHTS[part.code]
    d0 = d1 = d2 = d3 = d4 = d5 = 0
    x = part.first
    out = [x]
    for e in part.left:
        d = e + ((w0 * d0 + w1 * d1 + w2 * d2 + w3 * d3 + w4 * d4 + w5 * d5 + 128) >> 8)
        d0, d1, d2, d3, d4, d5 = d, d0, d1, d2, d3, d4
        x += d
        if not -(1 << 23) < x < 1 << 23:  # nonsense must not grow
            raise BadBlock("a sample beyond every bound")
        out.append(x)
    return np.array(out, np.int64)
