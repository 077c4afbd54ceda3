"""Rhythm from RR intervals: made-up series whose rhythm is certain."""

from vigil.estimators.rhythm import AF, OTHER, SINUS, UNKNOWN, Rhythm


class _Dice:
    """A small linear congruential generator: the same numbers on every interpreter."""

    def __init__(self, seed):
        self.state = seed

    def between(self, low, high):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return low + (self.state >> 8) % (high - low + 1)


def _label(intervals):
    rhythm = Rhythm()
    code = UNKNOWN
    for rr in intervals:
        code = rhythm.push(rr)
    return code


def test_too_few_beats_are_unknown():
    assert _label([800] * 10) == UNKNOWN


def test_steady_and_slowly_changing_rates_are_sinus():
    dice = _Dice(1)
    assert _label([800 + dice.between(-10, 10) for _ in range(200)]) == SINUS
    assert _label([700 + 10 * abs(i % 40 - 20) for i in range(200)]) == SINUS


def test_random_intervals_are_af():
    dice = _Dice(2)
    assert _label([dice.between(400, 1000) for _ in range(200)]) == AF


def test_patterns_that_repeat_are_not_af():
    assert _label([500, 1100] * 100) == OTHER
    assert _label([800, 800, 500, 1100] * 50) == OTHER


def test_a_few_ectopic_beats_leave_the_rhythm_sinus():
    assert _label(([800] * 30 + [500, 1100]) * 6) == SINUS


def test_af_begins_and_ends():
    dice = _Dice(3)
    rhythm = Rhythm()
    codes = [rhythm.push(rr) for rr in [800] * 100 + [dice.between(400, 1000) for _ in range(150)] + [800] * 150]
    assert codes[99] == SINUS and codes[249] == AF and codes[-1] == SINUS


def test_intervals_no_heart_makes_are_unknown():
    dice = _Dice(4)
    assert _label([dice.between(0, 6000) for _ in range(200)]) == UNKNOWN
