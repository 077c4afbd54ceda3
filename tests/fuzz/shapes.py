"""Inputs for the fuzzing targets: valid ones, and changes that know what they change. All from one random.Random."""

from __future__ import annotations

import binascii
import random
import struct
import zlib
from array import array
from functools import lru_cache

import cbor2
import host_parsers
import parsers
from numbers_of_columns import encoded

from vigil.core.records import Reading
from vigil.store.journal import EVENT, VITALS
from vigil.wire import ack, batch, envelope, request
from vigil.wire.waveform import MOST_BYTES, Encoder

_ODD = (0, 1, 23, 24, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)

# CBOR: an item is (major, argument, children, width): bytes of the argument, -1 the shortest, 31 an indefinite length.


def _tree(value) -> list:
    if value is None or isinstance(value, bool):
        return [7, {None: 22, True: 21, False: 20}[value], None, -1]
    if isinstance(value, int):
        return [0, value, None, -1] if value >= 0 else [1, -1 - value, None, -1]
    if isinstance(value, bytes):
        return [2, len(value), value, -1]
    if isinstance(value, str):
        return [3, len(value.encode()), value.encode(), -1]
    if isinstance(value, cbor2.CBORTag):
        return [6, value.tag, [_tree(value.value)], -1]
    if isinstance(value, dict):
        return [5, len(value), [_tree(x) for pair in sorted(value.items()) for x in pair], -1]
    return [4, len(value), [_tree(x) for x in value], -1]


def _head(major: int, n: int, width: int) -> bytes:
    if width == 31:
        return bytes([major << 5 | 31])
    if width < 0:
        width = 0 if n < 24 else 1 if n < 256 else 2 if n < 65536 else 4 if n < 2**32 else 8
    if not width:
        return bytes([major << 5 | n & 31])
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + (n % (1 << 8 * width)).to_bytes(width, "big")


def _write(item: list, out: bytearray) -> None:
    major, n, inside, width = item
    out += _head(major, n, width)
    if isinstance(inside, list):
        for child in inside:
            _write(child, out)
        if width == 31:
            out.append(0xFF)
    elif inside is not None:
        out += inside


def _items(item: list, found: list) -> list:
    found.append(item)
    if isinstance(item[2], list):
        for child in item[2]:
            _items(child, found)
    return found


def _copy(item: list) -> list:
    inside = [_copy(child) for child in item[2]] if isinstance(item[2], list) else item[2]
    return [item[0], item[1], inside, item[3]]


def _change(root: list, rng: random.Random) -> None:
    """Change one item in place."""
    found = _items(root, [])
    item = rng.choice(found)
    way = rng.randrange(10)
    if way == 0:
        item[1] = rng.choice(_ODD)  # a value, or a length that is not true
    elif way == 1:
        item[1] = max(0, item[1] + rng.choice((-2, -1, 1, 2)))
    elif way == 2:
        item[3] = rng.choice((1, 2, 4, 8, 31))  # not the shortest form, or an indefinite one
    elif way == 3:
        item[0] = rng.randrange(8)
    elif way == 4 and isinstance(item[2], bytes):
        item[2] = mutate_bytes(item[2], rng)
        item[1] = len(item[2])
    elif isinstance(item[2], list) and item[2]:
        at = rng.randrange(len(item[2]))
        if way == 5:
            del item[2][at]
        elif way == 6:
            item[2].insert(at, _copy(rng.choice(found)) if len(found) < 200 else [0, 0, None, -1])
        elif way == 7:
            other = rng.randrange(len(item[2]))
            item[2][at], item[2][other] = item[2][other], item[2][at]
        elif way == 8:
            item[2][at] = [4, 1, [item[2][at]], -1]
        if way < 8 and rng.random() < 0.7:
            item[1] = len(item[2]) // (2 if item[0] == 5 else 1)
    elif item[0] in (0, 1):
        item[1] = rng.getrandbits(rng.choice((3, 8, 16, 31, 40, 64)))


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change `data` without knowing what it is."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        way = rng.randrange(6)
        at = rng.randrange(len(out) + 1)
        if way == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif way == 1 and out:
            out[at % len(out)] = rng.choice((0, 1, 0x17, 0x18, 0x7F, 0x80, 0xFF, 0x5F, 0x9F, 0xBF))
        elif way == 2:
            del out[at : at + rng.randrange(1, 9)]
        elif way == 3:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif way == 4:
            end = at + rng.randrange(1, 40)
            out[at:at] = out[at:end]
        else:
            del out[at:]
    return bytes(out)


