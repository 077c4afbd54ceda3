"""What the wearer is told about the rhythm, and heart-rate variability."""

from vigil.core.records import (
    BEAT_UNCLASSED,
    BEAT_VENTRICULAR,
    HRV_PNN50,
    HRV_RMSSD,
    HRV_SDNN,
    NO_CONTACT,
    POOR_SIGNAL,
    PRESENT,
    RHYTHM,
    RHYTHM_AF,
    RHYTHM_BRADYCARDIA,
    RHYTHM_OTHER,
    RHYTHM_PAUSE,
    RHYTHM_SINUS,
    RHYTHM_TACHYCARDIA,
    SETTLING_IN,
)
from vigil.estimators.heart_rhythm import HeartRhythm
from vigil.estimators.variability import Variability


def _told(intervals, quality_pct=90, since_ms=0, reason=PRESENT):
    rhythm = HeartRhythm()
    for rr in intervals:
        rhythm.add(rr, quality_pct)
    out = []
    rhythm.report(out, since_ms, 1000, 2000, reason)
    (reading,) = out
    assert reading.kind == RHYTHM and reading.t_start_ms == 1000 and reading.t_end_ms == 2000
    return reading.mantissa, reading.absent_reason


# requirement: RHY-1
def test_each_code():
    af = [(i * i * 7919 + i * 104729) % 600 + 400 for i in range(60)]
    for intervals, code in (
        ([800] * 40, RHYTHM_SINUS),
        (af, RHYTHM_AF),
        ([500, 1100] * 30, RHYTHM_OTHER),
        ([800] * 30 + [3200], RHYTHM_PAUSE),
        ([1300] * 30, RHYTHM_BRADYCARDIA),
        ([500] * 30, RHYTHM_TACHYCARDIA),
    ):
        assert _told(intervals) == (code, PRESENT), code


def test_a_silent_clean_lead_is_a_pause():
    assert _told([800] * 30, since_ms=3000) == (RHYTHM_PAUSE, PRESENT)
    assert _told([800] * 30, since_ms=2900) == (RHYTHM_SINUS, PRESENT)


# requirement: RHY-2
def test_a_pause_is_told_for_ten_seconds():
    rhythm = HeartRhythm()
    for rr in [800] * 40 + [3500]:
        rhythm.add(rr, 90)
    out = []
    for _ in range(6):
        rhythm.report(out, 0, 0, 0, PRESENT)
    assert [r.mantissa for r in out] == [RHYTHM_PAUSE] * 5 + [RHYTHM_SINUS]


# requirement: RHY-1
def test_reasons_for_withholding():
    assert _told([800] * 5)[1] == SETTLING_IN
    assert _told([])[1] == SETTLING_IN
    assert _told([800] * 40, quality_pct=79)[1] == POOR_SIGNAL
    assert _told([800] * 40, reason=NO_CONTACT) == (RHYTHM_SINUS, NO_CONTACT)


def _variability(intervals, minutes, quality_pct=95, sinus=True):
    v = Variability()
    out = []
    t_ms = due_ms = 0
    i = 0
    while len(out) < 3 * minutes:
        rr = intervals[i % len(intervals)]
        i += 1
        t_ms += rr
        v.add(rr, quality_pct, 800, sinus)
        while t_ms >= due_ms + 2000:
            due_ms += 2000
            v.tick(due_ms, out)
    return out


def test_variability_of_alternating_intervals():
    out = _variability([770, 830], 6)
    assert [r.kind for r in out[-3:]] == [HRV_SDNN, HRV_RMSSD, HRV_PNN50]
    sdnn, rmssd, pnn50 = out[-3:]
    assert 300 <= sdnn.mantissa <= 301 and rmssd.mantissa == 600 and pnn50.mantissa == 1000
    assert sdnn.quality_pct == 100 and sdnn.t_end_ms - sdnn.t_start_ms == 300000
    assert out[0].t_end_ms - out[0].t_start_ms == 60000


def test_a_missing_beat_does_not_count():
    out = _variability([800] * 19 + [1600], 5)
    assert [r.mantissa for r in out[-3:]] == [0, 0, 0]
    assert out[-3].quality_pct == 95


def test_only_good_sinus_beats_count():
    assert [r.absent_reason for r in _variability([800], 3, quality_pct=89)] == [SETTLING_IN] * 3 + [POOR_SIGNAL] * 6
    assert _variability([800], 3, sinus=False)[-1].mantissa is None


def _told_of(beats, atrial=0):
    """Code and reason after beats of (interval, flags)."""
    rhythm = HeartRhythm()
    for rr, flags in beats:
        rhythm.add(rr, 90, flags, atrial)
    out = []
    rhythm.report(out, 0, 1000, 2000, PRESENT)
    return out[0].mantissa, out[0].absent_reason


def test_ventricular_beats_leave_the_rhythm_below_them():
    beats = []
    for i in range(40):
        early = 420 + i * 7919 % 160
        beats += [(800, 0)] * (1 + i * 104729 % 3) + [(early, BEAT_VENTRICULAR), (1600 - early, 0)]
    assert _told_of(beats)[0] == RHYTHM_OTHER  # because of the ectopic beats
    beats += [(800, 0)] * 40
    assert _told_of(beats)[0] == RHYTHM_SINUS
    assert _told_of([(rr, 0) for rr, _ in beats])[0] == RHYTHM_OTHER


def _irregular(n):
    return [((i * i * 7919 + i * 104729) % 600 + 400, 0) for i in range(n)]


# requirement: RHY-1
def test_a_wave_before_every_beat_is_not_af():
    assert _told_of(_irregular(60)) == (RHYTHM_AF, PRESENT)
    assert _told_of(_irregular(60), atrial=2) == (RHYTHM_OTHER, PRESENT)


def test_nothing_before_the_beats_is_not_af_when_they_are_regular():
    assert _told_of([(800, 0)] * 60, atrial=1) == (RHYTHM_SINUS, PRESENT)
    assert _told_of([(500, 0), (1100, 0)] * 30, atrial=1) == (RHYTHM_OTHER, PRESENT)


def test_beats_of_no_class_are_noise_and_not_af():
    odd = [(rr, BEAT_UNCLASSED if i % 2 else 0) for i, (rr, _) in enumerate(_irregular(60))]
    assert _told_of(odd)[1] == POOR_SIGNAL
