"""Identity, settings, publishing and the uplink with a board made of dictionaries."""

import asyncio
import os
from hashlib import sha256

from vigil.app import config, identity
from vigil.app.events import Events
from vigil.app.publish import Publisher
from vigil.app.supervise import Health, Supervisor, reset_number
from vigil.app.uplink import Uplink
from vigil.core.errors import ConfigError, LinkError, StoreError
from vigil.core.records import (
    BEAT_PER_MIN,
    DIMLESS,
    ECG,
    FALL,
    HEART_RATE,
    POOR_SIGNAL,
    RHYTHM,
    WAVE_RHYTHM,
    Reading,
    SampleBlock,
)
from vigil.link.utc import Utc
from vigil.store.journal import EVENT, VITALS
from vigil.wire import ack, cbor, request


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


class Journal:
    """store.journal.Journal without files. fails: it takes nothing."""

    def __init__(self):
        self.next_seq, self.prev_digest, self.kept, self.fails = 1, bytes(32), {}, False
        self.kinds, self.events, self.gone, self.offered = [], [], [], []

    @property
    def oldest_seq(self):
        return min(self.kept) if self.kept else self.next_seq

    def __len__(self):
        return len(self.kept)

    def append(self, payload, kind=VITALS):
        if self.fails:
            raise StoreError("full")
        self.next_seq += 1
        self.prev_digest = sha256(payload).digest()
        self.kept[self.next_seq - 1] = payload
        self.kinds.append(kind)

    def offer(self, first, last):
        self.offered.append((first, last))
        self.gone = [[first, last]]

    def holds(self, seq):
        return seq in self.kept

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

    def __init__(self, events=None):
        self.board, self.pipeline, self.journal, self.woken = Board(), Pipeline(), Journal(), 0
        self.publisher = Publisher(self.board, self.pipeline, self.journal, 3, 1, self.status, self.wake, None, events)

    def status(self):
        return {1: 42}

    def wake(self):
        self.woken += 1


def test_batches_carry_boot_sequence_digest_and_a_status_in_each_sixth():
    s = Setting()
    s.publisher.seal()
    assert not s.journal.kept  # nothing read, nothing sealed
    before = bytes(32)
    for i in range(1, 14):
        s.pipeline.read(5)
        s.publisher.seal()
        batch = cbor.decode(s.journal.kept[i])
        assert (batch[1], batch[2], batch[3], batch[9]) == (3, i, before, i - 1)
        assert (batch.get(8) == {1: 42}) == (i in (1, 4, 10))
        before = sha256(s.journal.kept[i]).digest()
    assert s.publisher.sealed == s.woken == 13


def _count(payload):
    """How many readings are in a batch of one series, at most 63: the second byte, without its sign."""
    return cbor.decode(payload)[6][1] >> 1


def test_many_readings_become_several_batches():
    s = Setting()
    s.pipeline.read(130)
    s.publisher.seal()
    assert [_count(p) for p in s.journal.kept.values()] == [60, 60, 10]


def test_readings_wait_for_the_flash_and_are_never_sealed_twice():
    s = Setting()
    s.journal.fails = True
    s.pipeline.read(1)
    hundred = s.pipeline.take() * 100  # of one: a hundred would take 20 KB
    for _ in range(3):
        s.pipeline.readings = hundred
        s.publisher.seal()
    assert s.publisher.sealed == 0 and s.publisher.lost_readings == 120
    s.journal.fails = False
    s.publisher.seal()
    assert len(s.journal.kept) == 3 and s.publisher.sealed == 3


def test_the_first_status_waits_for_the_flash():
    s = Setting()
    s.journal.fails = True
    s.pipeline.read(1)
    s.publisher.seal()
    s.journal.fails = False
    s.publisher.seal()
    assert cbor.decode(s.journal.kept[1])[8] == {1: 42}  # why the device started is in no other


