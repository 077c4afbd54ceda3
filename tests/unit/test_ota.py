"""Releases: every rule that one may break, by name; and the slot that one is written to."""

import os
import struct
from binascii import hexlify
from hashlib import sha256

from vigil.core.errors import TrustError
from vigil.crypto.signer import Signer
from vigil.ota import release as rules
from vigil.ota.slot import Slot
from vigil.wire import cbor, update
from vigil.wire.envelope import to_be_signed
from vigil.wire.signed import BAD_SIGNATURE, MALFORMED

OURS = Signer(bytes(range(32)))
THEIRS = Signer(bytes(range(1, 33)))
NEXT = Signer(bytes(range(2, 34)))
MPY = 6 | 3 << 8 | 10 << 10
DEVICE = ("ESP32_GENERIC", "lean", MPY, 1, 6, 5)  # model, profile, MicroPython, loader, floor, failed
FILES = ((b"board.mpy", b"M\x06" + bytes(700)), (b"vigil/__init__.mpy", b"M"), (b"vigil/app/main.mpy", bytes(3000)))


def index_of(files):
    return b"".join(
        bytes((len(path),)) + path + struct.pack("<I", len(content)) + sha256(content).digest()
        for path, content in files
    )


def manifest(files=FILES, index=None, **changed):
    index = index_of(files) if index is None else index
    said = {
        0: 1,
        1: 7,
        2: "0.7",
        3: "ESP32_GENERIC",
        4: "lean",
        5: [6, 3, 10],
        6: 1,
        7: [len(files), len(index), len(index) + sum(len(content) for _, content in files)],
        8: sha256(index).digest(),
    }
    for key, value in changed.items():
        said[int(key[1:])] = value
    return cbor.encode(said)


def signed(payload, signer=OURS, protected=rules.PROTECTED):
    return b"\xd2" + cbor.encode([protected, {}, payload, signer.sign(to_be_signed(protected, payload))])


def refusal(data, key=OURS.public_key, device=DEVICE, utc_ms=None):
    """Why it is refused, 0 where it is not."""
    try:
        rules.check(rules.opened(data, key), rules.Device(*device, utc_ms))
    except TrustError as e:
        return e.args[0]
    return 0


def manifest_cases():
    good = signed(manifest())
    unsigned = b"\xd2" + cbor.encode([rules.PROTECTED, {}, manifest(), b""])
    wide = {"_7": [3, 200, 300_000]}
    many = {"_7": [129, 8000, 9000]}
    fat = {"_7": [3, 3 * 101 + 1, 9000]}
    return (
        # name, what comes, reason
        ("good", good, 0),
        ("nothing", b"", MALFORMED),
        ("not CBOR", b"hello", MALFORMED),
        ("manifest alone", manifest(), MALFORMED),
        ("truncated", good[:-1], MALFORMED),
        ("more behind it", good + b"\x00", MALFORMED),
        ("too long", signed(manifest(_2="v" * 1000)), MALFORMED),
        ("an envelope of readings", signed(manifest(), protected=b"\xa1\x01\x27"), MALFORMED),
        ("unsigned", unsigned, BAD_SIGNATURE),
        ("signature of zeros", good[:-64] + bytes(64), BAD_SIGNATURE),
        ("wrong key", signed(manifest(), THEIRS), BAD_SIGNATURE),
        ("a key of its own, which it brings", signed(manifest(_10=THEIRS.public_key), THEIRS), BAD_SIGNATURE),
        ("key rotation without the old key", signed(manifest(_10=NEXT.public_key), NEXT), BAD_SIGNATURE),
        ("key rotation with the old key", signed(manifest(_10=NEXT.public_key)), 0),
        ("a bit of the manifest", good[:30] + bytes((good[30] ^ 1,)) + good[31:], BAD_SIGNATURE),
        ("of the future", signed(manifest(_0=2)), MALFORMED),
        ("a field too many", signed(manifest(_11=1)), MALFORMED),
        ("half a key", signed(manifest(_10=bytes(31))), MALFORMED),
        ("number zero", signed(manifest(_1=0)), MALFORMED),
        ("number beyond all", signed(manifest(_1=1 << 29)), MALFORMED),
        ("other model", signed(manifest(_3="ESP32_GENERIC_S3")), rules.OTHER_MODEL),
        ("other profile", signed(manifest(_4="full")), rules.OTHER_PROFILE),
        ("other .mpy version", signed(manifest(_5=[5, 3, 10])), rules.OTHER_MPY),
        ("other architecture", signed(manifest(_5=[6, 3, 11])), rules.OTHER_MPY),
        ("other sub-version", signed(manifest(_5=[6, 2, 10])), rules.OTHER_MPY),
        ("no native code at all", signed(manifest(_5=[6, 0, 0])), 0),
        ("needs another loader", signed(manifest(_6=2)), rules.OTHER_LOADER),
        ("older version", signed(manifest(_1=5)), rules.NOT_NEWER),
        ("the same again", signed(manifest(_1=6)), rules.NOT_NEWER),
        ("oversize", signed(manifest(**wide)), rules.TOO_LARGE),
        ("too many files", signed(manifest(**many)), rules.TOO_MANY),
        ("index beyond its files", signed(manifest(**fat)), rules.TOO_MANY),
    )


