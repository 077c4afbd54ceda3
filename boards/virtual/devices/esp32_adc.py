"""The ESP32's 12-bit converter at its widest range, as `machine.ADC.read_uv` gives it: calibrated.

After Espressif's documents (ESP-IDF, ADC: 150..2450 mV measurable at this attenuation, reference 1.0..1.2 V between
chips; its comparison of converters: INL +-12 LSB, +-6 % between chips before calibration) and users' measurements: a
dead zone at the bottom, a straight part up to about 2.5 V, a bend above it, noise of a few LSB.

Model limits
- What calibration leaves is a slope (`slope_error`), a bow of 12 LSB, and above 2450 mV a loss of 15 % of what is
  beyond: one smooth curve, where a chip's has steps. Single chips may bend more.
- Noise is white and a function of time alone; bursts of the radio are not in it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LEAST_UV = 142_000
LOW_UV, HIGH_UV = 150_000, 2_450_000  # measurable range
FULL_UV = 3_100_000
STEP_UV = FULL_UV / 4096
INL_LSB = 12
NOISE_UV = 3000.0
_BEND = 0.15
_NOISE = np.random.default_rng(8232).standard_normal(65_521)


class Esp32Adc:
    """input_uv(t_s) -> microvolts at the pin. slope_error: 0.01 reads 1 % too much."""

    def __init__(
        self,
        input_uv: Callable[[np.ndarray], np.ndarray],
        *,
        slope_error: float = 0.01,
        noise_uv: float = NOISE_UV,
    ):
        self._input_uv = input_uv
        self._slope = 1.0 + slope_error
        self._noise_uv = noise_uv

    def read_uv(self, t_us: int, period_us: int, n: int) -> bytes:
        """n conversions from t_us on, each period_us: microvolts, int32."""
        t_s = (t_us + np.arange(n) * float(period_us)) * 1e-6
        noise = self._noise_uv * _NOISE[np.round(t_s * 1e6).astype(np.int64) % len(_NOISE)]
        uv = self.curve_uv(self._input_uv(t_s) + noise)
        return (np.floor(uv / STEP_UV) * STEP_UV).astype("<i4").tobytes()

    def curve_uv(self, uv: np.ndarray) -> np.ndarray:
        """What is read, without noise and steps, where uv is at the pin."""
        bow = INL_LSB * STEP_UV * np.sin(2 * np.pi * (uv - LOW_UV) / (HIGH_UV - LOW_UV))
        read = uv * self._slope + np.where((uv > LOW_UV) & (uv < HIGH_UV), bow, 0) - _BEND * np.maximum(uv - HIGH_UV, 0)
        return np.clip(read, LEAST_UV, FULL_UV - STEP_UV)
