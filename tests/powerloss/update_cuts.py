"""Enumerates power cuts of updates on LittleFS: `update_cuts.py STRIDE FIRST`, under MicroPython.

A device in slot a fetches release 1 into slot b, tries and confirms it; fetches release 2 into a, which crashes on
every start; then 3, which fails its trial; begins to fetch another, is offered 4 instead, and confirms that. Before
every STRIDE-th change of the flash, from the FIRST on, the flash is copied as a cut would leave it (the change not
begun, or torn) and a second device starts from the copy. It must start one of the two releases that it may, complete
file by file; each third is cut once more meanwhile. Then it ends what it finds (trial, fetch) and must run the new
release where that is sound, the one before where not. The last line is a JSON summary; the first violation ends the
run with status 1.
"""

import gc
import json
import struct
import sys
import time
from hashlib import sha256

import loader
import vfs
from flash import Cut, Flash, end_after, torn

from vigil.ota import release as rules
from vigil.ota.slot import Slot
from vigil.wire import cbor

loader._ROOT = ""  # the mounted file system's
STRIDE, FIRST = int(sys.argv[1]), int(sys.argv[2])
BLOCKS = 48
FORMAT = {"readsize": 32, "progsize": 32, "lookahead": 32}
PIECE = 1024
NAMES = ("board", "vigil/__init__", "vigil/app/__init__", "vigil/app/main", "vigil/dsp/ecg", "vigil/wire/cbor")
HEALTHY, CRASHES, SICK = range(3)  # what a release on trial does


def random():
    global _x
    _x ^= (_x << 13) & 0xFFFFFFFF
    _x ^= _x >> 17
    _x = (_x ^ (_x << 5)) & 0xFFFFFFFF
    return _x >> 7


_x = 7


class Made:
    """A release: its bundle, and what a device has been told of it (signatures are tested elsewhere)."""

    def __init__(self, number):
        files = []
        for i, name in enumerate(NAMES):
            content = bytes(
                (number * 31 + i * 7 + j * (j >> 5)) & 255 for j in range(40 + (i * 977 + number * 311) % 5000)
            )
            files.append((name.encode() + b".mpy", content))
        index = b"".join(
            bytes((len(path),)) + path + struct.pack("<I", len(content)) + sha256(content).digest()
            for path, content in files
        )
        self.number = number
        self.files = files
        self.bundle = index + b"".join(content for _, content in files)
        said = {0: 1, 1: number or 1, 2: "v", 3: "m", 4: "p", 5: [6, 0, 0], 6: 1}
        said[7] = [len(files), len(index), len(self.bundle)]
        said[8] = sha256(index).digest()
        self.release = rules.Release(cbor.encode(said))
        said[1] = number
        self.release.payload = cbor.encode(said)
        self.release.number = number
        self.signed = b"signed" + self.release.payload


RELEASES = [Made(number) for number in range(5)]


class Os:
    """The functions of os on one file system."""

    def __init__(self, fs):
        self.stat, self.mkdir, self.remove, self.rename, self.rmdir = fs.stat, fs.mkdir, fs.remove, fs.rename, fs.rmdir
        self._list = fs.ilistdir

    def listdir(self, path):
        return [entry[0] for entry in self._list(path)]


class Device:
    """What the chip does from power-on: the loader's two steps, then (as far as updates go) the application's."""

    def __init__(self, flash, plan):
        self.flash = flash
        self.plan = plan  # number: what a release does on trial
        fs = vfs.VfsLfs2(flash, mtime=False, **FORMAT)
        self.os, self.open = Os(fs), fs.open
        loader.os, loader.open = self.os, self.open
        loader.running, loader.trial = None, False
        sys.path[:] = [""]
        loader.select()
        loader.start()
        self.running, self.trial = loader.running, loader.trial
        assert self.running is not None, "unbootable"
        assert sys.path == ["", loader.slot(self.running) + "/lib"], sys.path
        self.number = self.whole()

    def whole(self):
        """Number of the release that runs; every file of it must be as it was made."""
        folder = loader.slot(self.running)
        with self.open(folder + "/release", "rb") as file:
            number = cbor.decode(file.read())[1]
        for path, content in RELEASES[number].files:
            with self.open(folder + "/lib/" + path.decode(), "rb") as file:
                assert file.read() == content, f"release {number} is damaged"
        return number

    def judge(self):
        """What a release on trial does after its start; True where the device has to start again."""
        if not self.trial:
            return False
        what = self.plan[self.number]
        if what == CRASHES:
            return True
        if what == SICK:
            loader.settle(1 - self.running, 18)
            return True
        loader.settle(self.running)
        slot = self.slot(self.running)
        slot.forget()
        return False

    def slot(self, i):
        return Slot(loader.slot(i), self.os, self.open)

    def fetch(self, made, until=None):
        """Fetch a release into the idle slot, or go on with it, and put it on trial."""
        slot = self.slot(1 - self.running)
        try:
            if slot.read("offer") == made.signed:
                slot.resume(made.release)
            else:
                for _ in slot.clear():
                    pass
                slot.begin(made.release, made.signed)
            while not slot.complete:
                if until is not None and slot.offset >= until:
                    return
                slot.write(made.bundle[slot.offset : slot.offset + PIECE])
            for _ in slot.verify():
                pass
            slot.finish()
        finally:
            slot.close()
        loader.try_other(made.number, 3)

    def interrupted(self):
        """Which release was being fetched, None: none, or it has failed before."""
        offer = self.slot(1 - self.running).read("offer")
        record = loader.read()
        for made in RELEASES:
            if made.signed == offer and made.number != self.number:
                return None if record[loader.WHY] and record[loader.RELEASE] == made.number else made
        return None


