"""One pulse from heart rate and pulse rate, on every engine: agreement, deficit, noise, one source, the pipeline."""

from array import array

from vigil.app.pipeline import Pipeline
from vigil.core.records import (
    ABSENT,
    BEAT_PER_MIN,
    ECG,
    HEART_RATE,
    MOTION_ARTIFACT,
    NO_CONTACT,
    NO_SENSOR,
    POOR_SIGNAL,
    PPG,
    PRESENT,
    PULSE,
    PULSE_DEFICIT,
    PULSE_RATE,
    RESP_RATE,
    Reading,
    SampleBlock,
)
from vigil.estimators.fusion import Fusion


def reading(kind, value, quality, reason=PRESENT):
    return Reading(kind, value, -1, BEAT_PER_MIN, quality, 1000, 9000, reason)


def fused(heart, pulse, times=1):
    """(value, quality, reason) of the pulse and of the deficit after `times` reports of the same two readings."""
    fusion = Fusion()
    out = []
    for _ in range(times):
        out = []
        fusion.report(heart and reading(HEART_RATE, *heart), pulse and reading(PULSE_RATE, *pulse), 10000, out)
    assert [r.kind for r in out] == [PULSE, PULSE_DEFICIT][: len(out)]
    return [(r.mantissa, r.quality_pct, r.absent_reason) for r in out]


def test_sources_that_agree_are_weighed_by_quality_and_surer_together():
    view, deficit = fused((720, 90), (740, 30))
    assert view == (725, 93, PRESENT)
    assert deficit == (0, 30, PRESENT)


def beaten(heart_ms, pulse_ms, heart=(1000, 80), pulse=(780, 20, POOR_SIGNAL)):
    """The same, of beats at these times."""
    fusion = Fusion()
    for t_ms in heart_ms:
        fusion.heart_beat(t_ms)
    for t_ms in pulse_ms:
        fusion.pulse_beat(t_ms)
    out = []
    fusion.report(reading(HEART_RATE, *heart), reading(PULSE_RATE, *pulse), 20000, out)
    return [(r.mantissa, r.quality_pct, r.absent_reason) for r in out]


# Bigeminy of 80/min: each second beat comes after 500 ms, the next one after 1000 ms.
EARLY = [t + e for t in range(0, 20000, 1500) for e in (0, 500)]


def test_early_beats_without_a_pulse_are_a_deficit():
    view, deficit = beaten(EARLY, [t + 300 for t in EARLY[::2]])
    # Of 2000..18000 ms: 22 beats from 1500 to 18000 ms, 11 of them with a pulse.
    assert view == (400, 80, PRESENT) and deficit == (400, 80, PRESENT)


def test_irregular_beats_that_all_have_a_pulse_are_no_deficit():
    view, deficit = beaten(EARLY, [t + 300 for t in EARLY])
    assert view == (800, 80, PRESENT) and deficit == (0, 80, PRESENT)


def test_pulses_that_are_missing_or_added_without_rule_are_no_deficit():
    regular = list(range(0, 20000, 750))
    hidden = [t + 300 for i, t in enumerate(regular) if i % 3]
    for times, pulses in (
        (regular, hidden),
        (EARLY, [t + 300 for t in EARLY[1::2]]),
        (EARLY, list(range(0, 20000, 410))),
    ):
        view, deficit = beaten(times, pulses)
        assert deficit == (None, 0, POOR_SIGNAL)
        assert view == (1000, 80, PRESENT)
    _, deficit = beaten(EARLY, [t + 300 for t in EARLY[::2]], heart=(1000, 40))
    assert deficit[0] is None


def test_rates_alone_make_no_deficit():
    view, deficit = fused((1000, 80), (780, 70), times=9)
    assert view == (1000, 40, PRESENT) and deficit == (None, 0, POOR_SIGNAL)


def test_a_noisy_source_makes_no_deficit():
    for heart, pulse, value in (((1000, 90), (780, 40), 1000), ((1300, 35), (780, 90), 780)):
        view, deficit = fused(heart, pulse, times=9)
        assert view == (value, 45, PRESENT)
        assert deficit[0] is None and deficit[2] == POOR_SIGNAL


def test_no_heart_has_fewer_beats_than_its_pulse():
    view, deficit = fused((600, 90), (1200, 80), times=9)
    assert view == (600, 45, PRESENT) and deficit[0] is None


def test_one_source_alone_counts_as_it_is():
    assert fused((720, 81), None) == [(720, 81, PRESENT)]
    assert fused(None, (720, 81)) == [(720, 81, PRESENT)]
    view, deficit = fused((650, 0, MOTION_ARTIFACT), (720, 81))
    assert view == (720, 81, PRESENT) and deficit == (None, 0, MOTION_ARTIFACT)
    view, deficit = fused((720, 81), (None, 0, NO_CONTACT))
    assert view == (720, 81, PRESENT) and deficit == (None, 0, NO_CONTACT)


def test_no_source_gives_the_better_guess_and_its_reason():
    view, deficit = fused((None, 0, NO_SENSOR), (700, 20, POOR_SIGNAL))
    assert view == (700, 20, POOR_SIGNAL) and deficit == (None, 0, NO_SENSOR)
    view, _ = fused((650, 0, POOR_SIGNAL), (None, 0, NO_CONTACT))
    assert view == (650, 0, POOR_SIGNAL)


def test_the_pipeline_tells_both_sources_once_each_2_s():
    pipeline = Pipeline()
    light, ecg = array("i", [90000] * 20), array("h", [0] * 50)
    for at in range(0, 8000, 200):
        pipeline.push(SampleBlock(ECG, (0,), ecg, t0_ms=at, period_us=4000, n=50))
        pipeline.push(SampleBlock(PPG, (3,), light, t0_ms=at, period_us=10000, n=20))
    readings = pipeline.take()
    for kind in (PULSE, RESP_RATE):
        assert [r.t_end_ms for r in readings if r.kind == kind] == [2000, 4000, 6000, 8000]


def test_parts_that_do_not_answer_are_told_once_too():
    pipeline = Pipeline()
    for at in range(0, 8000, 2000):
        for source in (PPG, ECG):
            pipeline.push(SampleBlock(source, (), array("i"), t0_ms=at, flags=ABSENT))
    readings = pipeline.take()
    for kind in (PULSE, RESP_RATE):
        told = [r.absent_reason for r in readings if r.kind == kind]
        assert told == [NO_SENSOR] * 4, told
