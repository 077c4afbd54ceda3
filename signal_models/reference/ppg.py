"""float64 reference of the PPG chain on the unquantised design: what the integers approximate.

Batch and by scipy, from the same definitions as the firmware: boxcar decimation, Butterworth high-pass, regression of
red on infrared over a window, normalised autocorrelation.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from signal_models.design import ppg as design


def decimated(counts: np.ndarray) -> np.ndarray:
    """Mean of 8 rows every 4, counts: (m, k) at 25 Hz."""
    return signal.convolve(np.asarray(counts, float), np.full((8, 1), 1 / 8), mode="valid")[::4]


def pulse(counts: np.ndarray) -> np.ndarray:
    """High-passed pulse in counts, upright for reflected light; at rest before the first sample."""
    x = decimated(counts)
    b, a = design.highpass()
    return -np.asarray(signal.lfilter(b, a, x - x[0], axis=0))


def dc(counts: np.ndarray) -> np.ndarray:
    """One-pole mean over 32 decimated samples, counts."""
    x = decimated(counts)
    return x[0] + np.asarray(signal.lfilter([1 / 32], [1, -31 / 32], x - x[0], axis=0))


def ratio_of_ratios(counts: np.ndarray, red: int = 0, ir: int = 1, seconds: float = 8.0) -> float:
    """R over the last seconds of the counts."""
    n = round(seconds * design.FS_HZ)
    ac, mean = pulse(counts)[-n:], dc(counts)[-1]
    ac = signal.convolve(ac, np.full((4, 1), 1 / 4), mode="valid")
    slope = (ac[:, red] * ac[:, ir]).sum() / (ac[:, ir] ** 2).sum()
    return float(slope * mean[ir] / mean[red])


def spo2_pct(counts: np.ndarray, red: int = 0, ir: int = 1) -> float:
    """SpO2 in percent over the last 8 s, by the unquantised calibration."""
    return float(design.spo2_pct(ratio_of_ratios(counts, red, ir)))
