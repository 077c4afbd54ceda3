"""Judges a release on trial by what it does: samples, sealed readings, memory, and a host that has committed them."""

import asyncio
import gc

from micropython import const

NO_SENSORS = const(18)  # why it fails: a sensor that answered before does not
CRASHED = const(19)  # a task ended that should not
NO_MEMORY = const(20)
NO_SEAL = const(21)  # nothing is sealed
NO_LINK = const(22)  # no host commits what it seals

_LOOK_MS = const(1_000)
_WORK_MS = const(120_000)  # to measure and seal
_LINK_MS = const(900_000)  # to deliver: the network may be away, and rolling back loses nothing
_HEAP_LEAST = const(4_096)  # bytes, beside the code of updates itself, which takes as much and goes


async def judge(job, sensors: int) -> int:
    """Return 0 when the release that runs is sound, else why not. sensors: those of the release before, as bits."""
    monitor = job.monitor
    journal, clock = monitor.journal, monitor.board.clock
    start_ms = clock.ms()
    first = journal.next_seq
    while True:
        await asyncio.sleep_ms(_LOOK_MS)
        now_ms = clock.ms() - start_ms
        if monitor.supervisor.restarts:
            return CRASHED
        why = NO_SENSORS if job.updates.sensors() & sensors != sensors else NO_SEAL if journal.next_seq == first else 0
        if why and now_ms > _WORK_MS:
            return why
        if not why and not journal.holds(first):
            gc.collect()
            return 0 if gc.mem_free() >= _HEAP_LEAST else NO_MEMORY
        if now_ms > _LINK_MS:
            return NO_LINK