cuts = again = 0
PLAN = {1: HEALTHY, 2: CRASHES, 3: SICK, 4: HEALTHY}
allowed = (0,)  # numbers that may run now, whatever was cut


def settle_down(flash):
    """Start as often as it takes until no trial is left; return the device."""
    for _ in range(8):
        d = Device(flash, PLAN)
        if not d.judge():
            return d
    raise AssertionError("the trial does not end")


def check(data):
    """A device that starts from `data` runs a complete release that it may run, and comes to an end with its update."""
    global again
    flash = Flash(BLOCKS, data)
    state = loader.os, loader.open, loader.running, loader.trial
    d = Device(flash, PLAN)
    assert d.number in allowed, (d.number, allowed)
    if cuts % 3 == 0:  # the power fails again within what the start brings
        again += 1
        flash.before = end_after(flash, random() % 60, random)
        try:
            d = settle_down(flash)
            made = d.interrupted()
            if made:
                d.fetch(made)
                d = settle_down(flash)
        except (Cut, OSError):
            assert flash.dead
        data = flash.data
        flash = Flash(BLOCKS, data)
    d = settle_down(flash)
    assert d.number in allowed or PLAN[d.number] == HEALTHY, d.number
    made = d.interrupted()
    if made:
        d.fetch(made)
        d = settle_down(flash)
        assert d.number == (made.number if PLAN[made.number] == HEALTHY else d.number)
        assert PLAN.get(d.number, HEALTHY) == HEALTHY
    loader.os, loader.open, loader.running, loader.trial = state


def cut(flash):
    """Return what is done before each change of `flash`."""
    changes = [0]

    def before(at, new):
        global cuts
        changes[0] += 1
        if changes[0] % STRIDE != FIRST % STRIDE:
            return
        for way in range(2):
            data = bytearray(flash.data)
            if way:
                torn(data, at, new, random)
            cuts += 1
            check(data)
        gc.collect()

    return before


def main():
    global allowed
    start_ms = time.ticks_ms()
    flash = Flash(BLOCKS)
    vfs.VfsLfs2.mkfs(flash, **FORMAT)
    fs = vfs.VfsLfs2(flash, mtime=False, **FORMAT)
    for folder in ("/a", "/a/lib", "/a/lib/vigil", "/a/lib/vigil/app", "/a/lib/vigil/dsp", "/a/lib/vigil/wire"):
        fs.mkdir(folder)
    for path, content in RELEASES[0].files:
        with fs.open("/a/lib/" + path.decode(), "wb") as file:
            file.write(content)
    with fs.open("/a/release", "wb") as file:
        file.write(RELEASES[0].release.payload)
    flash.before = cut(flash)
    confirmed, rolled_back, starts = 0, 0, 0
    d = Device(flash, PLAN)
    for number in (1, 2, 3, 4):
        made = RELEASES[number]
        before = d.number
        allowed = (before, number)
        if number == 4:
            d.fetch(RELEASES[1], until=7000)  # withdrawn: another offer comes
        d.fetch(made)
        going = True
        while going:
            d = Device(flash, PLAN)
            starts += 1
            going = d.judge()
        assert d.number == (number if PLAN[number] == HEALTHY else before)
        allowed = (d.number,)
        if d.number == number:
            confirmed += 1
        else:
            rolled_back += 1
            assert d.interrupted() is None
            d.slot(1 - d.running).forget()
    assert flash.violations == 0
    summary = {
        "updates": 4,
        "confirmed": confirmed,
        "rolled_back": rolled_back,
        "starts": starts,
        "flash_changes": flash.erases + flash.programs,
        "cuts": cuts,
        "cuts_again": again,
        "unbootable": 0,
        "incomplete": 0,
        "seconds": time.ticks_diff(time.ticks_ms(), start_ms) // 1000,
    }
    print(json.dumps(summary))


main()
