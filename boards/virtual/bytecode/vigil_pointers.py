"""MicroPython only: `ptr8`, `ptr16`, `ptr32` and `uint` for firmware compiled without viper (the bytecode engine).

Same rules as the native casts: unsigned loads up to 16 bits, signed 32-bit loads as on the chip, masking stores,
no bounds. `install()` makes them builtins, where the viper casts would be.
"""

import builtins

import uctypes

_LENGTH = 1 << 24  # nominal: pointers have no length


class _Pointer:
    def __init__(self, buffer, code, mask):
        self._view = uctypes.struct(uctypes.addressof(buffer), {"x": (uctypes.ARRAY, _LENGTH | code)}).x
        self._mask = mask

    def __getitem__(self, i):
        return self._view[i]

    def __setitem__(self, i, value):
        self._view[i] = value & self._mask


def ptr8(buffer):
    """Bytes, loaded unsigned."""
    return _Pointer(buffer, uctypes.UINT8, 0xFF)


def ptr16(buffer):
    """Half words, loaded unsigned."""
    return _Pointer(buffer, uctypes.UINT16, 0xFFFF)


class ptr32(_Pointer):
    """Words, loaded signed."""

    def __init__(self, buffer):
        super().__init__(buffer, uctypes.UINT32, 0xFFFFFFFF)

    def __getitem__(self, i):
        v = self._view[i]
        return v - 0x100000000 if v & 0x80000000 else v


def install():
    """Make the casts builtins."""
    builtins.ptr8 = ptr8
    builtins.ptr16 = ptr16
    builtins.ptr32 = ptr32
    builtins.uint = int
