"""Is a beat normal or a ventricular ectopic one? By the kinds of shapes (dsp.beat_shape) that this wearer's beats have.

Up to 6 kinds. A beat joins the kind that it is most like, at the best of the inner 5 places, when the likeness is
220/256 or more and its norm 1/2 to 2 of the kind's; else it starts a kind: a free one, or in place of the one with the
least 5/4 weight (floor) + number of the beat that joined it last, never of the normal one. Each member moves the kind
by 1/n, n its members but at most 8, and so its mean earliness (1/256, floor). Earliness: the interval before the beat
by the upper median of the 8 before it (floor, at most 1023; 256 where there is none). A beat that is not early (223 or
more) adds 16 to its kind's weight; every 64 beats weights lose an eighth (floor). The heaviest kind, the first of
equals, is the normal one: so bundle branch blocks and paced beats are normal, and so is the sinus beat of a bigeminus.

Ventricular: of another kind than the normal one; its likeness to that, at the best of 7 places, below 246/256; odd
(likeness below 128/256, or one of the widths more than 11/10 of the normal's); and one of
- early: the kind's mean earliness is below 232 and the beat's own below 282;
- opposite: a likeness below -77/256, and a norm above half of the normal's;
- wide: the product of both widths by the normal's (floors, 1/256) above 2.
Unknown: the first 8 beats; a quality below 50 %, and such a beat teaches nothing; a beat found more than 4 s late; one
of another kind, odd and not ventricular, unless that kind has 8 members. All others: normal.
"""

from array import array

from micropython import const

from vigil.dsp.beat_shape import (
    PLACES,
    POINTS,
    RING,
    WINDOW,
    blend,
    cut,
    halve,
    likeness,
    norm_q4,
    template,
    widths,
)
from vigil.dsp.ecg import nth_smallest
from vigil.estimators.atrial import AtrialWave

NORMAL = const(0)
VENTRICULAR = const(1)
UNKNOWN = const(2)

_KINDS = const(6)
_MIDDLE = const(3)
_JOIN_Q8 = const(220)
_SLOW = const(8)
_FADE = const(63)
_EARLY_Q8 = const(223)
_DOUBTFUL_PCT = const(50)
_FIRST = const(8)
_SAME_Q8 = const(246)
_ODD_Q8 = const(128)
_KIND_EARLY_Q8 = const(232)
_LATE_Q8 = const(282)
_OPPOSITE_Q8 = const(-77)


