"""One pulse for the wearer from the heart rate (ECG) and the pulse rate (PPG), and the pulse deficit between them.

A heart that beats early (atrial fibrillation, early beats) may move no blood. That is believed of beats, not of rates:
of the last 16 s, nine pulses in ten must follow a heart beat after one constant time, and of the heart beats that
have no pulse four in five must have come early (less than 0.9 of the mean interval before them). A pulse that noise
hides or splits obeys neither. Then the pulse is the rate of the beats that have one, however irregular, and the
deficit the rate of those that have none.

Where the beats do not tell, rates that agree within 3/min or 5 % (the larger) are weighed by quality, surer together
than either; of rates that do not, the better one is taken at half of its quality, and no deficit is told. One source
alone counts as it is. None shown: the better guess, withheld for its reason.
"""

from array import array

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
_SHOWN_PCT = const(30)
_SURE_PCT = const(50)  # of the heart rate whose beats are asked
_RING = const(64)
_TIME = const(0xFFFFFF)  # milliseconds are kept modulo 4.6 h
_OLDEST_MS = const(18000)
_NEWEST_MS = const(2000)  # both detectors are certain by then
_LONGEST_MS = const(700)  # from R peak to the onset of its pulse
_CONSTANT_MS = const(60)
_BEATS_MIN = const(10)


