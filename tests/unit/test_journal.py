"""The queue on a file system in memory that loses power after any operation."""

from hashlib import sha256

from vigil.core.errors import StoreError
from vigil.store.queue import Queue


class PowerCut(Exception):
    pass


class _File:
    def __init__(self, disk, name, mode):
        self._disk, self._name, self._at = disk, name, 0
        self._write = "w" in mode
        if self._write:
            disk.spend()
            disk.files[name] = b""
        elif name not in disk.files:
            raise OSError(2, "no entry")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, n):
        data = self._disk.files[self._name][self._at : self._at + n]
        self._at += len(data)
        return data

    def write(self, data):
        room = self._disk.room - sum([len(d) for d in self._disk.files.values()])
        if len(data) > room:
            raise OSError(28, "no space")
        try:
            self._disk.spend()
        except PowerCut:
            self._disk.files[self._name] += data[: len(data) // 2]  # torn
            raise
        self._disk.files[self._name] += data


class Disk:
    """The functions of `os` that the queue uses, and open. left: operations until the power fails."""

    def __init__(self, room=1 << 30):
        self.files = {}
        self.left = 1 << 30
        self.room = room

    def spend(self):
        if self.left == 0:
            raise PowerCut
        self.left -= 1

    def open(self, name, mode):
        return _File(self, name, mode)

    def listdir(self, path):
        return [name[len(path) + 1 :] for name in self.files]

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


class Device:
    """Seals payloads with a stand-in for the signature and remembers every payload that was ever signed."""

    def __init__(self, disk, **options):
        self.disk = disk
        self.signed = {}
        self.made = 0
        self.options = options
        self.start()

    def start(self):
        self.queue = None
        self.queue = Queue("q", self.disk, self.sign, open=self.disk.open, **self.options)

    def sign(self, payload):
        seq = int(payload.split(b"|")[0])
        assert self.signed.get(seq, payload) == payload, "two payloads of one sequence"
        self.signed[seq] = payload
        return b"sealed:" + payload

    def seal(self):
        q = self.queue
        self.made += 1
        payload = b"%d|%d|%d|" % (q.next_seq, self.made, q.oldest_seq) + q.prev_digest
        return q.append(payload)

    def acknowledge(self, seq):
        return self.queue.acknowledge(seq, sha256(self.queue.read(seq) or b"").digest())


def _seq(envelope):
    return int(envelope[7:].split(b"|")[0])


def test_sequences_and_digests_chain():
    d = Device(Disk())
    assert d.queue.prev_digest == bytes(32) and d.queue.next_seq == 1 and d.queue.oldest_seq == 1
    previous = bytes(32)
    for i in range(1, 6):
        envelope = d.seal()
        assert _seq(envelope) == i and envelope.endswith(b"|" + previous)
        previous = sha256(envelope).digest()
    assert d.queue.waiting(3) == [1, 2, 3] and len(d.queue) == 5 and d.queue.oldest_seq == 1


def test_acknowledgement_frees_only_the_right_envelope():
    d = Device(Disk())
    first, second = d.seal(), d.seal()
    assert not d.queue.acknowledge(1, sha256(second).digest())
    assert not d.queue.acknowledge(9, sha256(first).digest())
    assert d.queue.acknowledge(2, sha256(second).digest())
    assert not d.queue.acknowledge(2, sha256(second).digest())
    assert d.queue.waiting(9) == [1] and d.queue.read(1) == first and d.queue.read(2) is None
    assert d.queue.damaged == 0


def test_restart_with_nothing_waiting_goes_on_with_the_chain():
    d = Device(Disk())
    for _ in range(3):
        last = d.seal()
    for seq in (1, 2, 3):
        assert d.acknowledge(seq)
    d.start()
    assert d.queue.next_seq == 4 and d.queue.prev_digest == sha256(last).digest() and len(d.queue) == 0
    assert _seq(d.seal()) == 4


def test_full_queue_drops_the_oldest_and_counts():
    d = Device(Disk(), capacity=3)
    for i in range(5):
        oldest = max(1, i - 1)
        assert d.queue.oldest_seq == oldest
        d.seal()
    assert d.queue.waiting(9) == [3, 4, 5] and d.queue.dropped == 2
    d = Device(Disk(), capacity=1)
    for i in range(1, 4):
        assert d.queue.oldest_seq == i
        d.seal()
    assert d.queue.waiting(9) == [3]


def test_full_flash_drops_the_oldest():
    d = Device(Disk(room=900))
    for _ in range(30):
        d.seal()
    assert d.queue.dropped + len(d.queue) == 30 and len(d.queue) > 3
    assert d.queue.waiting(99) == list(range(31 - len(d.queue), 31))
    d.start()
    assert d.queue.next_seq == 31


def test_flash_that_takes_nothing_is_a_store_error_and_signs_nothing():
    d = Device(Disk(room=10))
    for _ in range(2):
        try:
            d.seal()
            raise AssertionError
        except StoreError:
            pass
    assert d.signed == {} and d.queue.next_seq == 1


def test_a_signed_envelope_that_flash_refuses_comes_back_after_the_restart():
    d = Device(Disk())
    d.seal()
    d.acknowledge(1)
    d.disk.room = sum([len(x) for x in d.disk.files.values()]) + 40
    while True:  # until the payload fits and the envelope does not
        d.disk.room += 1
        try:
            before = d.queue.next_seq
            d.seal()
            raise AssertionError
        except StoreError:
            if d.queue.next_seq != before:
                break
    d.disk.room = 1 << 30
    d.start()
    assert d.queue.waiting(9) == [2] and d.queue.next_seq == 3
    d.seal()
    assert d.queue.waiting(9) == [2, 3]


def test_erased_flash_starts_at_the_floor():
    assert Device(Disk(), floor=512).queue.next_seq == 512
    d = Device(Disk(), floor=512)
    d.seal()
    d.options["floor"] = 768
    d.start()
    assert d.queue.next_seq == 513


def test_foreign_and_damaged_files():
    d = Device(Disk(), floor=100)
    for _ in range(4):
        d.seal()
    files = d.disk.files
    files["q/notes.txt"] = b"hello"
    files["q/01.env"] = b"x"
    files["q/x.env"] = b"x"
    files["q/1073741823.env"] = b"far away"
    files["q/99999999999.env"] = b""
    files["q/400.env"] = files["q/100.env"]  # whole, but under another's name
    files["q/101.env"] = files["q/101.env"][:-1]
    files["q/102.env"] = files["q/102.env"][:-1] + b"?"
    files["q/new"] = b"half"
    d.options["floor"] = 356
    d.start()
    assert d.queue.next_seq == 104
    assert d.queue.waiting(9) == [100, 101, 102, 103]
    assert d.queue.read(101) is None and d.queue.read(102) is None
    assert d.queue.waiting(9) == [100, 103] and d.queue.damaged == 7
    d.disk.files["q/head"] = b"\xff" * 40
    d.disk.files["q/103.env"] = b"VQ\xff\xff" + bytes(20)
    d.start()
    assert d.queue.next_seq == 104  # its name alone says that 103 was used
    d.seal()


def test_power_cut_after_every_operation():
    # 4 seals, 2 acknowledgements out of order, 2 seals, all acknowledged, 1 seal: cut after each operation in turn,
    # and again after each operation of the recovery.
    def work(d):
        for _ in range(4):
            yield d.seal()
        for seq in (2, 1):
            d.acknowledge(seq)
        for _ in range(2):
            yield d.seal()
        for seq in (3, 4, 6, 5):
            d.acknowledge(seq)
        yield d.seal()

    for cut in range(60):
        for again in (0, 1, 2, 3, 4, 1 << 30):
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
            try:
                d.start()
            except PowerCut:
                disk.left = 1 << 30
                d.start()
            disk.left = 1 << 30
            waiting = d.queue.waiting(99)
            for seq in waiting:
                assert d.queue.read(seq) is not None
            # Returned and not acknowledged: it waits. (What was being acknowledged may be gone or not.)
            acknowledged = (2, 1, 3, 4, 6, 5)
            for envelope in returned:
                if _seq(envelope) not in acknowledged:
                    assert _seq(envelope) in waiting
            assert d.queue.next_seq == max(d.signed) + 1 if d.signed else d.queue.next_seq == 1
            newest = d.signed.get(d.queue.next_seq - 1)
            assert d.queue.prev_digest == (sha256(b"sealed:" + newest).digest() if newest else bytes(32))
            d.seal()  # d.sign refuses a second payload of one sequence
            assert d.queue.damaged == 0
