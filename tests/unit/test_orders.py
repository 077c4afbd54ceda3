"""Orders: every rule that one may break, by name; what is taken is done once, and within its bounds."""

from test_ota import OURS, THEIRS, signed
from test_update_task import Waiting, ended

from vigil.app import orders, steps
from vigil.app.orders import Orders
from vigil.core.errors import LinkError
from vigil.ota import release
from vigil.wire import cbor
from vigil.wire.signed import BAD_SIGNATURE, MALFORMED

ME, ANOTHER = "00112233445566aa", "00112233445566bb"
NOW_S = 220_000_000  # since 2020


class Board:
    """Clock, keystore, utc, client and strips in one: what Orders asks of a monitor."""

    def __init__(self, knows_time=True, off=False):
        self.board = self.clock = self.keystore = self.utc = self.client = self.strips = self.updates = self
        self.topic = b"v1/x/u"
        self.kept = {"command.key": OURS.public_key}
        self.knows_time, self.off = knows_time, off
        self.free = 4
        self.failures = 0
        self.said, self.streams = [], []

    def ms(self):
        return 5_000

    def get(self, name):
        return self.kept.get(name)

    def set(self, name, value):
        self.kept[name] = value

    def at(self, now_ms):
        return (1_577_836_800_000 + 1000 * NOW_S - now_ms, 20) if self.knows_time else None

    def stream(self, to_ms):
        self.streams.append(to_ms)

    async def publish(self, topic, payload):
        if self.failures:
            self.failures -= 1
            raise LinkError("down")
        self.said.append(cbor.decode(payload))


def order(device=ME, number=NOW_S, what=orders.STREAM, argument=60, signer=OURS, protected=orders.PROTECTED):
    return signed(cbor.encode([1, device, number, what, argument]), signer, protected)


def given(board, *messages):
    """Give these one after the other; return why each was refused, 0 where it was not."""

    before = orders.asyncio, steps.asyncio
    obeying = Orders(board, ME)
    orders.asyncio = steps.asyncio = Waiting()
    try:
        for message in messages:
            message = b"\x83\x01\x04" + cbor.encode(message)
            assert obeying.take(message)
            ended(obeying.answer(message))
    finally:
        orders.asyncio, steps.asyncio = before
    assert all(said[:2] == [1, 3] and said[4] == 0 for said in board.said)
    board.last = obeying.status({}).get(27)
    return [said[3] for said in board.said]


def test_an_order_is_taken_once_and_the_next_one_ends_it():
    board = Board()
    board.failures = 1
    start, stop = order(), order(number=NOW_S + 1, argument=0)
    assert given(board, start, start, stop, start, stop) == [0, orders.REPLAYED, 0, orders.REPLAYED, orders.REPLAYED]
    assert board.streams == [65_000, 0] and board.last == NOW_S + 1
    assert given(board, stop)[-1] == orders.REPLAYED  # after a restart, too


def test_every_refusal_has_its_name_and_does_nothing():
    good = order()
    for name, message, board, why in (
        ("nothing", b"", Board(), MALFORMED),
        ("truncated", good[:-1], Board(), MALFORMED),
        ("not bytes", 7, Board(), MALFORMED),
        ("a release's manifest", order(protected=release.PROTECTED), Board(), MALFORMED),
        ("an envelope of readings", order(protected=b"\xa2\x01\x27\x04\x48" + bytes(8)), Board(), MALFORMED),
        ("forged", order(signer=THEIRS), Board(), BAD_SIGNATURE),
        ("changed", good.replace(ME.encode(), ANOTHER.encode()), Board(), BAD_SIGNATURE),
        ("another's", order(device=ANOTHER), Board(), orders.OTHER_DEVICE),
        ("number 0", order(number=0), Board(), MALFORMED),
        ("negative", order(argument=-1), Board(), MALFORMED),
        ("a number too large for the keystore", order(number=10**9), Board(), MALFORMED),
        ("late", order(number=NOW_S - 901), Board(), orders.EXPIRED),
        ("of something else", order(what=2), Board(), orders.UNKNOWN),
        ("for ever", order(argument=3601), Board(), orders.UNKNOWN),
        ("with an empty battery", good, Board(off=True), orders.LOW_BATTERY),
    ):
        assert given(board, message) == [why], name
        assert board.streams == [] and board.last is None, name
    unpinned = Board()
    del unpinned.kept["command.key"]
    assert given(unpinned, good) == [BAD_SIGNATURE]


def test_a_device_that_does_not_know_the_time_believes_the_number_alone():
    board = Board(knows_time=False)
    assert given(board, order(number=5), order(number=5)) == [0, orders.REPLAYED]


def test_what_is_no_order_is_left_to_others():
    obeying = Orders(Board(), ME)
    for payload in (b"", b"\x83", cbor.encode([1, 2, b"offer"]), cbor.encode([1, 1, 3, 4])):
        assert not obeying.take(payload)
