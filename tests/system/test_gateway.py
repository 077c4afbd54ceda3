"""The gateway end to end: real broker, real database, the gateway as a process of its own, a stand-in device.

Envelopes are sealed by the firmware's own wire code. What is killed is killed by SIGKILL.
"""

import json
import os
import signal
import sqlite3
import sys
import time

import pytest
from stand_in import FastSigner, Peer, Sealer, until

from host_tools import children
from host_tools.ingest.broker import GATEWAY, Broker
from host_tools.ingest.gateway import CONFIG_NAME, Config
from host_tools.ingest.store import Store
from host_tools.trust.pki import Authority
from host_tools.virtual.run import GatewayProcess
from vigil.crypto.signer import Signer


class World:
    """Broker, store and gateway on one state folder, and devices that talk to them."""

    def __init__(self, state):
        self.state = state
        authority = Authority(state / "pki")
        self.broker = Broker(state / "broker", authority)
        self.broker.start()
        certificate, key = authority.client(GATEWAY)
        config = Config.for_state(state, broker=self.broker.url, ca=authority.ca_path, certificate=certificate, key=key)
        config.write(state / CONFIG_NAME)
        self.store = Store(config.store)
        self.gateway = GatewayProcess(state)
        self.gateway.start()
        self.gateway.wait_until_connected()
        self._peers = []

    def device(self, sealer, *, enrol=True):
        if enrol:
            self.store.add_device(sealer.device_id, sealer.public_key)
        self.broker.add_device(sealer.device_id)
        peer = Peer(self.broker, self.state, sealer.device_id)
        self._peers.append(peer)
        assert peer.subscribe(f"v1/{sealer.device_id}/a")
        return peer

    def log(self):
        return [json.loads(line) for line in self.gateway.log_path.read_text().splitlines() if line.startswith("{")]

    def events(self, name):
        return [line for line in self.log() if line["event"] == name]

    def reasons(self):
        return [line.reason for line in self.store.audit_lines()]

    def close(self):
        for peer in self._peers:
            peer.close()
        self.gateway.stop()
        self.store.close()
        self.broker.stop()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def send(peer, sealer, *envelopes):
    for envelope in envelopes:
        peer.publish(f"v1/{sealer.device_id}/r", envelope)


def deliver(peer, sealer, timeout_s=30):
    """What the device's session does: send what waits, again and again, until all of it is acknowledged."""
    deadline = time.monotonic() + timeout_s
    freed = []
    while sealer.waiting:
        assert time.monotonic() < deadline, f"still waiting: {list(sealer.waiting)}"
        if peer.client.is_connected():
            for envelope in list(sealer.waiting.values()):
                peer.client.publish(f"v1/{sealer.device_id}/r", envelope, 1)
        for _, payload in peer.received(1.0):
            freed += sealer.free(payload)
    return freed


# requirement: LOS-2
def test_what_the_firmware_sealed_is_stored_and_then_acknowledged(world):
    sealer = Sealer(Signer(bytes(range(32))))
    peer = world.device(sealer)
    assert deliver(peer, sealer) == []
    sent = [sealer.seal() for _ in range(2)]
    send(peer, sealer, *sent)
    acknowledgements = until(lambda: peer.received(0.5))
    # What is acknowledged is in the database already, byte for byte.
    assert [row.raw for row in world.store.raw_envelopes()] == sent
    assert sorted(seq for _, a in acknowledgements for seq in sealer.free(a)) == [0, 1]
    rows = world.store.readings(sealer.device_id)
    assert [(r.seq, r.ordinal, r.mantissa, r.quality_pct, r.absent_reason) for r in rows] == [
        (0, 0, 721, 90, 0),
        (0, 1, 719, 80, 0),
        (0, 2, None, rows[2].quality_pct, 6),
        (1, 0, 721, 90, 0),
        (1, 1, 719, 80, 0),
        (1, 2, None, rows[5].quality_pct, 6),
    ]
    assert world.store.counts() == {"verified": 2, "duplicates": 0, "rejected": 0}
    words = world.gateway.log_path.read_text()
    assert "721" not in words and "72.1" not in words


