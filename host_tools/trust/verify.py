"""The trust core: decides whether an envelope is believed. No I/O, no clock, no state of its own.

Policy, in the order in which it is applied; the first rule that an envelope breaks names its rejection:

1.  `too large`: more than 8192 bytes.
2.  `malformed envelope`: not one tagged COSE_Sign1 in deterministic CBOR, all of it, with an empty unprotected
    header, an eight-byte key id and a 64-byte signature. Nothing is decoded twice and nothing is repaired.
3.  `other algorithm`: the protected header must say EdDSA and nothing but algorithm and key id.
4.  `foreign topic`: the key id must be the device whose topic the envelope came on; the broker binds topics to
    certificates, so neither a stolen certificate nor a stolen key alone can speak for another device.
5.  `unknown device`, `revoked device`: only enrolled devices are heard.
6.  `bad signature`: Ed25519 by the enrolled key over the bytes as they came. Before it, nothing looks into the payload.
7.  `unknown version`, `malformed batch`: the payload must be a batch of a known version within every limit of
    firmware/SPEC.md section 6. A device that signs nonsense is broken, and its nonsense is not stored.
8.  `replayed`: a sequence below what the device itself has called its oldest unacknowledged one can never be sent
    again by that device.
9.  A sequence that is stored already: the same bytes are a duplicate (not stored again, acknowledged again); other
    bytes are `sequence reused`, a fork of the device or of its key.
10. `chain broken`: where the envelope before or after is known, digests must link them. A previous digest of zeros
    links to nothing: it is what a device signs that has lost its flash, and is noted (`restart`) where one is known.

What passes is accepted. Missing sequences are no reason to refuse what came: they are noted (`gap`), and as `lost`
where the device says that it does not hold them any more: by its oldest waiting sequence, or (`gone`) range by range
when it was asked. An envelope that fills a gap later is noted as `late`; the newest come first after an absence, so
that a gap below them is the rule until the backlog has been drained.

The caller stores the envelope, its readings and `Outcome.device` in one transaction, and acknowledges after the commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from host_tools.ingest.batch import MAX_DEPTH, Batch, Malformed, WrongVersion, decode, decode_cbor
from vigil.crypto.ed25519_verify import is_sound_key
from vigil.crypto.signer import PROOF_PREFIX, device_id

MAX_ENVELOPE_BYTES = 8192
_TAG_SIGN1 = 0xD2
_EDDSA = -8
_NOTHING_BEFORE = bytes(32)  # prev_digest of a device's first envelope


class Reason(StrEnum):
    """Why an envelope is rejected. Part of the audit trail: names are never reused."""

    TOO_LARGE = "too large"
    MALFORMED_ENVELOPE = "malformed envelope"
    OTHER_ALGORITHM = "other algorithm"
    FOREIGN_TOPIC = "foreign topic"
    UNKNOWN_DEVICE = "unknown device"
    REVOKED_DEVICE = "revoked device"
    BAD_SIGNATURE = "bad signature"
    UNKNOWN_VERSION = "unknown version"
    MALFORMED_BATCH = "malformed batch"
    REPLAYED = "replayed"
    SEQUENCE_REUSED = "sequence reused"
    CHAIN_BROKEN = "chain broken"


@dataclass(frozen=True)
class DeviceState:
    """What is known of one enrolled device.

    last_seq, last_digest: newest accepted envelope, None before the first. oldest_seq: highest lower end of the
    device's queue seen. digests: of stored sequences from oldest_seq on. expected: for missing sequences, the digest
    that their successor names; may be left out, then a late envelope is linked to its predecessor only. gone: ranges
    of which the device has said that it does not hold them any more.
    """

    public_key: bytes
    revoked: bool = False
    last_seq: int | None = None
    last_digest: bytes | None = None
    oldest_seq: int = 0
    digests: Mapping[int, bytes] = field(default_factory=dict)
    expected: Mapping[int, bytes] = field(default_factory=dict)
    gone: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Note:
    """Something remarkable about an accepted envelope: gap, lost, gone, late or restart, and which sequences."""

    kind: str
    first_seq: int
    last_seq: int

    def __str__(self) -> str:
        return f"{self.kind} {self.first_seq}..{self.last_seq}"


@dataclass(frozen=True)
class Outcome:
    """A verdict (accepted, duplicate or rejected), and with a rejection its reason and a detail for a developer.

    batch and digest are there unless rejected before them; device is the state to store, of accepted ones only.
    """

    verdict: str
    reason: str = ""
    detail: str = ""
    digest: bytes = b""
    batch: Batch | None = None
    notes: tuple[Note, ...] = ()
    device: DeviceState | None = None


@dataclass(frozen=True)
class _Sign1:
    protected: bytes
    header: dict
    payload: bytes
    signature: bytes


class _Rejection(Exception):
    def __init__(self, reason: Reason, detail: str = ""):
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def verify(envelope: bytes, *, topic_device: str, device: DeviceState | None) -> Outcome:
    """Return the outcome for one envelope that came on the topic of `topic_device`, whose state is `device`.

    device: None for one that is not enrolled. Never raises on bad bytes.
    """
    try:
        state, sign1 = _authenticate(envelope, topic_device, device)
        batch = _read(sign1.payload)
        return _place(batch, hashlib.sha256(envelope).digest(), state)
    except _Rejection as e:
        return Outcome("rejected", str(e.reason), e.detail)


def _authenticate(envelope: bytes, topic_device: str, device: DeviceState | None) -> tuple[DeviceState, _Sign1]:
    """Apply rules 1 to 6."""
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise _Rejection(Reason.TOO_LARGE, f"{len(envelope)} bytes")
    try:
        sign1 = _open(envelope)
    except Malformed as e:
        raise _Rejection(Reason.MALFORMED_ENVELOPE, str(e)) from e
    if sign1.header.get(1) != _EDDSA or sign1.header.keys() != {1, 4}:
        raise _Rejection(Reason.OTHER_ALGORITHM)
    if sign1.header[4].hex() != topic_device:
        raise _Rejection(Reason.FOREIGN_TOPIC)
    if device is None:
        raise _Rejection(Reason.UNKNOWN_DEVICE)
    if device.revoked:
        raise _Rejection(Reason.REVOKED_DEVICE)
    if not _is_signed(
        device.public_key, cbor2.dumps(["Signature1", sign1.protected, b"", sign1.payload]), sign1.signature
    ):
        raise _Rejection(Reason.BAD_SIGNATURE)
    return device, sign1


def _is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):  # ValueError: not a key
        return False
    return True


def _open(envelope: bytes) -> _Sign1:
    """Return the parts of a tagged COSE_Sign1. Raises Malformed."""
    if envelope[:1] != bytes((_TAG_SIGN1,)):
        raise Malformed("not a COSE_Sign1")
    parts = decode_cbor(envelope[1:])
    if type(parts) is not list or len(parts) != 4:
        raise Malformed("not an array of four")
    protected, unprotected, payload, signature = parts
    if not all(type(part) is bytes for part in (protected, payload, signature)):
        raise Malformed("header, payload and signature must be byte strings")
    if unprotected != {} or len(signature) != 64:
        raise Malformed("unprotected header or signature length")
    header = decode_cbor(protected)
    if type(header) is not dict or any(type(label) is not int for label in header):
        raise Malformed("protected header")
    if type(header.get(4)) is not bytes or len(header[4]) != 8:
        raise Malformed("key id must be eight bytes")
    return _Sign1(protected, header, payload, signature)


def batch_of(envelope: bytes) -> Batch:
    """The batch in an envelope that was verified before. Raises Malformed for what never was."""
    return decode(_open(envelope).payload)


def verify_signature(envelope: bytes, public_key: bytes) -> bool:
    """Return whether the device with this key sealed these bytes, whatever is in them: rules 1 to 6 alone."""
    try:
        _authenticate(envelope, device_id(public_key), DeviceState(public_key))
    except _Rejection:
        return False
    return True


def _read(payload: bytes) -> Batch:
    """Apply rule 7."""
    try:
        return decode(payload)
    except WrongVersion as e:
        raise _Rejection(Reason.UNKNOWN_VERSION, str(e)) from e
    except Malformed as e:
        raise _Rejection(Reason.MALFORMED_BATCH, str(e)) from e


def _place(batch: Batch, digest: bytes, device: DeviceState) -> Outcome:
    """Apply rules 8 to 10: where does this sequence stand among what is known?"""
    seq = batch.seq
    if seq < device.oldest_seq:
        raise _Rejection(Reason.REPLAYED, f"sequence {seq}, oldest {device.oldest_seq}")
    stored = device.last_digest if seq == device.last_seq else device.digests.get(seq)
    if stored is not None:
        if stored != digest:
            raise _Rejection(Reason.SEQUENCE_REUSED, f"sequence {seq}")
        return Outcome("duplicate", digest=digest, batch=batch)
    before = device.last_digest if seq - 1 == device.last_seq else device.digests.get(seq - 1)
    if before is not None and batch.prev_digest not in (before, _NOTHING_BEFORE):
        raise _Rejection(Reason.CHAIN_BROKEN, f"sequence {seq} does not follow what is stored as {seq - 1}")
    if device.expected.get(seq, digest) != digest:
        raise _Rejection(Reason.CHAIN_BROKEN, f"sequence {seq} is not what {seq + 1} names")
    return Outcome(
        "accepted", digest=digest, batch=batch, notes=_notes(batch, device), device=_moved(batch, digest, device)
    )


def missing(device: DeviceState) -> list[tuple[int, int]]:
    """Ranges of sequences that may still come and have not: what a gateway asks for when they stay away."""
    if device.last_seq is None:
        return []
    ranges: list[tuple[int, int]] = []
    next_seq = device.oldest_seq
    for first, last in sorted([*((seq, seq) for seq in device.digests), *device.gone, (device.last_seq,) * 2]):
        if first > next_seq:
            ranges.append((next_seq, first - 1))
        next_seq = max(next_seq, last + 1)
    return ranges


def _notes(batch: Batch, device: DeviceState) -> tuple[Note, ...]:
    """What is remarkable about a batch that is accepted."""
    next_seq = batch.oldest_seq if device.last_seq is None else device.last_seq + 1
    notes = [Note("gone", first, last) for first, last in batch.gone]
    if batch.seq < next_seq:
        return (*notes, Note("late", batch.seq, batch.seq))
    if batch.prev_digest == _NOTHING_BEFORE and device.last_seq is not None:
        notes.append(Note("restart", batch.seq, batch.seq))
    if next_seq < min(batch.oldest_seq, batch.seq):
        notes.append(Note("lost", next_seq, min(batch.oldest_seq, batch.seq) - 1))
    first_waiting = max(next_seq, batch.oldest_seq)
    if first_waiting < batch.seq:
        notes.append(Note("gap", first_waiting, batch.seq - 1))
    return tuple(notes)


def _moved(batch: Batch, digest: bytes, device: DeviceState) -> DeviceState:
    """Return the state after accepting `batch`."""
    newest = device.last_seq is None or batch.seq > device.last_seq
    oldest_seq = max(device.oldest_seq, batch.oldest_seq)
    digests = {**device.digests, batch.seq: digest}
    expected = dict(device.expected)
    expected.pop(batch.seq, None)
    if batch.seq - 1 not in digests and batch.seq - 1 != device.last_seq and batch.prev_digest != _NOTHING_BEFORE:
        expected[batch.seq - 1] = batch.prev_digest
    return replace(
        device,
        last_seq=batch.seq if newest else device.last_seq,
        last_digest=digest if newest else device.last_digest,
        oldest_seq=oldest_seq,
        digests={seq: known for seq, known in digests.items() if seq >= oldest_seq},
        expected={seq: known for seq, known in expected.items() if seq >= oldest_seq},
        gone=tuple(one for one in dict.fromkeys((*device.gone, *batch.gone)) if one[1] >= oldest_seq),
    )


def check_public_key(public_key: bytes) -> bool:
    """Return whether a key may be enrolled: a point of the large prime order in its only encoding."""
    return len(public_key) == 32 and is_sound_key(public_key)


def check_proof(public_key: bytes, nonce: bytes, signature: bytes) -> bool:
    """Return whether `signature` proves that a device holds the private key: SPEC.md section 5."""
    if not 16 <= len(nonce) <= 64:
        return False
    return check_public_key(public_key) and _is_signed(public_key, PROOF_PREFIX + nonce, signature)


def split(data: bytes) -> Iterator[bytes]:
    """Yield the envelopes of a file: tagged COSE_Sign1 items one after the other (a CBOR sequence, RFC 8742).

    Raises Malformed where the next item cannot be told from what follows; what came before has been yielded.
    """
    at = 0
    while at < len(data):
        end = _item_end(data, at)
        yield data[at:end]
        at = end


def _item_end(data: bytes, at: int) -> int:
    """Return where the item at `at` ends; definite lengths only."""
    open_items = [1]  # items still to come, level by level
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        if at >= len(data):
            raise Malformed("truncated")
        major, code = data[at] >> 5, data[at] & 31
        at += 1
        size = 0 if code < 24 else 1 << (code - 24) if code < 28 else None
        if size is None:
            raise Malformed("indefinite or reserved length")
        argument = int.from_bytes(data[at : at + size], "big") if size else code
        at += size + (argument if major in (2, 3) else 0)
        if major in (4, 5, 6):
            open_items.append(argument * {4: 1, 5: 2, 6: 1}[major] if major != 6 else 1)
        if at > len(data) or len(open_items) > 2 * MAX_DEPTH:
            raise Malformed("truncated or nested too deep")
    return at


def verify_all(envelopes: Iterable[bytes], public_key: bytes) -> Iterator[Outcome]:
    """Yield the outcome of each of one device's envelopes in turn, each judged by what those before it left."""
    state = DeviceState(public_key)
    topic_device = device_id(public_key)
    for envelope in envelopes:
        outcome = verify(envelope, topic_device=topic_device, device=state)
        state = outcome.device or state
        yield outcome
