"""Which pulse rate is believed: the beats', or in motion the belief over all rates.

With an accelerometer its level decides: the beats answer when nothing has moved in all of their time. Without one the
light must tell, and has two signs: a pulse rises fast and falls slowly, so that its skewness is positive, which the
swing of an arm's is not; and motion makes the signal larger than it was at rest. Neither is enough: a deep dicrotic
notch takes the skewness away, warmth makes the pulse larger.
docs/adr/0018 has the figures.
"""

from array import array

from micropython import const

from vigil.core.records import MOTION_ARTIFACT, PRESENT
from vigil.dsp.pulse_shape import moments

_WINDOW = const(200)  # samples looked at: 8 s
SHAPE_MIN = const(100)  # and the least
_AGREE_X10 = const(40)  # bpm: beats and spectrum tell of one pulse
_SKEW_Q6 = const(16)  # 0.25: less is no pulse's shape, of a signal that has grown by half
_ODD_Q6 = const(30)  # 0.47: likewise, where beats and spectrum disagree
_LARGER_Q4 = const(24)
_MUCH_Q4 = const(28)  # or 1.75 times as large, where they disagree
_LARGE_Q4 = const(40)  # two and a half times as large as at rest, or disagreement: no more than _UNSURE
_UNSURE = const(49)
_FORGET = const(10)  # the smallest size is forgotten by 1/1024 a second
_QUALITY_MIN = const(30)


class HandOver:
    """Evaluate once a second, then ask for the rate.

    motion: a MotionRate, or None. by_beats: the rate asked for last is the beats'. skew_q6: skewness of the last 8 s.
    grown_q4: size over the smallest since the light began, Q4.
    """

    def __init__(self):
        self.motion = None
        self._moments = array("i", bytes(12))
        self.restart()

    def restart(self):
        """The light began anew."""
        self.skew_q6 = 64
        self.grown_q4 = 16
        self._least_q8 = 0
        if self.motion is not None:
            self.motion.restart()

    def evaluate(self, ring, column: int, count: int, age: int):
        """Look at the newest 8 s of the column that pulses."""
        n = min(age, _WINDOW)
        if n < SHAPE_MIN:
            return
        out = self._moments
        moments(ring, column, count, n, out)
        size_q8 = out[0] << 8  # <= 2**24
        least_q8 = self._least_q8
        least_q8 += least_q8 >> _FORGET
        if not 0 < least_q8 < size_q8:
            least_q8 = max(size_q8, 1)
        self._least_q8 = least_q8
        self.grown_q4 = size_q8 // ((least_q8 >> 4) + 1)
        # |cube| <= 127 * square < 2**21; the skewness of 200 samples is below 15, so cube / sigma * 64 < 2**24.
        self.skew_q6 = (out[2] << 4) // _root(out[1] << 8 or 1) * 64 // (out[1] + 1)

    def rate(self, pulse):
        """(rate in 0.1 bpm or None, quality, reason). pulse: a PulseRate."""
        beats, quality, reason = pulse.bpm_x10, pulse.quality_pct, pulse.reason
        self.by_beats = True
        motion = self.motion
        track = motion.bpm_x10 if motion is not None else None
        apart = track is not None and beats is not None and abs(beats - track) > _AGREE_X10
        if track is not None and motion.heard:
            if reason == PRESENT and quality >= 50 and motion.quiet >= pulse.span:
                return beats, quality, reason
            self.by_beats = False
            quality = motion.quality_pct
            return track, quality, PRESENT if quality >= _QUALITY_MIN else MOTION_ARTIFACT
        if self._disturbed(apart):
            if track is not None:
                beats, quality = track, motion.quality_pct
                self.by_beats = False
            return beats, quality * (_QUALITY_MIN - 1) // 100, MOTION_ARTIFACT
        if apart or self.grown_q4 > _LARGE_Q4:
            quality = min(quality, _UNSURE)
        return beats, quality, reason

    def _disturbed(self, apart):
        """Tell whether the light alone shows motion. apart: beats and spectrum disagree."""
        if apart:
            return self.skew_q6 < _ODD_Q6 or self.grown_q4 > _MUCH_Q4
        return self.skew_q6 < _SKEW_Q6 and self.grown_q4 > _LARGER_Q4


def _root(x):
    """Square root of 0 < x < 2**22, rounded down."""
    root = 2048
    better = root + x // root >> 1
    while better < root:
        root = better
        better = root + x // root >> 1
    return root
