"""Lossless waveform blocks and the ring that keeps them: bytes that never change, bounds, nothing allocated."""

import gc
import hashlib
import sys
from array import array
from binascii import hexlify

import micropython

from vigil.core.records import (
    BEAT_VENTRICULAR,
    ECG,
    GAP,
    IR,
    PPG,
    RED,
    WAVE_ASKED,
    WAVE_RHYTHM,
    WAVE_RUN,
    Beat,
    SampleBlock,
)
from vigil.store.strips import PRE_MS, Strips
from vigil.wire.waveform import MOST_BYTES, Encoder

LENGTHS = [197, 198, 70, 173, 181, 64]
DIGEST = b"94b3f24af190a6dc"  # tests/differential/test_waveform_reader.py reads the same blocks back


def noise(seed):
    """Uniform integers of 16 bits from a linear congruential generator."""
    while True:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        yield seed >> 15


def ecg(n, seed=1):
    """A triangle each 200 samples, and noise of some microvolts."""
    source = noise(seed)
    return array("h", [max(0, 900 - 90 * abs(i % 200 - 50)) - 100 + next(source) % 21 for i in range(n)])


def light(n, seed=1):
    """Red and infrared, rows of two."""
    source = noise(seed)
    out = array("i", bytes(8 * n))
    for i in range(n):
        pulse = 900 - 12 * (i % 75)
        out[2 * i] = 90000 - pulse // 2 + next(source) % 9
        out[2 * i + 1] = 120000 - pulse + next(source) % 9
    return out


def encoded(data, columns, wide):
    encoder = Encoder(columns, wide)
    out = bytearray(MOST_BYTES)
    blocks = []
    row = 0
    rows = len(data) // columns
    while row < rows:
        row += encoder.put(data, row, rows - row)
        blocks.append(bytes(memoryview(out)[: encoder.finish_into(out, 0)]))
    return blocks


def test_bytes_are_the_same_on_every_engine():
    blocks = encoded(ecg(600), 1, False) + encoded(light(300), 2, True)
    assert [b[0] + 1 for b in blocks] == [250, 250, 100, 125, 125, 50]
    assert [len(b) for b in blocks] == LENGTHS
    assert hexlify(hashlib.sha256(b"".join(blocks)).digest()[:8]) == DIGEST


def test_a_still_line_takes_a_bit_a_sample():
    assert len(encoded(array("h", [5] * 250), 1, False)[0]) == 1 + 4 + 32 + 2


def test_full_scale_surprises_stay_within_the_bound():
    source = noise(7)
    narrow = array("h", [32767 if next(source) & 64 else -32768 for _ in range(250)])
    assert len(encoded(narrow, 1, False)[0]) <= MOST_BYTES
    wide = array("i", [262143 if next(source) & 64 else 0 for _ in range(500)])
    for columns in (1, 2, 4):
        assert max([len(b) for b in encoded(wide, columns, True)]) <= MOST_BYTES - 2 * columns


def feed(strips, seconds, t_ms=0, flags=0, source=ECG):
    if source == ECG:
        block = SampleBlock(ECG, (0,), ecg(25), period_us=4000, n=25)
    else:
        block = SampleBlock(PPG, (RED, IR), light(10), period_us=10000, n=10)
    for i in range(10 * seconds):
        block.t0_ms = t_ms + 100 * i
        block.flags = flags if i == 0 else 0
        strips.push(block)
    return t_ms + 1000 * seconds


def pieces(strips, now_ms):
    found = []
    while True:
        piece = strips.piece(now_ms)
        if piece is None:
            return found
        found.append(piece)


