"""What the database does to a gateway, one fault at a time, with the gateway in this process and a source in memory."""

import threading

import pytest
import sqlalchemy as sa
from stand_in import Sealer, until

from host_tools.errors import UserError
from host_tools.ingest import gateway as module
from host_tools.ingest.gateway import Gateway
from host_tools.ingest.store import Store, sqlite_url
from host_tools.sources.mqtt import Message
from vigil.wire import ack, request


class Memory:
    """A source that remembers in which order it was told what."""

    def __init__(self):
        self.told = []
        self.asked = []

    def acknowledge_to_device(self, device, payload):
        self.told += [("device", seq) for seq, _ in ack.decode(payload)[1]]

    def ask_device(self, device, payload):
        self.asked.append((device, request.decode(payload)))

    def done(self, message):
        self.told.append(("broker", message.mid))


class World:
    def __init__(self, folder):
        self.store = Store(sqlite_url(folder / "vigil.db"))
        self.source = Memory()
        self.events = []
        self.gateway = Gateway(self.store, self.source, lambda name, **fields: self.events.append((name, fields)))
        self.sealer = Sealer()
        self.store.add_device(self.sealer.device_id, self.sealer.public_key)
        self.stop = threading.Event()

    def messages(self, count):
        return [Message(self.sealer.device_id, self.sealer.seal(), 0, mid) for mid in range(count)]

    def names(self):
        return [name for name, _ in self.events]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.store.close()


def test_device_first_then_broker_both_after_the_commit(world, monkeypatch):
    stored_when_told = []
    original = world.source.acknowledge_to_device

    def spy(device, payload):
        stored_when_told.append(world.store.sequences(device))
        original(device, payload)

    monkeypatch.setattr(world.source, "acknowledge_to_device", spy)
    world.gateway.handle(world.messages(2), world.stop)
    assert stored_when_told == [[0, 1]]
    assert world.source.told == [("device", 0), ("device", 1), ("broker", 0), ("broker", 1)]


def test_more_than_one_acknowledgement_can_name(world):
    world.gateway.handle(world.messages(130), world.stop)
    assert [what for what in world.source.told if what[0] == "device"] == [("device", seq) for seq in range(130)]


def test_same_messages_twice_in_one_commit_and_again(world):
    messages = world.messages(2)
    world.gateway.handle(messages + messages, world.stop)
    world.gateway.handle(messages, world.stop)
    assert world.store.counts() == {"verified": 2, "duplicates": 4, "rejected": 0}
    assert world.source.told.count(("device", 1)) == 3  # each is acknowledged again


