"""Respiration rate from what breathing does to the pulse and to the ECG, one reading from both.

Views of a PPG: the light itself (intensity), the light at the pulse's peak and at its foot, the pulse's amplitude (the
difference of these two) and the interval between beats; of an ECG: the height of the R wave and the interval. Each is
kept as slopes: how much it changes in a slot of 0.32 s, where a view that only beats tell is a straight line from beat
to beat (and flat where beats are more than 12 slots apart). A slope weighs each rate by itself, so that slow drift
does not hide the breath. Each 2 s the spectrum of each view's last 100 slots (32 s) is taken; the weighted sum of the
spectra at a rate, its double and its half says how likely that rate is (dsp.resp.add_say), and a belief over 145 rates
from 4.0 to 56.8 a minute carries it on (dsp.resp.follow). Rates above half of the beats' rate cannot be seen and are
not believed in. The value is the mean of the rates within 6 bins of the best one, weighed by the belief; the margin
to the best of all other rates gives the quality, and views that disagree leave none: then the reading is withheld
(poor signal). So it is without a pulse rate or heart rate that the views belong to, for the reason of that.

Latency: a reading is of the 32 s before it, and the beats of its last second may be missing. A change of rate is
followed within about 40 s. docs/adr/0017 tells what was measured and what lost. The idea of fusing modulations is
Karlen's (2013, doi:10.1109/TBME.2013.2246160).
"""

from array import array

from micropython import const

from vigil.core.records import (
    NO_CONTACT,
    POOR_SIGNAL,
    PRESENT,
    RESP_PER_MIN,
    RESP_RATE,
    SETTLING_IN,
    Reading,
)
from vigil.dsp import fft, resp
from vigil.dsp.coeffs.fft import SINE_Q14, WINDOW_Q10
from vigil.dsp.coeffs.resp import WEIGHTS_Q5

_LONGEST_Q8 = const(12 << 8)  # slots between two beats at most
_MASK = const(127)
_REACH = const(120)  # slots back that a late beat may still change
_WRAP = const(1 << 19)  # slots (46 h), a multiple of RING: numbers stay small
_STEP_MAX = const(1 << 18)  # of a value between two beats
_NEAR = const(6)  # bins each side of the best one that belong to it
_TOP = const(512 << 7)  # half of the beats' rate in bins: this / interval in slots Q8
_QUALITY_MIN = const(60)
_NONE_PCT = const(27)
_ECG_ALONE = const(5)  # its two views weigh less, and so does their chance: their evidence counts twice
_LASTING = const(4)  # the evidence is the mean of about 2 ** this readings: a chance line of noise seldom stays as long
_WINDOW_MS = const(32000)

# Views of an ECG begin here among the weights, and those of a PPG have the amplitude at 3.
_ECG_FIRST = const(5)


