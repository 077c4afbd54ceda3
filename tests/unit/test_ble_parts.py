"""Bonds, the stream's sender and what the standard services say: the parts of the peripheral that need no radio."""

from vigil.core.errors import StoreError
from vigil.core.records import (
    BEAT_PER_MIN,
    CONTACT,
    CONTACT_LOOSE,
    CONTACT_OFF,
    CONTACT_ON,
    DIMLESS,
    ECG,
    HEART_RATE,
    LOW_PERFUSION,
    NO_CONTACT,
    PERCENT,
    PERFUSION_INDEX,
    PPG,
    PRESENT,
    PULSE_RATE,
    SETTLING_IN,
    SPO2,
    Beat,
    Reading,
)
from vigil.link import ble_stream
from vigil.link.ble_vitals import Vitals
from vigil.store.bonds import Bonds


class Flash:
    """Files in memory. full: writing fails. cut: the power goes after so many bytes of the next file."""

    def __init__(self):
        self.files = {}
        self.full = False
        self.cut = -1

    def open(self, name, mode):
        if mode == "rb" and name not in self.files:
            raise OSError(2, "absent")
        if mode == "wb":
            if self.full:
                raise OSError(28, "full")
            self.files[name] = b""
        return File(self, name)

    def rename(self, old, new):
        self.files[new] = self.files.pop(old)


class File:
    def __init__(self, flash, name):
        self.flash = flash
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self):
        return self.flash.files[self.name]

    def write(self, data):
        cut = self.flash.cut
        self.flash.files[self.name] += data if cut < 0 else data[:cut]
        if cut >= 0:
            raise KeyboardInterrupt  # the power is gone


def bonds(flash):
    return Bonds("b", flash, flash.open)


def pair(store, peer, value=b"keys"):
    for kind in (1, 2):
        assert store.set(kind, peer, value + peer)


def test_bonds_are_kept_and_the_oldest_goes():
    flash = Flash()
    store = bonds(flash)
    assert store.set(10, b"irk", b"i" * 16) and len(store) == 0
    store.accepts = True
    peers = [bytes([1, i] * 3) for i in range(5)]
    for peer in peers:
        pair(store, peer)
    store.save()
    store = bonds(flash)
    assert len(store) == 4 and not store.damaged and not store.dirty
    assert store.get(2, 0, peers[0]) is None and store.get(1, 0, peers[0]) is None
    assert [store.get(2, i, None) for i in range(5)] == [b"keys" + p for p in peers[1:]] + [None]
    assert store.get(10, 0, b"irk") == b"i" * 16
    store.forget_all()
    assert len(store) == 0 and store.get(10, 0, b"irk") is None


def test_bonds_change_only_while_they_may():
    store = bonds(Flash())
    store.accepts = True
    pair(store, b"friend")
    store.accepts = False
    assert not store.set(2, b"mallory", b"x")
    assert store.set(2, b"friend", None) and store.get(2, 0, b"friend") is None  # so the stack believes
    assert not store.set(2, b"friend", b"x") and store.get(2, 0, None) is None
    store.unhide()
    assert store.get(2, 0, b"friend") == b"keysfriend"
    store.accepts = True
    assert store.set(2, b"friend", None) and store.get(2, 0, b"friend") is None
    store.unhide()
    assert store.get(2, 0, b"friend") is None


def test_bonds_survive_a_cut_anywhere_and_tell_damage():
    flash = Flash()
    store = bonds(flash)
    store.accepts = True
    pair(store, b"friend")
    store.save()
    whole = flash.files["b"]
    pair(store, b"other")
    for cut in range(len(whole)):
        flash.cut = cut
        try:  # noqa: SIM105  MicroPython has no contextlib
            store.save()
        except KeyboardInterrupt:
            pass
        again = bonds(flash)
        assert len(again) == 1 and not again.damaged
    flash.cut = -1
    flash.full = True
    try:
        store.save()
        raise AssertionError
    except StoreError:
        assert flash.files["b"] == whole and store.dirty
    for at in range(len(whole)):
        flash.files = {"b": whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :]}
        again = bonds(flash)
        assert again.damaged and len(again) == 0 and flash.files["b.bad"]


def fragments(sender):
    found = []
    while True:
        fragment = sender.next()
        if fragment is None:
            return found
        found.append(bytes(fragment))
        sender.sent()


def test_sender():
    sender = ble_stream.Sender()
    message = bytes([i % 251 for i in range(100)])
    sender.load(ble_stream.ENVELOPE, message)
    found = fragments(sender)
    assert sender.done and [len(f) for f in found] == [20, 20, 20, 20, 20, 14]  # heads: 2 each, and a length
    assert found[0][:4] == bytes((0, 0x80, 100, 0)) and found[-1][:2] == bytes((5, 0x40))
    assert found[0][4:] + b"".join([f[2:] for f in found[1:]]) == message
    sender.open(247)
    sender.load(ble_stream.UPDATE, b"x")
    assert fragments(sender) == [bytes((0, 0xC1, 1, 0)) + b"x"]
    for bad in (b"", bytes(8193)):
        try:
            sender.load(0, bad)
            raise AssertionError
        except ValueError:
            pass