def test_manifests():
    for name, data, why in manifest_cases():
        assert refusal(data) == why, (name, refusal(data), why)


def test_what_failed_before_and_what_has_expired():
    failed = (7,)
    assert refusal(signed(manifest()), device=DEVICE[:5] + failed) == rules.FAILED_BEFORE
    late = signed(manifest(_9=1_700_000_000_000))
    assert refusal(late, utc_ms=1_700_000_000_001) == rules.EXPIRED
    assert refusal(late, utc_ms=1_699_999_999_999) == 0
    assert refusal(late) == 0  # no clock, no judgement
    assert refusal(signed(manifest()), key=b"") == BAD_SIGNATURE  # never provisioned


def walked(files=FILES, index=None, **changed):
    """Reason for which the index is refused, 0 where it is not."""
    index = index_of(files) if index is None else index
    said = rules.Release(manifest(files, index, **changed))
    at = [0]

    def read(n):
        at[0] += n
        return index[at[0] - n : at[0]]

    try:
        for _ in rules.entries(said, read):
            pass
    except TrustError as e:
        return e.args[0]
    return 0


def test_indexes():
    def named(*paths):
        return tuple((path, b"12") for path in paths)

    n = len(index_of(FILES))
    for name, files, more, why in (
        ("good", FILES, {}, 0),
        ("truncated", FILES, {"index": index_of(FILES)[:-1]}, rules.TRUNCATED),
        ("an entry more than it says", FILES, {"_7": [2, n, n + 3703]}, rules.TRUNCATED),
        ("an entry fewer", FILES, {"_7": [4, n, n + 3703]}, rules.TRUNCATED),
        ("sizes beyond the bundle", FILES, {"_7": [3, n, n + 3702]}, rules.TRUNCATED),
        ("sizes short of the bundle", FILES, {"_7": [3, n, n + 3704]}, rules.TRUNCATED),
        ("duplicated file", named(b"a.mpy", b"a.mpy"), {}, rules.TWICE),
        ("out of order", named(b"b.mpy", b"a.mpy"), {}, rules.TWICE),
        ("path traversal", named(b"../boot.mpy"), {}, rules.BAD_PATH),
        ("path traversal within", named(b"vigil/../../boot.mpy"), {}, rules.BAD_PATH),
        ("absolute path", named(b"/boot.mpy"), {}, rules.BAD_PATH),
        ("empty name", named(b"vigil//a.mpy"), {}, rules.BAD_PATH),
        ("no name at all", named(b""), {}, rules.BAD_PATH),
        ("only a suffix", named(b".mpy"), {}, rules.BAD_PATH),
        ("source", named(b"boot.py"), {}, rules.BAD_PATH),
        ("two suffixes", named(b"a.mpy.mpy"), {}, rules.BAD_PATH),
        ("backslash", named(b"a\\b.mpy"), {}, rules.BAD_PATH),
        ("a zero in it", named(b"a\x00b.mpy"), {}, rules.BAD_PATH),
        ("not ASCII", named(b"\xc3\xa9.mpy"), {}, rules.BAD_PATH),
        ("long name", named(b"a" * 61 + b".mpy"), {}, rules.BAD_PATH),
    ):
        assert walked(files, **more) == why, (name, walked(files, **more), why)


