"""Waveform blocks of the firmware's encoder, read back bit for bit by a reader written from SPEC.md; and bad bytes."""

import binascii
from array import array

import numpy as np
import pytest

from host_tools.ingest.waveform import BadBlock, decode, rows
from vigil.wire.waveform import MOST_BYTES, Encoder

RNG = np.random.default_rng(5)


def blocks_of(x, wide):
    encoder = Encoder(x.shape[1], wide)
    out = bytearray(MOST_BYTES)
    data = array("i" if wide else "h", x.ravel().tolist())
    made, row = [], 0
    while row < len(x):
        row += encoder.put(data, row, len(x) - row)
        made.append(bytes(out[: encoder.finish_into(out, 0)]))
    return made


def walk(n, columns, scale):
    steps = RNG.laplace(scale=scale, size=(n, 1)) * [1 + i / 3 for i in range(columns)]
    return np.rint(np.cumsum(steps + RNG.laplace(scale=scale / 4, size=(n, columns)), axis=0)).astype(int)


CASES = {
    "quiet": (np.zeros((251, 1), int), False),
    "walk": (np.clip(walk(700, 1, 30), -32768, 32767), False),
    "noise": (RNG.integers(-32768, 32768, (600, 1)), False),
    "ends": (RNG.choice([-32768, 32767], (400, 1)), False),
    "a step at the end": (np.r_[np.zeros(249, int), 32767][:, None], False),
    "two columns": (120_000 + walk(400, 2, 20), True),
    "three columns": (120_000 + walk(300, 3, 200), True),
    "four columns at full scale": (RNG.choice([0, 2**18 - 1], (300, 4)), True),
    "signed at full scale": (RNG.choice([-(2**17), 2**17 - 1], (300, 2)), True),
    "opposite columns": (np.stack([np.tile([0, 2**18 - 1], 100), np.tile([2**18 - 1, 0], 100)], axis=1), True),
    "one row": (np.array([[262143, 0]]), True),
}


@pytest.mark.parametrize("name", CASES)
def test_reads_back_bit_for_bit(name):
    x, wide = CASES[name]
    made = blocks_of(x, wide)
    assert np.array_equal(np.concatenate([decode(block, x.shape[1]) for block in made]), x)
    assert sum(map(rows, made)) == len(x)


def test_a_column_that_goes_with_another_costs_little():
    x = np.rint(100_000 + 3000 * np.sin(np.arange(500) / 8))[:, None] * [1, 1]
    both = sum(map(len, blocks_of(x.astype(int), True)))
    one = sum(map(len, blocks_of(x[:, :1].astype(int), True)))
    assert both < 1.5 * one


GOOD = blocks_of(120_000 + walk(125, 2, 20), True)[0]


@pytest.mark.parametrize("end", [0, 1, 5, 20, len(GOOD) - 1])
def test_what_is_cut_is_refused(end):
    with pytest.raises(BadBlock):
        decode(GOOD[:end], 2)


def checked(body):
    return body + binascii.crc_hqx(body, 0).to_bytes(2, "big")


def test_the_check_guards_every_bit():
    for i in range(8 * len(GOOD)):
        bad = bytearray(GOOD)
        bad[i // 8] ^= 1 << i % 8
        with pytest.raises(BadBlock, match="check"):
            rows(bytes(bad))


def test_nonsense_with_a_good_check_is_refused_or_has_its_rows():
    for i in range(3000):
        body = bytearray(GOOD[:-2])
        for _ in range(RNG.integers(1, 4)):
            body[RNG.integers(len(body))] = RNG.integers(256)
        if i % 3 == 0:
            body = bytearray(RNG.bytes(RNG.integers(1, 300)))
        try:
            x = decode(checked(bytes(body)), int(RNG.integers(1, 5)) if i % 3 == 0 else 2)
        except BadBlock:
            continue
        assert len(x) == body[0] + 1
        assert np.abs(x).max() < 2**18


@pytest.mark.parametrize(
    ("body", "columns", "why"),
    [
        (GOOD[:-2] + b"\0", 2, "after the last column"),
        (GOOD[:-2], 1, "after the last column"),
        (GOOD[:-2], 0, "number of columns"),
        (b"\0" + bytes([16, 0, 0, 5]), 1, "leans on nothing"),
        (b"\x01" + bytes([0, 0, 0, 5]) + b"\x40", 1, "padding"),
        (b"\x01" + bytes([0, 0, 0, 5]) + b"\xff\xff\0\0\1", 1, "an escape that was not needed"),
        (b"\x01" + bytes([0, 0, 0, 5]) + b"\xff\xff\0\0", 1, "truncated"),
        (b"\x01" + bytes([0, 3, 255, 255]) + b"\xff\xff\x0f\xff\xff", 1, "beyond"),
    ],
)
def test_each_rule_has_its_name(body, columns, why):
    with pytest.raises(BadBlock, match=why):
        decode(checked(bytes(body)), columns)