def test_sender_waits_for_the_receiver():
    sender = ble_stream.Sender()
    sender.load(0, bytes(2000))
    assert len(fragments(sender)) == ble_stream.WINDOW and sender.blocked
    assert not sender.confirm(ble_stream.WINDOW + 1)  # of what was never sent
    assert sender.blocked
    assert sender.confirm(16) and len(fragments(sender)) == 16
    assert not sender.confirm(15)  # an old one
    for _ in range(5000):  # over the wrap at 65536
        assert sender.confirm(sender._sent)
        sender.load(0, bytes(300))
        assert len(fragments(sender)) == 17
    assert sender._sent < 65536


def reading(kind, mantissa, exp10=0, reason=PRESENT, quality=90):
    unit = {HEART_RATE: BEAT_PER_MIN, PULSE_RATE: BEAT_PER_MIN, CONTACT: DIMLESS}.get(kind, PERCENT)
    return Reading(kind, mantissa, exp10, unit, quality, 0, 2000, reason)


def said(*readings):
    vitals = Vitals()
    vitals.take(list(readings), 0)
    return vitals


def test_heart_rate_service():
    assert said().heart_rate() == b"\x00\x00"
    assert said(reading(HEART_RATE, 725, -1)).heart_rate() == b"\x06\x49"  # 72.5 rounds up
    assert said(reading(HEART_RATE, 725, -1, NO_CONTACT), reading(PULSE_RATE, 71)).heart_rate() == b"\x00\x47"
    off = said(reading(CONTACT, CONTACT_OFF), reading(PULSE_RATE, None, 0, NO_CONTACT))
    assert off.new_heart and off.heart_rate() == b"\x04\x00" and not off.new_heart
    loose = said(reading(CONTACT, CONTACT_LOOSE), reading(PULSE_RATE, 60))
    assert loose.heart_rate() == b"\x06\x3c"


def test_rr_intervals():
    vitals = said(reading(HEART_RATE, 60))
    for index, source in ((0, ECG), (250, ECG), (300, PPG), (475, ECG), (2000, ECG), (2125, ECG)):
        vitals.beat(Beat(source, 0, index, 128))
    assert vitals.heart_rate() == b"\x16\x3c" + b"\x00\x04" + b"\x9a\x03" + b"\x00\x02"  # 1 s, 0.9 s, a hole, 0.5 s
    assert vitals.heart_rate() == b"\x06\x3c"
    for index in range(0, 12 * 250, 250):
        vitals.beat(Beat(ECG, 0, 10_000 + index))
    assert len(vitals.heart_rate()) == 2 + 2 * 9


def test_oximeter_service():
    full = said(
        reading(CONTACT, CONTACT_ON),
        reading(SPO2, 974, -1),
        reading(PULSE_RATE, 721, -1),
        reading(PERFUSION_INDEX, 1834, -3),
    )
    assert full.plx() == b"\x1c" + b"\xce\xf3" + b"\xd1\xf2" + b"\x20\x01" + bytes(3) + b"\x2a\xd7"
    assert said().plx() == b"\x0c\xff\x07\xff\x07\x00\x20\x00\x02\x00"
    weak = said(reading(SPO2, 900, -1, LOW_PERFUSION), reading(CONTACT, CONTACT_LOOSE))
    assert weak.plx() == b"\x0c\xff\x07\xff\x07\x00\x20\x20\x20\x00"
    assert said(reading(SPO2, None, 0, SETTLING_IN)).plx() == b"\x0c\xff\x07\xff\x07\x40\x20\x00\x02\x00"
    assert said(reading(SPO2, 97, 0, PRESENT, 30)).status() == (0x4020, 0)
    assert full.features() == bytes((0xCB, 0, 0x60, 0x61, 0xF4, 0xAE, 0))
    sure = Vitals()
    for _ in range(5):
        assert sure.spots == 0
        sure.take([reading(SPO2, 97)], 0)
    assert sure.spots == 1 and sure.spot(None)[:3] == b"\x16\x61\x00"


def test_fragments_put_together():
    """What disturbs them is in tests/ble/test_ble_stream.py; here the same code on this engine."""
    sender, receiver = ble_stream.Sender(), ble_stream.Receiver(300)
    sender.open(64)
    got = []
    for n in (1, 58, 59, 300, 301):
        sender.load(ble_stream.COMMAND, bytes([n & 255]) * n)
        while not sender.done:
            whole = receiver.take(bytes(sender.next()))
            sender.sent()
            got += [whole] if whole else []
    assert [(kind, len(message), message[0]) for kind, message in got] == [
        (ble_stream.COMMAND, n, n & 255) for n in (1, 58, 59, 300)
    ]
    assert receiver.dropped == 1  # one that is longer than it takes
