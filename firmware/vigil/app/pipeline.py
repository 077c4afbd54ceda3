"""From sample blocks to readings: routes each source to its channel and has it report every REPORT_MS of samples.

No I/O and no clock: time comes with the blocks, so that the chip, the virtual board and replay run the same thing.
Channels are imported when their source first delivers: a sensor that is not fitted costs no memory.
"""

from vigil.core.records import (
    ABSENT,
    ACC,
    BEAT_PER_MIN,
    CONTACT,
    DIMLESS,
    ECG,
    HEART_RATE,
    MOTION,
    NO_SENSOR,
    PERCENT,
    PERFUSION_INDEX,
    PPG,
    PULSE_RATE,
    REPORT_MS,
    RHYTHM,
    SPO2,
    Reading,
)

_KINDS = {
    ECG: ((HEART_RATE, BEAT_PER_MIN), (RHYTHM, DIMLESS)),
    PPG: ((PULSE_RATE, BEAT_PER_MIN), (SPO2, PERCENT), (PERFUSION_INDEX, PERCENT), (CONTACT, DIMLESS)),
    ACC: ((MOTION, DIMLESS),),
}


class Pipeline:
    """Push blocks, take readings.

    on_beat, when given, is called with each core Beat as soon as it is certain.
    """

    def __init__(self, on_beat=None):
        self._on_beat = on_beat
        self._channels = {}  # source: channel
        self._due_us = {}  # source: sample time until the next report
        self._readings = []

    def push(self, block):
        """Process one block. Allocates nothing but readings (each REPORT_MS) and, with on_beat, beats."""
        source = block.source
        if block.flags & ABSENT:
            self._absent(source, block.t0_ms)
            return
        channel = self._channels.get(source)
        if channel is None:
            channel = self._open(source)
            if channel is None:
                return
        channel.push(block)
        span_us = block.n * block.period_us
        due_us = self._due_us[source] - span_us
        if due_us <= 0:
            due_us += REPORT_MS * 1000
            channel.report(block.t0_ms + span_us // 1000, self._readings)
        self._due_us[source] = due_us

    def take(self):
        """Return the readings made since the last call, oldest first; the caller owns the list."""
        readings = self._readings
        if readings:
            self._readings = []
        return readings

    def _open(self, source):
        if source == ECG:
            from vigil.estimators.ecg_channel import EcgChannel as Channel
        elif source == PPG:
            from vigil.estimators.ppg_channel import PpgChannel as Channel
        elif source == ACC:
            from vigil.estimators.acc_channel import AccChannel as Channel
        else:
            return None
        channel = self._channels[source] = Channel(self._on_beat)
        self._due_us[source] = REPORT_MS * 1000
        if PPG in self._channels and source in (PPG, ACC):
            self._join(self._channels[PPG].hand_over)
        return channel

    def _join(self, hand_over):
        """Give the pulse its judge of motion, and that the acceleration where there is any."""
        if hand_over.motion is None:
            try:
                from vigil.estimators.motion_rate import MotionRate
            except ImportError:  # the image is of a profile without it
                return
            hand_over.motion = MotionRate()
        hand_over.motion.acc = self._channels.get(ACC)

    def _absent(self, source, t_ms):
        for kind, unit in _KINDS.get(source, ()):
            self._readings.append(Reading(kind, None, 0, unit, 0, t_ms, t_ms, NO_SENSOR))
