"""The records that travel through the signal path, and the numbers they use.

Times are milliseconds since boot. A small integer holds 2**30 ms (12.4 days) on a 32-bit port; later stamps
cost an allocation each, which is why sample positions inside a chain are counted in samples and not in time.
"""

from micropython import const

# Sources of sample blocks (SampleBlock.source).
ECG = const(1)  # one lead, int16 microvolts at the electrodes, nominal 250 Hz
PPG = const(2)  # 18-bit counts, int32, columns by LED, nominal 100 Hz
ACC = const(3)  # x y z, int16 milli-g, nominal 50 Hz

# Columns of a PPG block (SampleBlock.columns).
RED = const(1)
IR = const(2)
GREEN = const(3)

# Flags of a beat (bits).
BEAT_VENTRICULAR = const(0x01)
BEAT_UNCLASSED = const(0x02)  # it cannot be told whether it is ventricular

# Flags of a sample block (bits).
GAP = const(0x01)  # samples were lost before the first of this block: state must be reset
SATURATED = const(0x02)  # at least one sample stands at the converter's limit
LEAD_OFF = const(0x04)  # an ECG electrode is off
SETTLING = const(0x08)  # the front end was changed during this block; do not measure on it
RELATIVE = const(0x10)  # PPG without a meaningful DC: contact and SpO2 cannot be judged
ABSENT = const(0x20)  # the part does not answer: a block without samples, pushed every REPORT_MS to say so

# Why a waveform was kept (SPEC.md section 11).
WAVE_ASKED = const(0)
WAVE_RHYTHM = const(1)  # a rhythm other than sinus begins
WAVE_RUN = const(2)  # three ventricular beats in a row
WAVE_FALL = const(3)
WAVE_BUTTON = const(4)  # the wearer pressed it

REPORT_MS = const(2000)  # each estimator reports at least this often, in sample time

# Kinds of readings: IEEE 11073-10101 MDC codes (partition 2, SCADA, in the upper 16 bits) where one exists,
# private ones (partition 1024) otherwise.
HEART_RATE = const(147842)  # MDC_ECG_HEART_RATE
PULSE_RATE = const(149530)  # MDC_PULS_OXIM_PULS_RATE
SPO2 = const(150456)  # MDC_PULS_OXIM_SAT_O2
PERFUSION_INDEX = const(150488)  # MDC_PULS_OXIM_PERF_REL
RESP_RATE = const(151562)  # MDC_RESP_RATE
RHYTHM = const(0x4000001)
CONTACT = const(0x4000002)
MOTION = const(0x4000003)
FALL = const(0x4000004)
HRV_SDNN = const(0x4000005)
HRV_RMSSD = const(0x4000006)
HRV_PNN50 = const(0x4000007)
VENTRICULAR_RATE = const(0x4000008)  # ventricular ectopic beats an hour
PULSE = const(0x4000009)  # of ECG and light together
PULSE_DEFICIT = const(0x400000A)  # heart rate less pulse rate, where both are sure

# Units: MDC dimension codes (partition 4, low 16 bits).
DIMLESS = const(512)  # MDC_DIM_DIMLESS
PERCENT = const(544)  # MDC_DIM_PERCENT
BEAT_PER_MIN = const(2720)  # MDC_DIM_BEAT_PER_MIN
RESP_PER_MIN = const(2784)  # MDC_DIM_RESP_PER_MIN
MILLI_SEC = const(2194)  # MDC_DIM_MILLI_SEC

# Why a reading is withheld (Reading.absent_reason). 0: it is not.
PRESENT = const(0)
NO_SENSOR = const(1)  # the part does not answer
NO_CONTACT = const(2)  # not on skin, or an electrode is off
SETTLING_IN = const(3)  # the first window is not full, or the front end settles
POOR_SIGNAL = const(4)  # noise, or views that disagree
MOTION_ARTIFACT = const(5)  # motion too strong
LOW_PERFUSION = const(6)  # pulse too weak for a ratio
SIGNAL_SATURATED = const(7)  # converter at its limit
OUT_OF_RANGE = const(8)  # outside the range that the estimator is specified for
NO_PULSE = const(9)  # good contact, nothing beats (or slower than the estimator's range)

ABSENT_NAMES = (
    "",
    "no sensor",
    "no contact",
    "settling",
    "poor signal",
    "motion",
    "low perfusion",
    "saturated",
    "out of range",
    "no pulse",
)

# Values of a CONTACT reading.
CONTACT_UNKNOWN = const(0)
CONTACT_OFF = const(1)
CONTACT_ON = const(2)
CONTACT_OTHER = const(3)  # light comes back, but from something that has no pulse: a table, a cloth
CONTACT_LOOSE = const(4)  # the sensor slips or is moved

# Values of a RHYTHM reading.
RHYTHM_UNKNOWN = const(0)  # always withheld
RHYTHM_SINUS = const(1)
RHYTHM_AF = const(2)  # possible atrial fibrillation
RHYTHM_OTHER = const(3)  # irregular in another way
RHYTHM_PAUSE = const(4)  # 3 s or more without a beat
RHYTHM_BRADYCARDIA = const(5)  # regular, below 50/min
RHYTHM_TACHYCARDIA = const(6)  # regular, above 100/min


class SampleBlock:
    """Consecutive samples of one source.

    source: ECG, PPG or ACC. columns: what the interleaved columns hold, e.g. (RED, IR); (0,) for ECG.
    seq: number of the block since its source was started. t0_ms: time of the first sample. period_us: measured
    (not nominal) sample period. n: samples (rows). flags: bits above. data: array('h') for ECG and ACC,
    array('i') for PPG, n * len(columns) values, row by row. The producer owns `data` and reuses it: it is valid
    only during the call that receives the block. die_mdegc: temperature of the part, None where it is not known.
    """

    def __init__(self, source, columns, data, seq=0, t0_ms=0, period_us=0, n=0, flags=0):
        self.source = source
        self.columns = columns
        self.data = data
        self.seq = seq
        self.t0_ms = t0_ms
        self.period_us = period_us
        self.n = n
        self.flags = flags
        self.die_mdegc = None


class Beat:
    """One heart beat (ECG: R peak) or pulse (PPG: onset).

    index: sample of the source since the first it ever delivered. frac_q8: refinement, 1/256 samples, 0..255.
    t_ms: device time. quality_pct: 0..100. flags: bits above.
    """

    def __init__(self, source, t_ms, index, frac_q8=0, quality_pct=100, flags=0):
        self.source = source
        self.t_ms = t_ms
        self.index = index
        self.frac_q8 = frac_q8
        self.quality_pct = quality_pct
        self.flags = flags


class Reading:
    """A value with a quality, or with the reason why it is withheld.

    value = mantissa * 10**exp10 in `unit`. mantissa is the best guess even when the reading is withheld
    (absent_reason != PRESENT), and None where there is no guess at all; a withheld value stays on the device.
    quality_pct: 0..100, calibrated to predict the error. t_start_ms..t_end_ms: the samples it was made from.
    """

    def __init__(self, kind, mantissa, exp10, unit, quality_pct, t_start_ms, t_end_ms, absent_reason=PRESENT):
        self.kind = kind
        self.mantissa = mantissa
        self.exp10 = exp10
        self.unit = unit
        self.quality_pct = quality_pct
        self.t_start_ms = t_start_ms
        self.t_end_ms = t_end_ms
        self.absent_reason = absent_reason
