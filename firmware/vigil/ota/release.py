"""The rules by which a device takes a release. No I/O, no clock, no state of its own.

A release is a small signed manifest, and a bundle: an index of files, then the files. In the order in which they are
applied; the first rule that a release breaks names its refusal:

1.  `malformed`: not one COSE_Sign1 in deterministic CBOR, within its limits.
2.  `bad signature`: Ed25519 by the release key that this device pins, over the bytes as they came. Nothing looks into
    the manifest before. A key follows another only by a release that the one before has signed (`next key`), and
    only when that release has been confirmed.
3.  `too large`, `too many files`: more than any device takes.
4.  `other model`, `other profile`, `other .mpy`: it must be made for this board, for what this device wears, and for
    the MicroPython that runs here.
5.  `needs another loader`: the loader stays what it was when the device was flashed.
6.  `not newer`: its number must exceed that of every release confirmed here, and that of the running one. A clock that
    is wrong cannot undo this; the number is kept in the keystore and survives the file system.
7.  `failed before`: a number that was rolled back here is not tried again; what mends it has a higher one.
8.  `expired`: only where the release says so and the device knows the time.
9.  `no room` where the flash has less free than it takes.
10. The index must have the digest that the manifest names (`hash mismatch`), and in it paths ascend, each once (`file
    twice`), each a module below its slot (`bad path`), and sizes add up to the bundle's (`truncated`).
11. Every file is read back from flash and must have the index's digest (`hash mismatch`); then the slot is complete.

A release of no files is MicroPython itself: its bundle is the image of an application, and the manifest's digest that
of the image. The rules hold for it but for those of the profile and of the index; it goes to the partition that does
not run, and a board that has no such partition says so (`no second partition`).

A piece of the bundle is taken only where it begins where the last one ended, and for the release that is being
fetched: what is replayed or out of turn is not looked at. Whoever sends pieces can therefore waste time, no more.
"""

from micropython import const

from vigil.core.errors import TrustError
from vigil.wire import cbor, signed
from vigil.wire.signed import MALFORMED

OTHER_MODEL = const(3)  # why a release was refused or rolled back, after those; 17 is the loader's
OTHER_PROFILE = const(4)
OTHER_MPY = const(5)
OTHER_LOADER = const(6)
NOT_NEWER = const(7)
FAILED_BEFORE = const(8)
EXPIRED = const(9)
TOO_LARGE = const(10)
TOO_MANY = const(11)
BAD_PATH = const(12)
TWICE = const(13)
TRUNCATED = const(14)
MISMATCH = const(15)
NO_ROOM = const(16)

_VERSION = const(1)
_MAX = const(1 << 29)  # a number in a manifest is below
_MAX_BUNDLE = const(262144)
_MAX_APPLICATION = const(4194304)
_MAX_FILES = const(128)
_MAX_PATH = const(64)
_KINDS = (int, int, str, str, str, list, int, list, bytes, int, bytes)  # by key
_OPTIONAL = const(9)  # keys from here on may be absent
_ENTRY = const(37)  # bytes of an index entry beside its path
PROTECTED = b"\xa2\x01\x27\x03\x6dvigil-release"  # {1: -8, 3: "vigil-release"}: EdDSA, and for nothing else


class Release:
    """A manifest whose signature is good. payload: its bytes. Fields as SPEC.md section 10 names them."""

    def __init__(self, payload: bytes):
        self.payload = payload
        said = cbor.decode(payload)
        if type(said) is not dict or said.get(0) != _VERSION or max(said) >= len(_KINDS):
            raise ValueError("release: form")
        for i, kind in enumerate(_KINDS):
            if type(said.get(i)) is not kind and (i < _OPTIONAL or i in said):
                raise ValueError("release: type")
        self.number = said[1]
        self.version = said[2]
        self.model = said[3]
        self.profile = said[4]
        self.mpy = said[5]
        self.loader = said[6]
        self.files, self.index_bytes, self.total_bytes = said[7]
        self.digest = said[8]
        self.expires_ms = said.get(9)
        self.next_key = said.get(10)
        numbers = [self.number, self.loader, self.files, self.index_bytes, self.total_bytes] + self.mpy
        if len(self.mpy) != 3 or not self.number or not all(type(n) is int and 0 <= n < _MAX for n in numbers):
            raise ValueError("release: numbers")
        if len(self.digest) != 32 or (self.next_key is not None and len(self.next_key) != 32):
            raise ValueError("release: digest")


