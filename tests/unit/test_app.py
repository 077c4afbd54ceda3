"""Identity, settings, publishing and the uplink with a board made of dictionaries."""

import asyncio
import os
from hashlib import sha256

from vigil.app import config, identity
from vigil.app.publish import Publisher
from vigil.app.supervise import Health, Supervisor
from vigil.app.uplink import Uplink
from vigil.core.errors import ConfigError, LinkError, StoreError
from vigil.core.records import BEAT_PER_MIN, ECG, HEART_RATE, Reading, SampleBlock
from vigil.wire import ack, cbor


class Keystore(dict):
    def set(self, name, value):
        self[name] = value


class Clock:
    def __init__(self):
        self.now_ms = 0

    def ms(self):
        return self.now_ms


class Board:
    def __init__(self, fs="/nowhere"):
        self.fs = fs
        self.keystore = Keystore()
        self.clock = Clock()
        self.fed = 0

    def random(self, n):
        return os.urandom(n)

    def feed_watchdog(self):
        self.fed += 1


def _raises(kind, function, *args):
    try:
        function(*args)
    except kind as e:
        return str(e)
    raise AssertionError


def _now(coroutine):
    """Run a coroutine that never waits; return its value."""
    try:
        coroutine.send(None)
    except StopIteration as e:
        return e.value
    raise AssertionError


def test_identity_is_made_once():
    board = Board()
    first = identity.load_or_create(board)
    assert identity.load_or_create(board).device_id == first.device_id
    assert len(board.keystore["sign.seed"]) == 32
    assert identity.load_or_create(Board()).device_id != first.device_id


def test_damaged_or_impossible_identity_is_refused():
    board = Board()
    board.keystore["sign.seed"] = b"short"
    assert "provision" in _raises(ConfigError, identity.load_or_create, board)
    board = Board()
    board.random = bytes  # a generator that gives zeros
    assert "random" in _raises(ConfigError, identity.load_or_create, board)
    assert not board.keystore
    board = Board()
    board.keystore.set = lambda name, value: None
    assert "keystore" in _raises(ConfigError, identity.load_or_create, board)


def test_proof_is_over_the_nonce_and_nothing_else():
    board = Board()
    key, signature = identity.prove(board, bytes(32))
    signer = identity.load_or_create(board)
    assert key == signer.public_key and signature == signer.sign(identity.proof_message(bytes(32)))
    assert identity.proof_message(bytes(16)).endswith(bytes(16))
    assert identity.proof_message(bytes(16))[0] != 0x84  # never a COSE Sig_structure
    for n in (0, 15, 65):
        _raises(ConfigError, identity.prove, board, bytes(n))


def test_link_settings_name_what_is_missing():
    board = Board()
    for name, good, bad in (
        ("link.port", b"8883", b"70000"),
        ("link.host", b"broker.example", b"two words"),
        ("link.server_name", b"broker.example", b"\xc3\xa9"),
    ):
        assert name + " is not" in _raises(ConfigError, config.link_settings, board)
        board.keystore[name] = bad
        assert name + " is not" in _raises(ConfigError, config.link_settings, board)
        board.keystore[name] = good
    assert "tls/ca.der is missing" in _raises(ConfigError, config.link_settings, board)


def test_stored_numbers():
    board = Board()
    assert config.stored_number(board, "boot.count") == 0
    config.store_number(board, "boot.count", 41)
    assert config.stored_number(board, "boot.count") == 41
    for damaged in (b"", b"-1", b"12x", b"9" * 10):
        board.keystore["boot.count"] = damaged
        assert config.stored_number(board, "boot.count") == 0


class Pipeline:
    def __init__(self):
        self.readings = []

    def take(self):
        taken, self.readings = self.readings, []
        return taken

    def read(self, n):
        for i in range(n):
            t_ms = 10_000 + 2000 * i
            self.readings.append(Reading(HEART_RATE, 700 + i, -1, BEAT_PER_MIN, 90, t_ms - 8000, t_ms))


