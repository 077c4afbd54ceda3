"""Pulse rate in motion: spectra of the pulse and of the acceleration, and a belief over all rates at once.

Each 2 s a window of 8 s is looked at that ended 0.2 s ago, so that the acceleration of the same time is there when its
blocks are no longer than 120 ms; of longer ones the last samples count as zero, and from 240 ms on there is no motion.

For each column of light, and of several for their sum, in which the pulse adds up and what each site does by itself
does not, the spectrum is taken twice: as it is, and with what follows the acceleration taken away. A small network
(dsp.motion.judge) says for each of 145 rates how likely it is the pulse, from both spectra and the acceleration's at
that rate, its half, its double, 1.5 times it and its neighbours. A belief over all rates is carried on by how fast a
heart changes: no rate is ever given up, so the tracker cannot stay locked on to the swing of an arm.
docs/adr/0014 and 0043 tell what was measured and what lost.
"""

from array import array

from micropython import const

from vigil.dsp import fft, motion
from vigil.dsp.coeffs.fft import SINE_Q14, WINDOW_Q10
from vigil.dsp.coeffs.motion import ALONE, HEARD, STEP_Q8

_N = const(200)
_LAG = const(5)  # samples of 25 Hz that a window ends before the evaluation
_STEP = const(50)  # samples between evaluations
_LONG = const(1000)  # samples: longer quiet is not counted
_AGE_MIN = const(99)  # samples of light before the first evaluation: 4 s
_LAST = const(329)  # bins of a spectrum that are looked at
_MOTION_LAST = const(165)  # and of the acceleration's: harmonics above 240 a minute would hide pulses of half of that
_BAND_FIRST = const(10)
_BAND_LAST = const(240)
_STILL = const(80)  # quarter milli-g: acceleration below this throughout is the converter's noise
_STILL_MG = const(100)  # sum of the axes, mean
_SAME_Q14 = const(1 << 14)
_KNOWN_MIN = const(50)  # samples of acceleration below which there is none
_WHOLE = const(11)  # shift of the judge: of the sum, or a column alone
_HALF = const(12)  # and of each of several
_WIDTH = const(3)  # bins each side of the best one that the value is the mean of
_LATE = const(6)  # samples: acceleration that ends longer before the light is of another time
_EARLY = const(-40)  # samples: acceleration that ends longer after the light has left the ring


