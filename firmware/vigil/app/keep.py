"""Keeping a part on a bus at work: it is missing, pulled out, browned out or plugged in again."""

import asyncio

from micropython import const

from vigil.core.errors import SensorError
from vigil.core.log import WARN, log
from vigil.core.records import ABSENT, GAP, REPORT_MS

_POLL_MS = const(20)
_RETRY_MS = const(3000)
_QUICK_TRIES = const(6)  # after a fault, 40 ms apart and doubling (2.5 s in all), before the part counts as absent


def say_absent(source, block, t_ms, push):
    """Push `block` as one that says that there is no part; what comes after it begins anew."""
    block.n = 0
    block.flags = ABSENT
    block.t0_ms = t_ms
    push(block)
    block.seq += 1
    source.flags = GAP


async def keep(source, name, clock, until_ms):
    """Run `source` until `until_ms` (None: for ever), through every fault of its part and bus.

    source.part: the driver, None until source.open() has made it; source.drain() delivers, each 20 ms; both raise
    SensorError. source.recover() frees the bus; source.absent() says that there is nothing to measure, each REPORT_MS.
    source.present, source.faults: kept here, for the status. source.flags: of the next block; GAP goes as data come.
    """
    tries = 0
    absent_ms = retry_ms = 0
    while until_ms is None or clock.ms() < until_ms:
        try:
            if source.part is None:
                source.open()
                source.present = True
            source.drain()
            if source.flags & GAP == 0:
                tries = 0
            await asyncio.sleep_ms(_POLL_MS)
            continue
        except SensorError as e:
            source.part = None
            source.faults += 1
            if tries == 0 and source.present:
                log(WARN, name, str(e))
        source.recover()
        tries += 1
        if source.present and tries <= _QUICK_TRIES:
            await asyncio.sleep_ms(_POLL_MS << tries)
            continue
        if source.present or tries == 1:
            log(WARN, name, "no sensor; asking again every 3 s")
        source.present = False
        retry_ms = clock.ms() + _RETRY_MS
        while clock.ms() < retry_ms and (until_ms is None or clock.ms() < until_ms):
            if clock.ms() >= absent_ms:
                absent_ms = clock.ms() + REPORT_MS
                source.absent()
            await asyncio.sleep_ms(100)
