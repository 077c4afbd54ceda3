from vigil.estimators.led_control import DEFAULT_UA, next_ua
from vigil.estimators.sample_clock import SampleClock, between_us

WRAP = 1 << 30


def run(clock, period_us, marks, start_us=0, jitter=(0,), first=0):
    index = first + 16
    for k in range(marks):
        t_us = start_us + (index - first + 1) * period_us + jitter[k % len(jitter)]
        clock.mark(index, t_us % WRAP)
        index += 17


def test_between_survives_the_wrap():
    assert between_us(WRAP - 10, 5) == 15
    assert between_us(5, WRAP - 10) == -15
    assert between_us(7, 7) == 0


def test_nominal_until_measured():
    clock = SampleClock(10000)
    run(clock, 10300, 6)  # 0.9 s
    assert clock.period_us == 10000 and not clock.measured


def test_converges_within_two_seconds():
    for period_us in (9700, 10000, 10300):
        clock = SampleClock(10000)
        run(clock, period_us, 12)
        assert clock.measured and clock.period_us == period_us


def test_latency_of_milliseconds_is_a_tenth_of_a_percent():
    clock = SampleClock(10000)
    run(clock, 9800, 300, jitter=(0, 900, 4000, 100, 2500, 0, 7000))
    assert abs(clock.period_us - 9800) <= 10


def test_the_wrap_of_ticks_goes_unnoticed():
    clock = SampleClock(10000)
    run(clock, 9900, 60, start_us=WRAP - 5000000)
    assert clock.period_us == 9900


def test_a_drift_is_followed():
    clock = SampleClock(10000)
    run(clock, 10000, 120)
    clock.restart()
    run(clock, 10200, 120, start_us=30000000, first=5000)
    assert clock.period_us == 10200


def test_an_implausible_period_is_thrown_away():
    clock = SampleClock(10000)
    run(clock, 10100, 60)
    clock.mark(60 * 17, 900000000)  # a mark half an hour late
    assert clock.period_us == 10100


def test_led_current_aims_at_the_middle_and_rests_there():
    assert next_ua(7200, 131072) == 7200
    assert next_ua(7200, 70000) == 7200
    low = next_ua(7200, 30000)
    assert 29000 <= low <= 30000  # 7200 * 131072 / 30000 = 31457, at most 30 mA
    high = next_ua(20000, 250000)
    assert 10000 <= high <= 11000
    assert next_ua(600, 262143) == 600


def test_led_current_does_not_chase_the_dark():
    assert next_ua(DEFAULT_UA, 500) == DEFAULT_UA
    assert next_ua(30000, 500) == 30000
    assert next_ua(1000, 500) == DEFAULT_UA
