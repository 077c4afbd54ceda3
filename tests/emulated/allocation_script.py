"""The whole signal path with the heap locked: drivers, acquisition, every channel and every optional estimator.

From LOCK_MS on the heap is locked around each turn of a source and each interrupt, and opened only for what may
allocate: reports, each two seconds. The first allocation elsewhere raises MemoryError with its traceback. Ends with one
JSON line. Environment: that of the virtual board.
"""

import asyncio
import gc
import json
import sys

import micropython

try:
    import vigil_pointers

    vigil_pointers.install()
except ImportError:
    pass

import board

from vigil.app.acquire import Acquisition
from vigil.app.pipeline import Pipeline

LOCK_MS = 12_000
ALL = sys.maxsize >> 32  # with 32-bit words the virtual board itself allocates: there the channels alone are locked

the_board = board.make()
clock = the_board.clock
pipeline = Pipeline()
locked = [False]
counts = [0, 0, 0, 0]  # blocks under lock, by source
turns = reports = 0


def opened(function):
    """Let a function of two arguments allocate."""

    def call(a, b):
        global reports
        was = locked[0]
        if was:
            micropython.heap_unlock()
            locked[0] = False
            reports += 1
        try:
            return function(a, b)
        finally:
            if was:
                micropython.heap_lock()
                locked[0] = True

    return call


def closed(function):
    """Let a function of no argument allocate nothing, once everything has been made."""

    def call():
        if clock.now_us < LOCK_MS * 1000:
            return function()
        micropython.heap_lock()
        locked[0] = True
        try:
            return function()
        finally:
            locked[0] = False
            micropython.heap_unlock()

    return call


def closed_interrupt(t_us):
    micropython.heap_lock()
    try:
        acquisition.ecg._interrupt(t_us)
    finally:
        micropython.heap_unlock()


def digest(block):
    """The channels alone under lock."""
    if clock.now_us < LOCK_MS * 1000:
        pipeline.push(block)
        return
    micropython.heap_lock()
    locked[0] = True
    try:
        pipeline.push(block)
    finally:
        locked[0] = False
        micropython.heap_unlock()
    counts[block.source] += 1


def push(block):
    if locked[0]:
        counts[block.source] += 1
    known = len(pipeline._channels)
    if ALL:
        pipeline.push(block)
    else:
        digest(block)
    if len(pipeline._channels) != known:
        channel = pipeline._channels[block.source]
        channel.report = opened(channel.report)


pipeline._report_jointly = opened(pipeline._report_jointly)
acquisition = Acquisition(the_board, push)
if ALL:
    for source in (acquisition.ecg, acquisition.ppg, acquisition.acc):
        source.drain = closed(source.drain)
    the_board.irq("max30003", closed_interrupt)


async def main():
    taker = asyncio.create_task(take())
    await acquisition.run()
    taker.cancel()


kinds = set()


async def take():
    while True:
        await asyncio.sleep_ms(2000)
        for reading in pipeline.take():
            if reading.mantissa is not None:
                kinds.add(reading.kind)
        gc.collect()


asyncio.run(main())
figures = {"blocks": counts, "reports": reports, "kinds": sorted(kinds)}
figures["lost"] = [acquisition.ecg.lost, acquisition.ppg.lost, acquisition.acc.lost]
print("END", json.dumps(figures))
