"""The PPG channel: sample blocks in; pulse beats, pulse rate, SpO2, perfusion index and contact out.

All that is decided happens at fixed places of the sample stream (every decimated sample, every second of them),
so that results do not depend on how the stream is cut into blocks; `report` only reads them out.
"""

from array import array

from micropython import const

from vigil.core.records import (
    BEAT_PER_MIN,
    CONTACT,
    CONTACT_LOOSE,
    CONTACT_OTHER,
    CONTACT_UNKNOWN,
    DIMLESS,
    GAP,
    GREEN,
    IR,
    LOW_PERFUSION,
    MOTION_ARTIFACT,
    NO_CONTACT,
    NO_PULSE,
    NO_SENSOR,
    PERCENT,
    PERFUSION_INDEX,
    PPG,
    PRESENT,
    PULSE_RATE,
    RED,
    RELATIVE,
    SATURATED,
    SETTLING,
    SETTLING_IN,
    SIGNAL_SATURATED,
    SPO2,
    Beat,
    Reading,
)
from vigil.dsp import ppg_beats, ppg_front
from vigil.dsp.coeffs.ppg import HIGHPASS_Q14
from vigil.estimators.contact import OFF_COUNTS, PI_MIN_X1000, Contact
from vigil.estimators.hand_over import SHAPE_MIN, HandOver
from vigil.estimators.pulse_rate import PulseRate
from vigil.estimators.spo2 import Spo2

try:
    from vigil.estimators.resp_rate import PulseBreath
except ImportError:  # not in this device's profile
    PulseBreath = None

_ROWS = const(64)  # longest block
_TICK = const(25)  # decimated samples between evaluations: 1 s
_NOMINAL_US = const(10000)
_SPAN = const(205)  # decimated samples that a reading not of beats covers at most: 8.2 s
_CENTRE_Q8 = const(3 * 256 + 128)  # a decimated sample stands 3.5 samples before its last row
_SATURATED_HOLD = const(250)  # decimated samples: a saturated one spoils a window of 8 s and its filters' tail


