"""The three engines of replay: real MicroPython (viper, bytecode) as a child process, and this CPython."""

from __future__ import annotations

import io
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from host_tools.errors import UserError
from host_tools.replay import player
from host_tools.replay.frontend import Block
from host_tools.virtual import interpreter
from vigil.core import records

ENGINES = ("micropython", "micropython-bytecode", "cpython")
Event = tuple[Any, ...]


def check(engine: str) -> None:
    """Raise UserError for an engine that does not exist."""
    if engine not in ENGINES:
        raise UserError(f"unknown engine `{engine}`", f"one of {', '.join(ENGINES)}")


def _encode(blocks: Iterable[Block]) -> bytes:
    out = io.BytesIO()
    seqs: dict[int, int] = {}
    for b in blocks:
        seq = seqs.get(b.source, 0)
        seqs[b.source] = seq + 1
        n, k = b.data.shape
        out.write(struct.pack(player.HEADER, b.source, k, n, b.flags, b.period_us, b.t0_ms, seq))
        out.write(bytes(b.columns))
        out.write(np.ascontiguousarray(b.data, "<i4" if b.source == records.PPG else "<i2").tobytes())
    return out.getvalue()


def _run(task: str, payload: bytes, engine: str) -> Iterator[Event]:
    if engine == "cpython":
        events: list[Event] = []
        run = player.play if task == "play" else player.rhythm
        run(io.BytesIO(payload).read, lambda tag, numbers: events.append((tag, *numbers)))
        yield from events
        return
    with tempfile.TemporaryDirectory(prefix="vigil-replay-") as folder:
        file = Path(folder) / "blocks"
        file.write_bytes(payload)
        child = subprocess.Popen(
            interpreter.command(player.__file__, task, str(file)),
            env=interpreter.environment(
                *interpreter.import_path("bytecode" if engine == "micropython-bytecode" else "viper")
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert child.stdout is not None
        rest = []
        try:
            for line in child.stdout:
                tag, *words = line.split() or [""]
                if tag in ("B", "R"):
                    yield (tag, *[None if w == "-" else int(w) for w in words])
                elif tag == "L":
                    yield (tag, *words)
                else:
                    rest.append(line)
        finally:
            child.stdout.close()  # a caller who stops reading ends the child too
            status = child.wait()
        if status:
            raise RuntimeError(f"the firmware failed under {engine}:\n" + "".join(rest[-20:]))


def play(blocks: Iterable[Block], engine: str) -> Iterator[Event]:
    """Yield ("B", source, index, frac_q8, flags) and ("R", kind, mantissa, ...) events."""
    return _run("play", _encode(blocks), engine)


def rhythm(rr_ms: list[int], engine: str) -> list[str]:
    """Label of each RR interval (milliseconds, 0..60000)."""
    return [event[1] for event in _run("rhythm", struct.pack(f"<{len(rr_ms)}H", *rr_ms), engine)]
