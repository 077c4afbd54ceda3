"""The portable viper subset itself: what the engines must agree on before anything else is believed."""

from array import array

import micropython


@micropython.viper
def _load32(buf, i: int) -> int:
    p = ptr16(buf)
    hi = (int(p[2 * i + 1]) ^ 0x8000) - 0x8000
    return (hi << 16) | int(p[2 * i])


@micropython.viper
def _store_load16(buf, v: int) -> int:
    p = ptr16(buf)
    p[0] = v
    return (int(p[0]) ^ 0x8000) - 0x8000


@micropython.viper
def _store32(buf, i: int, v: int):
    p = ptr32(buf)
    p[i] = v


def test_32_bit_loads_have_their_sign():
    values = [-5, 5, -2147483648, 2147483647, 0, -1]
    buf = array("i", values)
    assert [_load32(buf, i) for i in range(6)] == values


def test_16_bit_store_masks():
    buf = array("h", [0])
    assert [_store_load16(buf, v) for v in (-1, 32767, 32768, -32769, 70000)] == [-1, 32767, -32768, 32767, 4464]


def test_32_bit_store_keeps_the_word():
    buf = array("i", [0, 0])
    _store32(buf, 1, -7)
    assert list(buf) == [0, -7]
