"""Releases: made of an image, signed, read, and judged by the device's own rules (vigil.ota.release).

A release file is CBOR, `[signed manifest, bundle]`; firmware/SPEC.md section 10 says what is in both.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from host_tools.board import load
from host_tools.errors import UserError
from host_tools.image import esp_image
from vigil.core.errors import TrustError
from vigil.ota.release import MISMATCH, PROTECTED, TRUNCATED, Release, entries, limits, opened
from vigil.wire import cbor
from vigil.wire.envelope import to_be_signed

_MPY_VERSION = 6  # of the modules that the new MicroPython has to read
LOADER = 1  # the least that this firmware needs (firmware/loader.py)
# By number, as a device says them: vigil.ota.release, firmware/loader.py, vigil.app.trial, vigil.app.updates.
REASONS = {
    1: "malformed",
    2: "bad signature",
    3: "other model",
    4: "other profile",
    5: "other .mpy",
    6: "needs another loader",
    7: "not newer",
    8: "failed before",
    9: "expired",
    10: "too large",
    11: "too many files",
    12: "bad path",
    13: "file twice",
    14: "truncated",
    15: "hash mismatch",
    16: "no room",
    17: "no start came to its end",
    18: "a sensor that answered before does not",
    19: "a task crashed",
    20: "too little memory",
    21: "nothing is sealed",
    22: "no host commits what it seals",
    23: "the device has no slots: flash it again",
    24: "a fault of the device's own",
    25: "the board has no second partition for MicroPython",
}


def reason(why: int) -> str:
    """Why a device refused a release, or rolled it back, in words."""
    return REASONS.get(why, f"reason {why}")


def index(files: Mapping[str, bytes]) -> bytes:
    """The first part of a bundle: length of the path, path, size, SHA-256; paths ascend."""
    return b"".join(
        bytes([len(path)]) + path.encode() + struct.pack("<I", len(content)) + hashlib.sha256(content).digest()
        for path, content in sorted(files.items())
    )


def bundle(files: Mapping[str, bytes]) -> bytes:
    """Index and files, as a device asks for them."""
    return index(files) + b"".join(content for _, content in sorted(files.items()))


def mpy(files: Mapping[str, bytes]) -> list[int]:
    """Version, sub-version and architecture (0: none) that modules need of an interpreter, by their headers."""
    heads = [(content[1], content[2] & 3, content[2] >> 2 & 15) for content in files.values() if content[:1] == b"M"]
    if not heads or len({head[0] for head in heads}) > 1:
        raise UserError("these are not compiled modules of one version", "vigil image makes them")
    native = {head[1:] for head in heads if head[2]}
    if len(native) > 1:
        raise UserError("these modules are for more than one architecture", "vigil image makes them for one")
    return [heads[0][0], *(native.pop() if native else (0, 0))]


def manifest(
    *,
    number: int,
    version: str,
    model: str,
    profile: str,
    files: Mapping[str, bytes],
    expires_ms: int | None = None,
    next_key: bytes | None = None,
) -> bytes:
    """The manifest of `files`, paths below a slot's lib folder."""
    first = index(files)
    said: dict = {
        0: 1,
        1: number,
        2: version,
        3: model,
        4: profile,
        5: mpy(files),
        6: LOADER,
        7: [len(files), len(first), len(first) + sum(map(len, files.values()))],
        8: hashlib.sha256(first).digest(),
    }
    said |= {9: expires_ms} if expires_ms is not None else {}
    said |= {10: next_key} if next_key is not None else {}
    return cbor.encode(said)


