"""One ECG lead from sample blocks to beats and heart rate, or the reason why there is none.

Withheld, first reason that applies: an electrode is off: no contact; the front end settles: settling; the converter
stood at its limit within the last 4 s: saturated; no beat for 5 s: no contact when the lead is flat (nothing of 3 uV
in 8-20 Hz for 4 s), poor signal when it is noisy (clutter above 96/256 of a beat), else no pulse; fewer than 3
intervals since the start, a limit or 5 s without a beat: settling; a quality of the rate below 70 %: poor signal; more
than 1/min outside 15..300/min: out of range. The last rate stays as best guess. LEAD_OFF and SATURATED are the front
end's to say; a limit is also seen from the samples (dsp.ecg.at_limit), for a recording has no front end.
"""

from array import array

from micropython import const

from vigil.core.records import (
    BEAT_PER_MIN,
    BEAT_UNCLASSED,
    BEAT_VENTRICULAR,
    ECG,
    GAP,
    HEART_RATE,
    LEAD_OFF,
    NO_CONTACT,
    NO_PULSE,
    OUT_OF_RANGE,
    POOR_SIGNAL,
    PRESENT,
    SATURATED,
    SETTLING,
    SETTLING_IN,
    SIGNAL_SATURATED,
    Beat,
    Reading,
)
from vigil.dsp.ecg import at_limit
from vigil.estimators.heart_rate import HeartRate
from vigil.estimators.qrs import QrsDetector

try:
    from vigil.estimators.heart_rhythm import HeartRhythm
    from vigil.estimators.variability import Variability
except ImportError:  # not in this device's profile
    HeartRhythm = None
try:
    from vigil.estimators.beat_class import UNKNOWN, VENTRICULAR, BeatClass
    from vigil.estimators.ectopy import Ectopy
except ImportError:  # not in this device's profile: every beat counts as a normal one
    BeatClass = None
try:
    from vigil.estimators.resp_rate import EcgBreath
except ImportError:  # not in this device's profile
    EcgBreath = None

_FLAT = const(1000)  # samples without a candidate
_SATURATED_HOLD = const(1000)  # samples
_NO_BEAT = const(1250)  # samples: 5 s; 15/min has a beat each 4 s
_STILL = const(500)  # samples without a candidate: a pause, or an electrode about to be found off
_NOISY_Q8 = const(96)
_SHOWN_PCT = const(70)
_MIN_RR = const(3)  # intervals before a rate is shown