def test_a_strip_is_what_lies_around_its_event():
    strips = Strips()
    for source in (ECG, PPG):
        feed(strips, 40, source=source)
    assert strips.piece(40_000) is None
    assert strips.trigger(WAVE_RHYTHM, 36_000)
    first = pieces(strips, 40_000)
    for source in (ECG, PPG):
        feed(strips, 12, 40_000, source=source)
    found = first + pieces(strips, 52_000)
    for source, longest_ms in ((ECG, 1000), (PPG, 1250)):
        blocks = [b for p in found if p[0] == source for b in p[5]]
        assert 36_000 - PRE_MS - longest_ms < blocks[0][0] <= 36_000 - PRE_MS
        for i in range(1, len(blocks)):
            assert blocks[i][0] - blocks[i - 1][0] == longest_ms
        assert 46_000 <= blocks[-1][0] + longest_ms < 46_000 + longest_ms + 1
    assert all([p[2:5] == [WAVE_RHYTHM, 1, 36_000] for p in found])
    assert all([sum([len(b[3]) for b in p[5]]) <= 2500 for p in found])
    assert not strips.trigger(WAVE_RHYTHM, 60_000)  # too soon after the one before
    assert strips.trigger(WAVE_RHYTHM, 106_000)


def test_more_events_prolong_a_strip_up_to_its_bound():
    strips = Strips()
    feed(strips, 30)
    for t_ms in range(25_000, 90_000, 5_000):
        assert strips.trigger(WAVE_RHYTHM, t_ms)
    t_ms = 30_000
    found = []
    while t_ms < 100_000:
        t_ms = feed(strips, 10, t_ms)
        found += pieces(strips, t_ms)
    assert sum([len(p[5]) for p in found]) == 60
    assert strips.count == 1


def test_a_silent_source_holds_up_nothing():
    strips = Strips()
    feed(strips, 30)
    feed(strips, 20, source=PPG)
    strips.trigger(WAVE_RHYTHM, 30_000)
    pieces(strips, 30_000)
    feed(strips, 15, 30_000)
    pieces(strips, 45_000)
    pieces(strips, 61_000)
    assert strips.trigger(WAVE_RHYTHM, 200_000)
    assert strips.count == 2


def test_a_gap_begins_a_block_and_is_marked_there_alone():
    strips = Strips()
    feed(strips, 3)
    feed(strips, 3, 10_500, GAP)
    strips.trigger(WAVE_RHYTHM, 14_000)
    blocks = [b for p in pieces(strips, 14_000) for b in p[5]]
    assert [b[0] for b in blocks if b[2] & GAP] == [10_500]


def test_three_ventricular_beats_in_a_row_are_an_event():
    strips = Strips()
    beat = Beat(ECG, 1000, 0)
    for flags in (1, 1, 0, 1, 1):
        beat.flags = flags * BEAT_VENTRICULAR
        strips.beat(beat)
    assert strips.count == 0
    strips.beat(beat)
    assert strips.count == 1
    feed(strips, 3)
    assert pieces(strips, 3000)[0][2] == WAVE_RUN


def test_a_stream_gives_everything_once_and_ends():
    strips = Strips()
    feed(strips, 5)
    strips.stream(15_000)
    t_ms = 5_000
    blocks = []
    while t_ms < 40_000:
        t_ms = feed(strips, 5, t_ms)
        for piece in pieces(strips, t_ms):
            assert piece[2:4] == [WAVE_ASKED, 0]
            blocks += piece[5]
    assert [b[0] for b in blocks] == list(range(5_000, 15_000, 1000))
    assert strips.stream_to_ms == 0


def test_a_full_ring_keeps_the_newest():
    source = noise(3)
    strips = Strips(6_000, 4_000)
    block = SampleBlock(ECG, (0,), array("h", [next(source) % 60000 - 30000 for _ in range(25)]), period_us=4000, n=25)
    for i in range(1200):
        block.t0_ms = 100 * i
        strips.push(block)
    strips.trigger(WAVE_RHYTHM, 120_000)
    blocks = [b for p in pieces(strips, 120_000) for b in p[5]]
    assert 6 <= len(blocks) <= 12
    assert blocks[-1][0] == 119_000


def test_nothing_is_allocated_in_steady_state():
    if not hasattr(gc, "mem_alloc") or "vigil_pointers" in sys.modules:  # pointer casts in bytecode allocate
        return
    strips = Strips()
    block = SampleBlock(ECG, (0,), ecg(25), period_us=4000, n=25)
    two = SampleBlock(PPG, (RED, IR), light(10), period_us=10000, n=10)
    for i in range(600):  # more than a ring's length
        if i == 500:
            gc.collect()
            micropython.heap_lock()
        block.t0_ms = two.t0_ms = 100 * i
        strips.push(block)
        strips.push(two)
    micropython.heap_unlock()