class PpgChannel:
    """One PPG sensor.

    on_beat, when given, is called with each core Beat (a pulse onset) as soon as it is certain: at the latest 0.6 s
    after its steepest place. Pulse comes from the infrared column, from green or the first one where there is none.
    """

    def __init__(self, on_beat=None):
        self._on_beat = on_beat
        self.told = None  # called with the time (ms) of each onset
        self._rows = 0  # samples since the first ever
        self._arrange((RED, IR), 0)  # the usual part's buffers are made before TLS cuts the heap to pieces
        self._period_us = _NOMINAL_US
        self._beat = array("i", bytes(12))
        self._beats = array("i", bytes(4 * ppg_beats.WORDS))
        self.pulse = PulseRate()
        self.spo2 = Spo2()
        self.contact = Contact()
        self.breath = PulseBreath() if PulseBreath else None
        self.hand_over = HandOver()
        self.reset()

    def reset(self):
        """Forget the signal. Sample counting goes on."""
        self._decimator = array("i", bytes(4 * (2 + 2 * ppg_front.COLUMNS_MAX)))
        self._front = array("i", bytes(4 * (5 + 5 * ppg_front.COLUMNS_MAX)))
        self._front[ppg_front.SIGN] = 1 if self._relative else -1
        self._front[ppg_front.OFF] = 0 if self._relative else OFF_COUNTS * 8
        self._front[ppg_front.PULSE] = self._pulse_column
        self._odd = False  # second since the start is odd
        self._tick = 1  # decimated samples since the last evaluation; the first one takes two sums of 4
        self._since_saturated = _SATURATED_HOLD
        self._pi_x1000 = 0
        self._restart()

    def push(self, block):
        """Process one block of 1..64 rows."""
        flags = block.flags
        relative = 1 if flags & RELATIVE else 0
        if block.columns != self._columns or relative != self._relative:
            self._arrange(block.columns, relative)
            self.reset()
        elif flags & (GAP | SETTLING):
            self.reset()
        if flags & SETTLING:  # a step of the light is alike in red and infrared, as no pulse is: see none of it
            self._rows += block.n
            return
        if flags & SATURATED:
            self._since_saturated = 0
        self._period_us = block.period_us or _NOMINAL_US
        self._die_mdegc = block.die_mdegc
        k = len(self._columns)
        state = self._front
        phase = self._decimator[0]
        n = block.n
        if n > _ROWS:
            raise ValueError("PPG block is longer than 64 rows")
        m = ppg_front.decimate(block.data, n, k, 3 if relative else 0, self._decimator, self._rows_out)
        # Decimated sample j ends with the row that fills a sum of 4; the very first sum makes none.
        row = (n + phase >> 2) - m << 2
        row += 3 - phase
        for j in range(m):
            age = ppg_front.highpass(self._rows_out, j, k, state, HIGHPASS_Q14, self._ring)
            if age <= 1 and self._age > 1:
                self._restart()
            self._age = age
            if age:
                if self.breath:
                    v = self._rows_out[j * k + self._pulse_column]
                    self.breath.sample(v if relative else -v)
                if ppg_beats.step(self._ring, k, state[ppg_front.COUNT], self._beats, self._beat):
                    self._take_beat(block, row)
            if self._since_saturated < _SATURATED_HOLD:
                self._since_saturated += 1
            self._tick += 1
            if self._tick == _TICK:
                self._tick = 0
                self._evaluate(age)
                self._odd = not self._odd
                motion = self.hand_over.motion
                if motion is not None and not self._odd:
                    t_ms = block.t0_ms + (row + 1) * self._period_us // 1000
                    motion.evaluate(self._ring, k, state[ppg_front.COUNT], age, t_ms, self._period_us)
            row += 4
        self._rows += n

    def report(self, t_ms, out):
        """Append one Reading of each kind to out: the state of the last full second. t_ms: end of the last block."""
        end_ms = t_ms - self._tick * 4 * self._period_us // 1000
        start_ms = self._start_ms(end_ms, _SPAN)
        pulse, spo2, contact = self.pulse, self.spo2, self.contact
        blocked = self._blocked()
        bpm_x10, quality, reason = self.hand_over.rate(pulse)
        if bpm_x10 is not None and self._period_us != _NOMINAL_US:
            bpm_x10 = bpm_x10 * 10000 // self._period_us
        began_ms, ended_ms = start_ms, end_ms
        if self.hand_over.by_beats:
            began_ms = self._start_ms(end_ms, pulse.span)
            ended_ms = max(began_ms, end_ms - pulse.tail * 4 * self._period_us // 1000)
        quality = 0 if blocked else quality
        reason = blocked or reason
        out.append(Reading(PULSE_RATE, bpm_x10, -1, BEAT_PER_MIN, quality, began_ms, ended_ms, reason))
        judged = not self._relative
        both = judged and self._red_column >= 0 and self._ir_column >= 0
        # A ratio and a perfusion index are of a pulse; where none is seen they are of something else.
        gate = blocked or (pulse.reason if pulse.reason in (SETTLING_IN, NO_PULSE) else PRESENT)
        if both:
            reason = gate or spo2.reason
            quality = 0 if gate else spo2.quality_pct
            out.append(Reading(SPO2, spo2.spo2_x10, -1, PERCENT, quality, start_ms, end_ms, reason))
        else:
            out.append(Reading(SPO2, None, -1, PERCENT, 0, start_ms, end_ms, NO_SENSOR))
        if judged:
            value = (self._pi_x1000 + 5) // 10 if self._pi_x1000 else None
            reason = gate or pulse.reason or (PRESENT if value else SETTLING_IN)  # no index yet
            quality = 0 if gate else pulse.quality_pct
            out.append(Reading(PERFUSION_INDEX, value, -2, PERCENT, quality, start_ms, end_ms, reason))
            out.append(Reading(CONTACT, contact.state, 0, DIMLESS, contact.quality_pct, start_ms, end_ms))
        else:
            out.append(Reading(PERFUSION_INDEX, None, -2, PERCENT, 0, start_ms, end_ms, NO_SENSOR))
            out.append(Reading(CONTACT, CONTACT_UNKNOWN, 0, DIMLESS, 0, start_ms, end_ms, NO_SENSOR))

    def _blocked(self):
        """Why nothing at all may be told, PRESENT if it may."""
        if self._since_saturated < _SATURATED_HOLD and self._age:
            return SIGNAL_SATURATED
        if self._relative:
            return PRESENT
        state = self.contact.state
        if self._age == 0 or state == CONTACT_OTHER:
            return NO_CONTACT
        if state == CONTACT_LOOSE:
            return MOTION_ARTIFACT
        return LOW_PERFUSION if 0 < self._pi_x1000 < PI_MIN_X1000 else PRESENT

    def _start_ms(self, end_ms, span):
        """When the last `span` decimated samples began, of which no more than the light's age exist."""
        span = min(max(self._age - self._tick, 0), span)
        return max(0, end_ms - span * 4 * self._period_us // 1000)  # nothing is older than the boot

    def _arrange(self, columns, relative):
        k = len(columns)
        if not 0 < k <= ppg_front.COLUMNS_MAX:
            raise ValueError("PPG block has %d columns" % k)
        self._columns = columns
        self._relative = relative
        self._red_column = columns.index(RED) if RED in columns else -1
        self._ir_column = columns.index(IR) if IR in columns else -1
        self._pulse_column = self._ir_column if IR in columns else columns.index(GREEN) if GREEN in columns else 0
        self._rows_out = array("i", bytes(4 * k * (_ROWS // 4 + 1)))
        self._ring = array("h", bytes(2 * (k + 1) * ppg_front.RING))

    def _restart(self):
        """The light began anew: no beat, no value of before belongs to what comes."""
        self._age = 0
        ppg_beats.restart(self._beats)
        self.pulse.reset()
        self.spo2.reset()
        self.contact.reset()
        if self.breath:
            self.breath.restart()
        self.hand_over.restart()

    def _take_beat(self, block, row):
        back_q8 = self._beat[0]
        if self.breath:
            self.breath.beat(back_q8)
        self.pulse.beat((self._front[ppg_front.COUNT] << 8) - back_q8 & 0x3FFFFFFF, self._beat[1])
        at_q8 = (row << 8) - (back_q8 << 2) - _CENTRE_Q8  # from the block's first row
        t_ms = block.t0_ms + at_q8 * self._period_us // 256000
        if self.told is not None:
            self.told(t_ms)
        if self._on_beat is not None:
            index = self._rows + (at_q8 >> 8)
            self._on_beat(Beat(PPG, t_ms, index, at_q8 & 255, self.pulse.quality_pct or 50))

    def _evaluate(self, age):
        pulse = self.pulse
        state = self._front
        count = state[ppg_front.COUNT]
        beats = self._beats
        noise_q4 = (beats[ppg_beats.NOISE_Q4] << 4) // (beats[ppg_beats.LEVEL_Q4] + 1)
        pulse.evaluate(self._ring, self._pulse_column, count, age, noise_q4)
        self.hand_over.evaluate(self._ring, self._pulse_column, count, age)
        if self._relative:
            return
        dc = state[ppg_front.DC + 5 * self._pulse_column] >> 8
        # height / 2 counts over dc / 8 counts, in 0.001 %: height * 400000 / dc.
        self._pi_x1000 = pulse.height() * 12500 // ((dc >> 5) + 1)
        # A pulse too uneven for a rate still tells of skin where red and infrared agreed on it a second ago.
        pulses = pulse.reason == PRESENT or self.spo2.reason == PRESENT
        self.contact.evaluate(age, dc, pulses, self._pi_x1000, self._die_mdegc)
        if self._red_column >= 0 and self._ir_column >= 0 and age:
            dc_red = state[ppg_front.DC + 5 * self._red_column] >> 8
            dc_ir = state[ppg_front.DC + 5 * self._ir_column] >> 8
            steady = min(age, self.contact.steady)
            red, ir, pi_x1000 = self._red_column, self._ir_column, self._pi_x1000
            skew_q6 = self.hand_over.skew_q6 if age >= SHAPE_MIN else 0
            clarity_q10 = pulse.clarity_q10
            self.spo2.evaluate(self._ring, red, ir, dc_red, dc_ir, count, steady, pi_x1000, clarity_q10, skew_q6)