class Device:
    """What a release must fit.

    mpy: sys.implementation._mpy. floor: highest number confirmed. failed: number rolled back last. utc_ms: None where
    the time is not known.
    """

    def __init__(self, model, profile, mpy, loader, floor, failed, utc_ms=None):
        self.model = model
        self.profile = profile
        self.mpy = mpy
        self.loader = loader
        self.floor = floor
        self.failed = failed
        self.utc_ms = utc_ms


def opening(offer: bytes, key: bytes):
    """Return what `offer` says where `key` has signed it: a generator, that yields so that others can work meanwhile.

    Raises TrustError with the reason's number.
    """
    payload = yield from signed.opening(offer, key, PROTECTED)
    try:
        return Release(payload)
    except (ValueError, TypeError):
        raise TrustError(MALFORMED)


def opened(offer: bytes, key: bytes) -> Release:
    """Return what opening() returns, at once."""
    from vigil.crypto.ed25519_verify import finished

    return finished(opening(offer, key))


def check(release: Release, device: Device) -> None:
    """Raise TrustError with the number of the first of rules 3 to 8 that `release` breaks on `device`."""
    version, minor, arch = release.mpy
    mine = device.mpy
    fits = version == mine & 0xFF and (not arch or (minor == mine >> 8 & 3 and arch == mine >> 10 & 15))
    expired = release.expires_ms is not None and device.utc_ms is not None and device.utc_ms > release.expires_ms
    limits(release)
    for broken, why in (
        (release.model != device.model, OTHER_MODEL),
        (release.files and release.profile != device.profile, OTHER_PROFILE),
        (not fits, OTHER_MPY),
        (release.loader > device.loader, OTHER_LOADER),
        (release.number <= device.floor, NOT_NEWER),
        (release.number == device.failed, FAILED_BEFORE),
        (expired, EXPIRED),
    ):
        if broken:
            raise TrustError(why)


def limits(release: Release) -> None:
    """Raise TrustError where `release` is more than any device takes."""
    if release.total_bytes > (_MAX_BUNDLE if release.files else _MAX_APPLICATION):
        raise TrustError(TOO_LARGE)
    if release.files > _MAX_FILES or release.index_bytes > release.files * (_ENTRY + _MAX_PATH):
        raise TrustError(TOO_MANY)


def entries(release: Release, read):
    """Yield (path, size, digest) of each file; read(n) returns the next n bytes of the index, fewer at its end.

    Raises TrustError where the index breaks rule 10; its digest is the caller's to check, before.
    """
    before = ""
    left = release.total_bytes - release.index_bytes
    for _ in range(release.files):
        n = read(1)
        path = read(n[0]) if n else b""
        more = read(_ENTRY - 1)
        if len(more) != _ENTRY - 1:
            raise TrustError(TRUNCATED)
        path = _path(path)
        if path <= before:
            raise TrustError(TWICE)
        before = path
        size = int.from_bytes(more[:4], "little")
        left -= size
        if left < 0:
            raise TrustError(TRUNCATED)
        yield path, size, more[4:]
    if left or read(1):
        raise TrustError(TRUNCATED)


def _path(path: bytes) -> str:
    """Return a path that is a module below its folder, and nothing else. Its only dot is the suffix's."""
    stem = path[:-4]
    plain = all(48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 95 or c == 47 for c in stem)
    if len(path) > _MAX_PATH or path[-4:] != b".mpy" or not plain or not all(stem.split(b"/")):
        raise TrustError(BAD_PATH)
    return path.decode()
