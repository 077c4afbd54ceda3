"""The wearer's rhythm from the ECG channel's beats: one code each report, or the reason why there is none.

First that applies: an interval of 3 s or more between good beats within the last 10 s, or no beat for 3 s on a clean
lead: pause; too few intervals: settling; unknown by the rule: poor signal; possible AF; other irregular; else by the
median of the last 17 intervals: above 1,200 ms bradycardia, below 600 ms tachycardia, else sinus. An interval that
ends with a beat of quality below 75 % counts as implausible: a quarter of those makes the rhythm unknown. Quality: the
beats', a running mean over about 8; below 80 %: poor signal.

The rule is given the rhythm below ventricular beats: what one or two of them divided is divided evenly, and what three
or more did is left out. One beat of eight ventricular: other irregular. AF while more than 400/1024 of the last 16
beats are ventricular or without a class: unknown, poor signal.
"""

from micropython import const

from vigil.core.records import (
    BEAT_VENTRICULAR,
    DIMLESS,
    POOR_SIGNAL,
    PRESENT,
    RHYTHM,
    RHYTHM_AF,
    RHYTHM_BRADYCARDIA,
    RHYTHM_OTHER,
    RHYTHM_PAUSE,
    RHYTHM_SINUS,
    RHYTHM_TACHYCARDIA,
    RHYTHM_UNKNOWN,
    SETTLING_IN,
    Reading,
)
from vigil.estimators.rhythm import AF, FIRST, OTHER, SINUS, UNKNOWN, Rhythm

_GOOD_PCT = const(75)
_SHOWN_PCT = const(80)
_PAUSE_MS = const(3000)
_PAUSE_REPORTS = const(5)
_SLOW_MS = const(1200)
_FAST_MS = const(600)
_DIVIDED = const(3)
_FIRST_CLASSES = const(7)  # intervals before beats have classes
_ODD = const(400)  # of 1024 beats, ventricular or without a class: AF is not told from noise
_FREQUENT = const(128)  # of 1024: one beat of eight is ventricular


class HeartRhythm:
    """add() each interval, report() each 2 s. After add(): sinus, whether the rule calls the rhythm sinus."""

    def __init__(self):
        self._rule = Rhythm()
        self.reset()

    def reset(self):
        """Forget all intervals."""
        self._rule.reset()
        self._label = UNKNOWN
        self._pause = 0
        self._quality_q4 = -1
        self._ectopic_ms = self._ectopic = self._share = self._odd = self._n = 0

    @property
    def sinus(self):
        """Is the present rhythm sinus?"""
        return self._label == SINUS

    @property
    def local_ms(self):
        """Median of the last 17 intervals."""
        return self._rule.local_ms

    def add(self, rr_ms, quality_pct, flags=0, atrial=0):
        """Take an interval in ms, the quality and flags of the beat that ends it, and what comes before the beats."""
        good = quality_pct >= _GOOD_PCT
        q = quality_pct << 4
        self._quality_q4 = q if self._quality_q4 < 0 else self._quality_q4 + ((q - self._quality_q4) >> 3)
        if good and rr_ms >= _PAUSE_MS:
            self._pause = _PAUSE_REPORTS
        ventricular = flags & BEAT_VENTRICULAR
        self._share += ((1024 if ventricular else 0) - self._share) // 16
        self._n = min(self._n + 1, _FIRST_CLASSES + 16)
        if self._n > _FIRST_CLASSES:
            self._odd += ((1024 if flags else 0) - self._odd) // (self._n - _FIRST_CLASSES)
        self._ectopic_ms += min(rr_ms, 65535)
        if ventricular:
            self._ectopic += 1
            return
        n = self._ectopic + 1
        if n <= _DIVIDED:
            for _ in range(n):
                self._label = self._rule.push(self._ectopic_ms // n if good else 0, atrial)
        self._ectopic_ms = self._ectopic = 0

    def report(self, out, since_beat_ms, t_start_ms, t_end_ms, reason):
        """Append one RHYTHM reading.

        since_beat_ms: since the last beat, 0 where the lead is not clean enough to tell. t_start_ms, t_end_ms: of the
        heart rate, so that a batch need not say them twice; the rule looks back over up to 128 beats before t_end_ms.
        reason: why the lead allows no reading.
        """
        code = self._code()
        quality_pct = max(0, self._quality_q4 >> 4)
        if since_beat_ms >= _PAUSE_MS and self._rule.seen:
            code = RHYTHM_PAUSE
            reason = PRESENT
            quality_pct = 100
        elif self._pause:
            self._pause -= 1
            code = RHYTHM_PAUSE
        if reason == PRESENT and (code == RHYTHM_UNKNOWN or quality_pct < _SHOWN_PCT):
            reason = SETTLING_IN if self._rule.seen < FIRST else POOR_SIGNAL
        quality_pct = 0 if reason else quality_pct
        out.append(Reading(RHYTHM, code, 0, DIMLESS, quality_pct, t_start_ms, t_end_ms, reason))

    def _code(self):
        label = self._label
        if label == UNKNOWN:
            return RHYTHM_UNKNOWN
        if label == AF:
            return RHYTHM_UNKNOWN if self._odd > _ODD else RHYTHM_AF
        if label == OTHER or self._share >= _FREQUENT:
            return RHYTHM_OTHER
        local = self._rule.local_ms
        return RHYTHM_BRADYCARDIA if local > _SLOW_MS else RHYTHM_TACHYCARDIA if local < _FAST_MS else RHYTHM_SINUS
