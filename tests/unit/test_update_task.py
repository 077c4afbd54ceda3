"""The update's task and the trial, with a link of lists and a board of dictionaries; and the loader's record."""

import asyncio
import os
import sys
from binascii import hexlify

import loader
from test_ota import BUNDLE, MPY, OURS, manifest, signed

from vigil.app import fetch, steps, trial
from vigil.app import updates as updates_module
from vigil.app.updates import Updates
from vigil.core.errors import TrustError
from vigil.ota import release as rules
from vigil.ota.slot import Slot
from vigil.wire import cbor
from vigil.wire.signed import MALFORMED


class Keystore(dict):
    def set(self, name, value):
        self[name] = value


class Clock:
    now_ms = 0

    def ms(self):
        return self.now_ms


class Anything:
    """An object with these attributes."""

    def __init__(self, **attributes):
        for name in attributes:
            setattr(self, name, attributes[name])


class Waiting:
    """asyncio, whose waits pass at once."""

    TimeoutError = asyncio.TimeoutError
    Event = asyncio.Event
    clock = None

    async def sleep_ms(self, ms):
        if self.clock:
            self.clock.now_ms += ms


def ended(coroutine):
    """Run a coroutine that never really waits; return its value."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as e:
            return e.value


class Job:
    """app.update.Update for a device that runs release 6 in slot a. answers: messages in turn."""

    def __init__(self, answers=()):
        self.profile, self.floor = "lean", 6
        self.updates = Anything(failed=5, sensors=lambda: 3, alone=None)
        self.answers = list(answers)
        self.wants = []
        board = Anything(name="ESP32_GENERIC", clock=Clock(), keystore=Keystore({"release.key": OURS.public_key}))
        self.monitor = Anything(board=board, utc=Anything(at=lambda now_ms: None))

    async def send(self, payload):
        self.wants.append(cbor.decode(payload)[2:])

    async def message(self, wait_ms):
        if self.answers:
            return self.answers.pop(0)
        number, offset, length = self.wants[-1]
        return number, offset, BUNDLE[offset : offset + length]


class Flash:
    """Two slots in a folder, the first of them complete and running."""

    def __enter__(self):
        self.before = loader._ROOT, fetch.asyncio, fetch.sys, trial.asyncio, steps.asyncio
        fetch.gc = trial.gc = Anything(collect=lambda: None, mem_free=lambda: 30_000)
        loader._ROOT = self.path = "/tmp/vigil-task-" + hexlify(os.urandom(6)).decode()
        for folder in ("", "/a", "/b"):
            os.mkdir(self.path + folder)
        with open(self.path + "/a/release", "wb") as file:
            file.write(manifest(_1=6))
        loader.running, loader.trial = 0, False
        fetch.asyncio = steps.asyncio = trial.asyncio = Waiting()
        fetch.sys = Anything(implementation=Anything(_mpy=MPY))
        return self

    def __exit__(self, *_):
        loader._ROOT, fetch.asyncio, fetch.sys, trial.asyncio, steps.asyncio = self.before
        loader.running, loader.trial = None, False
        for _ in Slot(self.path, os, open)._remove(self.path):
            pass


def reason(coroutine):
    try:
        ended(coroutine)
    except TrustError as e:
        return e.args[0]
    return 0


def test_a_fetch_does_not_starve_the_rest():
    """With too little memory beside it, it gives way: to a start at which nothing else runs."""
    with Flash():
        fetch.gc.mem_free = lambda: 5_000
        job = Job()
        try:
            ended(fetch.fetch(job, signed(manifest())))
        except MemoryError:
            assert not job.wants
        else:
            raise AssertionError
        job.updates.alone = 3
        assert ended(fetch.fetch(job, signed(manifest()))) is None


def test_fetched_and_on_trial():
    with Flash() as flash:
        job = Job()
        assert ended(fetch.fetch(job, signed(manifest()))) is None
        assert [want[1] for want in job.wants] == list(range(0, len(BUNDLE), 512))
        assert job.wants[-1] == [7, len(BUNDLE) // 512 * 512, len(BUNDLE) % 512]
        record = loader.read()
        assert (record[loader.SLOT], record[loader.TRIAL], record[loader.STARTS]) == (0, 1, 3)
        assert (record[loader.RELEASE], record[loader.SENSORS]) == (7, 3)
        with open(flash.path + "/b/release", "rb") as file:
            assert file.read() == manifest()


def test_pieces_out_of_turn():
    """What is replayed, of another release, empty or late is not looked at: the same piece is asked for again."""
    odd = [
        (7, 1024, b"early" * 9),
        (6, 0, BUNDLE[:9]),
        (8, 0, b"x"),
        None,
        (signed(manifest()),),
        (7, 0, b""),
        (7, 0, BUNDLE[:1024]),
        (7, 0, BUNDLE[:1024]),  # replayed
        (7, 1, b"y"),
    ]
    with Flash():
        job = Job(odd)
        assert ended(fetch.fetch(job, signed(manifest()))) is None
        assert [want[1] for want in job.wants][:9] == [0] * 7 + [1024] * 2
        assert loader.read()[loader.TRIAL] == 1


def test_another_offer_ends_it_and_a_refused_one_leaves_nothing():
    other = signed(manifest(_1=9))
    with Flash() as flash:
        assert ended(fetch.fetch(Job([(7, 0, BUNDLE[:1024]), (other,)]), signed(manifest()))) == other
        assert ended(fetch.fetch(Job(), other)) is None
        assert loader.read()[loader.RELEASE] == 9
    with Flash() as flash:
        bad = Job([(7, 0, b"\xff" * 1024)])
        assert reason(fetch.fetch(bad, signed(manifest()))) == rules.MISMATCH
        assert not loader.whole(1) and "offer" not in os.listdir(flash.path + "/b")
        for data, why in (
            (signed(manifest(_3="other")), rules.OTHER_MODEL),
            (signed(manifest(_1=6)), rules.NOT_NEWER),
            (b"nonsense", MALFORMED),
        ):
            assert reason(fetch.fetch(Job(), data)) == why
        assert loader.read()[loader.TRIAL] == 0


def test_resumed_after_a_restart():
    with Flash():
        job = Job()
        job.answers = [(7, 0, BUNDLE[:1024]), (7, 1024, BUNDLE[1024:2048]), (b"stop",)]
        assert ended(fetch.fetch(job, signed(manifest()))) == b"stop"
        job = Job()
        assert ended(fetch.fetch(job, signed(manifest()))) is None
        assert job.wants[0][1] > 0  # not from the beginning


def judged(*, flows=3, seals_at=10_000, frees_at=20_000, restarts=0):
    """Reason of the trial of a device that seals and is acknowledged at these times (None: never)."""
    clock = Clock()
    trial.asyncio.clock = clock

    class Journal:
        @property
        def next_seq(self):
            return 40 + (seals_at is not None and clock.now_ms >= seals_at)

        def holds(self, seq):
            return seq == 40 and not (frees_at is not None and clock.now_ms >= frees_at)

    monitor = Anything(board=Anything(clock=clock), journal=Journal(), supervisor=Anything(restarts=restarts))
    updates = Anything(sensors=lambda: flows)
    return ended(trial.judge(Anything(monitor=monitor, updates=updates), 3)), clock.now_ms


def test_trials():
    with Flash():
        for name, case, why, by_ms in (
            ("sound", {}, 0, 20_000),
            ("a sensor more", {"flows": 7}, 0, 20_000),
            ("a sensor less", {"flows": 1}, trial.NO_SENSORS, 121_000),
            ("nothing sealed", {"seals_at": None}, trial.NO_SEAL, 121_000),
            ("nobody commits", {"frees_at": None}, trial.NO_LINK, 901_000),
            ("the network was away", {"frees_at": 600_000}, 0, 600_000),
            ("a task crashed", {"restarts": 1}, trial.CRASHED, 1_000),
        ):
            assert judged(**case) == (why, by_ms), (name, judged(**case))


def test_the_loader_keeps_the_newest_whole_record():
    with Flash() as flash:
        assert loader.read() == [0] * 7
        loader.try_other(7, 3)
        loader.settle(0, 18)
        record = loader.read()
        assert (record[loader.COUNT], record[loader.WHY], record[loader.RELEASE]) == (2, 18, 7)
        for name, before in (("/slot.1", 1), ("/slot.0", 0)):  # the older copy is what is left
            loader.try_other(7, 3) if before == 0 else None
            newest = loader.read()[loader.COUNT]
            with open(flash.path + name, "rb") as file:
                content = file.read()
            for damaged in (content[:-1], bytes((content[0] ^ 1,)) + content[1:], b""):
                with open(flash.path + name, "wb") as file:
                    file.write(damaged)
                assert loader.read()[loader.COUNT] == newest - 1
            with open(flash.path + name, "wb") as file:
                file.write(content)
        loader.settle(1)  # but b is not complete
        assert loader.read()[loader.SLOT] == 0


def test_the_status_tells_what_runs_and_what_failed():
    with Flash() as flash:
        monitor = Anything(board=Anything(keystore=Keystore(), fs=flash.path))
        assert Updates(monitor, "ab").status({}) == {13: 6}
        loader.try_other(7, 3)
        loader.settle(0, 17)
        updates = Updates(monitor, "ab")
        assert updates.status({0: 1}) == {0: 1, 13: 6, 14: 7, 15: 17}
        loader.trial = True
        assert updates.status({})[16] == 1
        assert updates.take(cbor.encode([1, 2, b"x"])) and updates.take(cbor.encode([1, 3, 7, 0, b"x"]))
        assert not updates.take(cbor.encode([1, 1, 3, 9])) and not updates.take(b"")
        loader.running = None
        assert Updates(monitor, "ab").status({}) == {14: 7, 15: 17}


def test_no_memory_for_both_an_offer_is_kept_for_a_start_without_sensors():
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    def no_memory(updates):
        raise MemoryError

    def stops(coroutine):
        try:
            ended(coroutine)
        except Stop:
            return True

    with Flash() as flash:
        before = updates_module.asyncio, loader.reset
        loaded = [(name, module) for name, module in sys.modules.items() if name.startswith("vigil.")]
        updates_module.asyncio, loader.reset = Waiting(), stop
        try:
            health = Anything(period_us=[4000, 0, 10000, 0], blocks=0)
            board = Anything(keystore=Keystore(), fs=flash.path)
            monitor = Anything(board=board, health=health, publisher=Anything(seal=lambda: None))
            offer = cbor.encode([1, 2, b"signed"])
            updates = Updates(monitor, "ab")
            assert updates.alone is None and updates.sensors() == 5
            updates.take(offer)
            sys.modules["vigil.app.update"] = Anything(Update=no_memory)
            assert stops(updates.run())
            health.period_us = [0] * 4
            updates = Updates(monitor, "ab")
            assert updates.alone == 5 == updates.sensors() and updates.message == offer
            assert "offer" not in os.listdir(flash.path)  # whatever happens now, the next start measures
            assert stops(updates.rest())
            assert health.blocks == 600
            sys.modules["vigil.app.update"] = Anything(Update=no_memory)  # the first run has unloaded it
            assert stops(updates.run())  # there is none even so: it measures again
            assert Updates(monitor, "ab").alone is None
        finally:
            updates_module.asyncio, loader.reset = before
            for name, module in loaded:  # what a device unloads, other tests have at hand
                package, _, leaf = name.rpartition(".")
                sys.modules[name] = module
                setattr(sys.modules[package], leaf, module)
