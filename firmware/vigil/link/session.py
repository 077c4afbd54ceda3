"""The link's states as one table, sans I/O: an event in, the next state out, with a deadline on every wait.

The adapter does what the state says and reports how it ended; it decides nothing. docs/link-session.md draws the
table, made by `python -m host_tools.documents.session_diagram`.
"""

from micropython import const

OFF = const(0)  # not started, or stopped
JOINING = const(1)  # wait until the radio is on its network
OPENING = const(2)  # TCP
SECURING = const(3)  # TLS handshake, and CONNECT sent through it
GREETING = const(4)  # wait for CONNACK
SUBSCRIBING = const(5)  # wait for SUBACK
ONLINE = const(6)  # messages flow
LEAVING = const(7)  # DISCONNECT, then close
RESETTING = const(8)  # power-cycle the radio
WAITING = const(9)  # back-off

START = const(0)  # somebody wants the link
DONE = const(1)  # what the state was for has been reached
FAILED = const(2)  # it cannot be: refused, reset, malformed
TIMEOUT = const(3)  # the state's deadline has passed
STOP = const(4)  # nobody wants the link any more

STATE_NAMES = (
    "off",
    "joining",
    "opening",
    "securing",
    "greeting",
    "subscribing",
    "online",
    "leaving",
    "resetting",
    "waiting",
)
_NO = const(255)  # cannot happen: the event is ignored
# fmt: off
_TABLE = bytes((
    # START  DONE        FAILED     TIMEOUT    STOP
    JOINING, _NO,        _NO,       _NO,       OFF,      # OFF
    _NO,     OPENING,    RESETTING, RESETTING, OFF,      # JOINING
    _NO,     SECURING,   WAITING,   WAITING,   OFF,      # OPENING
    _NO,     GREETING,   WAITING,   WAITING,   OFF,      # SECURING
    _NO,     SUBSCRIBING, WAITING,  WAITING,   OFF,      # GREETING
    _NO,     ONLINE,     WAITING,   WAITING,   LEAVING,  # SUBSCRIBING
    _NO,     _NO,        WAITING,   WAITING,   LEAVING,  # ONLINE
    _NO,     OFF,        OFF,       OFF,       _NO,      # LEAVING
    _NO,     WAITING,    WAITING,   WAITING,   OFF,      # RESETTING
    _NO,     JOINING,    JOINING,   JOINING,   OFF,      # WAITING
))
# fmt: on
_EVENTS = const(5)

# Longest stay in a state, in units of 100 ms; 0: no deadline of its own (OFF rests, ONLINE is watched by keep-alive,
# WAITING ends when the back-off says).
_LIMITS = bytes((0, 200, 100, 200, 100, 100, 0, 20, 50, 0))
_STABLE_MS = const(10_000)  # online for so long counts as a success


def step(state: int, event: int, now_ms: int):
    """Return (next state, its deadline in ms or None). An event without meaning in `state` returns it unchanged."""
    following = _TABLE[state * _EVENTS + event]
    if following == _NO:
        return state, None
    limit = _LIMITS[following]
    return following, now_ms + limit * 100 if limit else None


class Session:
    """One link: the present state, its deadline and the back-off between attempts."""

    def __init__(self, backoff):
        self.state = OFF
        self.deadline_ms = None
        self.connects = 0  # times ONLINE was reached
        self._backoff = backoff
        self._since_ms = 0  # entry into the present state

    def on(self, event: int, now_ms: int) -> int:
        """Take one event; return the state, whose work the adapter does next."""
        before = self.state
        state, deadline_ms = step(before, event, now_ms)
        if state == before:
            return state
        if before == ONLINE and now_ms - self._since_ms >= _STABLE_MS:
            self._backoff.reset()
        if state == WAITING:
            deadline_ms = now_ms + self._backoff.next_ms()
        elif state == ONLINE:
            self.connects += 1
        self.state = state
        self.deadline_ms = deadline_ms
        self._since_ms = now_ms
        return state

    def remaining_ms(self, now_ms: int) -> int:
        """Milliseconds until the present state's deadline, 0 when it has passed, -1 where there is none."""
        if self.deadline_ms is None:
            return -1
        return max(0, self.deadline_ms - now_ms)