def _of(values: list, rng: random.Random) -> bytes:
    """One of `values` encoded, mostly changed."""
    i = rng.randrange(len(values))
    root = _copy(_trees(i, values))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        _change(root, rng)
    out = bytearray()
    _write(root, out)
    return mutate_bytes(bytes(out), rng) if rng.random() < 0.15 else bytes(out)


_KNOWN: dict[tuple[int, int], list] = {}


def _trees(i: int, values: list) -> list:
    key = id(values), i
    if key not in _KNOWN:
        _KNOWN[key] = _tree(values[i])
    return _KNOWN[key]


def _readings(n: int) -> list:
    return [
        Reading(kind, 700 + i, exp10, unit, 90, 2000 * i, 2000 * i + 8000, (0, 0, 4)[i % 3])
        for i in range(n)
        for kind, unit, exp10 in _KINDS
    ]


def _payload(n: int, **more) -> bytes:
    fields = {"boot": 1, "seq": 9, "prev_digest": bytes(range(32)), "oldest_seq": 3, "t0_ms": 0}
    return batch.encode(**fields, readings=_readings(n), **more)


_KINDS = ((147842, 2720, -1), (149530, 2720, -1), (150456, 544, -1), (0x4000001, 512, 0))


def _columns(rng: random.Random) -> bytes:
    """The columns of a batch of version 2: mostly what a device may write, now and then wrong in one place."""
    wrong = rng.choice((0, 0, 40))  # one number in so many
    out = bytearray()
    before = [[]] * 4
    number = 0
    for _ in range(rng.choice((1, 1, 2, 3, 6, 20))):
        number = number + 1 if rng.random() < 0.9 else rng.randrange(256)
        out.append(min(number, 255))
        if not out[-1]:
            out += struct.pack(
                "<IbH", rng.choice((1, 147842, 0, 2**32 - 1)), rng.randrange(-14, 15), rng.choice((512, 2720))
            )
        n = len(before[0]) if before[0] and rng.random() < 0.7 else rng.choice((1, 1, 2, 5, 30))
        out += encoded(n if not wrong or rng.randrange(wrong) else rng.choice((0, -1, 1024, 1025, 2**40)))
        forms = len(out)
        out.append(0)
        columns = []
        for i, (first, step) in enumerate(((2000, 30), (8000, 400), (-5, 3), (720, 40))):
            column = [first + rng.randrange(-5, 6)] + [
                rng.choice((0, rng.randrange(-step, step))) for _ in range(n - 1)
            ]
            if rng.random() < 0.3 and len(before[i]) == n:
                column = before[i]
            form = 2 if column == before[i] else 0 if any(column[1:]) else 1
            if wrong and not rng.randrange(wrong):
                form = rng.randrange(4)
                column[-1] = rng.choice((0, 2**31, -(2**34), 2**34))
            out[forms] |= form << 2 * i
            for x in column[: (n, 1, 0, n)[form]]:
                out += encoded(x)
            columns.append(column)
        before = columns
    return mutate_bytes(bytes(out), rng) if rng.random() < 0.1 else bytes(out)


