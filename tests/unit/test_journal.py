"""The journal on a file system in memory that loses power after any operation, tears writes and keeps halves.

LittleFS is kinder (a file is what it was at its last close): tests/powerloss has the real one.
"""

import gc
import sys
from hashlib import sha256

from vigil.core.errors import StoreError
from vigil.store.journal import EVENT, VITALS, Journal

# Checked arithmetic makes a signature slow on CPython: it tries a few of the places that MicroPython tries all.
_STRIDE = 1 if sys.implementation.name == "micropython" else 11


class PowerCut(Exception):
    pass


class _File:
    def __init__(self, disk, name, mode):
        self._disk, self._name, self._at = disk, name, 0
        self._before = len(disk.files.get(name, b""))
        if mode != "rb":
            disk.spend()
            if mode == "wb" or name not in disk.files:
                disk.files[name] = bytearray()
        elif name not in disk.files:
            raise OSError(2, "no entry")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def seek(self, at):
        self._at = at

    def read(self, n):
        self._disk.read += n
        data = self._disk.files[self._name][self._at : self._at + n]
        self._at += len(data)
        return bytes(data)

    def write(self, data):
        room = self._disk.room - sum([len(d) for d in self._disk.files.values()])
        if len(data) > room:
            if self._disk.atomic:  # as LittleFS: a file whose write failed is not changed
                self._disk.files[self._name] = self._disk.files[self._name][: self._before]
            raise OSError(28, "no space")
        try:
            self._disk.spend()
        except PowerCut:
            self._disk.files[self._name].extend(data[: len(data) // 2])  # torn
            raise
        self._disk.files[self._name].extend(data)
        if self._disk.refuse_after:
            self._disk.refuse_after -= 1
            if not self._disk.refuse_after:
                raise OSError(5, "written, and an error all the same")


class Disk:
    """The functions of `os` that the journal uses, and open.

    left: operations until the power fails. refuse_after: writes until one is done, and says that it failed.
    """

    def __init__(self, room=1 << 30, atomic=False):
        gc.collect()  # the disk before this one
        self.files = {}
        self.atomic = atomic
        self.left = 1 << 30
        self.refuse_after = 0
        self.room = room
        self.read = 0

    def spend(self):
        if self.left == 0:
            raise PowerCut
        self.left -= 1

    def open(self, name, mode):
        return _File(self, name, mode)

    def listdir(self, path):
        return [name[len(path) + 1 :] for name in self.files]

    def stat(self, name):
        if name not in self.files:
            raise OSError(2, "no entry")
        return (0,) * 6 + (len(self.files[name]),)

    def mkdir(self, path):
        pass

    def remove(self, name):
        self.spend()
        if name not in self.files:
            raise OSError(2, "no entry")
        del self.files[name]

    def rename(self, old, new):
        self.spend()
        if old not in self.files:
            raise OSError(2, "no entry")
        self.files[new] = self.files.pop(old)

    def segments(self):
        return sorted([int(name[2:-4]) for name in self.files if name.endswith(".seg")])


class Device:
    """Seals payloads with a stand-in for the signature and remembers every payload that was ever signed."""

    def __init__(self, disk, **options):
        self.disk = disk
        self.signed = {}
        self.signatures = 0
        self.made = 0
        self.options = options
        self.padding = b"." * options.pop("padding", 40)
        self.start()

    def start(self):
        self.journal = None
        self.journal = Journal("q", self.disk, self.seal_payload, open=self.disk.open, **self.options)

    def seal_payload(self, payload, signature):
        seq = int(payload.split(b"|")[0])
        assert self.signed.get(seq, payload) == payload, "two payloads of one sequence"
        if signature is None:
            self.signed[seq] = payload
            self.signatures += 1
        right = sha256(payload).digest() * 2
        assert signature in (None, right), "another's signature"
        return b"sealed:" + payload + right

    def seal(self, kind=VITALS):
        q = self.journal
        self.made += 1
        payload = b"%d|%d|%d|" % (q.next_seq, self.made, q.oldest_seq) + q.prev_digest + self.padding
        return q.append(payload, kind)

    def acknowledge(self, seq):
        return self.journal.acknowledge(seq, sha256(self.journal.read(seq) or b"").digest())


def _seq(envelope):
    return int(envelope[7:].split(b"|")[0])


def _named(envelope):
    """The previous digest inside."""
    return envelope[7:-64].split(b"|", 3)[3][:32]


def _raises(function, *args):
    try:
        function(*args)
    except StoreError:
        return
    raise AssertionError


def test_sequences_and_digests_chain():
    d = Device(Disk())
    assert d.journal.prev_digest == bytes(32) and d.journal.next_seq == 1 and d.journal.oldest_seq == 1
    previous = bytes(32)
    for i in range(1, 6):
        envelope = d.seal()
        assert _seq(envelope) == i and _named(envelope) == previous
        previous = sha256(envelope).digest()
    assert d.journal.waiting(3) == [1, 2, 3] and len(d.journal) == 5 and d.journal.oldest_seq == 1


def test_acknowledgement_frees_only_the_right_envelope():
    d = Device(Disk())
    first, second = d.seal(), d.seal()
    assert not d.journal.acknowledge(1, sha256(second).digest())
    assert not d.journal.acknowledge(9, sha256(first).digest())
    assert d.journal.acknowledge(2, sha256(second).digest())
    assert not d.journal.acknowledge(2, sha256(second).digest())
    assert d.journal.waiting(9) == [1] and d.journal.read(1) == first and d.journal.read(2) is None
    assert d.journal.damaged == 0


def test_restart_with_nothing_waiting_goes_on_with_the_chain():
    d = Device(Disk())
    for seq in range(1, 4):
        last = d.seal()
        assert d.acknowledge(seq)
    d.start()
    assert d.journal.next_seq == 4 and d.journal.prev_digest == sha256(last).digest()
    assert d.journal.waiting(9) == [3]  # nothing says yet that the newest was acknowledged
    assert _seq(d.seal()) == 4


def test_what_is_asked_for_waits_again_or_is_said_to_be_gone():
    d = Device(Disk())
    sent = [d.seal() for _ in range(6)]
    for seq in (3, 4):
        d.acknowledge(seq)
    d.journal.offer(2, 99)
    assert d.journal.waiting(9) == [1, 2, 3, 4, 5, 6] and d.journal.gone == []
    assert d.journal.read(3) == sent[2]
    for seq in (1, 2, 4):
        d.acknowledge(seq)
    d.seal()  # calls 3 the oldest
    d.acknowledge(5)
    d.journal.offer(0, 5)
    assert d.journal.waiting(9) == [3, 4, 5, 6, 7]
    assert d.journal.gone == [[1, 2]]


def test_flash_that_takes_nothing_is_a_store_error_and_signs_nothing():
    d = Device(Disk(room=10))
    for _ in range(2):
        _raises(d.seal)
    assert d.signed == {} and d.journal.next_seq == 1
    d.disk.room = 1 << 30
    assert _seq(d.seal()) == 1


def test_a_half_written_record_burns_its_sequence():
    d = Device(Disk())
    first = d.seal()
    d.disk.room = sum([len(x) for x in d.disk.files.values()]) + 84  # the head fits, the payload does not
    _raises(d.seal)
    assert d.journal.next_seq == 3 and d.journal.prev_digest == bytes(32)
    d.disk.room = 1 << 30
    third = d.seal()
    d.start()
    assert d.journal.waiting(9) == [1, 3] and d.journal.read(1) == first and d.journal.read(3) == third
    assert d.journal.damaged == 1


def test_a_record_that_is_whole_after_a_failed_write_is_not_sealed_again_under_another_sequence():
    for before in (0, 1):  # in a new segment, and in one that is open
        d = Device(Disk())
        sent = [d.seal() for _ in range(before)]
        d.disk.refuse_after = 2  # head, payload
        sent.append(d.seal())
        d.journal.offer(1, 9)
        assert d.journal.waiting(9) == list(range(1, before + 2)) and d.journal.gone == []
        sent.append(d.seal())
        d.start()
        assert [d.journal.read(seq) for seq in d.journal.waiting(9)] == sent and d.journal.damaged == 0


def test_a_record_of_which_only_the_head_was_written_is_never_offered():
    d = Device(Disk())
    first = d.seal()
    d.disk.refuse_after = 1
    _raises(d.seal)
    third = d.seal()
    d.journal.offer(1, 9)
    assert d.journal.waiting(9) == [1, 3] and d.journal.gone == [[2, 2]]
    assert [d.journal.read(seq) for seq in (1, 3)] == [first, third]


def test_what_flash_holds_is_signed_after_a_failure_of_the_signer():
    d = Device(Disk())
    d.seal()
    good = d.journal._seal

    def fail(payload, signature):
        raise MemoryError

    d.journal._seal = fail
    try:
        d.seal()
        raise AssertionError
    except MemoryError:
        pass
    d.journal._seal = good
    assert d.journal.next_seq == 3 and d.journal.waiting(9) == [1, 2]
    third = d.seal()
    assert _named(third) == sha256(d.journal.read(2)).digest()


def test_erased_flash_starts_at_the_floor():
    assert Device(Disk(), floor=512).journal.next_seq == 512
    d = Device(Disk(), floor=512)
    d.seal()
    d.options["floor"] = 768
    d.start()
    assert d.journal.next_seq == 513


def test_foreign_and_damaged_files():
    d = Device(Disk(), floor=100)
    for _ in range(4):
        d.seal()
    files = d.disk.files
    files["q/notes.txt"] = b"hello"
    files["q/01.seg"] = b"x"
    files["q/x.seg"] = b"x"
    files["q/1073741823.seg"] = b"far away"
    files["q/99999999999.seg"] = b""
    files["q/50.seg"] = files["q/100.seg"]  # whole, but under another's name
    files["q/new"] = b"half"
    d.options["floor"] = 356
    d.start()
    assert d.journal.damaged >= 5 and d.journal.waiting(9) == [100, 101, 102, 103]
    assert d.journal.next_seq == 356  # something was last that cannot be read: nothing below the floor is safe
    d.seal()
    d.start()
    assert d.journal.waiting(9) == [100, 101, 102, 103, 356]


def test_a_segment_that_cannot_be_read_frees_no_sequence():
    d = Device(Disk(), floor=100)
    d.seal()
    d.journal.next_seq = 160  # beyond its segment: the next one goes into another
    d.seal()
    d.options["floor"] = 356
    disk = d.disk

    def refused(name, *_):
        if name == "q/160.seg":
            raise OSError(5)
        return Disk.stat(disk, name)

    disk.stat = refused
    d.start()
    assert d.journal.waiting(9) == [100] and d.journal.next_seq == 356  # 160 is signed


def test_records_under_another_segments_name_are_not_offered():
    d = Device(Disk())
    for _ in range(8):
        d.seal()
    d.disk.files["q/5.seg"] = d.disk.files.pop("q/1.seg")
    d.start()
    d.journal.offer(1, 8)
    assert d.journal.waiting(9) == [5, 6, 7, 8] and d.journal.gone == [[1, 4]]


def test_every_damaged_byte_costs_one_batch_and_no_start():
    size = 84 + 38 + 56
    for at in range(0, 5 * size, 3 * _STRIDE):
        d = Device(Disk(), padding=56)
        sent = [d.seal() for _ in range(5)]
        data = d.disk.files["q/1.seg"]
        assert len(data) == 5 * size
        d.disk.files["q/1.seg"] = data[:at] + bytes((data[at] ^ 0x20,)) + data[at + 1 :]
        d.options["floor"] = 257
        d.start()
        hit = at // size
        j = d.journal
        got = [j.read(seq) for seq in range(1, 6)]
        assert got[:hit] == sent[:hit] and got[hit] is None and got[hit + 1 :] == sent[hit + 1 :], at
        assert j.next_seq == (257 if hit == 4 else 6) and j.damaged >= 1
        assert j.prev_digest == (bytes(32) if hit == 4 else sha256(sent[4]).digest())
        d.seal()
        d.start()
        assert d.journal.next_seq == (258 if hit == 4 else 7)


def test_power_cut_after_every_operation():
    # 4 seals, 2 acknowledgements out of order, 2 seals, all acknowledged, 1 seal: cut after each operation in turn,
    # and again after each operation of the first seal after the restart.
    acknowledged = (2, 1, 3, 4, 6, 5)

    def work(d):
        for _ in range(4):
            yield d.seal()
        for seq in (2, 1):
            d.acknowledge(seq)
        for _ in range(2):
            yield d.seal(EVENT)
        for seq in (3, 4, 6, 5):
            d.acknowledge(seq)
        yield d.seal()

    for cut in range(0, 30, 1 if _STRIDE == 1 else 4):
        for again in (0, 1, 2, 3, 1 << 30):
            disk = Disk()
            d = Device(disk)
            disk.left = cut
            returned = []
            try:
                for envelope in work(d):
                    returned.append(envelope)
            except PowerCut:
                pass
            disk.left = again
            d.options["floor"] = 257  # as the keystore would say
            try:
                d.start()
                returned.append(d.seal())
            except PowerCut:
                disk.left = 1 << 30
                d.start()
            disk.left = 1 << 30
            waiting = d.journal.waiting(99)
            for seq in waiting:
                assert d.journal.read(seq) is not None
            # Returned and not acknowledged: it waits. (What was acknowledged may wait again or not.)
            for envelope in returned:
                if _seq(envelope) not in acknowledged:
                    assert _seq(envelope) in waiting
            newest = d.signed.get(d.journal.next_seq - 1)
            if newest:
                assert d.journal.prev_digest == sha256(d.seal_payload(newest, None)).digest()
            d.seal()  # seal_payload refuses a second payload of one sequence


if sys.implementation.name == "cpython":  # more than a small heap holds; tests/powerloss has the like on real flash

    def test_full_journal_drops_the_oldest_vitals():
        d = Device(Disk(), capacity=40960, padding=340)
        for _ in range(400):
            d.seal()
        j = d.journal
        assert len(j) + j.dropped == 400 and 56 <= len(j) < 100
        assert j.waiting(400) == list(range(401 - len(j), 401)) and j.oldest_seq == 401 - len(j)
        assert sum([len(f) for f in d.disk.files.values()]) <= 40960
        d.start()
        assert d.journal.waiting(400) == list(range(401 - len(d.journal), 401))

    def test_events_outlive_vitals_and_the_oldest_go_last():
        d = Device(Disk(), capacity=131072, padding=340)
        events = {}
        for i in range(1, 601):
            kind = EVENT if i % 50 == 7 else VITALS
            envelope = d.seal(kind)
            if kind == EVENT:
                events[i] = envelope
        j = d.journal
        for _ in (0, 1):
            assert [seq for seq in j.waiting(600) if seq in events] == list(events)
            assert all([j.read(seq) == envelope for seq, envelope in events.items()])
            assert j.events == list(events)[-16:] and j.damaged == 0
            d.start()
            j = d.journal
        for _ in range(2000):  # nothing but events: then the oldest of them go
            d.seal(EVENT)
        kept = d.journal.waiting(9999)
        assert kept == list(range(2601 - len(kept), 2601)) and len(kept) > 80

    def test_acknowledged_events_go_with_the_vitals():
        d = Device(Disk(), capacity=40960, padding=340)
        for i in range(1, 41):
            d.seal(EVENT if i in (5, 9) else VITALS)
        assert d.acknowledge(5)
        for _ in range(200):
            d.seal()
        assert d.journal.waiting(1) == [9] and d.journal.read(9) is not None and d.journal.read(5) is None
        assert d.acknowledge(9) and 1 not in d.disk.segments()

    def test_full_flash_drops_the_oldest():
        d = Device(Disk(room=40000, atomic=True), padding=340)
        for _ in range(200):
            d.seal()
        j = d.journal
        assert j.dropped + len(j) == 200 and len(j) > 30
        d.start()
        assert d.journal.next_seq == 201

    def test_recovery_reads_heads_and_remembers_segments_only():
        d = Device(Disk(), padding=300)
        for _ in range(150):
            d.seal()
        d.disk.read = 0
        d.start()
        assert len(d.journal) == 150 and d.disk.read <= 150 * 84 + 1000
        assert len(d.journal._segments) == len(d.disk.segments()) <= 4

    def test_segments_fill_their_blocks():
        d = Device(Disk(), padding=216)
        while len(d.disk.segments()) < 2:
            d.seal()
        assert 16360 - 400 <= len(d.disk.files["q/1.seg"]) <= 16360

    def test_envelopes_are_rebuilt_bit_for_bit_and_signed_once():
        d = Device(Disk(), padding=0)
        sent = [d.seal() for _ in range(65)]
        assert d.signatures == 65
        assert [d.journal.read(i + 1) for i in range(65)] == sent
        assert d.signatures <= 65 + 1  # the last of a segment is signed again when it is needed
        d.start()
        before = d.signatures
        assert [d.journal.read(65 - i) for i in range(65)] == sent[::-1]
        assert d.signatures <= before + 3

    def test_acknowledgement_writes_nothing_but_removes_segments():
        d = Device(Disk(), padding=0)
        for _ in range(125):
            d.seal()
        assert d.disk.segments() == [1, 61, 121]
        for seq in range(125, 60, -1):  # the newest first
            d.disk.left = 1 if seq == 61 else 0
            assert d.acknowledge(seq)
        assert d.disk.segments() == [1, 121] and len(d.journal) == 60
        d.disk.left = 1 << 30
        d.seal()
        d.start()
        # Not written down: those behind the oldest that waits are sent again, and the host knows them.
        assert d.journal.waiting(99) == list(range(1, 61)) + list(range(121, 127))