# requirement: TRU-1
def test_attacks_are_rejected_by_name_with_an_audit_line(world):
    sealer, other = Sealer(), Sealer(seed=bytes(range(1, 33)))
    stranger = Sealer(seed=bytes(range(2, 34)))
    peer, other_peer, stranger_peer = world.device(sealer), world.device(other), world.device(stranger, enrol=False)
    first = sealer.seal()
    send(peer, sealer, first)
    until(lambda: any(sealer.free(a) for _, a in peer.received()))
    second = sealer.seal()  # says that nothing before it waits any more
    send(peer, sealer, second)
    until(lambda: world.store.counts()["verified"] == 2)
    genuine = sealer.seal()
    altered = bytearray(genuine)
    altered[len(altered) // 2] ^= 1
    forger = Sealer(FastSigner(bytes(range(3, 35))))
    forger.signer.device_id = sealer.device_id  # claims to be the device, with a key of its own
    attacks = [
        # name, who publishes, bytes, reason
        ("forged", peer, forger.seal(), "bad signature"),
        ("altered", peer, bytes(altered), None),
        ("replayed", peer, first, "replayed"),
        ("truncated", peer, genuine[:-9], "malformed envelope"),
        ("foreign", peer, other.seal(), "foreign topic"),
        ("not CBOR", peer, b"hello", "malformed envelope"),
        ("nothing", peer, b"", "malformed envelope"),
        ("huge", peer, bytes(20_000), "too large"),
    ]
    got = []
    for name, sender, payload, reason in attacks:
        before = len(world.reasons())
        send(sender, sealer, payload)
        until(lambda before=before: len(world.reasons()) > before, what=name)
        line = world.store.audit_lines()[-1]
        assert (line.device_claimed, line.size, line.excerpt) == (sealer.device_id, len(payload), payload[:256])
        assert len(line.digest) == 32
        got.append((name, sender, payload, line.reason if reason else None))
    assert got == attacks
    send(stranger_peer, stranger, stranger.seal())
    until(lambda: world.reasons()[-1] == "unknown device")
    world.store.revoke(other.device_id)
    send(other_peer, other, other.seal())
    until(lambda: world.reasons()[-1] == "revoked device")
    # None of them was acknowledged or disturbed what is genuine, and the broker has nothing left to redeliver.
    assert not [a for _, a in peer.received() if sealer.free(a) not in ([], [1])]
    send(peer, sealer, genuine)
    until(lambda: world.store.counts()["verified"] == 3)
    assert world.store.counts()["rejected"] == len(attacks) + 2 == len(world.events("rejected"))


def test_audit_trail_is_append_only(world):
    sealer = Sealer()
    send(world.device(sealer), sealer, b"rubbish")
    until(world.reasons)
    for attempt in ("DELETE FROM audit", "UPDATE audit SET reason = ''"):
        with sqlite3.connect(world.state / "vigil.db") as connection, pytest.raises(sqlite3.Error, match="append-only"):
            connection.execute(attempt)


def test_locked_database_means_no_acknowledgement_until_it_is_free(world):
    sealer = Sealer()
    peer = world.device(sealer)
    lock = sqlite3.connect(world.state / "vigil.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    send(peer, sealer, *[sealer.seal() for _ in range(3)])
    until(lambda: world.events("store_unavailable"))
    assert peer.received(1.5) == []
    lock.execute("ROLLBACK")
    lock.close()
    acknowledgements = until(lambda: peer.received(1.0))
    assert sorted(seq for _, a in acknowledgements for seq in sealer.free(a)) == [0, 1, 2]
    assert world.store.sequences(sealer.device_id) == [0, 1, 2]
    assert world.events("store_available")


def test_broker_killed_for_seconds_loses_nothing(world):
    sealer = Sealer()
    peer = world.device(sealer)
    sealer.seal()
    deliver(peer, sealer)
    world.broker.kill()
    for _ in range(3):
        sealer.seal()
    time.sleep(2)
    world.broker.start()
    deliver(peer, sealer)
    assert world.store.sequences(sealer.device_id) == [0, 1, 2, 3]
    assert world.store.counts()["rejected"] == 0


# requirement: LOS-2
def test_gateway_killed_loses_nothing(world):
    sealer = Sealer()
    peer = world.device(sealer)
    sealer.seal()
    deliver(peer, sealer)
    world.gateway.kill()
    send(peer, sealer, *[sealer.seal() for _ in range(3)])
    assert peer.received(1.0) == []
    world.gateway.start()
    deliver(peer, sealer)
    assert world.store.sequences(sealer.device_id) == [0, 1, 2, 3]
    assert world.store.counts()["rejected"] == 0


DIES_AFTER_THE_COMMIT = """
import os, sys
from pathlib import Path
from host_tools.ingest import gateway
from host_tools.sources.mqtt import MqttSource

MqttSource.acknowledge_to_device = lambda *_: os.kill(os.getpid(), 9)
gateway.serve(gateway.Config.read(Path(sys.argv[1])))
"""


def test_gateway_killed_between_commit_and_acknowledgement_stores_nothing_twice(world):
    world.gateway.stop()
    sealer = Sealer()
    peer = world.device(sealer)
    mortal = children.start(
        [sys.executable, "-c", DIES_AFTER_THE_COMMIT, str(world.state / CONFIG_NAME)], world.state / "mortal.log"
    )
    send(peer, sealer, sealer.seal(), sealer.seal())
    assert mortal.wait(20) == -signal.SIGKILL
    stored = world.store.sequences(sealer.device_id)
    assert stored and peer.received(0.2) == []
    world.gateway.start()
    deliver(peer, sealer)
    assert world.store.sequences(sealer.device_id) == [0, 1]
    counts = world.store.counts()
    assert counts["duplicates"] >= len(stored) and counts["rejected"] == 0
    assert len(world.store.readings(sealer.device_id)) == 6


def test_gateway_ends_cleanly_at_sigterm(world):
    pid = world.gateway.pid
    started = time.monotonic()
    world.gateway.stop()
    assert time.monotonic() - started < 3
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert world.log()[-1]["event"] == "stopped"
