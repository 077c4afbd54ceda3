"""Integers as columns have them (firmware/SPEC.md section 3), for those who write columns by hand."""


def encoded(n: int) -> bytes:
    """An integer of any size: zigzag, then seven bits a byte from the lowest on."""
    folded = 2 * n if n >= 0 else -2 * n - 1
    out = bytearray()
    while folded > 127:
        out.append(folded & 127 | 128)
        folded >>= 7
    return bytes([*out, folded])
