"""One pulse for the wearer from the heart rate (ECG) and the pulse rate (PPG), and the pulse deficit between them.

Where both are shown and agree within 3/min or 5 % (the larger), the pulse is their mean weighed by quality, surer than
either. A heart rate above the pulse rate may be real: beats that move no blood (atrial fibrillation, early beats). It
is believed when both qualities are at least 50 % for three reports in a row; then the pulse is the pulse rate and the
deficit what is missing. Otherwise, and where the pulse rate is the higher one, which no heart does, the better source
is taken at half of its quality, and no deficit is told. One source alone counts as it is. None shown: the better guess,
withheld for its reason.
"""

from micropython import const

from vigil.core.records import (
    BEAT_PER_MIN,
    NO_CONTACT,
    NO_SENSOR,
    POOR_SIGNAL,
    PRESENT,
    PULSE,
    PULSE_DEFICIT,
    Reading,
)

_CLOSE_X10 = const(30)  # 0.1/min
_SHARE = const(20)  # 5 %
_GOOD_PCT = const(50)
_LASTING = const(3)  # reports
_SHOWN_PCT = const(30)


class Fusion:
    """Give it the newest heart-rate and pulse-rate reading each 2 s."""

    def __init__(self):
        self._apart = 0  # reports in a row that show a deficit

    def report(self, heart, pulse, t_ms, out):
        """Append a PULSE reading, and with two sensors a PULSE_DEFICIT. heart, pulse: Reading in 0.1/min, or None."""
        heart_ok = heart is not None and heart.absent_reason == PRESENT
        pulse_ok = pulse is not None and pulse.absent_reason == PRESENT
        deficit = None
        deficit_pct = 0
        one = heart
        if heart_ok and pulse_ok:
            h, p = heart.mantissa, pulse.mantissa
            qh, qp = heart.quality_pct, pulse.quality_pct
            one = heart if qh > qp else pulse
            value, quality = one.mantissa, one.quality_pct >> 1
            apart = h - p
            if abs(apart) <= max(_CLOSE_X10, h // _SHARE):
                value = (h * qh + p * qp) // (qh + qp) if qh + qp else h
                quality = min(99, 100 - (100 - qh) * (100 - qp) // 100)
                deficit = 0
                deficit_pct = min(qh, qp)
                self._apart = 0
            elif apart > 0 and min(qh, qp) >= _GOOD_PCT:
                self._apart = min(self._apart + 1, _LASTING)
                if self._apart == _LASTING:
                    value, quality = p, qp
                    deficit = apart
                    deficit_pct = min(qh, qp)
            else:
                self._apart = 0
            start_ms = min(heart.t_start_ms, pulse.t_start_ms)
            reason = PRESENT if quality >= _SHOWN_PCT else POOR_SIGNAL
        else:
            self._apart = 0
            if pulse_ok or heart is None or (not heart_ok and pulse is not None and _worse(heart, pulse)):
                one = pulse
            value, quality, start_ms, reason = one.mantissa, one.quality_pct, one.t_start_ms, one.absent_reason
        out.append(Reading(PULSE, value, -1, BEAT_PER_MIN, quality, start_ms, t_ms, reason))
        if heart is None or pulse is None:
            return
        reason = PRESENT
        if deficit is None:  # the sensor that is missing, or sources that cannot both be right
            reason = (not heart_ok and heart.absent_reason) or (not pulse_ok and pulse.absent_reason) or POOR_SIGNAL
        out.append(Reading(PULSE_DEFICIT, deficit, -1, BEAT_PER_MIN, deficit_pct, start_ms, t_ms, reason))


def _worse(one, other):
    """Tells `one`, withheld like `other`, less of the wearer than `other` does?"""
    if one.absent_reason in (NO_SENSOR, NO_CONTACT):
        return other.absent_reason not in (NO_SENSOR, NO_CONTACT) or other.mantissa is not None
    return one.mantissa is None and other.absent_reason not in (NO_SENSOR, NO_CONTACT)
