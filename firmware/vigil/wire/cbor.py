"""Deterministic CBOR (RFC 8949, section 4.2): the subset that leaves and enters the device.

Integers of at most 64 bits, byte strings, text, arrays, maps with unsigned integer keys, false, true and null. No
floats, no tags (envelope.py writes its single tag itself), no indefinite lengths. Equal values have equal bytes.
"""

from micropython import const

_UINT = const(0)  # major types, in the upper three bits of the first byte
_NEGATIVE = const(1)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_SIMPLE = const(7)

_FALSE = const(0xF4)
_TRUE = const(0xF5)
_NULL = const(0xF6)

_MAX_DEPTH = const(8)  # arrays and maps inside each other; SPEC.md states the same number


def _head(out: bytearray, major: int, n: int) -> None:
    """Append a first byte and its argument in the shortest form. 0 <= n < 2**64."""
    major <<= 5
    if n < 24:
        out.append(major | n)
        return
    size, code = (1, 24) if n < 0x100 else (2, 25) if n < 0x10000 else (4, 26) if n >> 32 == 0 else (8, 27)
    out.append(major | code)
    out.extend(n.to_bytes(size, "big"))


def put(out: bytearray, value) -> None:
    """Append the encoding of `value`. Raises ValueError for what the subset does not hold."""
    if value is None:
        out.append(_NULL)
    elif value is True or value is False:
        out.append(_TRUE if value else _FALSE)
    elif isinstance(value, int):
        n = value if value >= 0 else -1 - value
        if n >> 64:
            raise ValueError("cbor: integer of more than 64 bits")
        _head(out, _UINT if value >= 0 else _NEGATIVE, n)
    elif isinstance(value, (bytes, bytearray)):
        _head(out, _BYTES, len(value))
        out.extend(value)
    elif isinstance(value, str):
        data = value.encode()
        _head(out, _TEXT, len(data))
        out.extend(data)
    elif isinstance(value, (list, tuple)):
        _head(out, _ARRAY, len(value))
        for item in value:
            put(out, item)
    elif isinstance(value, dict):
        _head(out, _MAP, len(value))
        for key in sorted(value):  # unsigned integers in the order of their encodings
            if key < 0:
                raise ValueError("cbor: negative key")
            _head(out, _UINT, key)
            put(out, value[key])
    else:
        raise ValueError("cbor: type")


def encode(value) -> bytes:
    """Return the encoding of `value`. Raises ValueError for what the subset does not hold."""
    out = bytearray()
    put(out, value)
    return bytes(out)


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n: int) -> bytes:
        end = self.at + n
        if end > len(self.data):
            raise ValueError("cbor: truncated")
        part = bytes(self.data[self.at : end])
        self.at = end
        return part

    def argument(self, code: int) -> int:
        if code < 24:
            return code
        if code > 27:
            raise ValueError("cbor: indefinite or reserved length")
        size = 1 << (code - 24)
        n = int.from_bytes(self.take(size), "big")
        # Shortest form: one byte only from 24, two only from 2**8, four only from 2**16, eight only from 2**32.
        if n < 24 or (size > 1 and n >> (4 * size) == 0):
            raise ValueError("cbor: not the shortest form")
        return n

    def value(self, depth: int):
        first = self.take(1)[0]
        major, code = first >> 5, first & 31
        if major == _SIMPLE:
            if first == _NULL:
                return None
            if first == _TRUE or first == _FALSE:
                return first == _TRUE
            raise ValueError("cbor: type")
        n = self.argument(code)
        if major == _UINT:
            return n
        if major == _NEGATIVE:
            return -1 - n
        if major == _BYTES:
            return self.take(n)
        if major == _TEXT:
            return self.take(n).decode()
        if depth == 0:
            raise ValueError("cbor: nested too deep")
        if n > len(self.data) - self.at:  # each item takes a byte: refuse before any memory is taken
            raise ValueError("cbor: truncated")
        if major == _ARRAY:
            return [self.value(depth - 1) for _ in range(n)]
        if major == _MAP:
            return self.map(n, depth - 1)
        raise ValueError("cbor: type")

    def map(self, n: int, depth: int) -> dict:
        result = {}
        last = -1
        for _ in range(n):
            key = self.value(0)
            if type(key) is not int or key <= last:
                raise ValueError("cbor: keys must be unsigned integers in ascending order")
            last = key
            result[key] = self.value(depth)
        return result


def decode(data):
    """Return the value of `data`, which must hold exactly one item in deterministic form.

    Raises ValueError for everything else: truncated, trailing bytes, a longer form than needed, indefinite
    lengths, keys out of order or twice, other types, deeper than eight levels, text that is not UTF-8.
    """
    reader = _Reader(data)
    value = reader.value(_MAX_DEPTH)
    if reader.at != len(data):
        raise ValueError("cbor: trailing bytes")
    return value
