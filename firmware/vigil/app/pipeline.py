"""From sample blocks to readings: routes each source to its channel and has it report every REPORT_MS of samples.

No I/O and no clock: time comes with the blocks, so that the chip, the virtual board and replay run the same thing.
Channels are imported when their source first delivers: a sensor that is not fitted costs no memory.
"""

from micropython import const

from vigil.core.records import (
    ABSENT,
    ACC,
    BEAT_PER_MIN,
    CONTACT,
    DIMLESS,
    ECG,
    HEART_RATE,
    MOTION,
    MOTION_ARTIFACT,
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

try:
    from vigil.estimators.fusion import Fusion
except ImportError:  # not in this device's profile
    Fusion = None
try:
    from vigil.estimators.resp_rate import RespRate
except ImportError:
    RespRate = None

_MOVING_MG = const(400)  # more acceleration than this, summed over axes: light tells nothing of breath
_AGAIN_MS = const(1500)  # ECG and light report each 2 s; what they tell together comes once
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
        self._on_report = None
        self._channels = {}  # source: channel
        self._due_us = {}  # source: sample time until the next report
        self._readings = []
        self._resp = RespRate() if RespRate else None
        self._fusion = Fusion() if Fusion else None
        self._heart = self._pulse = None  # the newest reading of each rate
        self._joint_ms = -_AGAIN_MS

    def push(self, block):
        """Process one block. Allocates nothing but readings (each REPORT_MS) and, with on_beat, beats."""
        source = block.source
        if block.flags & ABSENT:
            self._absent(source, block.t0_ms)
            return
        channel = self._channels.get(source)
        if channel is None:
            try:
                channel = self._open(source)
            except ImportError:  # the image is of a board without this sensor
                return
        channel.push(block)
        span_us = block.n * block.period_us
        due_us = self._due_us[source] - span_us
        if due_us <= 0:
            due_us += REPORT_MS * 1000
            t_ms = block.t0_ms + span_us // 1000
            known = len(self._readings)
            channel.report(t_ms, self._readings)
            if source != ACC:
                self._report_jointly(known, t_ms)
            if self._on_report:
                self._on_report(self._readings, known)
        self._due_us[source] = due_us

    def shed(self):
        """Give up the next optional part, for lack of memory; return its name, "" where none is left."""
        ppg = self._channels.get(PPG)
        if self._resp:
            self._resp = None
            return "respiration"
        if ppg and ppg.hand_over.motion:
            ppg.hand_over.motion = None
            return "judge of motion"
        return ""

    def restore(self):
        """Take back what was given up last; return its name, "" where nothing is missing."""
        ppg = self._channels.get(PPG)
        if ppg and not ppg.hand_over.motion:
            self._join(ppg.hand_over)
            if ppg.hand_over.motion:
                return "judge of motion"
        if RespRate and not self._resp:
            self._resp = RespRate()
            return "respiration"
        return ""

    def watch(self, on_report, on_beat):
        """Call on_report(readings, first) after each report, new ones from `first` on; on_beat too. Before any data."""
        self._on_report = on_report
        before = self._on_beat

        def both(beat):
            before(beat)
            on_beat(beat)

        self._on_beat = both if before else on_beat

    def take(self):
        """Return the readings made since the last call, oldest first; the caller owns the list."""
        readings = self._readings
        if readings:
            self._readings = []
        return readings

    def _open(self, source):
        if source == ECG:
            from vigil.estimators.ecg_channel import EcgChannel

            channel = EcgChannel(self._on_beat)
        elif source == PPG:
            from vigil.estimators.ppg_channel import PpgChannel

            channel = PpgChannel(self._on_beat)
        elif source == ACC:
            from vigil.estimators.acc_channel import AccChannel

            channel = AccChannel(self._on_beat)
        else:
            raise ImportError("no channel for source %d" % source)
        self._channels[source] = channel
        self._due_us[source] = REPORT_MS * 1000
        if self._fusion and source != ACC:
            channel.told = self._fusion.heart_beat if source == ECG else self._fusion.pulse_beat
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

    def _report_jointly(self, known, t_ms):
        """Report what light and ECG tell together. known: readings that were there before this source's."""
        readings = self._readings
        for i in range(known, len(readings)):
            if readings[i].kind == HEART_RATE:
                self._heart = readings[i]
            elif readings[i].kind == PULSE_RATE:
                self._pulse = readings[i]
        if t_ms - self._joint_ms < _AGAIN_MS:
            return
        self._joint_ms = t_ms
        if self._fusion:
            self._fusion.report(self._heart, self._pulse, t_ms, readings)
        if self._resp:
            sources = []
            for source, rate in ((PPG, self._pulse), (ECG, self._heart)):
                channel = self._channels.get(source)
                doubt = rate and rate.absent_reason
                acc = self._channels.get(ACC)
                if source == PPG and acc and acc.level_mg >= _MOVING_MG:
                    doubt = MOTION_ARTIFACT
                sources.append((channel and channel.breath, doubt))
            self._resp.report(sources, t_ms, readings)

    def _absent(self, source, t_ms):
        known = len(self._readings)
        channel = self._channels.get(source)
        if self._resp and channel and source != ACC:
            channel.breath.restart()
        for kind, unit in _KINDS.get(source, ()):
            self._readings.append(Reading(kind, None, 0, unit, 0, t_ms, t_ms, NO_SENSOR))
        if source != ACC:
            self._report_jointly(known, t_ms)
        if self._on_report:
            self._on_report(self._readings, known)
