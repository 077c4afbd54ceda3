"""CBOR subset: examples of RFC 8949 appendix A, and everything that a strict reader refuses."""

from binascii import hexlify, unhexlify

from vigil.wire import cbor

EXAMPLES = (
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (255, "18ff"),
    (256, "190100"),
    (65535, "19ffff"),
    (65536, "1a00010000"),
    (1000000, "1a000f4240"),
    (4294967295, "1affffffff"),
    (4294967296, "1b0000000100000000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-1, "20"),
    (-24, "37"),
    (-25, "3818"),
    (-1000, "3903e7"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("IETF", "6449455446"),
    ("\u6c34", "63e6b0b4"),
    ([], "80"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({24: 0, 5: 1, 256: 2}, "a3050118180019010002"),
)

REFUSED = (  # encoding, why
    ("", "empty"),
    ("18", "argument missing"),
    ("4401", "string cut"),
    ("8201", "array cut"),
    ("a101", "map cut"),
    ("0000", "trailing byte"),
    ("1817", "24 values need no second byte"),
    ("1900ff", "one byte would do"),
    ("1a0000ffff", "two bytes would do"),
    ("1b00000000ffffffff", "four bytes would do"),
    ("580101", "length not in shortest form"),
    ("5f4101ff", "indefinite string"),
    ("9f01ff", "indefinite array"),
    ("bf0101ff", "indefinite map"),
    ("ff", "break"),
    ("1c", "reserved argument"),
    ("1c" + "ff" * 16, "reserved argument with bytes enough"),
    ("a2010001", "map cut at a value"),
    ("a201000100", "key twice"),
    ("a202000100", "keys out of order"),
    ("a1200000", "negative key"),
    ("a1416100", "string key"),
    ("a1f500", "true as a key"),
    ("f7", "undefined"),
    ("f0", "simple value"),
    ("f90000", "half float"),
    ("fb0000000000000000", "double"),
    ("c000", "tag"),
    ("81c0", "tag at the end"),
    ("62c328", "not UTF-8"),
    ("818181818181818181" + "00", "nine levels"),
    ("9b7fffffffffffffff", "array longer than memory"),
    ("5b7fffffffffffffff", "string longer than memory"),
)


def _refuses(data):
    try:
        cbor.decode(data)
    except ValueError:
        return True
    return False


def test_examples_both_ways():
    for value, text in EXAMPLES:
        assert hexlify(cbor.encode(value)).decode() == text, text
        decoded = cbor.decode(unhexlify(text))
        assert decoded == value and type(decoded) is type(value), text


def test_eight_levels_are_read():
    assert cbor.decode(unhexlify("818181818181818100")) == [[[[[[[[0]]]]]]]]


def test_refused():
    for text, why in REFUSED:
        assert _refuses(unhexlify(text)), why


def test_every_truncation_is_refused():
    data = cbor.encode({0: 1, 2: [1, b"abc", "d", {9: -5000}], 3: 1 << 40})
    for n in range(len(data)):
        assert _refuses(data[:n]), n


def test_unencodable():
    for value in (1.5, 1 << 64, -(1 << 64) - 1, {-1: 0}, {"a": 0}, object()):
        try:
            cbor.encode(value)
        except (ValueError, TypeError):
            continue
        raise AssertionError(value)


def test_buffers_decode_alike():
    data = cbor.encode([1, b"xy"])
    assert cbor.decode(bytearray(data)) == cbor.decode(memoryview(data)) == [1, b"xy"]
