"""The views of the ECG chain in float64, with the filters as designed and no rounding.

Stated for the integer kernels on int16 microvolts of an ECG of 1 mV (tests/golden/test_ecg_reference.py):
SNR >= 48 dB and error <= 1 uV for the QRS view, SNR >= 50 dB and error <= 2 uV for the wide view, R peak within 0.2 ms
of the reference's on average and 1 ms at most.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from signal_models.design import ecg as design


def _filter(taps: np.ndarray, x: np.ndarray) -> np.ndarray:
    before = np.full(len(taps) - 1, x[0], float)
    return np.asarray(lfilter(taps, [1.0], np.concatenate([before, x])))[len(taps) - 1 :]


def qrs_view(x_uv: np.ndarray) -> np.ndarray:
    """Band-pass 8-20 Hz, microvolts, 30 samples late."""
    return _filter(design.qrs_band(), x_uv)


def energy(x_uv: np.ndarray) -> np.ndarray:
    """Sum of |qrs_view| over 20 samples, microvolts; 0 before the first sample."""
    return np.asarray(lfilter(np.ones(20), [1.0], np.abs(qrs_view(x_uv))))


def wide_view(x_uv: np.ndarray) -> np.ndarray:
    """Low-pass less the mean of 41 samples, microvolts, 35 samples late. The firmware's unit is 32/41 uV."""
    low = _filter(design.wide_low_pass(), x_uv)
    held = np.concatenate([np.full(40, float(x_uv[0])), low])
    mean = np.convolve(held, np.ones(41) / 41, "valid")
    return held[20 : 20 + len(low)] - mean


def peak(wide: np.ndarray, about: int, reach: int = 25) -> float:
    """Sample of the first largest |wide| within about +- reach, refined by a parabola."""
    span = np.abs(wide[about - reach : about + reach + 1])
    i = about - reach + int(span.argmax())
    y = np.sign(wide[i]) * wide[i - 1 : i + 2]
    curve = 2 * y[1] - y[0] - y[2]
    return i + (float((y[2] - y[0]) / (2 * curve)) if curve > 0 else 0.0)
