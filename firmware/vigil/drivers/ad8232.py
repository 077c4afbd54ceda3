"""AD8232: single-lead ECG front end behind an ADC pin, with its two lead-off pins."""


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
        self.limit_uv = 1400000 // gain  # at the electrodes: beyond it the converter or the rail is near

    def read_uv(self):
        """Microvolts at the electrodes, now. No allocation: it may be called from a timer's handler."""
        # |x| <= 3.3e6 / gain: fits int16 for any gain above 100.
        return (self._adc.read_uv() - self._reference_uv) // self._gain

    def lead_off(self):
        """Tell whether an electrode is off."""
        p, n = self._lod_p, self._lod_n
        return (p is not None and p.value() == 1) or (n is not None and n.value() == 1)