def sign(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """A manifest as a device takes it."""
    signature = key.sign(to_be_signed(PROTECTED, payload))
    return b"\xd2" + cbor.encode([PROTECTED, {}, payload, signature])


@dataclass(frozen=True)
class ReleaseFile:
    """A release that has passed every rule which needs no device."""

    signed: bytes
    bundle: bytes
    manifest: Release

    @property
    def number(self) -> int:
        """Which release this is."""
        return self.manifest.number

    def encoded(self) -> bytes:
        """As a file."""
        return cbor2.dumps([self.signed, self.bundle])


def parse(data: bytes, key: bytes) -> ReleaseFile:
    """A release file's content, checked against the public key `key`. Raises UserError that names the rule."""
    try:
        signed, content = cbor2.loads(data)
        if type(signed) is not bytes or type(content) is not bytes:
            raise ValueError
    except (cbor2.CBORDecodeError, ValueError, TypeError):
        raise UserError("this is not a release", "vigil release sign makes one") from None
    try:
        said = opened(signed, key)
        limits(said)
        _check_bundle(said, content)
    except TrustError as e:
        raise UserError(f"this release would be refused: {reason(e.args[0])}", "sign it anew") from None
    return ReleaseFile(signed, content, said)


def _check_bundle(said: Release, content: bytes) -> None:
    """Raise TrustError where a bundle is not what the manifest says."""
    if not said.files:  # MicroPython itself
        if len(content) != said.total_bytes:
            raise TrustError(TRUNCATED)
        if hashlib.sha256(content).digest() != said.digest:
            raise TrustError(MISMATCH)
        return
    files = content[said.index_bytes :]
    if hashlib.sha256(content[: said.index_bytes]).digest() != said.digest:
        raise TrustError(MISMATCH)
    at = 0
    for _, size, digest in entries(said, BytesIO(content[: said.index_bytes]).read):
        if hashlib.sha256(files[at : at + size]).digest() != digest:
            raise TrustError(MISMATCH)
        at += size
    if at != len(files):
        raise TrustError(TRUNCATED)


def read(path: Path, key: bytes) -> ReleaseFile:
    """Read a release file. Raises UserError: absent, not one, or a device that pins `key` would refuse it."""
    try:
        return parse(path.read_bytes(), key)
    except OSError as e:
        raise UserError(f"cannot read `{path}`", e.strerror or "") from None


def in_image(files: Mapping[str, bytes], name: str) -> dict[int, Any]:
    """What the manifest in an image says (SPEC.md section 10); files: all of the image `name`, by path.

    Raises UserError where there is none, or where the modules are not those that it names.
    """
    from host_tools.image.image import SLOT, slot_files

    about = files.get(f"{SLOT}/release")
    if about is None:
        raise UserError(f"`{name}` has no slots: it is not one of this firmware's images", "vigil image makes one")
    try:
        said: Any = cbor.decode(about)
        whole = hashlib.sha256(index(slot_files(files))).digest() == said[8]
    except (ValueError, KeyError, TypeError, IndexError):
        whole = False
    if not whole:
        raise UserError(
            f"`{name}` is damaged: its modules are not those that it names", "make it anew with vigil image"
        )
    return said


def of_micropython(
    path: Path, key: Ed25519PrivateKey, *, number: int, version: str, model: str, expires_ms: int | None = None
) -> ReleaseFile:
    """Sign an application image of MicroPython for boards with two partitions. Raises UserError where it is none."""
    try:
        image = path.read_bytes()
    except OSError as e:
        raise UserError(f"cannot read `{path}`", e.strerror or "") from None
    try:
        esp_image.application(image, path.name, load(model))
    except UserError as e:
        hint = "not the merged image that esptool writes, but the application alone (micropython.bin of a build)"
        raise UserError(f"this is not an application image of MicroPython: {e.sentence}", hint) from None
    if not 0 < number < 1 << 29:
        raise UserError(f"{number} is not a release number", "1 to 536870911, more than any before")
    said = {0: 1, 1: number, 2: version, 3: model, 4: "", 5: [_MPY_VERSION, 0, 0], 6: LOADER}
    said |= {7: [0, 0, len(image)], 8: hashlib.sha256(image).digest()}
    payload = cbor.encode(said | ({9: expires_ms} if expires_ms is not None else {}))
    public = key.public_key().public_bytes_raw()
    return parse(ReleaseFile(sign(payload, key), image, Release(payload)).encoded(), public)


def of_image(
    path: Path,
    key: Ed25519PrivateKey,
    *,
    number: int,
    version: str | None = None,
    expires_ms: int | None = None,
    next_key: bytes | None = None,
) -> ReleaseFile:
    """Sign what an image of `vigil image` carries. Raises UserError where it is none."""
    from host_tools.image.image import slot_files, unpack

    try:
        files = unpack(path.read_bytes())
    except OSError as e:
        raise UserError(f"cannot read `{path}`", e.strerror or "") from None
    said = in_image(files, path.name)
    if not 0 < number < 1 << 29:
        raise UserError(f"{number} is not a release number", "1 to 536870911, more than any before")
    payload = manifest(
        number=number,
        version=version or said[2],
        model=said[3],
        profile=said[4],
        files=slot_files(files),
        expires_ms=expires_ms,
        next_key=next_key,
    )
    public = key.public_key().public_bytes_raw()
    return parse(ReleaseFile(sign(payload, key), bundle(slot_files(files)), Release(payload)).encoded(), public)