class Folder:
    """A slot on this machine's own file system, gone afterwards."""

    def __enter__(self):
        self.path = "/tmp/vigil-ota-" + hexlify(os.urandom(6)).decode()
        return self

    def slot(self):
        return Slot(self.path, os, open)

    def __exit__(self, *_):
        for _ in self.slot()._remove(self.path):
            pass


BUNDLE = index_of(FILES) + b"".join(content for _, content in FILES)


def fetched(slot, until=None, piece=1000, content=BUNDLE):
    until = len(content) if until is None else until
    while slot.offset < until:
        slot.write(content[slot.offset : min(slot.offset + piece, until)])


def ran(steps):
    """Reason for which a generator ends, 0 where it comes to its end."""
    try:
        for _ in steps:
            pass
    except TrustError as e:
        return e.args[0]
    return 0


def test_a_release_is_written_and_read_back():
    data = signed(manifest())
    said = rules.opened(data, OURS.public_key)
    for piece in (1, 37, 1000, 10_000):
        with Folder() as folder:
            slot = folder.slot()
            slot.begin(said, data)
            fetched(slot, piece=piece)
            assert slot.complete and ran(slot.verify()) == 0 and slot.read("release") == b""
            slot.finish()
            assert slot.read("release") == said.payload and slot.read("offer") == data
            for path, content in FILES:
                with open(folder.path + "/lib/" + path.decode(), "rb") as file:
                    assert file.read() == content
            assert ran(slot.clear()) == 0
            assert os.listdir(folder.path) == []


def test_resumed_wherever_it_was_interrupted():
    data = signed(manifest())
    said = rules.opened(data, OURS.public_key)
    for until in range(0, len(BUNDLE), 61):
        with Folder() as folder:
            first = folder.slot()
            first.begin(said, data)
            fetched(first, until)
            first.close()
            slot = folder.slot()
            assert slot.read("offer") == data
            slot.resume(said)
            assert slot.offset <= until
            fetched(slot)
            assert ran(slot.verify()) == 0


def test_what_is_not_what_was_signed():
    data = signed(manifest())
    said = rules.opened(data, OURS.public_key)
    for name, at, why in (("index", 40, rules.MISMATCH), ("file", 600, rules.MISMATCH), ("end", -1, rules.MISMATCH)):
        bad = bytearray(BUNDLE)
        bad[at] ^= 1
        with Folder() as folder:
            slot = folder.slot()
            slot.begin(said, data)
            try:
                fetched(slot, content=bytes(bad))
                got = ran(slot.verify())
            except TrustError as e:
                got = e.args[0]
            assert got == why and slot.read("release") == b"", name
            slot.close()
    with Folder() as folder:  # changed on flash, after it was written
        slot = folder.slot()
        slot.begin(said, data)
        fetched(slot)
        with open(folder.path + "/lib/vigil/__init__.mpy", "wb") as file:
            file.write(b"m")
        assert ran(slot.verify()) == rules.MISMATCH
        os.remove(folder.path + "/lib/vigil/__init__.mpy")
        assert ran(slot.verify()) == rules.MISMATCH
    with Folder() as folder:  # more than the bundle goes nowhere
        slot = folder.slot()
        slot.begin(said, data)
        slot.write(BUNDLE + b"more")
        assert slot.complete and ran(slot.verify()) == 0


def test_messages():
    assert update.decode(cbor.encode([1, 2, b"offer"])) == (b"offer",)
    assert update.decode(cbor.encode([1, 3, 7, 1024, b"piece"])) == (7, 1024, b"piece")
    assert cbor.decode(update.want(7, 2048, 1024)) == [1, 1, 7, 2048, 1024]
    assert cbor.decode(update.tell(7, update.REFUSED, 15)) == [1, 2, 7, 5, 15]
    for wrong in ([1, 2, 3], [1, 2], [2, 2, b"x"], [1, 3, 7, b"x", 0], [1, 3, -1, 0], 7, [1, 3, True, 0, b""]):
        try:
            update.decode(cbor.encode(wrong))
        except ValueError:
            continue
        raise AssertionError(wrong)