def test_a_keystore_that_takes_nothing_stops_no_batch_and_is_asked_again():
    s = Setting()
    kept = s.board.keystore

    class Full:
        def set(self, name, value):
            raise OSError(28)

    s.board.keystore = Full()
    for i in range(2):
        s.pipeline.read(1)
        s.publisher.seal()
        assert len(s.journal.kept) == i + 1
    s.board.keystore = kept
    s.pipeline.read(1)
    s.publisher.seal()
    assert config.stored_number(s.board, "seq.floor") == 3 + 256


def test_sequences_are_reserved_ahead_in_the_keystore():
    s = Setting()
    for i in range(1, 300):
        s.pipeline.read(1)
        s.publisher.seal()
        s.journal.kept.clear()
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
    journal, clock = Journal(), Clock()
    for _ in range(n):
        _append(journal)
    times = []
    uplink = Uplink(clock, journal, "00aa", 1000, lambda *told: times.append(told))
    uplink.times = times
    uplink.client = Client()
    return uplink, journal, clock, uplink.client


def _append(journal, kind=VITALS):
    journal.append(b"envelope %d" % journal.next_seq)
    if kind == EVENT:
        journal.events.append(journal.next_seq - 1)


def _sent(client):
    """Sequences sent since the last call."""
    seqs = [int(p.split()[1]) for p in client.sent]
    client.sent.clear()
    return seqs


def _drain(uplink):
    """Let it send until it waits; return for how long it would."""
    while True:
        wait_ms = _now(uplink._send_one())
        if wait_ms:
            return wait_ms


def _ack(uplink, *seqs, utc_ms=None):
    items = [(seq, sha256(b"envelope %d" % seq).digest()) for seq in seqs]
    if items:
        uplink.on_message(b"v1/00aa/a", ack.encode(items, utc_ms))


def test_the_newest_then_the_oldest_and_a_window():
    uplink, journal, _, client = _uplink(20)
    assert _drain(uplink) == 1000
    assert _sent(client) == [20, 1, 2, 3, 4, 5, 6, 7]
    _ack(uplink, 2, 1)
    _drain(uplink)
    assert _sent(client) == [8, 9]
    _append(journal)
    assert _drain(uplink) == 1000 and _sent(client) == []  # 20 is on its way in the newest's place
    _ack(uplink, 20)
    _drain(uplink)
    assert _sent(client) == [21]


# requirement: LOS-3
def test_events_go_before_the_backlog():
    uplink, journal, _, client = _uplink(20)
    for _ in range(2):
        _append(journal, EVENT)
        _append(journal)
    _drain(uplink)
    assert _sent(client) == [24, 23, 21, 1, 2, 3, 4, 5]


# requirement: LOS-3
def test_hours_of_backlog_never_hold_up_what_is_fresh():
    uplink, journal, _, client = _uplink(200)
    late = []
    turn = 0
    while len(journal):
        _drain(uplink)
        sent = _sent(client)
        turn += 1
        if 1 < turn < 30:
            _append(journal)
            _drain(uplink)
            fresh = _sent(client)
            late.append(fresh[:1] != [journal.next_seq - 1])
            sent += fresh
        for seq in reversed(sent):
            _ack(uplink, seq)
        uplink._clock.now_ms += 300
    assert len(late) > 20 and not any(late)


def test_what_the_host_never_takes_does_not_hold_up_the_rest():
    uplink, journal, clock, client = _uplink(60)
    refused = range(1, 12)
    for _ in range(2000):
        wait_ms = _drain(uplink)
        _ack(uplink, *[seq for seq in _sent(client) if seq not in refused])
        clock.now_ms += min(wait_ms, 500)
    assert sorted(journal.kept) == list(refused)
    assert len(uplink._sent) <= 33