def test_two_gateways_on_one_database_store_once(world, tmp_path):
    """Both hear every message, and commit at the same time."""
    messages = world.messages(60)
    with Store(sqlite_url(tmp_path / "vigil.db")) as store:
        source = Memory()
        other = Gateway(store, source, lambda name, **fields: world.events.append((name, fields)))

        def work(gateway):
            for i in range(0, 60, 5):
                gateway.handle(messages[i : i + 5], world.stop)

        threads = [threading.Thread(target=work, args=(gateway,)) for gateway in (world.gateway, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert world.store.sequences(world.sealer.device_id) == list(range(60))
    assert world.store.counts() == {"verified": 60, "duplicates": 60, "rejected": 0}
    assert [what for what in source.told if what[0] == "device"] == [("device", seq) for seq in range(60)]
    assert "gap" not in world.names()


# requirement: TRU-1
def test_late_redelivery_by_the_broker_is_absorbed_but_a_replay_is_not(world):
    """A gateway dies before it tells the broker that it is done; meanwhile the device has moved on."""
    first = world.messages(1)
    world.gateway.handle(first, world.stop)
    world.sealer.waiting.clear()  # acknowledged: the next envelope says that nothing before it waits
    world.gateway.handle(world.messages(1), world.stop)
    again = Message(first[0].device, first[0].payload, 0, 7, redelivered=True)
    world.gateway.handle([again], world.stop)
    assert world.store.counts() == {"verified": 2, "duplicates": 1, "rejected": 0}
    assert world.source.told[-1] == ("broker", 7)
    heard = dict(world.gateway._silence._heard_s)
    world.gateway.handle(first, world.stop)  # the same bytes, sent anew by somebody
    # That may be the device, which has forgotten that they are committed: it is told again, and no more alive for it.
    assert world.source.told[-2:] == [("device", 0), ("broker", 0)] and world.gateway._silence._heard_s == heard
    unknown = Message(first[0].device, Sealer().seal([]), 0, 8, redelivered=True)  # never stored
    world.gateway.handle([unknown], world.stop)
    assert [line.reason for line in world.store.audit_lines()] == ["replayed", "replayed"]
    assert world.store.counts() == {"verified": 2, "duplicates": 1, "rejected": 2}


# requirement: LOS-2
def test_full_disk_is_waited_for(world):
    limit_pages = 1

    def limit(connection, _record, _proxy):
        connection.execute(f"PRAGMA max_page_count={limit_pages}")  # never below what is in use

    sa.event.listen(world.store.engine, "checkout", limit)
    messages = world.messages(200)
    worker = threading.Thread(target=world.gateway.handle, args=(messages, world.stop))
    worker.start()
    try:
        until(lambda: "store_unavailable" in world.names())
        assert "full" in dict(world.events)["store_unavailable"]["reason"]
        assert world.source.told == [] and world.store.counts()["verified"] == 0
        limit_pages = 1_000_000
        worker.join(20)
    finally:
        world.stop.set()
        worker.join()
    assert world.store.sequences(world.sealer.device_id) == list(range(200))
    assert len(world.source.told) == 400 and world.names()[-1] == "committed"


def test_stopping_while_the_database_is_away_acknowledges_nothing(world):
    with world.store.engine.connect().execution_options(immediate=True) as lock, lock.begin():
        worker = threading.Thread(target=world.gateway.handle, args=(world.messages(1), world.stop))
        worker.start()
        until(lambda: "store_unavailable" in world.names())
        world.stop.set()
        worker.join(5)
        assert not worker.is_alive()
    assert world.source.told == [] and world.store.counts()["verified"] == 0


def test_one_message_that_cannot_be_stored_does_not_hold_up_the_others(world, monkeypatch):
    messages = world.messages(3)
    poison = messages[1].payload
    verify = module.verify

    def bug(envelope, **more):
        if envelope == poison:
            raise ZeroDivisionError
        return verify(envelope, **more)

    monkeypatch.setattr(module, "verify", bug)
    world.gateway.handle(messages, world.stop)
    assert world.store.sequences(world.sealer.device_id) == [0, 2]
    assert [line.reason for line in world.store.audit_lines()] == ["unstorable"]
    assert [seq for to, seq in world.source.told if to == "device"] == [0, 2]
    monkeypatch.setattr(module, "verify", verify)
    world.gateway.handle(messages[1:2], world.stop)  # mended: what the device still holds is accepted late
    assert world.store.sequences(world.sealer.device_id) == [0, 1, 2]


def test_a_failed_commit_leaves_no_trace(world):
    def fail(*_):
        raise sa.exc.OperationalError("INSERT", {}, Exception("power"))

    sa.event.listen(world.store.engine, "commit", fail)
    with pytest.raises(sa.exc.OperationalError):
        world.gateway._commit(world.messages(2))
    sa.event.remove(world.store.engine, "commit", fail)
    assert world.store.counts() == {"verified": 0, "duplicates": 0, "rejected": 0}
    assert world.store.readings(world.sealer.device_id) == []


def test_another_key_for_a_known_device_is_refused(world):
    with pytest.raises(UserError, match="is known with another key"):
        world.store.add_device(world.sealer.device_id, bytes(32))
    world.store.add_device(world.sealer.device_id, world.sealer.public_key)


def test_database_of_another_schema_is_refused(world, tmp_path):
    with world.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = '99'")
    with pytest.raises(UserError, match="schema 99"):
        Store(sqlite_url(tmp_path / "vigil.db"))
