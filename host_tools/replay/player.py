"""Runs under MicroPython and under CPython: feeds a file of blocks to the firmware's pipeline and tells what comes out.

As a program: `micropython player.py play FILE` or `micropython player.py rhythm FILE`. Prints a line an event:
`B source index frac_q8 flags`, `R kind mantissa exp10 unit quality t_start_ms t_end_ms absent` (mantissa `-` for none),
`L label`. The file: headers `<BBHHIII` (source, columns, rows, flags, period_us, t0_ms, seq), column codes, data.
"""

import struct
import sys

HEADER = "<BBHHIII"


def play(read, emit):
    """Feed blocks until `read(n)` ends; emit(tag, numbers) for each beat and reading."""
    from array import array

    from vigil.app.pipeline import Pipeline
    from vigil.core.records import PPG, SampleBlock

    def on_beat(beat):
        emit("B", (beat.source, beat.index, beat.frac_q8, beat.flags))

    pipeline = Pipeline(on_beat)
    size = struct.calcsize(HEADER)
    while True:
        header = read(size)
        if not header:
            return
        source, k, n, flags, period_us, t0_ms, seq = struct.unpack(HEADER, header)
        columns = tuple(read(k))
        code, width = ("i", 4) if source == PPG else ("h", 2)
        data = array(code, read(n * k * width))
        pipeline.push(SampleBlock(source, columns, data, seq, t0_ms, period_us, n, flags))
        for r in pipeline.take():
            emit(
                "R",
                (
                    r.kind,
                    r.mantissa,
                    r.exp10,
                    r.unit,
                    r.quality_pct,
                    r.t_start_ms,
                    r.t_end_ms,
                    r.absent_reason,
                ),
            )


def rhythm(read, emit):
    """Feed RR intervals (unsigned 16-bit milliseconds); emit the label of each, in order.

    A decision describes the beat LATENCY intervals before it: the last beats share the last decision.
    """
    from vigil.estimators.rhythm import LABELS, LATENCY, Rhythm

    estimator = Rhythm()
    n = code = 0
    while True:
        raw = read(2)
        if not raw:
            break
        code = estimator.push(struct.unpack("<H", raw)[0])
        if n >= LATENCY:
            emit("L", (LABELS[code],))
        n += 1
    for _ in range(min(n, LATENCY)):
        emit("L", (LABELS[code],))


def _print(tag, numbers):
    print(tag, *["-" if v is None else v for v in numbers])


if __name__ == "__main__":
    try:
        import vigil_pointers  # type: ignore[import-not-found]  # the bytecode engine

        vigil_pointers.install()
    except ImportError:
        pass
    with open(sys.argv[2], "rb") as file:  # noqa: PTH123  MicroPython has no pathlib
        (play if sys.argv[1] == "play" else rhythm)(file.read, _print)
