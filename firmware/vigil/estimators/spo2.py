"""SpO2 by the ratio of ratios, from the regression of the red pulse on the infrared one over 8 s.

Both are smoothed over 160 ms first, alike, which takes noise and leaves their ratio. Two things must hold for a value
to be shown: both columns tell of the same thing, and it is a pulse: it repeats itself, or, where the heart is
irregular, it rises fast and falls slowly and both columns tell of it more exactly still. What moves the sensor does
neither. docs/adr/0004, 0016, 0030.
"""

from array import array

from micropython import const

from vigil.core.records import LOW_PERFUSION, OUT_OF_RANGE, POOR_SIGNAL, PRESENT, SETTLING_IN
from vigil.dsp.coeffs.ppg import SPO2_X100
from vigil.dsp.ppg_window import moments, scale, smooth

_WINDOW = const(200)  # samples: 8 s
_WINDOW_MIN = const(70)
_R_MAX_Q12 = const(8191)  # R just below 2, the table's end
_PI_MIN_X1000 = const(50)  # below 0.05 % the converter's own noise decides
_SHARED_MIN_Q12 = const(3891)  # least squared correlation of red and infrared: 0.95
_CLEAR_MIN_Q10 = const(700)  # least autocorrelation of the pulse at its period: motion has less
_CLEAR_SOON_Q10 = const(800)  # of less than _SOON samples, in which motion repeats by chance
_SOON = const(100)
_SHARED_SHAPE_Q12 = const(4067)  # 0.993, where it is not the period
_SKEW_MIN_Q6 = const(27)  # but a skewness of 0.42 that tells a pulse; what shakes the light has none
_QUALITY_SHAPE = const(60)


def ratio_q12(a: int, b: int) -> int:
    """a / b in Q12 for b > 0, |a| and b < 2**30, clamped to +-4. Error below 0.02 % for b >= 2**12."""
    while b > 32767 or a > 65535 or a < -65535:
        a >>= 1
        b >>= 1
    if b < 1:
        return 16384 if a > 0 else -16384
    return min(max((a << 12) // b, -16384), 16384)  # |a << 12| <= 2**28


def calibrated_x100(r_q12: int) -> int:
    """SpO2 in 0.01 % from R in Q12 (0..2), by linear interpolation of the table; never rises with R."""
    i = r_q12 >> 8
    here = SPO2_X100[i]
    return here + ((SPO2_X100[i + 1] - here) * (r_q12 & 255) >> 8)


class Spo2:
    """Evaluate once a second, read the fields.

    spo2_x10: percent * 10, best guess or None. pi_x1000: perfusion index of infrared, 0.001 %. r_q12: ratio of
    ratios. quality_pct, reason: as in Reading.
    """

    def __init__(self):
        self._ir = array("h", bytes(2 * _WINDOW))
        self._red = array("h", bytes(2 * _WINDOW))
        self._sums = array("i", bytes(12))
        self.reset()

    def reset(self):
        """Forget the last value."""
        self.spo2_x10 = None
        self.r_q12 = 0
        self.quality_pct = 0
        self.reason = SETTLING_IN

    def evaluate(
        self, ring, red: int, ir: int, dc_red: int, dc_ir: int, count: int, age: int, pi_x1000, clarity_q10, skew_q6
    ):
        """Form the reading. red, ir: columns of ring; dc_red, dc_ir: decimated sums (8 counts); 16 <= dc < 2**21.

        pi_x1000: perfusion in 0.001 %, 0 while no beat is known. clarity_q10, skew_q6: the pulse's autocorrelation and
        skewness.
        """
        n = min(age, _WINDOW)
        if n < _WINDOW_MIN:
            self.reason = SETTLING_IN
            self.quality_pct = 0
            return
        shift = scale(ring, red, count, n, self._red) - scale(ring, ir, count, n, self._ir)
        smooth(self._red, n)
        smooth(self._ir, n)
        sums = self._sums
        moments(self._ir, self._red, n, sums)
        slope_q12 = ratio_q12(sums[1], sums[0])
        shared_q12 = slope_q12 * ratio_q12(sums[1], sums[2]) >> 12  # squared correlation
        if slope_q12 <= 0:  # the columns move against each other: no pulse that both see
            self.quality_pct = 0
            self.reason = POOR_SIGNAL
            return
        r_q12 = slope_q12 * ratio_q12(dc_ir, dc_red) >> 12
        r_q12 = r_q12 << shift if shift > 0 else r_q12 >> -shift
        self.r_q12 = r_q12 = min(r_q12, _R_MAX_Q12)
        spo2_x100 = calibrated_x100(r_q12)
        self.spo2_x10 = (spo2_x100 + 5) // 10
        shaped = skew_q6 >= _SKEW_MIN_Q6 and shared_q12 >= _SHARED_SHAPE_Q12
        sure = max(clarity_q10 * 100 >> 10, _QUALITY_SHAPE if shaped else 0)
        self.quality_pct = min(shared_q12 * 100 >> 12, sure, 99)
        if 0 < pi_x1000 < _PI_MIN_X1000:
            self.reason = LOW_PERFUSION
        elif not shaped and (
            shared_q12 < _SHARED_MIN_Q12 or clarity_q10 < (_CLEAR_SOON_Q10 if n < _SOON else _CLEAR_MIN_Q10)
        ):
            self.reason = POOR_SIGNAL
        elif spo2_x100 < 7000:
            self.reason = OUT_OF_RANGE
        else:
            self.reason = PRESENT