class Fusion:
    """Tell it each beat, and give it the newest heart-rate and pulse-rate reading each 2 s."""

    def __init__(self):
        self._heart = array("i", bytes(4 * _RING))
        self._pulse = array("i", bytes(4 * _RING))
        self._delays = array("H", bytes(2 * _RING))
        self._hearts = self._pulses = 0  # beats ever
        self._rate_x10 = self._missing_x10 = 0

    def heart_beat(self, t_ms):
        """Take an R peak."""
        self._heart[self._hearts & 63] = t_ms & _TIME
        self._hearts += 1

    def pulse_beat(self, t_ms):
        """Take a pulse onset."""
        self._pulse[self._pulses & 63] = t_ms & _TIME
        self._pulses += 1

    def report(self, heart, pulse, t_ms, out):
        """Append a PULSE reading, and with two sensors a PULSE_DEFICIT. heart, pulse: Reading in 0.1/min, or None."""
        heart_ok = heart is not None and heart.absent_reason == PRESENT
        pulse_ok = pulse is not None and pulse.absent_reason == PRESENT
        deficit = None
        deficit_pct = 0
        sure = 0
        one = heart
        if heart_ok and heart.quality_pct >= _SURE_PCT and pulse and (pulse_ok or pulse.absent_reason == POOR_SIGNAL):
            sure = self._match(t_ms & _TIME)
        if sure:
            deficit = self._missing_x10
            value = self._rate_x10 - deficit if deficit or not pulse_ok else heart.mantissa
            quality = deficit_pct = min(sure, heart.quality_pct)
            start_ms = t_ms - _OLDEST_MS
            reason = PRESENT
        elif heart_ok and pulse_ok:
            h, p = heart.mantissa, pulse.mantissa
            qh, qp = heart.quality_pct, pulse.quality_pct
            one = heart if qh > qp else pulse
            value, quality = one.mantissa, one.quality_pct >> 1
            start_ms = min(heart.t_start_ms, pulse.t_start_ms)
            reason = PRESENT if quality >= _SHOWN_PCT else POOR_SIGNAL
        else:
            if pulse_ok or heart is None or (not heart_ok and pulse is not None and _worse(heart, pulse)):
                one = pulse
            value, quality, start_ms, reason = one.mantissa, one.quality_pct, one.t_start_ms, one.absent_reason
        if heart_ok and pulse_ok and not deficit:
            h, p = heart.mantissa, pulse.mantissa
            qh, qp = heart.quality_pct, pulse.quality_pct
            if abs(h - p) <= max(_CLOSE_X10, h // _SHARE):
                value = (h * qh + p * qp) // (qh + qp) if qh + qp else h
                quality = min(99, 100 - (100 - qh) * (100 - qp) // 100)
                start_ms = min(heart.t_start_ms, pulse.t_start_ms)
                reason = PRESENT if quality >= _SHOWN_PCT else POOR_SIGNAL
                deficit = 0
                deficit_pct = max(deficit_pct, min(qh, qp))
        out.append(Reading(PULSE, value, -1, BEAT_PER_MIN, quality, start_ms, t_ms, reason))
        if heart is None or pulse is None:
            return
        reason = PRESENT
        if deficit is None:  # the sensor that is missing, or sources that cannot both be right
            reason = (not heart_ok and heart.absent_reason) or (not pulse_ok and pulse.absent_reason) or POOR_SIGNAL
        out.append(Reading(PULSE_DEFICIT, deficit, -1, BEAT_PER_MIN, deficit_pct, start_ms, t_ms, reason))

    def _match(self, t_ms):
        """Find the beats of the last 16 s that have no pulse. Returns how sure that is (percent), 0 for not at all."""
        heart, pulse, apart = self._heart, self._pulse, self._delays
        usual = self._usual_delay(t_ms)
        if usual < 0:
            return 0
        n = 0  # pulses of heart beats in the window
        for i in range(min(self._pulses, _RING)):
            if _NEWEST_MS <= t_ms + usual - pulse[i] & _TIME <= _OLDEST_MS:
                n += 1
        beats = bare = held = 0
        at = first = newest = -1
        i = max(0, self._pulses - _RING)
        for j in range(max(0, self._hearts - _RING), self._hearts):
            before, at = at, heart[j & 63]
            if before < 0 or not _NEWEST_MS <= t_ms - at & _TIME <= _OLDEST_MS:
                continue
            if first < 0:
                first = before
            newest = at
            beats += 1
            begins = at + usual - _CONSTANT_MS
            while i < self._pulses and pulse[i & 63] - begins & _TIME > _TIME >> 1:
                i += 1
            if i < self._pulses and pulse[i & 63] - begins & _TIME <= 2 * _CONSTANT_MS:
                held += 1
                i += 1
            else:
                apart[bare] = min(at - before & _TIME, 65535)
                bare += 1
        if beats < _BEATS_MIN or not n:
            return 0
        span = newest - first & _TIME
        early = 0
        for k in range(bare):
            if apart[k] * beats * 10 < span * 9:
                early += 1
        if (n - held) * 10 > n or early * 5 < bare * 4:
            return 0
        self._rate_x10 = beats * 600000 // span
        self._missing_x10 = bare * 600000 // span
        return min(99, 100 * held // n)

    def _usual_delay(self, t_ms):
        """Median time (ms) from a heart beat to the next pulse after it, -1 for none."""
        heart, pulse, delays = self._heart, self._pulse, self._delays
        j, last = max(0, self._hearts - _RING), self._hearts - 1
        n = 0
        for i in range(max(0, self._pulses - _RING), self._pulses):
            at = pulse[i & 63]
            if not _NEWEST_MS <= t_ms - at & _TIME <= _OLDEST_MS:
                continue
            while j < last and at - heart[j + 1 & 63] & _TIME <= _TIME >> 1:
                j += 1
            delay = at - heart[j & 63] & _TIME
            if delay > _LONGEST_MS:
                continue
            k = n
            while k and delays[k - 1] > delay:
                delays[k] = delays[k - 1]
                k -= 1
            delays[k] = delay
            n += 1
        return delays[n >> 1] if n else -1


def _worse(one, other):
    """Tells `one`, withheld like `other`, less of the wearer than `other` does?"""
    if one.absent_reason in (NO_SENSOR, NO_CONTACT):
        return other.absent_reason not in (NO_SENSOR, NO_CONTACT) or other.mantissa is not None
    return one.mantissa is None and other.absent_reason not in (NO_SENSOR, NO_CONTACT)