def _batch(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return _of(_BATCHES, rng)
    value = dict(rng.choice(_BATCHES[:3])) | {0: 2, 4: 20_000, 6: _columns(rng)}
    return cbor2.dumps(value, canonical=True)


def _checked(body: bytes) -> bytes:
    """A waveform's block with the right check sum."""
    return body + binascii.crc_hqx(body, 0).to_bytes(2, "big")


_BATCHES = [
    cbor2.loads(data)
    for data in (
        _payload(1),
        _payload(5, utc=(1_767_225_600_000, 20), status={0: 90_000, 1: 0, 10: -250}),
        _payload(2, gone=[(1, 2), (5, 5)]),
        _payload(1, waveform=(1, [0], 1, 1, 4000, [(100, 4000, 0, _checked(bytes((0, 64, 0, 1, 2))))])),
    )
]
# Version 1, which devices in the field hold.
_TIMES = [2000, 0, 0, 8000, 0, 0]
_OLD = [147842, -1, 2720, _TIMES, [90, -4, 91], [700, 2]], [150456, -1, 544, 0, [90, 90, 90], [970, 1, -1]]
_BATCHES += [
    {**_BATCHES[0], 0: 1, 6: list(_OLD)},
    {**_BATCHES[1], 0: 1, 6: [*_OLD, [1, 0, 512, [2000, 8000], [-1], []]]},
]
_ENVELOPES = [cbor2.loads(envelope.seal(host_parsers.SIGNER, cbor2.dumps(b, canonical=True))) for b in _BATCHES[:2]]
_ACKS = [cbor2.loads(ack.encode([(i, bytes([i] * 32)) for i in range(n)], utc)) for n, utc in ((1, None), (3, 1 << 40))]
_REQUESTS = [cbor2.loads(request.encode(3, 8)), [1, 2, b"signed manifest"], [1, 3, 7, 512, bytes(100)]]
_WISHES = [[1, 1, 7, 512, 256], [1, 2, 7, 4, 0], [1, 3, 7, 0, 0], [1, 3, 0, 2, 0]]
_ORDERS = [[1, "0011223344556677", 200_000_000, 1, 60], [1, "", 1, 0, 0]]
_RELEASES = [
    {0: 1, 1: 7, 2: "1.2", 3: "virtual", 4: "full", 5: [6, 3, 10], 6: 1, 7: [3, 200, 4000], 8: bytes(32)},
    {0: 1, 1: 8, 2: "1", 3: "v", 4: "lean", 5: [6, 3, 0], 6: 1, 7: [1, 2, 3], 8: bytes(32), 9: 1 << 41, 10: bytes(32)},
]
_ANY = [
    [0, -1, 2**64 - 1, -(2**64), b"", b"bytes", "text", "\u00e9", None, True, False],
    {0: [], 1: {}, 24: [[[[[[1]]]]]], 65536: {0: {0: {0: b""}}}},
    *_BATCHES[:1],
    *_ACKS,
]


def _file(rng: random.Random) -> bytes:
    parts = [_of(_ENVELOPES, rng) if rng.random() < 0.5 else cbor2.dumps(_ENVELOPES[0], canonical=True) for _ in "12"]
    return b"".join(parts)


def _packet(rng: random.Random) -> bytes:
    """One packet of a broker's, right or wrong in a place that matters."""
    kind = rng.choice((2, 3, 3, 3, 4, 9, 13, rng.randrange(16)))
    flags = rng.choice((0, 0, 2, 2, 3, rng.randrange(16)))
    topic = rng.choice((b"t", b"v1/0011223344556677/a", b"", b"a/#", b"\0"))
    body = {
        2: bytes([rng.choice((0, 1, 2)), rng.choice((0, 0, 5, 6))]),
        3: struct.pack(">H", rng.choice((len(topic), len(topic), 0, 65535))) + topic,
        4: struct.pack(">H", rng.choice((1, 2, 3, 0))),
        9: struct.pack(">HB", rng.choice((1, 2, 9)), rng.choice((0, 1, 2, 128, 3))),
    }.get(kind, b"" if rng.random() < 0.7 else rng.randbytes(rng.randrange(4)))
    if kind == 3:
        body += struct.pack(">H", rng.choice((1, 7, 0))) * bool(flags & 6) + rng.randbytes(rng.choice((0, 3, 40, 300)))
    n = rng.choice((len(body),) * 6 + (0, len(body) + 1, 127, 128, 16384, 262144, 262145, 2**28 - 1))
    length = bytearray()
    while True:
        length.append(n & 127 | (128 if n > 127 else 0))
        n >>= 7
        if not n:
            break
    if rng.random() < 0.03:
        length += b"\x80\x80\x80"
    return bytes([kind << 4 | flags]) + bytes(length) + body


def _stream(rng: random.Random) -> bytes:
    data = bytes([rng.choice((0, 1, 1, 1))]) + b"".join(_packet(rng) for _ in range(rng.randrange(1, 7)))
    return mutate_bytes(data, rng) if rng.random() < 0.2 else data


@lru_cache(1)
def _flashes() -> list[dict[str, bytes]]:
    """Journals' files as devices leave them."""
    found = []
    for n, size in ((3, 60), (75, 40), (40, 700)):
        disk = parsers.Disk()
        journal = parsers.journal_on(disk)
        for i in range(n):
            payload = b"%d|" % journal.next_seq + journal.prev_digest + bytes(size)
            journal.append(payload, EVENT if i % 9 == 4 else VITALS)
        found.append(disk.files)
    return found


def _records(data: bytes) -> list[bytes]:
    """The records of a whole segment."""
    found, at = [], 0
    while at + 84 <= len(data):
        n = 84 + int.from_bytes(data[at + 2 : at + 4], "little")
        found.append(data[at : at + n])
        at += n
    return found


def _forged(record: bytes, rng: random.Random) -> bytes:
    """A record with other fields and right check sums: what only a fault of our own could write."""
    kind, length, seq, oldest = record[1], len(record) - 84, *struct.unpack_from("<II", record, 4)
    choice = rng.randrange(4)
    if choice == 0:
        kind = rng.choice((0, 1, 2, 255))
    elif choice == 1:
        length = rng.choice((0, length - 1, length + 1, 8100, 65535))
    elif choice == 2:
        seq = rng.choice((0, seq - 1, seq + 1, seq + 59, seq + 60, 0x3FFFFFFF, 0x40000000, 2**32 - 1))
    else:
        oldest = rng.choice((0, oldest + 1, seq, seq + 1, 0x3FFFFFFF, 2**32 - 1))
    payload = record[84:]
    form = struct.pack("<BBHIII", 0x4A, kind, max(0, length), max(0, seq), oldest, zlib.crc32(payload)) + record[16:80]
    return form + struct.pack("<I", zlib.crc32(form)) + payload


def _flash(rng: random.Random) -> bytes:
    files = dict(rng.choice(_flashes()))
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(list(files) or ["/j/1.seg"])
        data = files.get(name, b"")
        records = _records(data)
        way = rng.randrange(8)
        if way < 4 and records:
            at = rng.randrange(len(records))
            if way == 0:
                records[at] = _forged(records[at], rng)
            elif way == 1:
                records.insert(at, rng.choice(records))
            elif way == 2:
                del records[at]
            else:
                records.insert(at, rng.randbytes(rng.randrange(200)))
            files[name] = b"".join(records)
        elif way == 4:
            files[name] = mutate_bytes(data, rng)
        elif way == 5:
            other = rng.choice(
                ("0.seg", "7.seg", "1x.seg", "new", "damaged", "1073741823.seg", "9999999999.seg", ".seg")
            )
            files["/j/" + other] = data
        elif way == 6:
            files.pop(name, None)
        else:
            files[name] = data[: rng.randrange(len(data) + 1)]
    parts = [part for name, data in files.items() for part in (name[3:].encode(), data[:60_000])]
    return b"".join(struct.pack(">H", len(part)) + part for part in parts)


@lru_cache(1)
def _blocks() -> list[bytes]:
    """Waveforms' blocks as devices write them."""
    found = []
    for columns, wide in ((1, False), (2, True), (1, True)):
        encoder, out = Encoder(columns, wide), bytearray(MOST_BYTES)
        rows = encoder.limit // 4
        signal = array("i" if wide else "h", [1000 + i * i % 97 for i in range(columns * rows)])
        encoder.put(signal, 0, rows)
        found.append(bytes(out[: encoder.finish_into(out, 0)]))
    return found


def _block(rng: random.Random) -> bytes:
    block = rng.choice(_blocks())
    for _ in range(rng.choice((0, 1, 1, 2))):
        block = mutate_bytes(block[:-2], rng) + block[-2:]
    return _checked(block[:-2]) if rng.random() < 0.9 else block


def _samples(rng: random.Random) -> bytes:
    """A byte of how many columns, and how wide; then samples, smooth or wild."""
    n = rng.randrange(1, 130)
    step = 1 << rng.randrange(15)
    x, out = rng.randrange(-32768, 32768), bytearray((rng.randrange(4),))
    for _ in range(n):
        x = (
            max(-32768, min(32767, x + rng.randrange(-step, step + 1)))
            if rng.random() < 0.97
            else rng.choice((-32768, 32767, 0))
        )
        out += struct.pack(">h", x)
    return bytes(out)


# Target: what makes an input, and its share of all inputs.
MAKERS = {
    "cbor": (lambda rng: _of(_ANY, rng), 12),
    "ack": (lambda rng: _of(_ACKS, rng), 12),
    "request": (lambda rng: _of(_REQUESTS, rng), 6),
    "update": (lambda rng: _of(_REQUESTS, rng), 6),
    "release": (lambda rng: _of(_RELEASES, rng), 6),
    "order": (lambda rng: _of(_ORDERS, rng), 4),
    "mqtt": (_stream, 24),
    "journal": (_flash, 2),
    "batch": (_batch, 16),
    "envelope": (lambda rng: _of(_ENVELOPES, rng), 8),
    "sealed": (_batch, 2),
    "file": (_file, 2),
    "claimed": (lambda rng: _of(_ENVELOPES, rng), 2),
    "waveform": (_block, 2),
    "codec": (_samples, 1),
    "wish": (lambda rng: _of(_WISHES, rng), 1),
}
_NAMES = [name for name, (_, share) in MAKERS.items() for _ in range(share)]


def make(seed: int, i: int) -> tuple[str, bytes]:
    """Input number i of a campaign: the target's name and the bytes."""
    rng = random.Random(seed << 40 | i)
    name = rng.choice(_NAMES)
    return name, MAKERS[name][0](rng)