def test_an_acknowledgement_tells_the_time_since_the_first_sending():
    uplink, journal, clock, client = _uplink(0)
    for _ in range(2):
        _append(journal)
    _drain(uplink)
    client.connects += 1
    clock.now_ms = 700
    _drain(uplink)
    clock.now_ms = 900
    _ack(uplink, 1, utc_ms=1_790_000_000_000)
    _ack(uplink, 1, utc_ms=1_790_000_000_001)  # said before: nothing was waiting for it
    _ack(uplink, 2)
    assert uplink.times == [(0, 900, 1_790_000_000_000)]


def test_what_was_first_sent_nobody_knows_when_tells_no_time():
    """An acknowledgement may have been made after a sending that is forgotten, and long before the last one."""
    uplink, journal, clock, _ = _uplink(2)  # sealed before this boot: perhaps sent, too
    _drain(uplink)
    _ack(uplink, 1, utc_ms=1_790_000_000_000)
    for _ in range(60):  # nothing else is acknowledged: so many are not remembered
        _append(journal)
        _drain(uplink)
        clock.now_ms += 10_000
    forgotten = min(set(journal.kept) - set(uplink._sent) - {2})
    clock.now_ms += 200_000
    while forgotten not in uplink._sent:
        clock.now_ms += _drain(uplink)
    _ack(uplink, forgotten, utc_ms=1_790_000_001_000)
    assert uplink.times == []
    _append(journal)
    clock.now_ms += 200_000
    _drain(uplink)
    sent_ms = uplink._sent[journal.next_seq - 1][1]
    _ack(uplink, journal.next_seq - 1, utc_ms=1_790_000_002_000)
    assert uplink.times == [(sent_ms, clock.now_ms, 1_790_000_002_000)]


def test_another_digest_for_what_is_on_its_way_changes_nothing():
    uplink, _, _, client = _uplink(1)
    _drain(uplink)
    for _ in range(3):
        uplink.on_message(b"v1/00aa/a", ack.encode([(1, bytes(32))]))
        _drain(uplink)
    assert _sent(client) == [1]


def test_a_request_is_answered_once_a_batch():
    uplink, journal, _, client = _uplink(3)
    _drain(uplink)
    client.sent.clear()
    _drain(uplink)
    assert not client.sent
    for bad in (b"", b"\xff", cbor.encode([1, 1, 2, 1]), cbor.encode([2, 1, 1, 2]), cbor.encode([1, 1, -1, 2])):
        uplink.on_message(b"v1/00aa/c", bad)
    uplink.on_message(b"v1/00ab/c", request.encode(1, 2))
    assert journal.offered == []
    uplink.on_message(b"v1/00aa/c", request.encode(1, 2))
    uplink.on_message(b"v1/00aa/c", request.encode(1, 9))
    assert journal.offered == [(1, 2)]
    _drain(uplink)
    assert sorted(_sent(client)) == [1, 2]


def test_what_is_gone_is_said_once():
    s = Setting()
    s.journal.gone = [[1, 4], [7, 7]]
    for _ in range(2):
        s.pipeline.read(1)
        s.publisher.seal()
    first, second = [cbor.decode(s.journal.kept[seq]) for seq in (1, 2)]
    assert first[10] == [[1, 4], [7, 7]] and 10 not in second


def test_utc_is_the_middle_of_what_is_possible_and_grows_old():
    utc = Utc()
    assert utc.at(0) is None
    utc.heard(1000, 1300, 1_790_000_000_000)  # true: between ...000 at 1000 and ...000 at 1300
    assert utc.at(1300) == (1_790_000_000_000 + 150 - 1300, 151)
    assert utc.at(1300 + 3_600_000) == (1_789_999_998_850, 151 + 360)
    utc.heard(10_000, 11_000, 1_790_000_009_000)  # agrees, and is worse
    assert utc.at(11_000)[1] == 151
    utc.heard(20_000, 20_040, 1_790_000_018_900)  # agrees, and is better
    assert utc.at(20_040) == (1_790_000_018_900 + 20 - 20_040, 21) and utc.steps == 0
    for wrong in ((0, 200_000, 1_790_000_000_000), (0, 10, 1), (500, 400, 1_790_000_000_000)):
        utc.heard(*wrong)
    assert utc.at(20_040)[1] == 21


