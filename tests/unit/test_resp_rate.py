"""Respiration rate on every engine: breathing in light and ECG, what is missing, and views that disagree."""

from vigil.core.records import MOTION_ARTIFACT, NO_CONTACT, POOR_SIGNAL, PRESENT, RESP_RATE, SETTLING_IN
from vigil.estimators.resp_rate import EcgBreath, PulseBreath, RespRate

# One turn of a sine in 32 steps, -1000..1000.
SINE = (0, 195, 383, 556, 707, 831, 924, 981, 1000, 981, 924, 831, 707, 556, 383, 195)
SINE += tuple(-v for v in SINE)
PERIOD = 21  # samples of 25 Hz between pulses: 71/min


def sine(t, per_min, samples_per_min=1500):
    """-1000..1000 at sample t."""
    phase = t * per_min * 2048 // samples_per_min
    i, part = (phase >> 6) & 31, phase & 63
    return (SINE[i] * (64 - part) + SINE[(i + 1) & 31] * part) >> 6


class Wearer:
    """A pulse of 25 Hz whose amplitude and baseline breathe; beats are told 10 samples late. ecg: RR and R too."""

    def __init__(self, ecg=False):
        self.light = PulseBreath()
        self.ecg = EcgBreath() if ecg else None
        self.rate = RespRate()
        self.t = 0

    def wear(self, seconds, per_min, doubt=PRESENT):
        """Readings of so many seconds of breathing at per_min."""
        out = []
        for _ in range(seconds * 25):
            t = self.t
            breath = sine(t, per_min)
            since = t % PERIOD
            shape = (since if since < 5 else 25 - since) * (20000 + breath)
            self.light.sample(100000 + 30 * breath + shape // 8)
            if since == 10 and t > PERIOD:
                self.light.beat(10 << 8)
            self.t = t = t + 1
            if self.ecg:
                self.ecg.advance(t * 10)
                if t % 20 == 15 and t > 20:
                    at = t * 10 - 150
                    breath = sine(at, per_min, 15000)
                    at_q8 = (at << 8) + 2 * breath
                    self.ecg.beat(at_q8 >> 8, at_q8 & 255, 1000 + breath // 20)
            if t % 50 == 0:
                self.rate.report(((self.light, doubt), (self.ecg, 0)), t * 40, out)
        return out


def test_a_breath_is_read_from_light_alone_once_its_window_is_full():
    for per_min in (8, 15, 28):
        out = Wearer().wear(50, per_min)
        assert len(out) == 25
        assert all(r.kind == RESP_RATE for r in out)
        assert out[0].absent_reason == SETTLING_IN and out[0].mantissa is None
        assert out[14].absent_reason == SETTLING_IN and out[15].absent_reason != SETTLING_IN
        last = out[-1]
        assert last.absent_reason == PRESENT, per_min
        assert abs(last.mantissa - 10 * per_min) <= 10, (per_min, last.mantissa)
        assert last.quality_pct >= 60
        assert (last.t_start_ms, last.t_end_ms) == (18000, 50000)


def test_light_and_ecg_give_one_reading_and_are_surer_together():
    alone = Wearer().wear(40, 15)[-1]
    both = Wearer(ecg=True).wear(40, 15)
    assert len(both) == 20
    assert abs(both[-1].mantissa - 150) <= 10
    assert both[-1].quality_pct >= alone.quality_pct


def test_ecg_alone_tells_too():
    wearer = Wearer(ecg=True)
    for _ in range(25):
        wearer.light.restart()
        out = wearer.wear(2, 12)
    assert out[0].absent_reason in (PRESENT, POOR_SIGNAL)
    assert abs(out[0].mantissa - 120) <= 10


def test_a_change_is_followed():
    wearer = Wearer()
    wearer.wear(60, 12)
    out = wearer.wear(80, 24)
    assert abs(out[-1].mantissa - 240) <= 10 and out[-1].absent_reason == PRESENT
    wrong = [r for r in out[25:] if not r.absent_reason and abs(r.mantissa - 240) > 50]
    assert not wrong


def test_off_the_skin_nothing_is_read_and_the_past_is_forgotten():
    wearer = Wearer()
    wearer.wear(40, 12)
    wearer.light.restart()
    out = []
    wearer.rate.report(((wearer.light, 0), (None, 0)), 60000, out)
    assert out[0].absent_reason == NO_CONTACT and out[0].mantissa is None and out[0].quality_pct == 0
    wearer.rate = RespRate()
    assert wearer.wear(4, 12)[-1].absent_reason == SETTLING_IN


def test_light_in_motion_is_not_believed():
    wearer = Wearer()
    wearer.wear(40, 12)
    out = wearer.wear(4, 12, doubt=MOTION_ARTIFACT)
    assert out[-1].absent_reason == MOTION_ARTIFACT


def test_views_that_disagree_are_withheld():
    wearer = Wearer()
    wearer.light.sample, sample = (
        (lambda v: sample(v + 40 * sine(wearer.t, 9) - 40 * sine(wearer.t, 33))),
        wearer.light.sample,
    )
    out = wearer.wear(50, 20)[16:]
    assert out[0].absent_reason == POOR_SIGNAL


def test_numbers_stay_small_for_days():
    wearer = Wearer()
    wearer.wear(10, 15)
    light = wearer.light
    light.now = (1 << 20) - 40
    light._last_q8 = (light.now << 8) - 700
    light._count = (1 << 20) - 96  # a multiple of 32 below the wrap
    wearer.t = 0
    out = wearer.wear(60, 15)
    assert light.now < 1 << 20
    assert abs(out[-1].mantissa - 150) <= 10 and out[-1].absent_reason == PRESENT
