"""Beat classes of made-up leads, and ventricular beats an hour."""

from array import array

from vigil.core.records import POOR_SIGNAL, PRESENT, SETTLING_IN, VENTRICULAR_RATE
from vigil.estimators.beat_class import NORMAL, UNKNOWN, VENTRICULAR, BeatClass
from vigil.estimators.ectopy import Ectopy

_NARROW = [0, -30, 120, 600, 1000, 500, -200, -80, 0]  # each 16 ms
_WIDE = [0, -100, -250, -500, -800, -1000, -900, -650, -400, -250, -120, -50, 0]


def _lead(beats):
    """Samples and R peaks of (interval in samples, shape, sign) in turn."""
    at = []
    i = 0
    for rr, _, _ in beats:
        i += rr
        at.append(i)
    x = array("h", bytes(2 * (i + 200)))
    for k, (_, shape, sign) in enumerate(beats):
        i = at[k]
        peak = max(range(len(shape)), key=lambda n, shape=shape: abs(shape[n]))
        for n in range(4 * len(shape) - 4):
            x[i - 4 * peak + n] += sign * (shape[n >> 2] * (4 - (n & 3)) + shape[(n >> 2) + 1] * (n & 3)) >> 2
    return x, at


def _codes(beats, quality_pct=90, block=25, classes=None):
    x, at = _lead(beats)
    classes = classes or BeatClass()
    classes.reset()
    codes = []
    i = 0
    for k in range(len(at)):
        while i < at[k] + 117:
            classes.push(x[i : i + block], len(x[i : i + block]))
            i += block
        codes.append(classes.classify(at[k], beats[k][0] if k else 0, quality_pct))
    return codes


def _premature(normals, sign=1):
    return [(200, _NARROW, sign)] * normals + [(130, _WIDE, sign)] + [(270, _NARROW, sign)]


def test_premature_wide_beats_of_either_polarity():
    for sign in (1, -1):
        codes = _codes(_premature(12, sign) * 3)
        assert codes[:7] == [UNKNOWN] * 7
        assert [i for i, code in enumerate(codes) if code == VENTRICULAR] == [12, 26, 40]
        assert set(codes[8:]) == {NORMAL, VENTRICULAR}


def test_bigeminus():
    codes = _codes([(200, _NARROW, 1)] * 8 + [(130, _WIDE, 1), (270, _NARROW, 1)] * 30)
    assert codes[8:] == [VENTRICULAR, NORMAL] * 30


def test_what_a_wearer_always_has_is_normal():
    for shape in (_NARROW, _WIDE):
        assert set(_codes([(200, shape, 1)] * 30)[8:]) == {NORMAL}


def test_premature_beats_of_the_normal_shape_are_normal():
    codes = _codes(([(200, _NARROW, 1)] * 9 + [(130, _NARROW, 1), (230, _NARROW, 1)]) * 2)
    assert set(codes[8:]) == {NORMAL}


def test_doubtful_beats_have_no_class():
    assert set(_codes([(200, _NARROW, 1)] * 12, quality_pct=49)) == {UNKNOWN}


def test_kinds_survive_an_interruption():
    classes = BeatClass()
    _codes(_premature(12), classes=classes)
    codes = _codes(_premature(3), classes=classes)
    assert codes == [NORMAL] * 3 + [VENTRICULAR, NORMAL]


def _rates(minutes, rr_ms, judged, one_in):
    ectopy = Ectopy()
    out = []
    t_ms = beats = 0
    for report in range(30 * minutes):
        while t_ms < 2000 * (report + 1):
            t_ms += rr_ms
            beats += 1
            ectopy.add(rr_ms, judged, beats % one_in == 0)
        ectopy.tick(2000 * (report + 1), out)
    return out


def test_ventricular_beats_an_hour():
    out = _rates(70, 1000, True, 10)
    assert len(out) == 70 and {r.kind for r in out} == {VENTRICULAR_RATE}
    assert {r.mantissa for r in out} == {360} and {r.quality_pct for r in out} == {100}
    assert out[-1].t_end_ms - out[-1].t_start_ms == 3600000 and out[-1].absent_reason == PRESENT


def test_nothing_is_counted_that_could_not_be_judged():
    out = _rates(3, 1000, False, 2)
    assert [r.absent_reason for r in out] == [SETTLING_IN, POOR_SIGNAL, POOR_SIGNAL]
    assert {r.mantissa for r in out} == {None}
