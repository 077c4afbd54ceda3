"""MicroPython's own update: written by blocks to the partition that does not run, read back, kept or put back."""

import gc
from hashlib import sha256

import loader
from test_ota import manifest, signed
from test_update_task import Anything, Flash, Job, ended, reason

from vigil.app import fetch, trial
from vigil.app.update import FLOOR, Update
from vigil.app.updates import APPLICATION
from vigil.core.errors import TrustError
from vigil.ota import release as rules
from vigil.wire import update

IMAGE = b"\xe9" + bytes(range(255)) * 20
CONTENT = bytearray(8192)  # the partition, made once: a small heap has no 8 KB in one piece for every test


class Power(Exception):
    """It is cut."""


class Board2:
    """Two partitions. cut: the power goes before so many operations that change something."""

    def __init__(self, size=8192, cut=-1):
        self.bytes = size
        self.label = "ota_0"
        self.content = memoryview(CONTENT)[:size]
        for at in range(size):
            CONTENT[at] = 0
        self.cut = cut
        self.chosen = self.kept = 0

    def _change(self):
        self.cut -= 1
        if self.cut == -1:
            raise Power

    def write(self, block, data):
        assert len(data) == 4096
        self._change()
        self.content[block * 4096 : (block + 1) * 4096] = data

    def read_into(self, at, buf):
        buf[:] = self.content[at : at + len(buf)]

    def choose(self):
        self._change()
        self.chosen += 1

    def keep(self):
        self.kept += 1


def offer(image=IMAGE, **more):
    about = {"_4": "any", "_7": [0, 0, len(image)], "_8": sha256(image).digest()}
    about.update(more)
    return signed(manifest(**about))


def job(app, image=IMAGE):
    made = Job()
    made.monitor.board.application = app

    async def message(wait_ms):
        number, offset, length = made.wants[-1]
        return number, offset, image[offset : offset + length]

    made.message = message
    return made


def test_fetched_into_the_other_partition_and_chosen():
    with Flash():
        app = Board2()
        made = job(app)
        assert ended(fetch.fetch(made, offer())) is None
        assert app.content[: len(IMAGE)] == IMAGE and all(byte == 0xFF for byte in app.content[len(IMAGE) :])
        assert app.chosen == 1 and made.monitor.board.keystore[APPLICATION] == b"7,3,0,ota_0"
        assert loader.read()[loader.TRIAL] == 0  # the slots stay as they are


def test_refused_and_nothing_is_chosen():
    odd = IMAGE[:-1] + b"!"
    for name, size, what, image, why in (
        ("one partition alone", 0, offer(), IMAGE, 25),
        ("too large", 4096, offer(), IMAGE, rules.NO_ROOM),
        ("changed on the way", 8192, offer(), odd, rules.MISMATCH),
        ("other model", 8192, offer(_3="other"), IMAGE, rules.OTHER_MODEL),
        ("older", 8192, offer(_1=6), IMAGE, rules.NOT_NEWER),
        ("larger than any", 8192, offer(_7=[0, 0, 5_000_000]), IMAGE, rules.TOO_LARGE),
    ):
        gc.collect()
        with Flash():
            app = Board2(size) if size else None
            made = job(app, image)
            assert reason(fetch.fetch(made, what)) == why, name
            assert app is None or not app.chosen, name
            assert APPLICATION not in made.monitor.board.keystore, name


def test_the_power_is_cut_before_every_change():
    """Two blocks and the choice: before the choice the old one starts, and the fetch ends when it is begun anew."""
    for cut in range(3):
        gc.collect()
        with Flash():
            app = Board2(cut=cut)
            made = job(app)
            try:
                ended(fetch.fetch(made, offer()))
                raise AssertionError(cut)
            except Power:
                pass
            assert not app.chosen
            assert ended(fetch.fetch(job(app), offer())) is None and app.chosen == 1


def ending(label, why, kept=b"7,3,0,ota_0"):
    """How the trial ends of a MicroPython that runs from `label`: the board and what is told."""
    app = Board2()
    app.label = label
    made = job(app)
    keys = made.monitor.board.keystore
    keys[APPLICATION] = kept
    told = []

    async def tell(number, state, why=0):
        told.append((number, state, why))

    async def restart():
        raise TrustError(0)  # stands for the end of this boot

    async def judge(job, sensors):
        return why

    before, trial.judge = trial.judge, judge
    ends = Anything(monitor=made.monitor, updates=Anything(restart=restart), tell=tell)
    try:
        ended(Update._end_application(ends, *keys[APPLICATION].decode().split(",")))
    except TrustError:
        pass
    finally:
        trial.judge = before
    return app, keys, told


def test_kept_or_put_back():
    with Flash():
        app, keys, told = ending("ota_1", 0)
        assert (app.kept, app.chosen, keys[APPLICATION], keys[FLOOR]) == (1, 0, b"-", b"7")
        assert told == [(7, update.CONFIRMED, 0)]
        app, keys, told = ending("ota_1", trial.NO_LINK)
        assert (app.kept, app.chosen, keys[APPLICATION], told) == (0, 1, b"7,3,22,ota_0", [])
        app, keys, told = ending("ota_0", 0, keys[APPLICATION])  # the next start: it says why
        assert (app.kept, app.chosen, keys[APPLICATION]) == (0, 0, b"-")
        assert told == [(7, update.ROLLED_BACK, trial.NO_LINK)]
        assert ending("ota_0", 0)[2] == [(7, update.ROLLED_BACK, loader.USED_UP)]  # the bootloader put it back
