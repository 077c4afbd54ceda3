"""Pulse rate in motion on every engine: a pulse beside a louder arm swing, hand-over, and what is missing."""

from array import array

from vigil.app.pipeline import Pipeline
from vigil.core.records import ACC, GREEN, MOTION, MOTION_ARTIFACT, PPG, PRESENT, PULSE_RATE, RELATIVE, SampleBlock

# One turn of a sine in 32 steps, -1000..1000.
SINE = (0, 195, 383, 556, 707, 831, 924, 981, 1000, 981, 924, 831, 707, 556, 383, 195)
SINE += tuple(-v for v in SINE)


def sine(phase_q16):
    """-1000..1000 at a phase in turns (Q16)."""
    i, part = (phase_q16 >> 11) & 31, (phase_q16 >> 3) & 255
    return (SINE[i] * (256 - part) + SINE[(i + 1) & 31] * part) >> 8


def play(seconds, bpm=90, swing=75, swing_mg=0, leak=0, accelerometer=True):
    """Readings of a pulse with `leak` times an arm swing (per minute) in it, of a relative column."""
    pipeline = Pipeline()
    for at in range(0, seconds * 100, 20):
        light, acc = array("i", [0] * 20), array("h", [0] * 30)
        for i in range(20):
            t = at + i
            pulse = sine(t * bpm * 65536 // 6000) + sine(t * bpm * 65536 // 3000 + 9000) // 3
            light[i] = 8 * pulse + leak * sine(t * swing * 65536 // 6000 + 5000)
        for i in range(10):
            t = at + 2 * i
            acc[3 * i] = swing_mg * sine(t * swing * 65536 // 6000) // 1000
            acc[3 * i + 1] = swing_mg * sine(t * swing * 65536 // 3000 + 3000) // 3000
            acc[3 * i + 2] = 1000 + t % 3
        flags = RELATIVE
        pipeline.push(SampleBlock(PPG, (GREEN,), light, t0_ms=at * 10, period_us=10000, n=20, flags=flags))
        if accelerometer:
            pipeline.push(SampleBlock(ACC, (0, 1, 2), acc, t0_ms=at * 10, period_us=20000, n=10))
    return pipeline.take()


def of(readings, kind):
    return [r for r in readings if r.kind == kind]


def test_one_pulse_rate_each_two_seconds_and_a_guess_from_four_on():
    rates = of(play(12, swing_mg=600, leak=4), PULSE_RATE)
    assert [r.t_end_ms for r in rates] == [2000, 4000, 6000, 8000, 10000, 12000]
    assert rates[0].mantissa is None and all(r.mantissa for r in rates[1:])


def test_an_arm_swing_louder_than_the_pulse_is_not_the_pulse():
    last = of(play(20, bpm=100, swing=84, swing_mg=700, leak=16), PULSE_RATE)[-1]
    assert abs(last.mantissa - 1000) <= 30, last.mantissa


def test_without_an_accelerometer_the_beats_answer_alone():
    readings = play(12, accelerometer=False)
    assert not of(readings, MOTION)
    last = of(readings, PULSE_RATE)[-1]
    assert abs(last.mantissa - 900) <= 5 and last.absent_reason == PRESENT


def test_at_rest_the_beats_are_believed():
    with_it = of(play(14, accelerometer=True), PULSE_RATE)[-1]
    without = of(play(14, accelerometer=False), PULSE_RATE)[-1]
    assert (with_it.mantissa, with_it.quality_pct) == (without.mantissa, without.quality_pct)


def test_motion_is_told_in_milli_g():
    level = of(play(8, swing_mg=600, leak=4), MOTION)[-1]
    # Mean of |600 sin| + |200 sin|: 800 * 2 / pi = 509.
    assert level.exp10 == -3 and abs(level.mantissa - 509) < 30 and level.absent_reason == PRESENT
    still = of(play(8), MOTION)[-1]
    assert still.mantissa < 5


def test_an_unsure_rate_is_withheld_for_motion():
    first = next(r for r in of(play(8, swing_mg=900, leak=60), PULSE_RATE) if r.mantissa)
    assert first.absent_reason == MOTION_ARTIFACT and first.quality_pct < 30