class BeatClass:
    """push() every sample, classify() each beat in order. 2.1 KB of state; allocates nothing in steady state.

    atrial: what comes before the beats (estimators.atrial).
    """

    def __init__(self):
        self._ring = array("h", bytes(2 * RING))
        self._state = array("i", bytes(8))
        self._window = array("h", bytes(2 * WINDOW))
        self._sums = array("h", bytes(2 * _KINDS * POINTS))
        self._templates = array("b", bytes(_KINDS * POINTS))
        self._norms = array("i", bytes(4 * _KINDS))
        self._early = array("h", bytes(2 * _KINDS))
        self._count = bytearray(_KINDS)
        self._weight = array("h", bytes(2 * _KINDS))
        self._used = array("i", bytes(4 * _KINDS))
        self._rr = array("i", bytes(4 * 8))
        self._place_norms = array("i", bytes(4 * PLACES))
        self._widths = array("i", bytes(8))
        self._seen = 0
        self._normal = 0
        self.atrial = AtrialWave()
        self.reset()

    def reset(self):
        """The lead was interrupted: forget its samples and intervals, not the kinds; the next sample is number 0."""
        self._state[0] = 0
        self._rr_n = 0
        self.atrial.reset()

    def push(self, data, n):
        """Take n samples of data (array "h", microvolts at 250 Hz)."""
        halve(data, n, self._ring, self._state)

    def classify(self, at, rr_n, quality_pct):
        """Class of the beat at sample `at` since the reset; rr_n: samples since the beat before, 0 where unknown."""
        early_q8 = self._earliness(rr_n)
        at >>= 1
        if quality_pct < _DOUBTFUL_PCT or (self._state[0] >> 1) - at > RING - 16:
            return UNKNOWN
        v = self._window
        cut(self._ring, at, v)
        for place in range(PLACES):
            self._place_norms[place] = norm_q4(v, place, 0)
        k = self._join(early_q8)
        self._used[k] = self._seen
        self._seen += 1
        weight = self._weight
        if not self._seen & _FADE:
            for i in range(_KINDS):
                weight[i] -= weight[i] >> 3
        if early_q8 >= _EARLY_Q8:
            weight[k] += 16  # at most 1024 in 64 beats, of which an eighth goes: within 2**13
        for i in range(_KINDS):
            if weight[i] > weight[self._normal] or (weight[i] == weight[self._normal] and i < self._normal):
                self._normal = i
        code = self._decide(k, early_q8)
        if code != VENTRICULAR:
            self.atrial.add(self._ring, at)
        return code

    def _earliness(self, rr_n):
        rr = self._rr
        n = min(self._rr_n, 8)
        if not rr_n:
            return 256
        rr_n = min(rr_n, 1 << 20)
        early_q8 = min(1023, (rr_n << 8) // nth_smallest(rr, n, n >> 1)) if n else 256
        rr[self._rr_n & 7] = rr_n
        self._rr_n += 1
        return early_q8

    def _likeness(self, place, k):
        return likeness(self._window, place, self._place_norms[place], self._templates, POINTS * k)

    def _join(self, early_q8):
        """Let the beat in the window join the kind that it is most like, or start one; return the kind."""
        count = self._count
        most = -1024
        k = place = 0
        for i in range(_KINDS):
            if count[i]:
                for p in range(1, PLACES - 1):
                    alike = self._likeness(p, i)
                    if alike > most:
                        most = alike
                        k = i
                        place = p
        amp_q8 = (self._place_norms[place] << 8) // max(1, self._norms[k])  # a norm is within 2**18
        first = POINTS * k
        if most < _JOIN_Q8 or not 128 <= amp_q8 <= 512:
            k = self._replaced()
            first = POINTS * k
            place = _MIDDLE
            count[k] = self._weight[k] = 0
            self._early[k] = early_q8
            for i in range(first, first + POINTS):
                self._sums[i] = 0
        count[k] = min(count[k] + 1, 255)
        part = min(count[k], _SLOW)
        self._early[k] += (early_q8 - self._early[k]) // part
        blend(self._sums, self._window, first, place, part)
        self._norms[k] = norm_q4(self._sums, first, 4)
        template(self._sums, self._templates, first, self._norms[k])
        return k

    def _replaced(self):
        least = 1 << 29
        k = 0
        for i in range(_KINDS):
            if not self._count[i]:
                return i
            keep = (self._weight[i] * 5 >> 2) + self._used[i]
            if i != self._normal and keep < least:
                least = keep
                k = i
        return k

    def _decide(self, k, early_q8):
        n = self._normal
        alike = -1024
        for place in range(PLACES):
            alike = max(alike, self._likeness(place, n))
        if self._seen < _FIRST:
            return UNKNOWN
        if k == n or alike >= _SAME_Q8:
            return NORMAL
        w = self._widths
        widths(self._window, _MIDDLE, 0, w)
        a = w[0]
        b = w[1]
        widths(self._sums, POINTS * n, 4, w)
        if alike >= _ODD_Q8 and 10 * a <= 11 * w[0] and 10 * b <= 11 * w[1]:
            return NORMAL
        early = self._early[k] < _KIND_EARLY_Q8 and early_q8 < _LATE_Q8
        opposite = alike < _OPPOSITE_Q8 and self._place_norms[_MIDDLE] << 1 > self._norms[n]
        # Widths are at most 27 * 256, at least 256 (the area) or 256 * 27 / 26: each ratio is within 27 * 256.
        if early or opposite or ((a << 8) // max(1, w[0])) * ((b << 8) // max(1, w[1])) > 2 << 16:
            return VENTRICULAR
        return NORMAL if self._count[k] >= _FIRST else UNKNOWN
