"""The studies' own arithmetic on numbers whose answer is known."""

import numpy as np
import pytest

from host_tools.validate import ecg_folds
from host_tools.validate.ecg_study import Readings, reliability, rule_bpm


def readings(quality, error, shown=True):
    n = len(quality)
    return Readings(
        2.0 * np.arange(1, n + 1),
        60.0 + np.asarray(error, float),
        np.full(n, 60.0),
        np.asarray(quality, float),
        np.full(n, shown),
        [""] * n,
    )


def test_a_quality_that_keeps_its_word():
    half = readings([95] * 10 + [55] * 10, [0] * 10 + [0] * 5 + [20] * 5)
    found = reliability([[half], [half]])
    assert [(r["quality_pct"], r["n"], r["right_pct"], r["promised_pct"]) for r in found["rows"]] == [
        (50, 20, 50.0, 50.0),
        (90, 20, 100.0, 100.0),
    ]
    assert found["gap_pct"] == 0 and found["rows"][0]["mae"] == 10


def test_a_quality_that_does_not():
    found = reliability([[readings([95] * 10, [0] * 10)], [readings([95] * 30, [20] * 30)]])
    (row,) = found["rows"]
    assert row["right_pct"] == 25 and row["promised_pct"] == 75 and found["gap_pct"] == 100


def test_what_is_withheld_promises_nothing():
    assert reliability([[readings([95], [0], shown=False)], [readings([95], [0])]]) == {"rows": [], "gap_pct": None}
    assert reliability([[readings([95], [0])]]) == {"rows": [], "gap_pct": None}


def test_folds_choose_on_one_half_and_score_the_other():
    taken_is_best = np.array([[(100, 1, 1), (100, 5, 5)]] * 8)
    chosen, taken = ecg_folds.halves(taken_is_best)
    assert chosen == taken == pytest.approx(100 * 100 / 101)
    # One record that a moved number suits: halves with it choose that number and lose on the others.
    tuned = taken_is_best.copy()
    tuned[0] = [(100, 50, 50), (100, 0, 0)]
    chosen, taken = ecg_folds.halves(tuned)
    assert chosen < 99


def test_every_set_differs_from_the_one_taken():
    tried = ecg_folds.sets()
    assert len({repr(r) for r in tried.values()}) == len(tried) == 1 + 2 * len(ecg_folds.MOVED)


def test_the_monitors_rule_on_anybodys_beats():
    beats_s = np.cumsum([0, *[0.8] * 11, 1.6])
    assert abs(rule_bpm(beats_s, 100.0) - 75) < 1e-9  # the largest is left out
    assert abs(rule_bpm(np.arange(10) * 1.5, 100.0) - 40) < 1e-9
    assert abs(rule_bpm(beats_s, 2.5) - 75) < 1e-9 and np.isnan(rule_bpm(beats_s, 2.3))
