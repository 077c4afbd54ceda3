"""AD8232 heart rate front end on the common breakout. Datasheet: AD8232 Rev. A. Its converter is esp32_adc.py.

The breakout is the datasheet's cardiac monitor (page 25, figure 66): instrumentation amplifier x100, two-pole
high-pass at 0.5 Hz, two-pole low-pass at 40 Hz with gain 11, so 1100 in all about half the supply (1.65 V at 3.3 V).
That clips at 1.3 mV, which R waves of chest leads pass (in 5 of 8 MIT-BIH records looked at);
the datasheet leaves the second stage's gain to the amplitude, so here it is 4 by default: 400 in all, 3.6 mV;
rail-to-rail output; DC leads-off comparators on LOD+ and LOD-, high while that electrode is off (page 18).

Model limits
- The electrode's half-cell potential and the common mode are not modelled: the high-pass takes them out.
- An electrode that is off drives the output to the upper rail; when it returns, fast restore brings the output back
  exponentially with 60 ms. Muscle and mains noise come with the recording or not at all.
- Two-electrode (AC) leads-off detection, shutdown and the right-leg drive's clipping are not modelled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import signal

GAIN = 400  # of both stages; 1100 as the breakout is sold
REFERENCE_UV = 1_650_000
RAIL_UV = 3_250_000

_FINE_HZ = 1000.0
_RESTORE_S = 0.06


class Ad8232:
    """ecg: mV at the electrodes, at fs Hz from time 0. gain: of the circuit. off_s: [(from, to)] in which the
    electrodes are off."""

    def __init__(self, ecg: np.ndarray, fs: float, *, gain: float = GAIN, off_s: Sequence[tuple[float, float]] = ()):
        self._out_uv, self._fs = _amplify(ecg, fs, gain)
        self._off_s = [*off_s, (len(self._out_uv) / self._fs, float("inf"))]

    def out_uv(self, t_s: np.ndarray) -> np.ndarray:
        """The output at times t_s, microvolts."""
        uv = self._at(t_s)
        for start_s, end_s in self._off_s:
            tail = np.exp(-np.maximum(t_s - end_s, 0) / _RESTORE_S) * (t_s >= start_s)
            uv = uv + tail * (RAIL_UV - uv)
        return np.clip(uv, 0, RAIL_UV)

    def _at(self, t_s: np.ndarray) -> np.ndarray:
        """The amplifier's output, interpolated (np.interp would build the whole time axis each time)."""
        x = np.clip(t_s * self._fs, 0, len(self._out_uv) - 1.001)
        i = x.astype(np.int64)
        return self._out_uv[i] + (x - i) * (self._out_uv[i + 1] - self._out_uv[i])

    def off(self, t_us: int) -> bool:
        """Tell whether an electrode is off."""
        return any(start_s <= t_us * 1e-6 < end_s for start_s, end_s in self._off_s)


class LeadOffPin:
    """LOD+ or LOD-: 1 while the electrode is off."""

    def __init__(self, part: Ad8232):
        self._part = part

    def level(self, t_us: int) -> int:
        """Level of the pin."""
        return int(self._part.off(t_us))


def _amplify(ecg: np.ndarray, fs: float, gain: float) -> tuple[np.ndarray, float]:
    """Output of the amplifier in microvolts, finely sampled, and its rate."""
    ecg = np.asarray(ecg, dtype=float)
    known = np.isfinite(ecg)
    if not known.all():
        at = np.arange(len(ecg))
        ecg = np.interp(at, at[known], ecg[known]) if known.any() else np.zeros(len(ecg))
    up = max(1, round(_FINE_HZ / fs))
    fine = signal.resample_poly(ecg - ecg[0], up, 1, padtype="line") if up > 1 else ecg - ecg[0]
    fs *= up
    high = signal.butter(2, 0.5, "highpass", fs=fs, output="sos")
    low = signal.butter(2, 40.0, "lowpass", fs=fs, output="sos")
    filtered = np.asarray(signal.sosfilt(low, signal.sosfilt(high, fine)))
    return REFERENCE_UV + 1000.0 * gain * filtered, fs
