"""Off the skin, on a table, slipping, moving: what a wearer would see, second by second."""

import numpy as np
import pytest

from host_tools.replay import replay
from signal_models.synth.ppg import ppg, regular_beats
from vigil.core.records import CONTACT_LOOSE, CONTACT_OFF, CONTACT_ON, CONTACT_OTHER

FIGURES = ("pulse_rate", "spo2", "perfusion_index")
AWAY, BACK, SECONDS = 14, 28, 44


def worn(**options):
    rng = np.random.default_rng(1)
    return ppg(SECONDS, rng, regular_beats(SECONDS, 72), **options).counts.astype(float), rng


def away():
    return slice(AWAY * 100, BACK * 100)


def dark(counts, rng):
    counts[away()] = 400 + 8 * rng.normal(size=counts[away()].shape)


def bright_table(counts, rng):
    counts[away()] = np.array([150_000, 180_000]) + 8 * rng.normal(size=counts[away()].shape)


def table_as_bright_as_skin(counts, rng):
    counts[away()] = counts[AWAY * 100 - 1] * 1.1 + 8 * rng.normal(size=counts[away()].shape)


def slipping(counts, rng):
    t_s = np.arange(len(counts)) / 100
    knots = np.arange(0, SECONDS + 1, 1.5)
    swing = np.interp(t_s, knots, 1 + 0.2 * rng.uniform(-1, 1, len(knots)))
    counts[away()] *= swing[away(), None]


# requirement: PPG-3
@pytest.mark.parametrize(
    "happens, state",
    [
        (dark, CONTACT_OFF),
        (bright_table, CONTACT_OTHER),
        (table_as_bright_as_skin, CONTACT_OTHER),
        (slipping, CONTACT_LOOSE),
    ],
)
def test_nothing_is_told_away_from_skin(happens, state):
    counts, rng = worn()
    happens(counts, rng)
    result = replay(ppg=counts, ppg_fs=100)
    for kind in FIGURES:
        readings = result.of(kind)
        assert not [r for r in readings if AWAY + 5 <= r.t_end_s <= BACK and not r.withheld]
        assert all(r.absent_reason for r in readings if r.withheld)
        assert all(r.withheld or r.value is not None for r in readings)
        before = [r.t_end_s for r in readings if r.t_end_s < AWAY and not r.withheld]
        after = [r.t_end_s for r in readings if r.t_end_s > BACK and not r.withheld]
        assert before[0] <= 10 and after[0] <= BACK + 10  # of putting it on
    contact = {r.t_end_s: r.value for r in result.of("contact")}
    assert contact[AWAY] == CONTACT_ON and contact[SECONDS] == CONTACT_ON
    assert state in [contact[t] for t in range(AWAY + 2, BACK + 1, 2)]


# requirement: PPG-4
def test_no_saturation_while_the_finger_moves():
    counts, _ = worn(motion=3.0)
    result = replay(ppg=counts, ppg_fs=100)
    assert all(r.withheld for r in result.of("spo2"))
    assert not [r for r in result.of("pulse_rate") if r.quality_pct >= 50 and abs(r.value - 72) > 5]


# requirement: PPG-3
def test_a_table_never_worn():
    rng = np.random.default_rng(2)
    counts = np.array([90_000, 120_000]) + 8 * rng.normal(size=(3000, 2))
    result = replay(ppg=counts, ppg_fs=100)
    assert all(r.withheld for kind in FIGURES for r in result.of(kind))
    assert result.of("contact")[-1].value == CONTACT_OTHER


@pytest.mark.parametrize("perfusion, wander", [(0.1, 0.1), (10, 1.0), (2, 1.0)])
def test_skin_is_not_taken_for_a_table_nor_breathing_for_slipping(perfusion, wander):
    counts, _ = worn(perfusion_pct=perfusion, wander=wander)
    contact = [r for r in replay(ppg=counts, ppg_fs=100).of("contact") if r.t_end_s >= 10]
    assert [r.value for r in contact] == [CONTACT_ON] * len(contact)
