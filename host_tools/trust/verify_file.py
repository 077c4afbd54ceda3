"""`vigil verify`: sealed envelopes from a file or a store, verified again from their bytes and the public keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2

from host_tools.errors import UserError
from host_tools.ingest.batch import Malformed
from host_tools.ingest.gateway import CONFIG_NAME, Config
from host_tools.ingest.store import Store
from host_tools.trust.verify import DeviceState, Outcome, split, verify
from host_tools.vocabulary import absent_name, kind_name, shown_value, value
from vigil.core.records import PRESENT
from vigil.crypto.signer import device_id

_MAX_FILE_BYTES = 256 * 1024 * 1024
_KID = 4  # COSE header label


@dataclass
class Verdict:
    """What is to be said of one envelope."""

    device: str
    size: int
    outcome: Outcome
    good: bool = field(init=False)

    def __post_init__(self) -> None:
        self.good = self.outcome.verdict == "accepted"

    def as_json(self) -> dict[str, Any]:
        """One JSON object."""
        said: dict[str, Any] = {
            "device": self.device,
            "verdict": self.outcome.verdict,
            "reason": self.outcome.reason or None,
            "bytes": self.size,
        }
        batch = self.outcome.batch
        if batch is not None:
            said |= {"boot": batch.boot, "seq": batch.seq, "notes": [str(note) for note in self.outcome.notes]}
            said["readings"] = [
                {
                    "kind": kind_name(r.kind),
                    "value": value(r.mantissa, r.exp10) if r.absent_reason == PRESENT else None,
                    "quality_pct": r.quality_pct if r.absent_reason == PRESENT else None,
                    "absent_reason": absent_name(r.absent_reason) or None,
                    "t_start_ms": r.t_start_ms,
                    "t_end_ms": r.t_end_ms,
                }
                for r in batch.readings
            ]
        return said

    def as_text(self) -> str:
        """A line, and one a reading."""
        batch = self.outcome.batch
        if batch is None or not self.good:
            why = f": {self.outcome.reason}" if self.outcome.reason else ""
            return f"{self.device or 'unknown device'}: {self.outcome.verdict}{why} ({self.size} bytes)"
        lines = [f"{self.device} boot {batch.boot} seq {batch.seq}: {self.outcome.verdict} ({self.size} bytes)"]
        lines += [f"  note: {note}" for note in self.outcome.notes]
        for r in batch.readings:
            shown = f"{shown_value(r.kind, r.mantissa, r.exp10, r.unit):>12}  quality {r.quality_pct} %"
            if r.absent_reason != PRESENT:
                shown = f"{'--':>12}  {absent_name(r.absent_reason)}"
            lines.append(f"  {r.t_end_ms / 1000:10.1f} s  {kind_name(r.kind):<16}{shown}")
        return "\n".join(lines)


def verify_file(file: Path, *, key: Path | None = None, state: Path | None = None) -> Iterator[Verdict]:
    """Verdict of each envelope in `file` (one, or several back to back), in order.

    key: file with the device's public key. state: state folder whose store knows the keys. Raises UserError when a
    file cannot be read.
    """
    data = _read(file, _MAX_FILE_BYTES)
    if not data:
        raise UserError(f"`{file}` is empty", "a sealed envelope has at least 100 bytes")
    keys = _stored(state).public_keys() if state else {}
    if key is not None:
        public_key = read_public_key(key)
        keys = {device_id(public_key): public_key}
    yield from _verdicts(((None, raw) for raw in pieces(data)), keys)


def verify_state(state: Path) -> Iterator[Verdict]:
    """Verdict of every envelope in a state folder's store, device by device, chain and all."""
    with _stored(state) as store:
        yield from _verdicts(((row.device, row.raw) for row in store.raw_envelopes()), store.public_keys())


def _verdicts(envelopes, keys: dict[str, bytes]) -> Iterator[Verdict]:
    states = {device: DeviceState(public_key=public_key) for device, public_key in keys.items()}
    for device, raw in envelopes:
        claimed = device or claimed_device(raw)
        if not claimed and len(states) == 1:
            claimed = next(iter(states))  # whatever is wrong with the envelope, say that rather than `unknown device`
        outcome = verify(raw, topic_device=claimed, device=states.get(claimed))
        if outcome.verdict == "accepted":
            states[claimed] = outcome.device or states[claimed]
        yield Verdict(claimed, len(raw), outcome)


def pieces(data: bytes) -> Iterator[bytes]:
    """The envelopes back to back in `data`, then what is not one in a single piece, for verify to name."""
    at = 0
    try:
        for piece in split(data):
            yield piece
            at += len(piece)
    except Malformed:
        yield data[at:]


def claimed_device(raw: bytes) -> str:
    """Device id that an envelope claims in its protected header, "" when there is none. Proves nothing."""
    try:
        protected = cbor2.loads(cbor2.loads(raw).value[0])
        return bytes(protected[_KID]).hex()
    except Exception:
        return ""


def read_public_key(file: Path) -> bytes:
    """A device's public key: 32 bytes, or 64 hexadecimal digits. Raises UserError for anything else."""
    content = _read(file, 4096)
    if len(content) == 32:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UserError(f"`{file}` is not a public key", "32 bytes, or 64 hexadecimal digits")
    return key


def _read(file: Path, limit_bytes: int) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(limit_bytes + 1)
    except OSError as e:
        raise UserError(f"cannot read `{file}`", e.strerror or "") from e
    if len(data) > limit_bytes:
        raise UserError(f"`{file}` is too large", f"at most {limit_bytes} bytes are read")
    return data


def _stored(state: Path) -> Store:
    config = Config.read(state / CONFIG_NAME)
    return Store(config.store)