def test_utc_follows_drift_and_steps_of_the_host():
    true_0 = 1_790_000_000_000
    utc = Utc()
    for second in range(0, 86_400, 10):  # a crystal 80 ppm slow, answers between 20 and 2000 ms
        now_ms = second * 1000 + 20 + second % 7 * 330
        true = now_ms + now_ms * 80 // 1_000_000
        utc.heard(second * 1000, now_ms, true_0 + true - second % 7 * 50)
        offset, uncertainty = utc.at(now_ms)
        assert abs(offset + now_ms - true_0 - true) <= uncertainty <= 40
    assert utc.steps == 0
    now_ms += 10_000
    utc.heard(now_ms - 100, now_ms, true_0 + now_ms + 3_600_000)  # somebody set the host's clock
    assert utc.steps == 1 and abs(utc.at(now_ms)[0] - true_0 - 3_600_000) < 100


def test_a_rhythm_that_begins_is_an_event():
    s = Setting(Events(None))
    for value in (1, 1, 2, 2, 4, 1, None, 1):
        reason = POOR_SIGNAL if value is None else 0
        s.pipeline.readings.append(Reading(RHYTHM, value, 0, DIMLESS, 90, 0, 8000, reason))
        s.pipeline.read(1)
        s.publisher.seal()
    assert s.journal.kinds == [VITALS, VITALS, EVENT, VITALS, EVENT, EVENT, VITALS, VITALS]
    s.pipeline.readings.append(Reading(FALL, 1, 0, DIMLESS, 90, 0, 8000))
    s.publisher.seal()
    assert s.journal.kinds[-1] == EVENT


def test_batches_carry_utc_once_it_is_known():
    s = Setting()
    utc = Utc()
    s.publisher._utc = utc
    for _ in range(2):
        s.pipeline.read(1)
        s.publisher.seal()
        s.board.clock.now_ms = 100
        utc.heard(0, 100, 1_790_000_000_000)
    first, second = [cbor.decode(s.journal.kept[seq]) for seq in (1, 2)]
    assert 5 not in first, first
    assert second[5] == [1_790_000_000_050 - 100, 51]


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
    _ack(uplink, 1)
    assert _drain(uplink) == 10_000


def test_everything_on_its_way_is_sent_again_on_a_new_connection():
    uplink, _, _, client = _uplink(2)
    _drain(uplink)
    client.connects += 1
    _drain(uplink)
    assert _sent(client) == [2, 1, 2, 1]


def test_nothing_is_sent_while_the_link_is_down_or_fails():
    uplink, journal, _, client = _uplink(2)
    client.free = 0
    assert _drain(uplink) == 10_000 and client.sent == []
    client.free, client.fails = 4, True
    assert _drain(uplink) == 200
    client.fails = False
    _drain(uplink)
    assert len(client.sent) == 2 and len(journal.kept) == 2


def test_only_the_right_acknowledgement_frees():
    uplink, journal, _, _ = _uplink(2)
    _drain(uplink)
    good = ack.encode([(1, sha256(b"envelope 1").digest())])
    uplink.on_message(b"v1/00ab/a", good)  # another's
    uplink.on_message(b"v1/00aa/a", good[:-1])
    uplink.on_message(b"v1/00aa/a", b"")
    uplink.on_message(b"v1/00aa/a", b"\xff" * 99)
    uplink.on_message(b"v1/00aa/a", ack.encode([(1, bytes(32)), (7, bytes(32))]))
    assert sorted(journal.kept) == [1, 2]
    uplink.on_message(b"v1/00aa/a", good)
    assert sorted(journal.kept) == [2]


