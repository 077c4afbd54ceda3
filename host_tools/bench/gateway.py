"""`python -m host_tools.bench.gateway`: envelopes and rows a second through verify and commit, SQLite on this disk.

The gateway's own loop runs with a source in memory, so that what is measured is ours: Ed25519 and the rules, the
rows, the disk flush of each commit. Checks its own answer: every reading must be in the database, once and as sent.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from host_tools.ingest.gateway import Gateway
from host_tools.ingest.store import Store, sqlite_url
from host_tools.sources.mqtt import Message
from vigil.core import records
from vigil.crypto.signer import device_id
from vigil.wire import ack, batch, envelope

_READINGS = 20  # four kinds each two seconds: a batch of ten seconds


class _Signer:
    def __init__(self, number: int):
        self._key = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.device_id = device_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(bytes(message))


def _readings(seq: int) -> list:
    kinds = (records.HEART_RATE, records.PULSE_RATE, records.SPO2, records.PERFUSION_INDEX)
    t_ms = 10_000 * seq
    return [
        records.Reading(kind, 700 + seq % 100, -1, records.BEAT_PER_MIN, 90, max(0, at - 8000), at)
        for at in range(t_ms, t_ms + 10_000, 2000)
        for kind in kinds
    ]


def _sealed(signers: list[_Signer], count: int) -> list[Message]:
    """`count` envelopes, the devices taking turns; each device frees at once what it sent."""
    messages = []
    digests = {s.device_id: bytes(32) for s in signers}
    for i in range(count):
        seq, which = divmod(i, len(signers))
        signer = signers[which]
        payload = batch.encode(
            boot=1,
            seq=seq,
            prev_digest=digests[signer.device_id],
            oldest_seq=max(0, seq - 2),
            t0_ms=10_000 * seq,
            readings=_readings(seq),
        )
        sealed = envelope.seal(signer, payload)
        digests[signer.device_id] = envelope.digest(sealed)
        messages.append(Message(signer.device_id, sealed, 0, i))
    return messages


def _facts(reading) -> tuple:
    return reading.t_end_ms, reading.kind, reading.mantissa


class _Memory:
    """A source that has everything waiting, and counts what it gets back."""

    def __init__(self, messages: list[Message], together: int, stop: threading.Event):
        self._messages = messages
        self._together = together
        self._stop = stop
        self._at = 0
        self.acknowledged = 0
        self.finished = 0

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        taken = self._messages[self._at : self._at + min(limit, self._together)]
        self._at += len(taken)
        if not taken:
            self._stop.set()
        return taken

    def acknowledge_to_device(self, device: str, payload: bytes) -> None:
        self.acknowledged += len(ack.decode(payload)[1])

    def ask_device(self, device: str, payload: bytes) -> None:
        raise AssertionError("nothing is missing")

    def done(self, message: Message) -> None:
        self.finished += 1


def measure(count: int, devices: int, together: int, folder: Path) -> dict:
    """Move `count` envelopes, `together` waiting at a time; returns rates. Raises AssertionError on a wrong answer."""
    signers = [_Signer(i + 1) for i in range(devices)]
    messages = _sealed(signers, count)
    stop = threading.Event()
    source = _Memory(messages, together, stop)
    with Store(sqlite_url(folder / f"bench-{together}.db")) as store:
        for signer in signers:
            store.add_device(signer.device_id, signer.public_key)
        start = time.perf_counter()
        Gateway(store, source, lambda *_, **__: None).run(stop)
        seconds = time.perf_counter() - start
        assert store.counts() == {"verified": count, "duplicates": 0, "rejected": 0}
        for which, signer in enumerate(signers):
            rows = store.readings(signer.device_id)
            sent = [r for seq in range(len(range(which, count, devices))) for r in _readings(seq)]
            assert sorted(map(_facts, rows)) == sorted(map(_facts, sent))
        assert source.acknowledged == source.finished == count
    rows = count * _READINGS
    return {
        "together": together,
        "envelopes": count,
        "rows": rows,
        "seconds": round(seconds, 3),
        "envelopes_per_s": round(count / seconds),
        "rows_per_s": round(rows / seconds),
        "bytes_per_envelope": round(sum(len(m.payload) for m in messages) / count),
    }


def main() -> None:
    """Print one line of JSON a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--envelopes", type=int, default=2000)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the database is made (a temporary folder without)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        for together in (1, 16, 256):
            count = min(arguments.envelopes, 500) if together == 1 else arguments.envelopes
            print(json.dumps(measure(count, arguments.devices, together, Path(scratch))), flush=True)


if __name__ == "__main__":
    main()