class Queue:
    """store.queue.Queue without files. fails: None, "before" or "after" the signature."""

    def __init__(self):
        self.next_seq, self.prev_digest, self.kept, self.fails = 1, bytes(32), {}, None

    @property
    def oldest_seq(self):
        return min(self.kept) if self.kept else self.next_seq

    def append(self, payload):
        if self.fails == "before":
            raise StoreError("full")
        self.next_seq += 1
        self.prev_digest = sha256(payload).digest()
        if self.fails == "after":
            raise StoreError("full")
        self.kept[self.next_seq - 1] = payload

    def waiting(self, limit):
        return sorted(self.kept)[:limit]

    def read(self, seq):
        return self.kept.get(seq)

    def acknowledge(self, seq, digest):
        good = seq in self.kept and sha256(self.kept[seq]).digest() == digest
        if good:
            del self.kept[seq]
        return good


class Setting:
    """A publisher and what is around it."""

    def __init__(self):
        self.board, self.pipeline, self.queue, self.woken = Board(), Pipeline(), Queue(), 0
        self.publisher = Publisher(self.board, self.pipeline, self.queue, 3, 1, lambda: {1: 42}, self.wake)

    def wake(self):
        self.woken += 1


def test_batches_carry_boot_sequence_digest_and_a_status_in_each_sixth():
    s = Setting()
    s.publisher.seal()
    assert not s.queue.kept  # nothing read, nothing sealed
    before = bytes(32)
    for i in range(1, 14):
        s.pipeline.read(5)
        s.publisher.seal()
        batch = cbor.decode(s.queue.kept[i])
        assert (batch[1], batch[2], batch[3], batch[9]) == (3, i, before, i - 1)
        assert (batch.get(8) == {1: 42}) == (i % 6 == 1)
        before = sha256(s.queue.kept[i]).digest()
    assert s.publisher.sealed == s.woken == 13


def test_many_readings_become_several_batches():
    s = Setting()
    s.pipeline.read(130)
    s.publisher.seal()
    assert [len(cbor.decode(p)[6][0][4]) for p in s.queue.kept.values()] == [60, 60, 10]


def test_readings_wait_for_the_flash_and_are_never_sealed_twice():
    s = Setting()
    s.queue.fails = "before"
    for _ in range(3):
        s.pipeline.read(100)
        s.publisher.seal()
    assert s.publisher.sealed == 0 and s.publisher.lost_readings == 120
    s.queue.fails = None
    s.publisher.seal()
    assert len(s.queue.kept) == 3 and s.publisher.sealed == 3
    s.queue.fails = "after"
    s.pipeline.read(5)
    s.publisher.seal()
    s.queue.fails = None
    s.publisher.seal()
    assert sorted(s.queue.kept) == [1, 2, 3] and s.queue.next_seq == 5


def test_sequences_are_reserved_ahead_in_the_keystore():
    s = Setting()
    for i in range(1, 300):
        s.pipeline.read(1)
        s.publisher.seal()
        s.queue.kept.clear()
        assert config.stored_number(s.board, "seq.floor") == (257 if i < 257 else 513)


class Client:
    def __init__(self):
        self.session = self
        self.connects, self.free, self.sent, self.fails = 1, 4, [], False

    async def publish(self, topic, payload):
        if self.fails:
            raise LinkError("down")
        self.sent.append(payload)


def _uplink(n):
    queue, clock = Queue(), Clock()
    for i in range(n):
        queue.append(b"envelope %d" % (i + 1))
    uplink = Uplink(clock, queue, "00aa", 1000)
    uplink.client = Client()
    return uplink, queue, clock, uplink.client


def _drain(uplink):
    """Let it send until it waits; return for how long it would."""
    while True:
        wait_ms = _now(uplink._send_one())
        if wait_ms:
            return wait_ms


def _ack(uplink, *payloads):
    items = [(int(p.split()[1]), sha256(p).digest()) for p in payloads]
    uplink.on_message(b"v1/00aa/a", ack.encode(items))


