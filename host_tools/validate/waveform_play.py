"""Runs under MicroPython: `micropython waveform_play.py FILE OUT`: samples in, blocks out.

FILE: columns (1 byte), 1 where samples are int32 and 0 where int16 (1 byte), then rows. OUT: each block after its
length (2 bytes, little-endian). Prints the microseconds that encoding took.
"""

import sys
import time
from array import array

try:
    import vigil_pointers  # type: ignore[import-not-found]  # the bytecode engine

    vigil_pointers.install()
except ImportError:
    pass

from vigil.wire.waveform import MOST_BYTES, Encoder


def main(path, out_path):
    """Encode a whole file."""
    out = bytearray(MOST_BYTES)
    view = memoryview(out)
    spent_us = 0
    with open(path, "rb") as file, open(out_path, "wb") as target:  # noqa: PTH123 - MicroPython has no pathlib
        columns, wide = file.read(2)
        encoder = Encoder(columns, bool(wide))
        row_bytes = columns * (4 if wide else 2)
        while True:
            raw = file.read(row_bytes * encoder.limit)
            if not raw:
                break
            data = array("i" if wide else "h", raw)
            start = time.ticks_us()
            encoder.put(data, 0, len(raw) // row_bytes)
            end = encoder.finish_into(out, 0)
            spent_us += time.ticks_diff(time.ticks_us(), start)
            target.write(end.to_bytes(2, "little"))
            target.write(view[:end])
    print(spent_us)


main(*sys.argv[1:])
