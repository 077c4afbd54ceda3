"""The link's state table: every state, every event, every deadline."""

from vigil.link import session as s
from vigil.link.backoff import Backoff

_STATES = range(len(s.STATE_NAMES))
_EVENTS = (s.START, s.DONE, s.FAILED, s.TIMEOUT, s.STOP)


def _session(**options):
    return s.Session(Backoff(bytes, **options))  # bytes(n): the jitter is always zero, the shortest wait


def _go(session, events, now_ms=0):
    for event in events:
        session.on(event, now_ms)
    return session.state


_TO_ONLINE = (s.START, s.DONE, s.DONE, s.DONE, s.DONE, s.DONE)


def test_the_way_up():
    session = _session()
    states = [session.on(event, 0) for event in _TO_ONLINE]
    assert states == [s.JOINING, s.OPENING, s.SECURING, s.GREETING, s.SUBSCRIBING, s.ONLINE]
    assert session.connects == 1


def test_every_state_but_rest_and_online_has_a_deadline():
    for state in _STATES:
        for event in _EVENTS:
            following, deadline_ms = s.step(state, event, 1000)
            assert following in _STATES
            if following != state and following not in (s.OFF, s.ONLINE, s.WAITING):
                assert 1000 < deadline_ms <= 21000


def test_every_state_can_be_reached_and_left():
    seen = {s.OFF}
    for _ in _STATES:
        seen |= {s.step(state, event, 0)[0] for state in list(seen) for event in _EVENTS}
    assert seen == set(_STATES)
    for state in _STATES:
        if state not in (s.OFF, s.ONLINE):
            assert s.step(state, s.TIMEOUT, 0)[0] != state


def test_stop_ends_in_off_within_two_steps():
    for state in _STATES:
        following, _ = s.step(state, s.STOP, 0)
        assert following == s.OFF or s.step(following, s.DONE, 0)[0] == s.OFF


def test_failure_waits_longer_each_time_and_success_forgets():
    session = _session(first_ms=1000, last_ms=8000)
    waits = []
    _go(session, (s.START,))
    for _ in range(6):
        _go(session, (s.DONE, s.FAILED))
        assert session.state == s.WAITING
        waits.append(session.remaining_ms(0))
        _go(session, (s.DONE,))
    assert waits == [500, 1000, 2000, 4000, 4000, 4000]
    _go(session, (s.DONE,) * 5)
    assert session.state == s.ONLINE
    session.on(s.FAILED, 10_000)  # long enough online
    assert session.remaining_ms(10_000) == 500


def test_a_broker_that_throws_us_out_at_once_is_no_success():
    session = _session(first_ms=1000, last_ms=8000)
    now_ms = 0
    waits = []
    session.on(s.START, now_ms)
    for _ in range(4):
        _go(session, (s.DONE,) * 5, now_ms)
        assert session.state == s.ONLINE
        session.on(s.FAILED, now_ms + 5)
        waits.append(session.remaining_ms(now_ms + 5))
        now_ms += 20_000
        session.on(s.DONE, now_ms)
    assert waits == [500, 1000, 2000, 4000]


def test_no_radio_is_power_cycled():
    session = _session()
    assert _go(session, (s.START, s.TIMEOUT)) == s.RESETTING
    assert _go(session, (s.DONE,)) == s.WAITING
    assert _go(session, (s.DONE,)) == s.JOINING


def test_remaining():
    session = _session()
    assert session.remaining_ms(0) == -1
    session.on(s.START, 100)
    assert session.remaining_ms(100) == 20_000
    assert session.remaining_ms(20_099) == 1
    assert session.remaining_ms(99_000) == 0


def test_jitter_stays_between_half_and_whole():
    for raw in (b"\x00\x00", b"\x80\x00", b"\xff\xff"):
        backoff = Backoff(lambda n, raw=raw: raw[:n], 1000, 60_000)
        for i in range(40):
            whole_ms = min(1000 << min(i, 10), 60_000)
            assert whole_ms // 2 <= backoff.next_ms() < whole_ms
        assert backoff.failures == 40
        backoff.reset()
        assert backoff.next_ms() < 1000
