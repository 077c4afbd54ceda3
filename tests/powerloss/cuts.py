"""Enumerates power cuts of the journal on LittleFS: `cuts.py SEALS STRIDE FIRST`, under MicroPython.

Seals, acknowledgements (out of order, some lost) and rotations on a flash in memory. Before every STRIDE-th change of
the flash, from the FIRST on, the flash is copied as a cut would leave it (the change not begun, or torn), a
second device starts from the copy, and must: start; hold every batch that was sealed and not acknowledged; go on with
a sequence that was never signed over another payload; seal, acknowledge, and start again. Each seventh of these
starts is itself cut once more. The last line is a JSON summary; the first violation ends the run with status 1.
"""

import gc
import json
import sys
import time
from hashlib import sha256

import vfs
from flash import BLOCK, Cut, Flash, end_after, torn

from vigil.core.errors import StoreError
from vigil.store.journal import EVENT, VITALS, Journal

SEALS, STRIDE, FIRST = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
BLOCKS = 24
CAPACITY = 14 * BLOCK
FORMAT = {"readsize": 32, "progsize": 32, "lookahead": 32}
FLOOR = 100_000


class Random:
    """xorshift32: the same run each time."""

    def __init__(self, seed):
        self.x = seed

    def __call__(self):
        x = self.x
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        self.x = x = (x ^ (x << 5)) & 0xFFFFFFFF
        return x >> 7


random = Random(6)


class World:
    """What must hold whatever happens: payloads by sequence that were signed, sealed, and may have been freed."""

    def __init__(self):
        self.signed = {}  # sequence: digest of its payload
        self.sealed = {}  # sequence: digest of its envelope, of those returned and not acknowledged
        self.kinds = {}

    def copy(self):
        other = World()
        other.signed = dict(self.signed)
        other.sealed = dict(self.sealed)
        other.kinds = dict(self.kinds)
        return other


class Os:
    """The functions of os on one file system."""

    def __init__(self, fs):
        self.stat, self.mkdir, self.remove, self.rename = fs.stat, fs.mkdir, fs.remove, fs.rename
        self._list = fs.ilistdir

    def listdir(self, path):
        return [entry[0] for entry in self._list(path)]


class Device:
    """A journal on a mounted flash."""

    def __init__(self, flash, world):
        self.flash = flash
        self.world = world
        fs = vfs.VfsLfs2(flash, mtime=False, **FORMAT)
        self.journal = None
        self.journal = Journal("/j", Os(fs), self.seal_payload, capacity=CAPACITY, floor=FLOOR, open=fs.open)
        self.discard, self.thin = self.journal._discard, self.journal._thin
        self.journal._discard, self.journal._thin = self.on_discard, self.on_thin

    def on_discard(self, segment):
        """What goes for lack of space may be gone from here on."""
        self.forget(segment, (VITALS, EVENT))
        self.discard(segment)

    def on_thin(self, segment):
        """The like, of vitals alone."""
        self.forget(segment, (VITALS,))
        return self.thin(segment)

    def forget(self, segment, kinds):
        """Expect those of a segment no more."""
        sealed = self.world.sealed
        for seq in range(segment[0], segment[0] + 60):
            if seq in sealed and self.world.kinds[seq] in kinds:
                del sealed[seq]

    def seal_payload(self, payload, signature):
        digest = sha256(payload).digest()
        if signature is None:
            seq = int(payload.split(b"|", 1)[0])
            assert self.world.signed.get(seq, digest) == digest, f"two payloads of sequence {seq}"
            self.world.signed[seq] = digest
        assert signature in (None, digest * 2), "another's signature"
        return b"sealed:" + payload + digest * 2

    def seal(self, kind, size):
        j = self.journal
        seq = j.next_seq
        assert seq not in self.world.signed, f"sequence {seq} again"
        payload = b"%d|%d|" % (seq, random()) + j.prev_digest
        self.world.kinds[seq] = kind
        envelope = j.append(payload + bytes(size - len(payload)), kind)
        self.world.sealed[seq] = sha256(envelope).digest()

    def acknowledge(self, seq):
        digest = self.world.sealed.pop(seq, None)  # from here on both are right: it waits, and it is gone
        self.journal.acknowledge(seq, digest or sha256(self.journal.read(seq)).digest())


def check(data, world):
    """A device that starts from `data` must stand by everything that `world` says."""
    flash = Flash(BLOCKS, data)
    d = Device(flash, world)
    j = d.journal
    assert j.damaged == 0, "damage"
    for seq, digest in world.sealed.items():
        assert j.holds(seq), f"batch {seq} is lost"
        if seq % 7 == 0 or seq + 3 > j.next_seq:
            assert sha256(j.read(seq)).digest() == digest, f"batch {seq} is changed"
    if world.signed:
        assert j.next_seq > max(world.signed) >= 0, "sequence"
    return d


cuts = again = 0


def cut(flash, world):
    """Return what is done before each change of `flash`."""
    changes = [0]

    def before(at, new):
        global cuts, again
        changes[0] += 1
        if changes[0] % STRIDE != FIRST % STRIDE:
            return
        for way in range(2):  # not begun, which is the one before done; or torn
            data = bytearray(flash.data)
            if way:
                torn(data, at, new, random)
            cuts += 1
            after = world.copy()
            d = check(data, after)
            if cuts % 7:
                d.seal(VITALS, 120)
                d.journal.acknowledge(d.journal.next_seq - 1, after.sealed[d.journal.next_seq - 1])
                check(d.flash.data, after)
                continue
            again += 1  # the power fails again while the first batch after the start is sealed
            d.flash.before = end_after(d.flash, random() % 12, random)
            try:
                d.seal(VITALS, 120)
            except (Cut, StoreError, OSError):  # closing a file on a dead flash
                assert d.flash.dead
            check(d.flash.data, after).seal(VITALS, 120)
        gc.collect()

    return before


def main():
    flash = Flash(BLOCKS)
    vfs.VfsLfs2.mkfs(flash, **FORMAT)
    world = World()
    d = Device(flash, world)
    flash.before = cut(flash, world)
    start_ms = time.ticks_ms()
    rotations = restarts = most = 0
    for i in range(SEALS):
        d.seal(EVENT if i % 37 == 5 else VITALS, 200 + random() % 300)
        most = max(most, len(d.journal))
        rotations += d.journal._segments[-1][0] == d.journal.next_seq - 1
        away = i % 160 > 60  # nobody acknowledges for a while, then the newest and the oldest in turn
        if not away and i % 5 == 0:
            waiting = d.journal.waiting(12)
            for seq in (waiting[-1:] + waiting)[:9]:
                if random() % 8 and d.journal.holds(seq):
                    d.acknowledge(seq)
        if i % 101 == 100:
            d = Device(flash, world)
            restarts += 1
    assert flash.violations == 0
    summary = {
        "seals": SEALS,
        "rotations": rotations,
        "restarts": restarts,
        "flash_changes": flash.erases + flash.programs,
        "cuts": cuts,
        "cuts_again": again,
        "most_waiting": most,
        "dropped": d.journal.dropped,
        "lost": 0,
        "sequences_reused": 0,
        "unbootable": 0,
        "seconds": time.ticks_diff(time.ticks_ms(), start_ms) // 1000,
    }
    print(json.dumps(summary))


main()
