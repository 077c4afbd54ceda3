"""Rhythm from RR intervals: made-up series whose rhythm is certain."""

from vigil.estimators.rhythm import AF, OTHER, SINUS, UNKNOWN, Rhythm


class _Dice:
    """A small linear congruential generator: the same numbers on every interpreter."""

    def __init__(self, seed):
        self.state = seed

    def between(self, low, high):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return low + (self.state >> 8) % (high - low + 1)


def _codes(intervals):
    rhythm = Rhythm()
    return [rhythm.push(rr) for rr in intervals]


def _label(intervals):
    return _codes(intervals)[-1]


def _jitter(pattern, times, by_ms, seed=1):
    dice = _Dice(seed)
    return [rr + dice.between(-by_ms, by_ms) for rr in pattern * times]


def test_too_few_beats_are_unknown():
    assert set(_codes([800] * 11)) == {UNKNOWN}
    assert _label([800] * 12) == SINUS


def test_steady_rates_are_sinus():
    for rr in (300, 500, 800, 1200, 2000):
        assert _label(_jitter([rr], 200, 10)) == SINUS


def test_sinus_arrhythmia_is_not_af():
    for length in (8, 14, 40):  # beats a breath
        wave = [700 + 200 * abs(i - length // 2) // (length // 2) for i in range(length)]
        # Until a few breaths were seen, a deep one looks like AF.
        assert AF not in _codes(_jitter(wave, 400 // length, 15))[48:], length
    assert _label([700 + 10 * abs(i % 40 - 20) for i in range(200)]) == SINUS


def test_random_intervals_are_af_at_any_rate():
    for low, high in ((300, 650), (400, 1000), (700, 1700)):
        dice = _Dice(2)
        codes = _codes([dice.between(low, high) for _ in range(300)])
        assert set(codes[40:]) == {AF}, (low, high)


def test_a_short_strip_is_enough():
    dice = _Dice(5)
    assert _label([dice.between(450, 950) for _ in range(24)]) == AF


def test_patterns_that_repeat_are_other():
    for pattern in (
        [500, 1100],  # bigeminy
        [800, 500, 1100],  # trigeminy
        [800, 800, 500, 1100],  # quadrigeminy
        [800, 800, 800, 800, 500, 1100],
        [500, 500, 1000],  # flutter conducted 2:1, 2:1, 4:1
        [500, 750],  # flutter conducted 2:1, 3:1
    ):
        codes = _codes(_jitter(pattern, 300 // len(pattern), 12))
        assert AF not in codes, pattern
        assert codes[-1] == OTHER, pattern


def test_single_ectopic_beats_leave_the_rhythm_sinus():
    assert _label(([800] * 30 + [500, 1100]) * 6) == SINUS
    dice = _Dice(6)
    series = []
    while len(series) < 300:  # now and then, at no regular distance
        series += _jitter([800], dice.between(8, 25), 12, seed=len(series))
        series += [dice.between(450, 550), dice.between(1050, 1150)]
    assert AF not in _codes(series)


def test_af_begins_and_ends():
    dice = _Dice(3)
    steady = _jitter([800], 150, 10)
    codes = _codes(steady + [dice.between(400, 1000) for _ in range(250)] + steady)
    assert codes[149] == SINUS and codes[399] == AF and codes[-1] != AF
    assert 30 < codes.index(AF) - 150 < 110


def test_intervals_no_heart_makes_are_unknown():
    dice = _Dice(4)
    assert _label([dice.between(0, 6000) for _ in range(200)]) == UNKNOWN
    assert _label(([800] * 3 + [0]) * 40) == UNKNOWN


def test_missed_and_made_up_beats_are_not_af():
    dice = _Dice(7)
    series = []
    for rr in _jitter([800], 250, 10):
        die = dice.between(0, 11)
        first = dice.between(250, 550)
        series += [2 * rr] if die == 0 else [first, rr - first] if die == 1 else [rr]
    assert AF not in _codes(series)


def test_pauses_leave_the_rhythm():
    assert _label(([1000] * 40 + [2600]) * 5) == SINUS


def test_reset_forgets():
    dice = _Dice(8)
    rhythm = Rhythm()
    for _ in range(150):
        rhythm.push(dice.between(400, 1000))
    rhythm.reset()
    assert rhythm.seen == 0
    series = _jitter([500, 1100], 40, 10)
    assert [rhythm.push(rr) for rr in series] == _codes(series)
