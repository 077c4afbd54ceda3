"""Attacks on the verify core, each by name: what is sent, and the verdict that it must get.

A case starts from the same honest world (`World`): device A has sent sequences 5, 6 and 7, all stored, of which the
device still holds 6 and 7. What it would seal next is 8.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numbers_of_columns import encoded

from host_tools.trust.verify import DeviceState, verify
from vigil.core import records
from vigil.crypto.signer import device_id
from vigil.wire import batch, envelope


class Key:
    """vigil.crypto.signer.Signer by the cryptography package: quick, and by another hand."""

    def __init__(self, seed: bytes):
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.device_id = device_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


A = Key(b"A" * 32)
B = Key(b"B" * 32)


def readings(t_ms: int = 10_000, bpm_x10: int = 721) -> list[records.Reading]:
    return [
        records.Reading(records.HEART_RATE, bpm_x10, -1, records.BEAT_PER_MIN, 90, t_ms - 8000, t_ms),
        records.Reading(records.SPO2, None, -1, records.PERCENT, 0, t_ms - 8000, t_ms, records.NO_CONTACT),
    ]


@dataclass
class World:
    """The chain that device A has made, and what the gateway knows of it."""

    sealed: dict[int, bytes] = field(default_factory=dict)
    state: DeviceState = field(default_factory=lambda: DeviceState(A.public_key))

    def payload(self, seq: int, **changed) -> bytes:
        fields = {
            "boot": 3,
            "seq": seq,
            "prev_digest": self.digest(seq - 1),
            "oldest_seq": max(seq - 1, 0),
            "t0_ms": 8000,
            "readings": readings(),
        }
        return batch.encode(**{**fields, **changed})

    def seal(self, seq: int, **changed) -> bytes:
        self.sealed[seq] = envelope.seal(A, self.payload(seq, **changed))
        return self.sealed[seq]

    def digest(self, seq: int) -> bytes:
        return envelope.digest(self.sealed[seq]) if seq in self.sealed else bytes(32)

    def accept(self, data: bytes) -> None:
        outcome = verify(data, topic_device=A.device_id, device=self.state)
        assert outcome.verdict == "accepted", outcome
        assert outcome.device is not None
        self.state = outcome.device


def world() -> World:
    made = World()
    for seq in (5, 6, 7):
        made.accept(made.seal(seq))
    return made


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[World], bytes]
    verdict: str  # accepted, duplicate, or the reason of a rejection
    topic: str = A.device_id
    change: Callable[[DeviceState], DeviceState | None] = lambda state: state


def signed(payload: bytes, *, key: Key = A, protected: bytes | None = None, unprotected=None, parts=None) -> bytes:
    """COSE_Sign1 by cbor2, with whatever is asked for in it; the signature fits the protected header."""
    if protected is None:
        protected = cbor2.dumps({1: -8, 4: bytes.fromhex(A.device_id)})
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    items = [protected, {} if unprotected is None else unprotected, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(18, parts(items) if parts else items), canonical=True)


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0x01
    return bytes(changed)


def _header(header: dict) -> Callable[[World], bytes]:
    return lambda w: signed(w.payload(8), protected=cbor2.dumps(header, canonical=True))


def _batch(change: Callable[[dict], object]) -> Callable[[World], bytes]:
    """An envelope that A has really signed, around a batch changed by `change` (which returns it or changes it)."""

    def make(w: World) -> bytes:
        value = cbor2.loads(w.payload(8))
        changed = change(value)
        return signed(cbor2.dumps(value if changed is None else changed, canonical=True))

    return make


def _put(key: int, value: object) -> Callable[[World], bytes]:
    return _batch(lambda b: b.__setitem__(key, value))


def _old(change: Callable[[dict], object]) -> Callable[[World], bytes]:
    """The same around a batch of version 1, with the readings of `readings()`."""
    series = ([records.HEART_RATE, -1, records.BEAT_PER_MIN, [2000, 8000], [90], [721]],
              [records.SPO2, -1, records.PERCENT, 0, [-records.NO_CONTACT], []])  # fmt: skip

    def make(b: dict) -> object:
        b.update({0: 1, 6: [list(one) for one in series]})
        return change(b)

    return _batch(make)


def _series(at: int, value: object) -> Callable[[World], bytes]:
    return _old(lambda b: b[6][0].__setitem__(at, value))


def _columns(*parts: bytes | int, t0_ms: int = 8000) -> Callable[[World], bytes]:
    """An envelope around columns; an int is a number in them."""
    data = b"".join(part if isinstance(part, bytes) else encoded(part) for part in parts)
    return _batch(lambda b: b.update({4: t0_ms, 6: data}))


def _raw(payload: Callable[[World], bytes]) -> Callable[[World], bytes]:
    return lambda w: signed(payload(w))


KID = bytes.fromhex(A.device_id)

HONEST = (
    Case("the next sequence", lambda w: w.seal(8), "accepted"),
    Case("sent again, still waiting", lambda w: w.sealed[7], "duplicate"),
    Case("sent again, an older one still waiting", lambda w: w.sealed[6], "duplicate"),
    Case("a sequence is missing before it", lambda w: w.seal(9, prev_digest=b"?" * 32), "accepted"),
    Case("flash erased, sequence kept", lambda w: w.seal(8, prev_digest=bytes(32), oldest_seq=8), "accepted"),
    Case("no readings", lambda w: w.seal(8, readings=[]), "accepted"),
    Case("with clock and status", lambda w: w.seal(8, utc=(1_790_000_000_000, 40), status={0: 90_000}), "accepted"),
    Case("says what is gone", lambda w: w.seal(8, gone=((2, 3), (5, 7))), "accepted"),
    Case("largest sequence", lambda w: w.seal(2**32 - 1, prev_digest=b"?" * 32), "accepted"),
)

IDENTITY = (
    Case("signed by another key", lambda w: signed(w.payload(8), key=B), "bad signature"),
    Case("B's envelope on A's topic", lambda w: envelope.seal(B, w.payload(8)), "foreign topic"),
    Case("A's envelope on B's topic", lambda w: w.seal(8), "foreign topic", topic=B.device_id),
    Case("topic that is no device id", lambda w: w.seal(8), "foreign topic", topic="gateway"),
    Case("unknown device", lambda w: w.seal(8), "unknown device", change=lambda s: None),
    Case("revoked device", lambda w: w.seal(8), "revoked device", change=lambda s: replace(s, revoked=True)),
    Case(
        "enrolled key is another one",
        lambda w: w.seal(8),
        "bad signature",
        change=lambda s: replace(s, public_key=B.public_key),
    ),
    Case("enrolled key is none", lambda w: w.seal(8), "bad signature", change=lambda s: replace(s, public_key=b"")),
)

ALTERED = (
    Case(
        "payload, one bit", lambda w: _flipped(w.seal(8), w.sealed[8].index(b"\x00\x02\x01\x03") + 3), "bad signature"
    ),
    Case("heart rate", lambda w: w.seal(8).replace(b"\xa2\x0b", b"\xa4\x0b"), "bad signature"),
    Case("signature, first half", lambda w: _flipped(w.seal(8), -64), "bad signature"),
    Case("signature, second half", lambda w: _flipped(w.seal(8), -1), "bad signature"),
    Case("signature of zeros", lambda w: w.seal(8)[:-64] + bytes(64), "bad signature"),
    Case("signature of another envelope", lambda w: w.seal(8)[:-64] + w.sealed[7][-64:], "bad signature"),
    Case("key id", lambda w: _flipped(w.seal(8), w.sealed[8].index(KID)), "foreign topic"),
    Case(
        "protected header, signature kept",
        lambda w: w.seal(8).replace(b"\xa2\x01\x27\x04", b"\xa2\x01\x26\x04"),
        "other algorithm",
    ),
)

ALGORITHM = (
    Case("ES256", _header({1: -7, 4: KID}), "other algorithm"),
    Case("no algorithm", _header({4: KID}), "other algorithm"),
    Case("algorithm as text", _header({1: "EdDSA", 4: KID}), "other algorithm"),
    Case("one header parameter more", _header({1: -8, 3: 0, 4: KID}), "other algorithm"),
    Case("critical parameters", _header({1: -8, 2: [1], 4: KID}), "other algorithm"),
    Case("no key id", _header({1: -8}), "malformed envelope"),
    Case("key id as text", _header({1: -8, 4: A.device_id}), "malformed envelope"),
    Case("short key id", _header({1: -8, 4: KID[:7]}), "malformed envelope"),
    Case("text label", _header({1: -8, 4: KID, "x": 1}), "malformed envelope"),
    Case("header not a map", lambda w: signed(w.payload(8), protected=b"\x80"), "malformed envelope"),
    Case("header empty", lambda w: signed(w.payload(8), protected=b""), "malformed envelope"),
    Case(
        "header in a longer form",
        lambda w: signed(w.payload(8), protected=b"\xa2\x01\x38\x07\x04\x48" + KID),
        "malformed envelope",
    ),
    Case(
        "header with a key twice",
        lambda w: signed(w.payload(8), protected=b"\xa3\x01\x27\x01\x27\x04\x48" + KID),
        "malformed envelope",
    ),
    Case("algorithm in the open", lambda w: signed(w.payload(8), unprotected={1: -8}), "malformed envelope"),
)

SEQUENCE = (
    Case("replay from before the queue", lambda w: w.sealed[5], "replayed"),
    Case("sequence below the queue, new content", lambda w: w.seal(4), "replayed"),
    Case("same sequence, other readings", lambda w: w.seal(7, readings=readings(bpm_x10=600)), "sequence reused"),
    Case("same sequence, older", lambda w: w.seal(6, readings=[]), "sequence reused"),
    Case("previous digest is another", lambda w: w.seal(8, prev_digest=w.digest(6)), "chain broken"),
    Case("previous digest of one bit", lambda w: w.seal(8, prev_digest=bytes(31) + b"\x01"), "chain broken"),
)


def _nested(depth: int) -> bytes:
    return b"\x81" * depth + b"\x00"


BYTES = (
    Case("nothing", lambda w: b"", "malformed envelope"),
    Case("not CBOR", lambda w: b"GET / HTTP/1.1\r\n", "malformed envelope"),
    Case("JSON", lambda w: b'{"hr": 72}', "malformed envelope"),
    Case("trailing byte", lambda w: w.seal(8) + b"\x00", "malformed envelope"),
    Case("twice", lambda w: w.seal(8) * 2, "malformed envelope"),
    Case("huge", lambda w: w.seal(8) + bytes(8192), "too large"),
    Case("huge string, promised", lambda w: b"\xd2\x84\x5b\x7f" + b"\xff" * 7, "malformed envelope"),
    Case("huge array, promised", lambda w: b"\xd2\x9b\x7f" + b"\xff" * 7, "malformed envelope"),
    Case("no tag", lambda w: w.seal(8)[1:], "malformed envelope"),
    Case("tag in a longer form", lambda w: b"\xd8\x12" + w.seal(8)[1:], "malformed envelope"),
    Case("COSE_Sign", lambda w: b"\xd8\x62" + w.seal(8)[1:], "malformed envelope"),
    Case("tag twice", lambda w: b"\xd2" + w.seal(8), "malformed envelope"),
    Case("three parts", lambda w: signed(w.payload(8), parts=lambda p: p[:3]), "malformed envelope"),
    Case("five parts", lambda w: signed(w.payload(8), parts=lambda p: [*p, 0]), "malformed envelope"),
    Case(
        "payload detached", lambda w: signed(w.payload(8), parts=lambda p: [*p[:2], None, p[3]]), "malformed envelope"
    ),
    Case("signature of 63 bytes", lambda w: signed(b"", parts=lambda p: [*p[:3], p[3][:63]]), "malformed envelope"),
    Case("indefinite array", lambda w: b"\xd2\x9f" + w.seal(8)[2:] + b"\xff", "malformed envelope"),
    Case("length in a longer form", lambda w: w.seal(8).replace(b"\x58\x40", b"\x59\x00\x40"), "malformed envelope"),
    Case("nested deeper than allowed", lambda w: b"\xd2" + _nested(9), "malformed envelope"),
    Case("nested very deep", lambda w: b"\xd2" + _nested(8000), "malformed envelope"),
    Case("self-describing tag inside", lambda w: b"\xd2\xd9\xd9\xf7" + w.seal(8)[1:], "malformed envelope"),
)

# From here on A itself has signed: a broken or taken-over device must not break the gateway or its store.
BATCH = (
    Case("payload empty", _raw(lambda w: b""), "malformed batch"),
    Case("payload not CBOR", _raw(lambda w: b"\xff\xff"), "malformed batch"),
    Case("payload with a trailing byte", _raw(lambda w: w.payload(8) + b"\x00"), "malformed batch"),
    Case("payload a list", _batch(lambda b: [1, 2]), "malformed batch"),
    Case("payload nested deep", _raw(lambda w: _nested(4000)), "malformed batch"),
    Case("a key twice", _raw(lambda w: b"\xa8\x00\x02" + w.payload(8)[1:]), "malformed batch"),
    Case("keys out of order", _raw(lambda w: b"\xa7\x01\x03\x00\x02" + w.payload(8)[5:]), "malformed batch"),
    Case("integer in a longer form", _raw(lambda w: b"\xa7\x00\x18\x02" + w.payload(8)[3:]), "malformed batch"),
    Case("indefinite map", _raw(lambda w: b"\xbf" + w.payload(8)[1:] + b"\xff"), "malformed batch"),
    Case("version 0", _put(0, 0), "unknown version"),
    Case("version 3", _put(0, 3), "unknown version"),
    Case("version 1 around columns", _put(0, 1), "malformed batch"),
    Case("version 2 around series", _old(lambda b: b.__setitem__(0, 2)), "malformed batch"),
    Case("no version", _batch(lambda b: {k: v for k, v in b.items() if k}), "malformed batch"),
    Case("version as text", _put(0, "1"), "malformed batch"),
    Case("version as a truth value", _put(0, True), "malformed batch"),
    Case("version as a float", _put(0, 1.0), "malformed batch"),
    Case("unknown key", _put(10, 0), "malformed batch"),
    Case("reserved key", _put(7, []), "malformed batch"),
    Case("text key", _batch(lambda b: {**b, "x": 1}), "malformed batch"),
    *(Case(f"key {key} missing", _batch(lambda b, key=key: {k: v for k, v in b.items() if k != key}), "malformed batch")
      for key in (1, 2, 3, 4, 6, 9)),
    *(Case(f"key {key} is {value!r}"[:48], _put(key, value), "malformed batch")
      for key in (1, 2, 3, 4, 5, 6, 8, 9)
      for value in (None, True, -1, "8", 1.5, b"\x08", [[]], {0: []}, 2**64, cbor2.CBORTag(0, "2026-01-01T00:00:00Z"))),
    Case("boot too large", _put(1, 2**32), "malformed batch"),
    Case("sequence too large", _put(2, 2**32), "malformed batch"),
    Case("previous digest short", _put(3, bytes(31)), "malformed batch"),
    Case("time absurd", _put(4, 2**41 + 1), "malformed batch"),
    Case("backlog larger than the sequence", _put(9, 9), "malformed batch"),
    Case("gone, but not before itself", _put(10, [[3, 8]]), "malformed batch"),
    Case("gone ranges that overlap", _put(10, [[2, 4], [4, 5]]), "malformed batch"),
    Case("gone range backwards", _put(10, [[4, 2]]), "malformed batch"),
    Case("gone, and nothing", _put(10, []), "malformed batch"),
    Case("gone in too many ranges", _put(10, [[0, 0]] * 17), "malformed batch"),
    Case("utc before 2020", _put(5, [1_577_836_799_999, 0]), "malformed batch"),
    Case("utc after 2100", _put(5, [4_102_444_800_001, 0]), "malformed batch"),
    Case("utc uncertainty negative", _put(5, [1_790_000_000_000, -1]), "malformed batch"),
    Case("utc with three numbers", _put(5, [1_790_000_000_000, 0, 0]), "malformed batch"),
    Case("status empty", _put(8, {}), "malformed batch"),
    Case("status key too large", _put(8, {64: 0}), "malformed batch"),
    Case("status value too large", _put(8, {0: 2**53}), "malformed batch"),
    Case("status value as text", _put(8, {0: "9"}), "malformed batch"),
)  # fmt: skip

READINGS = (  # of version 1
    Case("version 1", _old(lambda b: None), "accepted"),
    Case("series as a map", _old(lambda b: b[6].__setitem__(0, {})), "malformed batch"),
    Case("series with five columns", _old(lambda b: b[6].__setitem__(0, b[6][0][:5])), "malformed batch"),
    Case("series with seven columns", _old(lambda b: b[6][0].append(0)), "malformed batch"),
    Case("series twice", _old(lambda b: b[6].append([*b[6][0][:3], 0, *b[6][0][4:]])), "malformed batch"),
    *(Case(f"column {column} is {value!r}", _series(column, value), "malformed batch")
      for column in range(6)
      for value in (None, True, "1", 0.5, {}, 2**63, -(2**63), [None])),
    Case("kind 0", _series(0, 0), "malformed batch"),
    Case("exponent 13", _series(1, 13), "malformed batch"),
    Case("unit too large", _series(2, 2**16), "malformed batch"),
    Case("first series without times", _series(3, 0), "malformed batch"),
    Case("same times written twice", _old(lambda b: b[6][1].__setitem__(3, b[6][0][3])), "malformed batch"),
    Case("times too few", _series(3, [2000]), "malformed batch"),
    Case("times too many", _series(3, [2000, 0, 8000, 0]), "malformed batch"),
    Case("no readings in a series", _old(lambda b: b[6].insert(0, [1, 0, 0, [], [], []])), "malformed batch"),
    Case("end before the start of the device", _series(3, [-8001, 0]), "malformed batch"),
    Case("end a day from t0", _series(3, [86_400_001, 0]), "malformed batch"),
    Case("span negative", _series(3, [2000, -1]), "malformed batch"),
    Case("span beyond the start of the device", _series(3, [2000, 10_001]), "malformed batch"),
    Case("span over an hour", _old(lambda b: b.update({4: 10**7, 6: [[*b[6][0][:3], [0, 3_600_001], *b[6][0][4:]]]})),
         "malformed batch"),
    Case("quality 101", _series(4, [101]), "malformed batch"),
    Case("reason 64", _old(lambda b: b[6][1].__setitem__(4, [-64])), "malformed batch"),
    Case("value missing", _series(5, []), "malformed batch"),
    Case("value too many", _series(5, [721, 0]), "malformed batch"),
    Case("value with a withheld reading", _old(lambda b: b[6][1].__setitem__(5, [970])), "malformed batch"),
    Case("mantissa too large", _series(5, [2**31]), "malformed batch"),
    Case("mantissa too small", _series(5, [-(2**31)]), "malformed batch"),
)  # fmt: skip

# In columns: the number of a series, how many readings, the forms of its columns (two bits each: 0 whole, 1 once, 2 as
# before), and the columns: end less t0, span, mark less 100, mantissa. PULSE and LIGHT are what `readings()` makes.
# MANY is 1000 of them.
PULSE = (b"\x01", 1, b"\x55", 2000, 8000, -10, 721)
LIGHT = (b"\x03", 1, b"\x5a", -102, 0)
MANY = (b"\x01", 1000, *PULSE[2:])
WRITTEN_OUT = b"\x00\x82\x41\x02\x00\xff\xa0\x0a"  # PULSE's kind, exponent, unit

COLUMNS = (
    Case("columns by hand", _columns(*PULSE, *LIGHT), "accepted"),
    Case("columns whole", _columns(b"\x01", 2, b"\x00", 2000, 5, 8000, 1, -10, 1, 721, -3), "accepted"),
    Case("columns of a series without a number", _columns(b"\x00\x01\x00\x00\x00\x00\x00\x02", *PULSE[1:]), "accepted"),
    *(Case(f"columns cut after part {n}", _columns(*PULSE[:n]), "malformed batch") for n in range(1, 7)),
    Case("columns cut within a number", _columns(*PULSE[:6], b"\xa2"), "malformed batch"),
    Case("columns and a byte", _columns(*PULSE, b"\x01"), "malformed batch"),
    Case("columns, series twice", _columns(*PULSE, b"\x01", 1, b"\xaa"), "malformed batch"),
    Case("columns, number of no series", _columns(b"\x0f", *PULSE[1:]), "malformed batch"),
    Case("columns, numbered series written out", _columns(WRITTEN_OUT, *PULSE[1:]), "malformed batch"),
    Case("columns, kind 0", _columns(bytes(8), *PULSE[1:]), "malformed batch"),
    Case("columns, exponent 13", _columns(b"\x00\x01\x00\x00\x00\x0d\x00\x02", *PULSE[1:]), "malformed batch"),
    Case("columns of no readings", _columns(b"\x01", 0, b"\x55"), "malformed batch"),
    Case("columns of -1 readings", _columns(b"\x01", -1, *PULSE[2:]), "malformed batch"),
    Case("columns of 1025 readings", _columns(b"\x01", 1025, *PULSE[2:]), "malformed batch"),
    Case("columns of 1025 readings in two series",
         _columns(*MANY, b"\x02", 25, b"\x55", 1999, 7999, -9, 720), "malformed batch"),
    Case("columns of 2**33 readings", _columns(b"\x01", 2**33, *PULSE[2:]), "malformed batch"),
    Case("columns, first as before", _columns(b"\x01", 1, b"\x56", *PULSE[4:]), "malformed batch"),
    Case("columns, as before of other length", _columns(*PULSE, b"\x03", 2, *LIGHT[2:]), "malformed batch"),
    Case("columns, form 3", _columns(b"\x01", 1, b"\x57", *PULSE[3:]), "malformed batch"),
    Case("columns, whole though once is enough", _columns(b"\x01", 1, b"\x54", *PULSE[3:]), "malformed batch"),
    Case("columns, once though as before", _columns(*PULSE, b"\x03", 1, b"\x59", 2000, -102, 0), "malformed batch"),
    Case("columns, number in a longer form", _columns(*PULSE[:3], b"\xa0\x9f\x00", *PULSE[4:]), "malformed batch"),
    Case("columns, number of six bytes", _columns(*PULSE[:3], 2**40, *PULSE[4:]), "malformed batch"),
    Case("columns, number without an end", _columns(b"\x01", b"\xff" * 4000), "malformed batch"),
    Case("columns, end before the start of the device", _columns(*PULSE[:3], -8001, 0, -10, 721), "malformed batch"),
    Case("columns, end a day from t0", _columns(*PULSE[:3], 86_400_001, *PULSE[4:]), "malformed batch"),
    Case("columns, span negative", _columns(*PULSE[:4], -1, *PULSE[5:]), "malformed batch"),
    Case("columns, span beyond the start", _columns(*PULSE[:4], 10_001, *PULSE[5:]), "malformed batch"),
    Case("columns, span over an hour", _columns(*PULSE[:4], 3_600_001, *PULSE[5:], t0_ms=10**7), "malformed batch"),
    Case("columns, quality 101", _columns(*PULSE[:5], 1, 721), "malformed batch"),
    Case("columns, reason 64", _columns(*PULSE[:5], -164, 0), "malformed batch"),
    Case("columns, value with a withheld reading", _columns(*PULSE, *LIGHT[:4], 970), "malformed batch"),
    Case("columns, mantissa too large", _columns(*PULSE[:6], 2**31), "malformed batch"),
    Case("columns, mantissa too small", _columns(*PULSE[:6], -(2**31)), "malformed batch"),
)  # fmt: skip

CASES = (*HONEST, *IDENTITY, *ALTERED, *ALGORITHM, *SEQUENCE, *BYTES, *BATCH, *READINGS, *COLUMNS)