def test_oldest_first_and_a_window():
    uplink, _, _, client = _uplink(6)
    assert _drain(uplink) == 1000
    assert client.sent == [b"envelope 1", b"envelope 2", b"envelope 3", b"envelope 4"]
    _ack(uplink, b"envelope 2", b"envelope 1")
    _drain(uplink)
    assert client.sent[4:] == [b"envelope 5", b"envelope 6"]


def test_resent_after_a_timeout_that_doubles():
    uplink, _, clock, client = _uplink(1)
    times = []
    while clock.now_ms < 300_000:
        sent = len(client.sent)
        wait_ms = _drain(uplink)
        if len(client.sent) > sent:
            times.append(clock.now_ms)
        clock.now_ms += wait_ms
    assert times == [0, 1000, 3000, 7000, 15000, 31000, 63000, 127_000, 247_000]
    assert uplink.resent == 8
    _ack(uplink, b"envelope 1")
    assert _drain(uplink) == 10_000


def test_everything_on_its_way_is_sent_again_on_a_new_connection():
    uplink, _, _, client = _uplink(2)
    _drain(uplink)
    client.connects += 1
    _drain(uplink)
    assert client.sent == [b"envelope 1", b"envelope 2"] * 2


def test_nothing_is_sent_while_the_link_is_down_or_fails():
    uplink, queue, _, client = _uplink(2)
    client.free = 0
    assert _drain(uplink) == 10_000 and client.sent == []
    client.free, client.fails = 4, True
    assert _drain(uplink) == 200
    client.fails = False
    _drain(uplink)
    assert len(client.sent) == 2 and len(queue.kept) == 2


def test_only_the_right_acknowledgement_frees():
    uplink, queue, _, _ = _uplink(2)
    _drain(uplink)
    good = ack.encode([(1, sha256(b"envelope 1").digest())])
    uplink.on_message(b"v1/00ab/a", good)  # another's
    uplink.on_message(b"v1/00aa/a", good[:-1])
    uplink.on_message(b"v1/00aa/a", b"")
    uplink.on_message(b"v1/00aa/a", b"\xff" * 99)
    uplink.on_message(b"v1/00aa/a", ack.encode([(1, bytes(32)), (7, bytes(32))]))
    assert sorted(queue.kept) == [1, 2]
    uplink.on_message(b"v1/00aa/a", good)
    assert sorted(queue.kept) == [2]


def test_health_counts_what_the_pipeline_has_digested():
    blocks = []
    health = Health(blocks.append)
    block = SampleBlock(ECG, (0,), None, period_us=4010, n=25)
    assert health.rate_error_ppm(ECG, 4000) == 0
    health.push(block)
    assert blocks == [block] and health.blocks == 1
    assert health.rate_error_ppm(ECG, 4000) == -2494  # slower than nominal


if hasattr(asyncio, "sleep_ms"):  # MicroPython's: the tasks themselves

    def test_a_task_that_dies_is_started_again_and_leaves_a_record():
        board = Board(".")
        ran = []

        async def task():
            ran.append(1)
            if len(ran) < 2:
                raise ValueError("broken on purpose")

        supervisor = Supervisor(board)
        written = []
        supervisor._record = lambda name, error: written.append((name, error))
        asyncio.run(supervisor.keep("task", task))
        assert len(ran) == 2 and supervisor.restarts == 1
        assert written[0][0] == "task" and type(written[0][1]) is ValueError

    def test_the_watchdog_is_fed_only_while_blocks_and_batches_come():
        board = Board()
        supervisor, health = Supervisor(board), Health(lambda block: None)
        setting = Setting()
        block = SampleBlock(ECG, (0,), None)

        async def main():
            real_sleep = asyncio.sleep_ms
            watcher = asyncio.create_task(supervisor.watch(health, setting.publisher))
            for step in range(3):
                board.clock.now_ms += 31_000
                if step != 1:
                    health.push(block)
                    setting.publisher.beats += 1
                before = board.fed
                await real_sleep(1050)
                assert (board.fed > before) == (step != 1), step
            watcher.cancel()

        asyncio.run(main())
