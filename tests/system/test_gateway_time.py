"""What the gateway makes of time: silence, holes that stay, and dates of what was measured before the clock was set."""

import random

import pytest
from test_gateway_faults import World

from host_tools.ingest.silence import ASK, Holes, Silence
from host_tools.sources.mqtt import Message
from host_tools.trust.verify import missing, verify
from vigil.wire import batch, envelope


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.store.close()


def seal(world, seq, **changed):
    """An envelope of the device's, linked to nothing unless told."""
    fields = {"boot": 1, "prev_digest": bytes(32), "oldest_seq": 0, "t0_ms": 10_000 * seq, "readings": []}
    payload = batch.encode(seq=seq, **{**fields, **changed})
    return envelope.seal(world.sealer.signer, payload)


def handle(world, *envelopes):
    device = world.sealer.device_id
    world.gateway.handle([Message(device, e, 0, i) for i, e in enumerate(envelopes)], world.stop)


def test_a_silent_device_is_an_event_once_and_is_heard_again(world):
    start_s = world.store.last_heard_ms()[world.sealer.device_id] / 1000
    for later_s in (59, 61, 62, 300):
        world.gateway.watch(start_s + later_s)
    assert [name for name, _ in world.events] == ["silent"]
    assert world.events[0][1] == {"device": world.sealer.device_id, "seconds": 61}
    handle(world, world.sealer.seal())
    assert world.names() == ["silent", "committed", "heard_again"]
    assert [line.reason for line in world.store.audit_lines()] == ["silent", "heard again"]
    assert world.store.counts()["rejected"] == 0
    world.store.revoke(world.sealer.device_id)
    world.gateway.watch(start_s + 9999)
    assert world.names().count("silent") == 1  # nothing is expected of it


def test_silence_knows_whom_to_watch():
    silence = Silence(60)
    silence.known({"a": 0.0, "b": 30.0}, 60)
    assert silence.fallen(70) == [("a", 70)]
    silence.known({"a": 0.0, "b": 72.0, "c": 10.0}, 74)
    assert silence.fallen(75) == [("c", 65)]
    assert silence.heard(["a", "b"], 100) == [("a", 100)] and silence.heard(["a"], 101) == []
    silence.known({"b": 72.0}, 110)
    assert silence.fallen(500) == [("b", 400)] and silence.heard(["c"], 501) == []


def test_a_clock_set_back_hides_no_silence():
    """Two devices, one heard by another gateway; then somebody sets this host's clock back by a day."""
    day_s = 86_400.0
    silence, holes = Silence(60), Holes(60)
    silence.heard(["a"], day_s)
    silence.known({"a": day_s, "b": day_s}, day_s)
    holes.seen("a", [(1, 2)], day_s)
    for now_s in range(0, 60, 10):
        silence.known({"a": day_s, "b": day_s}, now_s)
        assert silence.fallen(now_s) == [] == holes.due(now_s)
    silence.known({"a": day_s, "b": 55.0}, 60)  # news, by the clock as it is now
    assert silence.fallen(60) == [("a", 60)] and holes.due(60) == [("a", 1, 2)]
    assert silence.fallen(115) == [("b", 60)]


def test_holes_are_asked_for_only_when_nothing_moves():
    holes = Holes(60)
    for second in range(0, 600, 10):  # a backlog is drained, the oldest first
        holes.seen("a", [(second, 2000)], second)
        assert holes.due(second) == []
    assert holes.due(649) == [] and holes.due(650) == [("a", 590, 590 + ASK - 1)]
    assert holes.due(700) == [] and len(holes.due(710)) == 1
    holes.seen("a", [], 720)
    assert holes.due(9999) == []


def test_a_hole_is_asked_for_and_closed_by_what_the_device_says(world):
    handle(world, seal(world, 3), seal(world, 9))
    now_s = world.store.last_heard_ms()[world.sealer.device_id] / 1000
    world.gateway.watch(now_s + 50)
    assert world.source.asked == []
    world.gateway.watch(now_s + 70)
    assert world.source.asked == [(world.sealer.device_id, (0, 2))]
    handle(world, seal(world, 10, gone=((0, 1),)), seal(world, 2))
    handle(world, seal(world, 11, gone=((4, 8),)))
    world.gateway.watch(now_s + 9999)
    assert len(world.source.asked) == 1
    with world.store.transaction() as transaction:
        state = transaction.device(world.sealer.device_id)
    assert state.gone == ((0, 1), (4, 8)) and missing(state) == []
    assert ("gap", {"device": world.sealer.device_id, "note": "gone 4..8"}) in world.events


def test_the_state_that_is_stored_is_the_state_that_was_reached(world):
    rng = random.Random(6)
    device = world.sealer.device_id
    with world.store.transaction() as transaction:
        state = transaction.device(device)
    sealed = {}
    previous = bytes(32)
    for seq in range(120):
        gone = ((seq - 9, seq - 8),) if seq > 20 and seq % 17 == 0 else ()
        sealed[seq] = seal(world, seq, prev_digest=previous, oldest_seq=max(0, seq - 30), gone=gone)
        previous = envelope.digest(sealed[seq])
    order = sorted(sealed, key=lambda seq: seq + rng.randrange(25))
    for i, seq in enumerate(order):
        if seq % 11 == 3:
            continue  # never comes
        handle(world, sealed[seq])
        outcome = verify(sealed[seq], topic_device=device, device=state)
        assert outcome.verdict == "accepted", outcome
        state = outcome.device
        if i % 5 == 0:
            with world.store.transaction() as transaction:
                stored = transaction.device(device)
            assert {**vars(stored), "gone": set(stored.gone)} == {**vars(state), "gone": set(state.gone)}


def test_what_was_measured_before_the_clock_was_set_is_dated_afterwards(world):
    utc = (1_790_000_000_000, 40)
    handle(world, seal(world, 0), seal(world, 1, boot=2, t0_ms=5_000), seal(world, 2, boot=2, t0_ms=700_000))
    later = seal(world, 5, boot=2, t0_ms=1_700_000, utc=(1_790_000_000_100, 40))
    handle(world, later)
    assert dates(world) == {
        0: None,
        1: (*_moved(utc, 100), 209),
        2: (*_moved(utc, 100), 140),
        5: (*_moved(utc, 100), 40),
    }
    handle(world, seal(world, 4, boot=2, t0_ms=1_000_000, utc=utc), seal(world, 3, boot=2, t0_ms=900_000))
    assert dates(world) == {
        0: None,  # of another boot, which never knew
        1: (utc[0], 40 + 99),
        2: (utc[0], 40 + 30),
        3: (utc[0], 40 + 10),
        4: utc,
        5: (1_790_000_000_100, 40),
    }


def _moved(utc, ms):
    return (utc[0] + ms,)


def dates(world):
    from sqlalchemy import select

    from host_tools.ingest.store import envelopes

    with world.store.engine.connect() as connection:
        rows = connection.execute(select(envelopes).order_by(envelopes.c.seq)).all()
    return {r.seq: None if r.utc_offset_ms is None else (r.utc_offset_ms, r.utc_uncertainty_ms) for r in rows}


def test_readings_come_with_their_date(world):
    handle(world, world.sealer.seal())
    assert {row.end_utc_ms for row in world.store.readings(world.sealer.device_id)} == {None}
    handle(world, seal(world, 1, utc=(1_790_000_000_000, 40), t0_ms=20_000))
    rows = world.store.readings(world.sealer.device_id)
    assert rows and all(row.end_utc_ms == row.t_end_ms + 1_790_000_000_000 for row in rows)
    assert {row.utc_uncertainty_ms for row in rows} == {42}
