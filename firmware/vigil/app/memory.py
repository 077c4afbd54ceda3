"""Memory while it runs short: collected where sampling does not mind, given up in a stated order, taken back later.

What is shed first is what a wearer misses least: respiration, then the judge of motion. Rates, saturation, rhythm,
sealing and the link never are: docs/memory.md.
"""

import gc
import time

from micropython import const

from vigil.core.log import INFO, WARN, log
from vigil.core.records import ECG, GAP, PPG

_FLOOR = const(8_192)  # bytes free after a collection: one batch, one TLS record, and some to spare
_PLENTY = const(32_768)  # then something is taken back
_AGAIN_MS = const(300_000)  # between two attempts at that
_BLOCKS = const(12)  # of the leading source between two collections: 2 s of PPG, 1.5 to 3 s of ECG


class Memory:
    """Stands between a source and what digests its blocks.

    push(block); shed() -> name of the optional part given up, "" when there is none left; restore() likewise.
    free() -> bytes. shed_parts: given up at the moment. lost_blocks: not digested for want of memory. gc_us: longest
    collection.
    """

    def __init__(self, clock, pipeline, collect=gc.collect, free=None):
        self._clock = clock
        self._pipeline = pipeline
        self._collect = collect
        self._free = free or gc.mem_free
        self._turn = 0
        self._gap = [False, False, False, False]  # by source: its chain was interrupted
        self._again_ms = 0
        self._leads = PPG  # the source after whose blocks garbage is collected: the ECG where it flows
        self.shed_parts = 0
        self.lost_blocks = 0
        self.gc_us = 0

    def push(self, block) -> None:
        """Hand a block on. The FIFO has just been emptied, so this is the time to collect garbage, too."""
        source = block.source
        if self._gap[source]:
            self._gap[source] = False
            block.flags |= GAP
        try:
            self._pipeline.push(block)
        except MemoryError:
            self._gap[source] = True
            self.lost_blocks += 1
            self.tidy()
            self._make_room()
        if source == ECG:
            self._leads = ECG
        if source == self._leads:
            self._turn += 1
            if self._turn >= _BLOCKS:
                self.tidy()

    def tidy(self) -> None:
        """Collect garbage, and remember how long that took."""
        self._turn = 0
        start_us = time.ticks_us()
        self._collect()
        self.gc_us = max(self.gc_us, time.ticks_diff(time.ticks_us(), start_us))

    def watch(self) -> None:
        """Look once a second or so: give something up below the floor, take it back when there is plenty."""
        free = self._free()
        if free < _FLOOR:
            self.tidy()
            if self._free() < _FLOOR:
                self._make_room()
        elif self.shed_parts and free > _PLENTY and self._clock.ms() > self._again_ms:
            self._again_ms = self._clock.ms() + _AGAIN_MS
            try:
                name = self._pipeline.restore()
            except MemoryError:
                return  # not yet
            self.shed_parts -= 1
            log(INFO, "memory", name + " again")

    def _make_room(self) -> None:
        name = self._pipeline.shed()
        if name:
            self.shed_parts += 1
            self._again_ms = self._clock.ms() + _AGAIN_MS
            self.tidy()
            log(WARN, "memory", "short of it: no " + name)