def test_health_counts_what_the_pipeline_has_digested():
    blocks = []
    health = Health(blocks.append)
    block = SampleBlock(ECG, (0,), None, period_us=4010, n=25)
    assert health.rate_error_ppm(ECG, 4000) == 0
    health.push(block)
    assert blocks == [block] and health.blocks == 1
    assert health.rate_error_ppm(ECG, 4000) == -2494  # slower than nominal


class NoMemory:
    def watch(self):
        pass


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

    def test_a_waveform_waits_for_the_flash():
        pieces = [[1, (0,), WAVE_RHYTHM, 1, 9000, [(7000, 4000, 0, b"block")]]]
        s = Setting(Events(Strips(pieces)))
        s.journal.fails = True
        asyncio.run(s.publisher._events.give_out(s.publisher, s.journal, s.board.clock))
        assert s.journal.kept == {} and pieces == []  # it is cut from its ring already
        s.journal.fails = False
        asyncio.run(s.publisher._events.give_out(s.publisher, s.journal, s.board.clock))
        batch = cbor.decode(s.journal.kept[1])
        assert batch[4] == 7000 and batch[6] == b"" and 8 not in batch
        assert batch[7] == [[1, [0], WAVE_RHYTHM, 1, 2000, [[0, 4000, 0, b"block"]]]] and s.journal.kinds == [EVENT]

    def test_the_watchdog_is_fed_only_while_blocks_and_batches_come():
        board = Board()
        supervisor, health = Supervisor(board), Health(lambda block: None)
        setting = Setting()
        block = SampleBlock(ECG, (0,), None)

        async def main():
            real_sleep = asyncio.sleep_ms
            watcher = asyncio.create_task(supervisor.watch(health, setting.publisher, NoMemory()))
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


def test_the_causes_of_a_reset_have_numbers():
    assert [reset_number(cause) for cause in ("power-on", "pwron", "wdt", "brownout", "7")] == [1, 1, 3, 6, 0]


def test_an_impossible_reading_costs_no_other():
    s = Setting()
    s.pipeline.read(3)
    for wrong in (
        Reading(HEART_RATE, 700, -1, BEAT_PER_MIN, 101, 0, 10),
        Reading(HEART_RATE, 1 << 40, -1, BEAT_PER_MIN, 90, 0, 10),
        Reading(HEART_RATE, 700, -1, BEAT_PER_MIN, 90, 10, 0),
        Reading(HEART_RATE, 700, -1, BEAT_PER_MIN, 90, None, 0),
        Reading(HEART_RATE, 700, -1, BEAT_PER_MIN, None, 0, 10),
    ):
        s.pipeline.readings.append(wrong)
    s.pipeline.read(2)
    s.publisher.seal()
    assert _count(s.journal.kept[1]) == 5 and s.publisher.lost_readings == 5
    s.pipeline.readings.append(Reading(HEART_RATE, 700.5, -1, BEAT_PER_MIN, 90, 0, 10))
    s.pipeline.read(2)
    s.publisher.seal()  # cannot be told beforehand: it and its neighbours are given up, and all goes on
    s.pipeline.read(2)
    s.publisher.seal()
    assert len(s.journal.kept) == 2 and s.publisher.lost_readings == 8


class Strips:
    """store.strips.Strips with pieces that are ready."""

    stream_to_ms = count = 0

    def __init__(self, pieces):
        self.pieces, self.triggered = pieces, []

    def trigger(self, cause, t_ms):
        self.triggered.append((cause, t_ms))

    def piece(self, now_ms):
        return self.pieces.pop(0) if self.pieces else None


def test_an_event_stays_one_when_the_flash_refuses_it_at_first():
    strips = Strips([])
    s = Setting(Events(strips))
    s.journal.fails = True
    s.pipeline.readings.append(Reading(RHYTHM, 2, 0, DIMLESS, 90, 0, 10_000))
    s.publisher.seal()
    assert strips.triggered == []
    s.journal.fails = False
    s.publisher.seal()
    assert s.journal.kinds == [EVENT] and strips.triggered == [(WAVE_RHYTHM, 10_000)]
