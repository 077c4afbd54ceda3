"""Memory that runs short: what is given up when, and that samples go on."""

import time

from vigil.app.memory import Memory
from vigil.core.records import ECG, GAP, PPG, SampleBlock

if not hasattr(time, "ticks_us"):  # CPython
    time.ticks_us = lambda: 0
    time.ticks_diff = lambda a, b: a - b


class Clock:
    now_ms = 0

    def ms(self):
        return self.now_ms


class Pipeline:
    """Optional parts by name; fails: so many blocks find no memory."""

    def __init__(self):
        self.parts, self.gone, self.fails, self.flags = ["c", "b", "a"], [], 0, []

    def push(self, block):
        if self.fails:
            self.fails -= 1
            raise MemoryError
        self.flags.append(block.flags)

    def shed(self):
        if not self.parts:
            return ""
        self.gone.append(self.parts.pop())
        return self.gone[-1]

    def restore(self):
        self.parts.append(self.gone.pop())
        return self.parts[-1]


def setting(free):
    """Return (memory, pipeline, clock, [collections]); free: bytes, by turns."""
    clock, pipeline, done = Clock(), Pipeline(), []
    figures = list(free)
    memory = Memory(clock, pipeline, lambda: done.append(1), lambda: figures.pop(0) if len(figures) > 1 else figures[0])
    return memory, pipeline, clock, done


# requirement: MEM-1
def test_a_block_without_memory_is_dropped_and_the_next_begins_anew():
    memory, pipeline, _, done = setting([50_000])
    pipeline.fails = 2
    for source in (PPG, PPG, ECG, PPG, PPG):
        memory.push(SampleBlock(source, (0,), None, n=17))
    assert memory.lost_blocks == 2 and pipeline.flags == [0, GAP, 0] and len(done) >= 2
    assert pipeline.gone == ["a", "b"] and memory.shed_parts == 2


def test_garbage_is_collected_after_a_block_of_the_leading_source():
    memory, _, _, done = setting([50_000])
    for _ in range(24):
        memory.push(SampleBlock(PPG, (0,), None))
    assert len(done) == 2
    for _ in range(24):
        memory.push(SampleBlock(ECG, (0,), None))
        for _ in range(3):
            memory.push(SampleBlock(PPG, (0,), None))
    assert len(done) == 4 and memory.gc_us >= 0


def test_parts_go_in_order_and_come_back_when_there_is_plenty():
    memory, pipeline, clock, done = setting([9_000])
    memory.watch()
    assert not pipeline.gone and not done
    memory, pipeline, clock, done = setting([8_000, 30_000])
    memory.watch()
    assert not pipeline.gone and len(done) == 1  # it was garbage
    memory, pipeline, clock, done = setting([8_000])
    for _ in range(5):
        memory.watch()
    assert pipeline.gone == ["a", "b", "c"] and memory.shed_parts == 3
    memory._free = lambda: 20_000
    clock.now_ms += 400_000
    memory.watch()
    assert memory.shed_parts == 3  # it would not last
    memory._free = lambda: 40_000
    memory.watch()
    memory.watch()
    assert pipeline.parts == ["c"] and memory.shed_parts == 2  # one at a time
    clock.now_ms += 400_000
    memory.watch()
    assert pipeline.parts == ["c", "b"]
