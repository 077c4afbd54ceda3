"""Runs on a board whose firmware is being recorded: the firmware's own sources and channels, each block printed.

Runs under MicroPython, after host_tools.bringup.agent, whose `_board` and `feed` it uses. Lines:

    S source period_us t0_ms flags columns n hex-of-samples
    B source t_ms quality_pct flags
    R kind mantissa exp10 unit quality_pct t_start_ms t_end_ms absent_reason
"""

import asyncio
from binascii import hexlify


async def record(seconds):
    """Record for so many seconds of the board's clock."""
    from vigil.app.acquire import Acquisition
    from vigil.app.pipeline import Pipeline

    def beat(b):
        print("B", b.source, b.t_ms, b.quality_pct, b.flags)

    pipeline = Pipeline(beat)

    def push(b):
        if b.n:
            held = memoryview(b.data)[: b.n * len(b.columns)]
            columns = ",".join([str(c) for c in b.columns])
            print("S", b.source, b.period_us, b.t0_ms, b.flags, columns, b.n, hexlify(bytes(held)).decode())
        pipeline.push(b)

    task = asyncio.create_task(Acquisition(_board, push).run())  # noqa: F821
    try:
        for _ in range(2 * seconds):
            await asyncio.sleep_ms(500)
            feed()  # noqa: F821
            for r in pipeline.take():
                print("R", r.kind, "-" if r.mantissa is None else r.mantissa, r.exp10, r.unit, r.quality_pct,
                      r.t_start_ms, r.t_end_ms, r.absent_reason)  # fmt: skip
    finally:
        task.cancel()