class EcgChannel:
    """Push SampleBlocks of one lead (int16 microvolts, nominal 250 Hz).

    on_beat(Beat), when given, is called 0.93 s after each R peak, in order; a beat found by search-back comes later.
    Beat.index counts samples since the first ever pushed, frac_q8 refines it; t_ms follows the blocks' measured period.
    """

    def __init__(self, on_beat=None):
        self._on_beat = on_beat
        self.told = None  # called with the time (ms) of each R peak
        self._base = 0  # number of the detector's sample 0
        self._count = 0
        self._rate = HeartRate()
        self._rhythm = HeartRhythm() if HeartRhythm else None
        self._variability = Variability() if HeartRhythm else None
        self._class = BeatClass() if BeatClass else None
        self._ectopy = Ectopy() if BeatClass else None
        self.breath = EcgBreath() if EcgBreath else None
        self._detector = QrsDetector(self._beat)
        self._limit = array("i", bytes(20))
        self._bpm_x10 = None
        self._span_ms = 0
        self.reset()

    def reset(self):
        """Forget the signal, as after a gap; samples keep their numbers and the last rate stays as best guess."""
        self._detector.reset()
        if self.breath:
            self.breath.restart()
        if self._class:
            self._class.reset()
        self._rate.reset()
        if self._rhythm:
            self._rhythm.reset()
            self._variability.interrupt()
        self._base = self._count
        self._last_q8 = -1
        self._last_pct = 0
        self._last_at = 0
        self._period_us = 4000
        self._t0_ms = 0
        self._t0_index = self._count
        self._saturated_at = -_SATURATED_HOLD
        for i in range(5):
            self._limit[i] = 0
        self._off = PRESENT

    def _interrupt(self):
        """Forget the intervals: what lies between the beats before and after is not one."""
        self._rate.reset()
        if self._rhythm:
            self._variability.interrupt()
        self._last_q8 = -1

    def push(self, block):
        """Take one block; allocates nothing but the Beat passed to on_beat."""
        n = block.n
        if not n:
            return
        flags = block.flags
        if flags & (LEAD_OFF | SETTLING):
            if not self._off:
                self.reset()
            self._off = NO_CONTACT if flags & LEAD_OFF else SETTLING_IN
            self._count += n
            return
        if flags & GAP or self._off:
            self.reset()
        self._period_us = block.period_us or 4000
        self._t0_ms = block.t0_ms
        self._t0_index = self._count
        self._count += n
        if flags & SATURATED or at_limit(block.data, n, self._limit):
            self._saturated_at = self._count
            self._interrupt()
        if self._class:
            self._class.push(block.data, n)
        if self.breath:
            self.breath.advance(self._count - self._base)
        self._detector.push(block.data, n)

    def report(self, t_ms: int, out: list) -> None:
        """Append a HEART_RATE and a RHYTHM Reading, and each minute the HRV; t_ms: device time of the report."""
        rate = self._rate
        rate.measure(self._detector.floor_q8)
        reason = lead = self._reason()
        quality_pct = rate.quality_pct
        if rate.used:
            self._bpm_x10 = rate.bpm_x10(self._period_us)
            self._span_ms = rate.span_ms(self._period_us)
        bpm_x10 = self._bpm_x10
        if reason == PRESENT and not 140 <= bpm_x10 <= 3100:
            reason = OUT_OF_RANGE
        if reason != PRESENT:
            quality_pct = 0
        end_ms = self._time_ms(self._last_at) if self._last_q8 >= 0 else t_ms
        start_ms = end_ms - self._span_ms
        out.append(Reading(HEART_RATE, bpm_x10, -1, BEAT_PER_MIN, quality_pct, start_ms, end_ms, reason))
        if self._ectopy:
            self._ectopy.tick(t_ms, out)
        if not self._rhythm:
            return
        detector = self._detector
        silent = detector.since_beat > _NO_BEAT
        if lead == POOR_SIGNAL and not silent:
            lead = PRESENT  # the beats are there: only their rate is in doubt
        steady = detector.since_candidate < _STILL and detector.clutter_q8 <= _NOISY_Q8
        clean = steady if lead == PRESENT else lead == NO_PULSE
        self._rhythm.report(out, 4 * detector.since_beat if clean else 0, start_ms, end_ms, lead)
        self._variability.tick(t_ms, out)

    def _reason(self):
        if self._off:
            return self._off
        if self._count - self._saturated_at < _SATURATED_HOLD:
            return SIGNAL_SATURATED
        detector = self._detector
        if detector.since_beat > _NO_BEAT:
            if detector.since_candidate > _FLAT:
                return NO_CONTACT
            return POOR_SIGNAL if detector.clutter_q8 > _NOISY_Q8 else NO_PULSE
        if self._rate.count < _MIN_RR:
            return SETTLING_IN
        return PRESENT if self._rate.quality_pct >= _SHOWN_PCT else POOR_SIGNAL

    def _time_ms(self, index):
        return self._t0_ms + (index - self._t0_index) * self._period_us // 1000

    def _beat(self, at, frac_q8, quality_pct):
        index = self._base + at
        if frac_q8 < 0:
            index -= 1
            frac_q8 += 256
        if self.breath:
            self.breath.beat(index - self._base, frac_q8, self._detector.height)
        if self._count - self._saturated_at < _SATURATED_HOLD:
            self._interrupt()  # the edges of a stretch at the limit look like beats
        elif self._last_q8 >= 0 and index - self._last_at > _NO_BEAT:
            self._interrupt()
        rr_q8 = rr_ms = 0
        if self._last_q8 >= 0:
            rr_q8 = max(0, ((index - self._last_at) << 8) + frac_q8 - self._last_q8)
            rr_ms = ((min(rr_q8, 1 << 20) >> 4) * self._period_us + 8000) // 16000  # 2**16 * 4200 < 2**30
        flags = self._flags(index, quality_pct, rr_ms)
        sinus_pct = 0 if flags else quality_pct
        if rr_q8:
            self._rate.add(rr_q8, quality_pct)
            rhythm = self._rhythm
            if rhythm:
                rhythm.add(rr_ms, quality_pct, flags, self._class.atrial.state if self._class else 0)
                self._variability.add(rr_ms, min(sinus_pct, self._last_pct), rhythm.local_ms, rhythm.sinus)
        self._last_pct = sinus_pct
        self._last_at = index
        self._last_q8 = frac_q8
        if self.told:
            self.told(self._time_ms(index))
        if self._on_beat:
            self._on_beat(Beat(ECG, self._time_ms(index), index, frac_q8, quality_pct, flags))

    def _flags(self, index, quality_pct, rr_ms):
        if not self._class:
            return 0
        code = self._class.classify(index - self._base, index - self._last_at if rr_ms else 0, quality_pct)
        self._ectopy.add(rr_ms, code != UNKNOWN, code == VENTRICULAR)
        return BEAT_VENTRICULAR if code == VENTRICULAR else BEAT_UNCLASSED if code == UNKNOWN else 0
