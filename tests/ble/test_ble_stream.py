"""The stream from sender to receiver, and what a disturbed or hostile air does to it: named cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.ble.stream import CONFIRM_EVERY, Receiver
from vigil.link.ble_stream import FIRST, LAST, MAX_MESSAGE, Sender

A, B = bytes(range(60)), bytes(range(60, 100))


def fragments(*messages, mtu=23):
    sender = Sender()
    sender.open(mtu)
    found = []
    for message in messages:
        sender.load(0, message)
        while (fragment := sender.next()) is not None:
            found.append(bytes(fragment))
            sender.sent()
            sender.confirm(sender._sent)
    return found


def received(found):
    receiver = Receiver()
    return [whole[1] for fragment in found if (whole := receiver.take(fragment))], receiver.dropped


def moved(found, at, to):
    found = list(found)
    found.insert(to, found.pop(at))
    return found


F = fragments(A, B)  # four fragments of A, three of B
SPLIT = len(fragments(A))

ATTACKS = (  # name, what arrives, messages that come of it
    ("nothing is done", F, [A, B]),
    ("a fragment is replayed at once", [*F[:2], F[1], *F[2:]], [B]),
    ("a fragment of before is replayed later", [*F, F[1]], [A, B]),
    ("a whole message is replayed", [*F[:SPLIT], *F[:SPLIT], *F[SPLIT:]], [A, A, B]),  # the store knows it
    ("two fragments change places", moved(F, 1, 2), [B]),
    ("the first fragment comes last", moved(F[:SPLIT], 0, SPLIT - 1) + F[SPLIT:], [B]),
    ("a fragment is missing", F[:1] + F[2:], [B]),
    ("the last fragment is missing", F[: SPLIT - 1] + F[SPLIT:], [B]),
    ("the first fragment is missing", F[1:], [B]),
    ("more than was said", [F[0], bytes((1, 0)) + bytes(100), *F[SPLIT:]], [B]),
    ("less than was said", [F[0], bytes((1, LAST)) + b"x", *F[SPLIT:]], [B]),
    ("oversize is announced", [bytes((0, FIRST)) + (MAX_MESSAGE + 1).to_bytes(2, "little") + b"x", *F[SPLIT:]], [B]),
    ("nothing is announced", [bytes((0, FIRST | LAST, 0, 0)), *F[SPLIT:]], [B]),
    ("the kind changes on the way", [F[0], bytes((1, 1)) + F[1][2:], *F[2:]], [B]),
    ("a fragment without data", [F[0], b"\x01", *F[1:]], [B]),
    ("an empty notification", [b"", *F], [A, B]),
)


@pytest.mark.parametrize(("arrives", "comes"), [case[1:] for case in ATTACKS], ids=[case[0] for case in ATTACKS])
def test_attacks(arrives, comes):
    assert received(arrives)[0] == comes


@given(st.lists(st.binary(min_size=1, max_size=900), max_size=6), st.integers(23, 300))
def test_what_is_sent_is_received(messages, mtu):
    found = fragments(*messages, mtu=mtu)
    assert received(found) == (messages, 0)
    assert all(len(fragment) <= min(mtu - 3, 244) for fragment in found)


@given(st.lists(st.integers(0, len(F) - 1), max_size=30))
def test_whatever_order_never_makes_another_message(order):
    """Any mixture of true fragments gives only true messages, or mixtures that no signature will bear."""
    for message in received([F[i] for i in order])[0]:
        assert len(message) in (len(A), len(B))


@given(st.lists(st.binary(max_size=30), max_size=60))
def test_noise(noise):
    receiver = Receiver()
    for fragment in noise:
        receiver.take(fragment)
        assert len(receiver._parts or b"") <= MAX_MESSAGE


def test_confirmations():
    receiver = Receiver()
    said = [receiver.confirmation() for fragment in fragments(bytes(8000)) if not receiver.take(fragment)]
    assert [count for count in said if count] == [CONFIRM_EVERY * i for i in range(1, len(said) // CONFIRM_EVERY + 1)]
