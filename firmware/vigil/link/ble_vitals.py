"""What the standard Bluetooth services say, from the pipeline's readings. No I/O.

A value that is withheld is not sent: heart rate 0, SpO2 and pulse rate NaN, and the status bits say why. The profiles
have no heart rate that is absent; 0 is what monitors send without one.
"""

from micropython import const

from vigil.core.records import (
    CONTACT,
    CONTACT_LOOSE,
    CONTACT_ON,
    CONTACT_UNKNOWN,
    ECG,
    HEART_RATE,
    LOW_PERFUSION,
    MOTION_ARTIFACT,
    NO_CONTACT,
    NO_PULSE,
    NO_SENSOR,
    OUT_OF_RANGE,
    PERFUSION_INDEX,
    POOR_SIGNAL,
    PRESENT,
    PULSE_RATE,
    SETTLING_IN,
    SIGNAL_SATURATED,
    SPO2,
)
from vigil.wire import gatt

_ECG_Q8 = const(64_000)  # 1/256 samples a second at the nominal rate
_RR_MIN = const(12_800)  # 0.2 s
_RR_MAX = const(192_000)  # 3 s: beats were missed between
_RR_KEPT = const(9)  # what the smallest MTU carries
_SURE_PCT = const(80)  # quality from which a measurement counts as fully qualified
_DOUBT_PCT = const(50)
_SPOT_AFTER = const(5)  # sure readings in a row (10 s) make a spot check

# Why nothing can be said, as the profile has it: absent reason, bit of the device status.
_WHY = (
    (NO_SENSOR, gatt.DISCONNECTED),
    (NO_CONTACT, gatt.UNCONNECTED),
    (SETTLING_IN, gatt.ANALYSING),
    (POOR_SIGNAL, gatt.POOR),
    (MOTION_ARTIFACT, gatt.ERRATIC),
    (LOW_PERFUSION, gatt.LOW_PERFUSION),
    (SIGNAL_SATURATED, gatt.INTERFERENCE),
    (OUT_OF_RANGE, gatt.IRREGULAR),
    (NO_PULSE, gatt.NON_PULSATILE),
)
_STATUS_BITS = const(0x6160)  # gatt.MEASURING | EARLY | QUALIFIED | UNAVAILABLE | QUESTIONABLE
_DEVICE_BITS = const(0xAEF4)  # those of _WHY, and gatt.DISPLACED


class Vitals:
    """The newest reading of each kind, and the RR intervals since they were last sent.

    new_heart, new_plx: there is something that was not sent. spots: spot checks that are due.
    """

    LOCATION = gatt.CHEST  # where the electrodes are; the light's place is the strap's or the finger's

    def __init__(self):
        self._newest = {}
        self._rr = []
        self._last_beat = -1  # 1/256 samples
        self._sure = 0
        self.new_heart = self.new_plx = False
        self.spots = 0

    def take(self, readings, first: int) -> None:
        """Look at readings[first:]."""
        for i in range(first, len(readings)):
            reading = readings[i]
            kind = reading.kind
            if kind in (HEART_RATE, PULSE_RATE, SPO2, PERFUSION_INDEX, CONTACT):
                self._newest[kind] = reading
                self.new_heart = self.new_heart or kind in (HEART_RATE, PULSE_RATE)
                if kind == SPO2:
                    self.new_plx = True
                    good = reading.absent_reason == PRESENT and reading.quality_pct >= _SURE_PCT
                    self._sure = self._sure + 1 if good else 0
                    if self._sure == _SPOT_AFTER:
                        self.spots += 1

    def beat(self, beat) -> None:
        """Take a beat; those of the light have no RR intervals."""
        if beat.source != ECG:
            return
        at = beat.index * 256 + beat.frac_q8
        apart = at - self._last_beat
        if self._last_beat >= 0 and _RR_MIN <= apart <= _RR_MAX:
            self._rr.append((apart * 1024 + _ECG_Q8 // 2) // _ECG_Q8)  # < 2**28
            if len(self._rr) > _RR_KEPT:
                self._rr.pop(0)
        self._last_beat = at

    def _present(self, kind: int):
        reading = self._newest.get(kind)
        return reading if reading and reading.absent_reason == PRESENT else None

    def _sfloat(self, kind: int) -> int:
        reading = self._present(kind)
        return gatt.sfloat(reading.mantissa, reading.exp10) if reading else gatt.SFLOAT_NAN

    def heart_rate(self) -> bytes:
        """Return a Heart Rate Measurement of the ECG's rate, of the pulse's where the ECG has none. Takes the RR."""
        contact = self._newest.get(CONTACT)
        on = None
        if contact and contact.absent_reason == PRESENT and contact.mantissa != CONTACT_UNKNOWN:
            on = contact.mantissa in (CONTACT_ON, CONTACT_LOOSE)
        rate = self._present(HEART_RATE)
        rr = ()
        if rate:
            on = True  # electrodes that see a heart are on it
            rr = self._rr
        else:
            rate = self._present(PULSE_RATE)
        self._rr = []
        self.new_heart = False
        bpm = 0
        if rate:
            bpm = rate.mantissa
            for _ in range(-rate.exp10 - 1):
                bpm //= 10
            if rate.exp10 < 0:
                bpm = (bpm + 5) // 10
        return gatt.heart_rate(bpm, on, None, rr)

    def status(self) -> tuple:
        """Return (measurement status, device status) of the oximeter."""
        reading = self._newest.get(SPO2)
        if reading is None:
            return gatt.UNAVAILABLE, gatt.ANALYSING
        reason = reading.absent_reason
        contact = self._present(CONTACT)
        device = gatt.DISPLACED if contact and contact.mantissa == CONTACT_LOOSE else 0
        if reason != PRESENT:
            for why, bit in _WHY:
                if why == reason:
                    device |= bit
            return (gatt.UNAVAILABLE | gatt.EARLY if reason == SETTLING_IN else gatt.UNAVAILABLE), device
        status = gatt.MEASURING
        if reading.quality_pct >= _SURE_PCT:
            status |= gatt.QUALIFIED
        elif reading.quality_pct < _DOUBT_PCT:
            status |= gatt.QUESTIONABLE
        return status, device

    def plx(self) -> bytes:
        """Return a PLX Continuous Measurement."""
        self.new_plx = False
        status, device = self.status()
        pai = None if self._present(PERFUSION_INDEX) is None else self._sfloat(PERFUSION_INDEX)
        return gatt.plx_continuous(self._sfloat(SPO2), self._sfloat(PULSE_RATE), None, None, status, device, pai)

    def spot(self, at) -> bytes:
        """Return a PLX Spot-Check Measurement. at: Date Time, or None where the device does not know."""
        status, device = self.status()
        pai = None if self._present(PERFUSION_INDEX) is None else self._sfloat(PERFUSION_INDEX)
        return gatt.plx_spot(self._sfloat(SPO2), self._sfloat(PULSE_RATE), at, status, device, pai, at is None)

    def features(self) -> bytes:
        """Return PLX Features: which of all that this device can say."""
        return gatt.plx_features(_STATUS_BITS, _DEVICE_BITS, stamps=True, pai=True, bonds=True)
