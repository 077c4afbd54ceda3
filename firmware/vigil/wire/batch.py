"""Batch: readings of some seconds, small because they are regular, in deterministic CBOR (SPEC.md section 3).

Readings of one kind form a series of four columns: ends, spans, marks, mantissas. A column is written as differences,
once alone where it never changes, and not at all where it is that of the series before; so a series every two seconds
has one byte for what it knew already.
"""

import struct

from micropython import const

from vigil.core.records import POOR_SIGNAL, PRESENT
from vigil.wire import cbor

VERSION = const(2)

_CADENCE_MS = const(2000)  # of regular ends; a part of the form, whatever REPORT_MS becomes
_KEY = const("<IbH")  # kind, exponent, unit
_KEY_BYTES = const(7)
_KNOWN = const(  # the series that have a number, from 1 on (SPEC.md section 3)
    b"\x82\x41\x02\x00\xff\xa0\x0a"  # HEART_RATE
    b"\x1a\x48\x02\x00\xff\xa0\x0a"  # PULSE_RATE
    b"\xb8\x4b\x02\x00\xff\x20\x02"  # SPO2
    b"\xd8\x4b\x02\x00\xfe\x20\x02"  # PERFUSION_INDEX
    b"\x0a\x50\x02\x00\xff\xe0\x0a"  # RESP_RATE
    b"\x01\x00\x00\x04\x00\x00\x02"  # RHYTHM
    b"\x02\x00\x00\x04\x00\x00\x02"  # CONTACT
    b"\x03\x00\x00\x04\xfd\x00\x02"  # MOTION
    b"\x05\x00\x00\x04\xff\x92\x08"  # HRV_SDNN
    b"\x06\x00\x00\x04\xff\x92\x08"  # HRV_RMSSD
    b"\x07\x00\x00\x04\xff\x20\x02"  # HRV_PNN50
    b"\x08\x00\x00\x04\x00\x00\x02"  # VENTRICULAR_RATE
    b"\x09\x00\x00\x04\xff\xa0\x0a"  # PULSE
    b"\x0a\x00\x00\x04\xff\xa0\x0a"  # PULSE_DEFICIT
)


def _put(out, n: int) -> None:
    """Append an integer: seven bits a byte, the lowest first, and the sign below them all."""
    n = 2 * n if n >= 0 else -2 * n - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)


def _columns(readings, t0_ms: int) -> bytearray:
    """Return the series of a batch, one after the other."""
    groups = []  # of each series: key, how many readings, numbers of the last, columns
    for reading in readings:
        key = struct.pack(_KEY, reading.kind, reading.exp10, reading.unit)
        for group in groups:
            if group[0] == key:
                break
        else:
            group = [key, 0, (0, 0, 100, 0), (bytearray(), bytearray(), bytearray(), bytearray())]
            groups.append(group)
        before = group[2]
        mark = reading.quality_pct
        mantissa = reading.mantissa
        if reading.absent_reason != PRESENT or mantissa is None:
            # The value stays on the device. A fault of an estimator's must not hold up the batch for ever.
            mark = -(reading.absent_reason or POOR_SIGNAL)
            mantissa = before[3]
        end_ms = reading.t_end_ms
        # By rounding a start may lie before the device's: not allowed.
        now = end_ms - t0_ms - group[1] * _CADENCE_MS, end_ms - max(reading.t_start_ms, 0), mark, mantissa
        group[1] += 1
        group[2] = now
        for i in range(4):
            _put(group[3][i], now[i] - before[i])
    out = bytearray()
    before = (None,) * 4
    for key, n, _, columns in groups:
        at = _KNOWN.find(key)
        if at % _KEY_BYTES:  # -1, too
            out.append(0)
            out.extend(key)
        else:
            out.append(at // _KEY_BYTES + 1)
        _put(out, n)
        at = len(out)
        out.append(0)
        for i in range(4):
            column = columns[i]
            if column == before[i]:
                out[at] |= 2 << 2 * i
                continue
            first = len(column) - n + 1
            if column[first:] == bytes(n - 1):  # nothing but zeros after the first
                out[at] |= 1 << 2 * i
                column = column[:first]
            out.extend(column)
        before = columns
    return out


def encode(*, boot, seq, prev_digest, oldest_seq, t0_ms, readings, utc=None, status=None, gone=(), waveform=None):
    """Return the payload of one envelope.

    boot: number of this start of the device. seq: number of the batch, +1 each across boots. prev_digest: 32 bytes,
    digest of the envelope before (zeros for the first). oldest_seq: lowest sequence still waiting on the device,
    this one included. t0_ms: device time that the batch's times count from. readings: list of core Reading; of a
    withheld one only kind, times and reason are written. utc: (UTC milliseconds at device time 0, uncertainty in
    milliseconds) once known. status: dict of small integers, keys in SPEC.md. gone: ranges (first, last) of sequences
    that the device was asked for and does not have any more. waveform: as SPEC.md section 11 has it, times after t0_ms.
    """
    t0_ms = max(t0_ms, 0)
    batch = {0: VERSION, 1: boot, 2: seq, 3: prev_digest, 4: t0_ms, 9: seq - oldest_seq}
    batch[6] = _columns(readings, t0_ms)
    if utc is not None:
        batch[5] = utc
    if waveform:
        batch[7] = [waveform]
    if status:
        batch[8] = status
    if gone:
        batch[10] = gone
    return cbor.encode(batch)
