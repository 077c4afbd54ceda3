"""MicroPython side of the acquisition tests: the shipped sources on the virtual board, what they push printed.

Environment: TEST_PRINT "blocks" (one line a block with a digest of its samples), "samples" (all values) or "readings"
(what the pipeline makes of them: kind, mantissa, quality, absent reason, end in ms), TEST_LOCK
"1" to lock the heap around each hand-over. Ends with one JSON line of figures.
"""

# ruff: noqa: E402 - what importing costs is measured
import gc
import json
import os
import time
from binascii import crc32

import micropython

try:
    import vigil_pointers

    vigil_pointers.install()
except ImportError:
    pass

gc.collect()
free0 = gc.mem_free()
import asyncio

import board

from vigil.app.acquire import Acquisition

the_board = board.make()
gc.collect()
free1 = gc.mem_free()
count = {1: 0, 2: 0, 3: 0}
absent = {1: 0, 2: 0, 3: 0}
last = {}
kind = os.getenv("TEST_PRINT")
if kind == "readings":
    from vigil.app.pipeline import Pipeline

    pipeline = Pipeline()


def push(block):
    s = block.source
    if block.n == 0:
        absent[s] += 1
    count[s] += block.n
    last[s] = block.period_us
    if kind == "readings":
        pipeline.push(block)
        for r in pipeline.take():
            print("R", r.kind, -1 if r.mantissa is None else r.mantissa, r.quality_pct, r.absent_reason, r.t_end_ms)
    elif kind == "blocks":
        width = len(block.columns)
        crc = crc32(memoryview(block.data)[: block.n * width])
        print("B", s, block.seq, block.t0_ms, block.period_us, block.n, block.flags, crc)
    elif kind == "samples":
        width = len(block.columns)
        print(
            "S", s, block.seq, block.t0_ms, block.period_us, block.n, block.flags, list(block.data)[: block.n * width]
        )


def locked_push(block):
    count[block.source] += block.n


lock = os.getenv("TEST_LOCK")
acquisition = Acquisition(the_board, locked_push if lock else push)
if lock:

    def guard(source):
        drain = source.drain

        def locked():
            if the_board.clock.ms() < 3000:  # a start may allocate
                drain()
                return
            micropython.heap_lock()
            try:
                drain()
            finally:
                micropython.heap_unlock()

        source.drain = locked

    guard(acquisition.ecg)
    guard(acquisition.ppg)
    guard(acquisition.acc)
    interrupt = acquisition.ecg._interrupt

    def locked_interrupt(t_us):
        micropython.heap_lock()
        try:
            interrupt(t_us)
        finally:
            micropython.heap_unlock()

    if os.getenv("TEST_LOCK") == "irq":
        the_board.irq("max30003", locked_interrupt)
    acquisition.ecg._interrupt = locked_interrupt  # what the timer is given


async def main():
    """TEST_HOLD "at,for;..." in ms: code of ours, as a seal is, that holds up the scheduler and no interrupt; negative:
    flash, before which the FIFOs are emptied; what follows on 10 ms later is a step of the same handshake."""
    holds = [[int(x) for x in hold.split(",")] for hold in (os.getenv("TEST_HOLD") or "").split(";") if hold]
    running = asyncio.create_task(acquisition.run())
    clock = the_board.clock
    began = False
    for i, (at_ms, for_ms) in enumerate(holds):
        more = i + 1 < len(holds) and holds[i + 1][0] <= at_ms - for_ms + 10
        await asyncio.sleep_ms(at_ms - clock.ms())
        if for_ms < 0:  # every FIFO is emptied, then nothing runs
            acquisition.relieve(began or more)
            clock.now_us -= for_ms * 1000
            if began and not more:
                acquisition.relieve()
            began = more
        for _ in range(for_ms):
            clock.now_us += 1000
            clock._serve()
    await running


start_ms = time.ticks_ms()
asyncio.run(main())
real_ms = time.ticks_ms() - start_ms
gc.collect()
figures = {"count": count, "absent": absent, "period": last, "real_ms": real_ms, "ms": the_board.clock.ms()}
figures["lost"] = [acquisition.ecg.lost, acquisition.ppg.lost, acquisition.acc.lost]
figures["faults"] = acquisition.ppg.faults
figures["acc_faults"] = acquisition.acc.faults
figures["ecg_faults"] = acquisition.ecg.faults
figures["board_heap"] = free0 - free1
figures["used"] = free1 - gc.mem_free()
print("END", json.dumps(figures))
