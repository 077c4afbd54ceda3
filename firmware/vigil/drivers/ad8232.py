"""AD8232: single-lead ECG front end behind an ADC pin of the chip, with its two lead-off pins.

The ESP32's converter at its widest range is specified for 150..2450 mV. Calibrated, it is there within 60 mV: 1-2 % of
an amplitude and a constant that the chain takes out. Above, up to about 3.1 V, it tells less than there is (an R wave
comes out up to a fifth too low, at the right time); below 150 mV it tells nothing. So at a gain of 400 the electrodes'
range is -3.7..2.0 mV true and up to 3.4 mV usable; at 1100 it is -1.3..0.7 and 1.2 mV. Its noise, about 3 mV, is 8 uV
at the electrodes at 400. A MAX30003 has none of these limits.
"""

from micropython import const

_LOW_UV = const(160000)  # at the pin; below it the converter reads its least value, 142 mV
_HIGH_UV = const(3000000)  # above it the converter or the amplifier's rail is near


class Ad8232:
    """adc: hal.Adc on the amplifier's output. lod_p, lod_n: hal.Pin, high while that electrode is off (or None).

    gain: of the whole circuit, output over electrodes (the datasheet's cardiac monitor and the common breakout: 100
    times 11). reference_uv: output without a signal, half the supply. The part has no identity to check: without
    electrodes it reports them off, as a missing one does.
    """

    def __init__(self, adc, lod_p=None, lod_n=None, gain=1100, reference_uv=1650000):
        self._adc = adc
        self._lod_p = lod_p
        self._lod_n = lod_n
        self._gain = gain
        self._reference_uv = reference_uv
        self.low_uv = (_LOW_UV - reference_uv) // gain  # at the electrodes: samples up to this and
        self.high_uv = (_HIGH_UV - reference_uv) // gain  # from this on are saturated

    def read_uv(self):
        """Microvolts at the electrodes, now. No allocation: it may be called from a timer's handler."""
        # |x| <= 3.3e6 / gain: fits int16 for any gain above 100. read_uv() is corrected by the chip's calibration.
        return (self._adc.read_uv() - self._reference_uv) // self._gain

    def lead_off(self):
        """Tell whether an electrode is off."""
        p, n = self._lod_p, self._lod_n
        return (p is not None and p.value() == 1) or (n is not None and n.value() == 1)