class Breath:
    """The slopes of one sensor's views, in the order of their weights. now: slots since the start."""

    first = 0  # the first view's weights

    def __init__(self, values, rings):
        self._n = values
        self.rings = array("h", bytes(2 * resp.RING * rings))
        self._new = array("i", bytes(4 * values))
        self._old = array("i", bytes(4 * values))
        self.restart()

    def restart(self):
        """Forget the signal."""
        for i in range(len(self.rings)):
            self.rings[i] = 0
        self.now = 0
        self._wrapped = 0  # slots taken off `now`
        self.interval_q8 = 0  # smoothed, in slots
        self._last_q8 = -1
        self._apart_q8 = 0

    def _begin_slot(self):
        self.now += 1
        if self.now == 2 * _WRAP:
            self.now -= _WRAP
            self._wrapped += _WRAP
            self._last_q8 = max(-1, self._last_q8 - (_WRAP << 8))
        for view in range(len(self.rings) // resp.RING):
            self.rings[view * resp.RING + (self.now & _MASK)] = 0

    def _beat(self, at_q8, ring):
        """Draw lines to a beat at at_q8 slots with values in self._new, into the rings from number `ring` on."""
        apart = at_q8 - self._last_q8
        if self._last_q8 >= 0:
            if apart <= 0:
                return
            if apart <= _LONGEST_Q8:
                usual = self.interval_q8
                self.interval_q8 = usual + ((apart - usual) >> 3) if usual else apart
                for i in range(self._n):
                    self._line(ring + i, at_q8, apart, self._new[i] - self._old[i])
                if self._apart_q8:
                    self._line(ring + self._n, at_q8, apart, (apart - self._apart_q8) << 4)
                self._apart_q8 = apart
            else:
                self._apart_q8 = 0
        self._last_q8 = at_q8
        for i in range(self._n):
            self._old[i] = self._new[i]

    def _line(self, ring, at_q8, apart, step):
        # |step| <= 2**18: the product stays below 2**27.
        slope = max(-32767, min(32767, max(-_STEP_MAX, min(_STEP_MAX, step)) * 256 // apart))
        for slot in range(max((self._last_q8 >> 8) + 1, self.now - _REACH), (at_q8 >> 8) + 1):
            self.rings[ring * resp.RING + (slot & _MASK)] = slope


class PulseBreath(Breath):
    """Of a PPG. Rings: intensity, peak, foot, interval. Samples are decimated sums of the pulse's column at 25 Hz."""

    def __init__(self):
        self._x = array("i", bytes(4 * 32))
        self._sums = array("i", bytes(4 * 3))  # this slot's, the last one's, and the one's before that
        Breath.__init__(self, 2, 4)

    def restart(self):
        """Forget the signal."""
        Breath.restart(self)
        self._count = 0
        for i in range(3):
            self._sums[i] = 0

    def sample(self, v):
        """Take a decimated sample, upright: |v| <= 2**21."""
        n = self._count
        self._x[n & 31] = v
        sums = self._sums
        sums[0] += v  # 8 * 2**21 = 2**24
        n += 1
        self._count = n if n < 2 * _WRAP else n - _WRAP
        if n & 7:
            return
        if self.now >= 2:
            self.rings[self.now & _MASK] = max(-32767, min(32767, (sums[0] - sums[2]) >> 5))
        sums[2] = sums[1]
        sums[1] = sums[0]
        sums[0] = 0
        self._begin_slot()

    def beat(self, back_q8):
        """Take a pulse onset that lies back_q8 / 256 samples before the end of the newest one."""
        n = self._count
        onset = n - (back_q8 >> 8)
        first = max(onset - 2, n - 32, 0)
        foot = peak = self._x[first & 31]
        for i in range(first, min(onset + 11, n)):
            v = self._x[i & 31]
            if v < foot and i < first + 3:
                foot = v
            if v > peak:
                peak = v
        self._new[0] = peak >> 2
        self._new[1] = foot >> 2
        self._beat((self.now << 8) + ((n & 7) << 5) + (-back_q8 >> 3), 1)


class EcgBreath(Breath):
    """Of an ECG at 250 Hz. Rings: height, interval."""

    first = _ECG_FIRST

    def __init__(self):
        Breath.__init__(self, 1, 2)

    def advance(self, n):
        """There are n samples since the start; slots begin before the beats in them are told."""
        while (self.now + self._wrapped + 1) * 80 <= n:
            self._begin_slot()

    def beat(self, at, frac_q8, height):
        """Take an R peak at sample `at` since the start, 0 <= frac_q8 < 256."""
        self._new[0] = height
        self._beat((at // 80 - self._wrapped << 8) + ((at % 80 << 8) + frac_q8) // 80, 0)


class RespRate:
    """Give it the sensors' Breath, have it report."""

    def __init__(self):
        self._x = array("h", bytes(2 * fft.SAMPLES))
        self._buffer = array("h", bytes(2 * fft.WORDS))
        self._score = array("h", bytes(2 * resp.BINS))
        self._belief = array("h", bytes(2 * resp.BINS))
        self._best = -1
        self._evidence_q4 = 0
        self._seen = 0  # readings in the evidence, at most _LASTING

    def report(self, sources, t_ms, out):
        """Append one reading of all sources; call it each 2 s.

        sources: pairs of a Breath, or None, and why it is not to be believed, PRESENT when it is.
        """
        for i in range(resp.BINS):
            self._score[i] = 0
        reason = NO_CONTACT
        known = heard = False
        top = resp.BINS
        scale = _ECG_ALONE
        for source, doubt in sources:
            if source is None or not source.now:
                if reason == NO_CONTACT and doubt:
                    reason = doubt
                continue
            if source.now < resp.WINDOW:
                doubt = SETTLING_IN
            else:
                known = True
            if doubt:
                reason = doubt
                continue
            heard = True
            if not source.first:
                scale = 4
            self._hear(source)
            if source.interval_q8:
                top = max(_TOP // source.interval_q8 - resp.FIRST_BIN, 0)
        quality = 0
        if heard:
            if self._best < 0:
                self._seen = 0
            self._best = resp.follow(self._belief, self._score, top)
            here_q4 = resp.evidence(self._score, self._best, top) << scale
            self._evidence_q4 += (here_q4 - self._evidence_q4) >> self._seen
            self._seen = min(self._seen + 1, _LASTING)
            quality = quality_pct(-resp.rival(self._belief, self._best, _NEAR), self._evidence_q4)
            reason = PRESENT if quality >= _QUALITY_MIN else POOR_SIGNAL
        elif not known:  # what was believed is of another time
            self._best = -1
            for i in range(resp.BINS):
                self._belief[i] = 0
        value = self._value(self._best) if self._best >= 0 else None
        out.append(Reading(RESP_RATE, value, -1, RESP_PER_MIN, quality, max(0, t_ms - _WINDOW_MS), t_ms, reason))

    def _hear(self, source):
        """Add to the score what each view of a source says."""
        ring = 0
        rings = len(source.rings) // resp.RING
        for view in range(rings if source.first else rings + 1):
            if not source.first and view == 3:  # the amplitude: peak less foot
                resp.gather(source.rings, 1, 2, source.now, self._x)
            else:
                resp.gather(source.rings, ring, -1, source.now, self._x)
                ring += 1
            fft.load(self._x, 0, WINDOW_Q10, self._buffer)
            fft.transform(self._buffer, SINE_Q14)
            # In place: bin i is written when nothing at or below word 2 i is read any more, nor above 1024 - 2 i.
            fft.log_power(self._buffer, SINE_Q14, self._buffer, resp.FIRST_BIN, resp.FIRST_BIN + resp.BINS, resp.LAST)
            resp.add_say(self._buffer, WEIGHTS_Q5, source.first + view, self._score)

    def _value(self, best):
        total = off = 0
        for i in range(max(0, best - _NEAR), min(resp.BINS, best + _NEAR + 1)):
            weight = self._belief[i] + 128
            if weight > 0:
                total += weight
                off += weight * (i - best)
        return (((best + resp.FIRST_BIN) << 8) + off * 256 // total) * 1875 >> 17


def quality_pct(margin, evidence_q4):
    """How likely the value is within 2 a minute: the lower of what two questions say, in 1/64 of a natural logarithm.

    margin: is it this rate and no other? evidence_q4: is it breath at all, and not the chance of noise?
    """
    return max(0, min(40 + (margin >> 3), _NONE_PCT + (evidence_q4 >> 4), 99))
