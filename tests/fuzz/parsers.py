"""Parsers of the firmware as fuzzing targets, on CPython and MicroPython: run(name, data) -> accepted or refused.

What a parser must raise for bad bytes is part of its target; anything else is a failure, and so is a wrong answer.
"""

from binascii import crc32
from hashlib import sha256

from vigil.app.orders import read
from vigil.core.errors import LinkError, StoreError, TrustError
from vigil.link.mqtt import Mqtt
from vigil.ota.release import Release
from vigil.store.journal import EVENT, VITALS, Journal
from vigil.wire import ack, cbor, request, update

_MAX_PACKET = 256


def _cbor(data):
    value = cbor.decode(data)
    assert cbor.encode(value) == data, "read, and written otherwise"


def _ack(data):
    utc_ms, items = ack.decode(data)
    assert ack.encode(items, utc_ms) == data


def _request(data):
    assert request.encode(*request.decode(data)) == data


def _update(data):
    assert len(update.decode(data)) in (1, 3)


def _order(data):
    device, number, what, argument = read(data)
    assert cbor.encode([1, device, number, what, argument]) == data and number > 0


def _release(data):
    release = Release(data)
    assert release.number > 0 and len(release.digest) == 32


def _mqtt(data):
    """The first byte says whether it is connected, the checksum in which pieces it comes."""
    mqtt = Mqtt(_MAX_PACKET)
    stream = memoryview(data)[1:]
    if data[:1] != b"\0":
        mqtt.receive(b"\x20\x02\x00\x00")
        mqtt.subscribe(b"t")
        mqtt.publish(b"t", b"x")
    cuts = crc32(data)
    at = 0
    while at < len(stream):
        n = 1 + (cuts & 63)
        cuts = cuts >> 3 | (cuts & 7) << 29
        for event in mqtt.receive(stream[at : at + n]):
            assert type(event) is tuple
        assert len(mqtt._body) <= _MAX_PACKET, "kept too much"
        at += n


class _File:
    def __init__(self, disk, name, mode):
        if mode == "wb" or (mode == "ab" and name not in disk.files):
            disk.files[name] = b""
        if name not in disk.files:
            raise OSError(2)
        self._disk, self._name, self._at = disk, name, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def seek(self, at):
        self._at = at

    def read(self, n):
        data = self._disk.files[self._name][self._at : self._at + n]
        self._at += len(data)
        return data

    def write(self, data):
        self._disk.files[self._name] += bytes(data)


class Disk:
    """The functions of os on a dictionary, and open."""

    def __init__(self):
        self.files = {}

    def open(self, name, mode):
        return _File(self, name, mode)

    def listdir(self, path):
        return [name.split("/")[-1] for name in self.files]

    def mkdir(self, path):
        pass

    def stat(self, name):
        if name not in self.files:
            raise OSError(2)
        return (0,) * 6 + (len(self.files[name]),)

    def remove(self, name):
        if self.files.pop(name, None) is None:
            raise OSError(2)

    def rename(self, old, new):
        self.files[new] = self.files.pop(old)


def _seal(payload, signature):
    return b"sealed:" + payload + (signature or sha256(payload).digest() * 2)


def unpack(data):
    """Return the files of a journal's input: name, content, ... each with its length before it, in two bytes."""
    files, at, parts = {}, 0, []
    while at + 2 <= len(data):
        n = data[at] << 8 | data[at + 1]
        parts.append(data[at + 2 : at + 2 + n])
        at += 2 + n
    for i in range(0, len(parts) - 1, 2):
        files["/j/" + "".join(chr(c & 127) for c in parts[i])] = parts[i + 1]
    return files


def journal_on(disk):
    """Open a small journal on a disk."""
    return Journal("/j", disk, _seal, capacity=12 * 4096, floor=7, open=disk.open)


def _journal(data):
    """Whatever lies in flash: it opens, reads what it says that it holds, goes on, and keeps what it is given."""
    disk = Disk()
    disk.files = unpack(data)
    j = journal_on(disk)
    waiting = j.waiting(1000)
    assert len(j) == len(waiting) and waiting == sorted(waiting), "count"
    for seq in waiting[:4] + waiting[-2:]:
        j.read(seq)
    j.offer(1, 40)
    seq = j.next_seq
    assert not waiting or seq > waiting[-1], "sequence"
    payload = b"%d|" % seq + j.prev_digest
    j.append(payload, EVENT if seq & 1 else VITALS)
    if waiting and j.holds(waiting[0]):
        j.acknowledge(waiting[0], sha256(j.read(waiting[0]) or b"").digest())
    again = journal_on(disk)
    assert again.next_seq == seq + 1, "sequence after a restart"
    assert again.read(seq) == _seal(payload, None), "lost"
    return bool(waiting)


# Name: the function, and what it may raise.
TARGETS = {
    "cbor": (_cbor, ValueError),
    "ack": (_ack, ValueError),
    "request": (_request, ValueError),
    "update": (_update, ValueError),
    "release": (_release, (ValueError, TypeError)),  # vigil.ota.release.opening takes both for malformed
    "order": (_order, TrustError),
    "mqtt": (_mqtt, LinkError),
    "journal": (_journal, StoreError),
}


def run(name, data):
    """Tell whether `data` was accepted. Raises whatever a parser must not raise."""
    function, refusal = TARGETS[name]
    try:
        return function(data) is not False
    except refusal:
        return False