class MotionRate:
    """Evaluate each 2 s, read the fields.

    acc: the AccChannel, None without one. bpm_x10: best guess or None. sure_pct: share of the belief within 4 bpm of
    it. heard: the acceleration of the window's time is known. moving: there was some. level_mg: how much, mean of the
    last 2 s over the sum of the axes. quiet: samples of light for which it was less than 0.1 g, looked at by 8 s.
    """

    def __init__(self, acc=None):
        self.acc = acc
        self._x = array("h", bytes(2 * _N))
        self._sum = array("h", bytes(2 * _N))
        self._span = array("h", bytes(2 * 3 * motion.SPAN))
        self._buffer = array("h", bytes(2 * fft.WORDS))
        self._own = array("h", bytes(2 * _LAST))
        self._left = array("h", bytes(2 * _LAST))
        self._motion = array("h", bytes(2 * _LAST))
        self._gram = array("i", bytes(4 * motion.TAPS * motion.TAPS))
        self._solved = array("i", bytes(8 * motion.TAPS))
        self._inputs = array("h", bytes(2 * motion.INPUTS))
        self._score = array("i", bytes(4 * motion.BINS))
        self._work = array("i", bytes(4 * motion.BINS))
        self._belief = array("i", bytes(4 * motion.BINS))
        self.restart()

    def restart(self):
        """Believe in every rate alike."""
        for i in range(motion.BINS):
            self._belief[i] = 1 << 18
        self.bpm_x10 = None
        self.sure_pct = 0
        self.quality_pct = 0
        self.heard = False
        self.moving = False
        self.quiet = 0
        self.level_mg = 0

    def evaluate(self, ring, columns: int, count: int, age: int, t_ms: int, period_us: int):
        """Look at the light. ring: int16, `columns` x 256, newest sample at `count`, taken at t_ms, `age` known.

        period_us: of the light's samples at 100 Hz, as measured."""
        if age < _AGE_MIN:
            return
        self._look_at_motion(t_ms, period_us)
        score = self._score
        for i in range(motion.BINS):
            score[i] = 0
        x, both = self._x, self._sum
        for i in range(_N):
            both[i] = 0
        for c in range(columns):
            motion.gather(ring, c * 256, count - _LAG, _N, age - _LAG, 0, x, 0, _SAME_Q14)
            motion.normalise(x, 0, _N)
            motion.add(x, both, _N)
            self._judge(x, _HALF if columns > 1 else _WHOLE)
        if columns > 1:
            motion.normalise(both, 0, _N)
            self._judge(both, _WHOLE)
        best = motion.follow(self._belief, STEP_Q8, score, self._work)
        self._read(best)

    def _judge(self, x, shift):
        """Add what x says to the score; x is what is left of it afterwards."""
        left = self._own
        self._spectrum(x, 0, left)
        if self.moving:
            left = self._left
            motion.products(x, 0, self._span, self._solved, 0, 8)
            motion.solve(self._gram, self._solved)
            motion.cancel(x, self._span, self._solved)
            motion.normalise(x, 0, _N)
            self._spectrum(x, 0, left)
        net = HEARD if self.heard else ALONE
        motion.judge(self._own, left, self._motion, net, self._inputs, self._score, shift)

    def _spectrum(self, x, at, out):
        fft.load(x, at, WINDOW_Q10, self._buffer)
        fft.transform(self._buffer, SINE_Q14)
        fft.log_power(self._buffer, SINE_Q14, out, _BAND_FIRST, _BAND_LAST, _LAST)

    def _look_at_motion(self, t_ms, period_us):
        """Take the acceleration of the window's time: its taps' products, and the largest of its axes' spectra."""
        acc, span = self.acc, self._span
        quiet, self.quiet = self.quiet, 0
        self.heard = self.moving = False
        for i in range(_LAST):
            self._motion[i] = 0
        if acc is None:
            return
        late = (t_ms - acc.t_ms + 20) // 40  # samples
        end = acc.count - (_LAG - 2) + late
        known = acc.age - (_LAG - 2) + late
        if not _EARLY <= late <= _LATE or known < _KNOWN_MIN:
            return
        self.heard = True
        self.level_mg = motion.level(acc.ring, acc.count, min(acc.age, 50))
        n = min(acc.age, _N)
        if motion.level(acc.ring, acc.count, n) < _STILL_MG:
            self.quiet = min((quiet or n) + _STEP, _LONG)
        # Both periods are within an eighth of their nominal ones: 11250 << 14 < 2**28.
        step_q14 = (period_us << 14) // (acc.period_us >> 1)
        if not 13000 < step_q14 < 19000:
            step_q14 = _SAME_Q14
        for a in range(3):
            motion.gather(
                acc.ring, a * 256, end, motion.SPAN, known, max(0, late - _LAG + 2), span, a * motion.SPAN, step_q14
            )
        if motion.peak(span, 3 * motion.SPAN) < _STILL:
            return
        self.moving = True
        for a in range(3):
            motion.normalise(span, a * motion.SPAN, motion.SPAN)
        t = 0
        for a in range(3):
            for d in range(0, 10, 2):
                motion.products(span, a * motion.SPAN + d, span, self._gram, t, 18)
                t += motion.TAPS
            self._spectrum(span, a * motion.SPAN + 6, self._left)
            motion.keep_larger(self._left, self._motion, _MOTION_LAST)

    def _read(self, best):
        """The rate: the mean round the best bin, by the belief and once more by what is seen now, which lags less."""
        belief, score = self._belief, self._score
        first, last = max(0, best - _WIDTH), min(motion.BINS, best + _WIDTH + 1)
        top = score[best]
        for i in range(first, last):
            top = max(top, score[i])
        total = near = weight = off = 0
        for i in range(motion.BINS):
            v = belief[i] >> 4
            total += v
            if first <= i < last:
                near += v
                down = (top - score[i] + 15) >> 4
                v = (v * (16 + (down << 4) - top + score[i])) >> (4 + min(down, 24))
                weight += v
                off += v * (i - best)
        # 15 bits a bin: off * 256 <= 7 * 3 * 2**15 * 2**8 < 2**28; 164 * 256 * 1875 < 2**27.
        self.bpm_x10 = (((best + motion.FIRST_BIN) << 8) + off * 256 // (weight or 1)) * 1875 >> 15
        self.sure_pct = near * 100 // (total + 1)
        self.quality_pct = max(0, 2 * self.sure_pct - 100)
