"""The PPG chain's numbers: the high-pass that removes wander, and the SpO2 calibration.

High-pass: Butterworth, second order, 0.5 Hz at 25 Hz. It passes the slowest pulse that is reported (30 bpm) at
-3 dB and takes 12 dB from breathing at 0.25 Hz; a higher order would ring for seconds after each step.

Calibration: SpO2 = 1.5958422 R^2 - 34.659664 R + 112.68987, the example coefficients of Maxim's "Measuring Heart
Rate and SpO2 Using the MAX32664A", UG7087 Rev 0 (2019), section 3.2, for a MAX30101 (the optics of the MAX30102)
on the finger. It falls strictly up to R = 10.8. Range of the claim: 70..100 %. The vendor does not publish the
desaturation data behind it, so the project claims no human accuracy from it. docs/adr/0004 weighs the others.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from signal_models.design import Table

FS_HZ = 25.0  # after decimation by 4 from 100 Hz
HIGHPASS_HZ = 0.5
SPO2_CURVE = (1.5958422, -34.659664, 112.68987)  # percent from R, highest power first
SPO2_STEP = 1 / 16  # R between two entries of the table
SPO2_ENTRIES = 33  # R = 0..2


def highpass() -> tuple[np.ndarray, np.ndarray]:
    """The unquantised filter: (b, a)."""
    b, a = signal.butter(2, HIGHPASS_HZ, "highpass", fs=FS_HZ, output="ba")  # type: ignore[misc]
    return np.asarray(b), np.asarray(a)


def highpass_q14() -> np.ndarray:
    """b0, -a1, -a2 in Q14: the numerator is b0 (1, -2, 1), exactly zero at DC."""
    b, a = highpass()
    return np.rint(np.array([b[0], -a[1], -a[2]]) * (1 << 14)).astype(int)


def spo2_pct(r: np.ndarray | float) -> np.ndarray:
    """SpO2 in percent from the ratio of ratios, never above 100."""
    return np.minimum(np.polyval(SPO2_CURVE, r), 100.0)


def ratio_of(spo2: np.ndarray | float) -> np.ndarray:
    """The ratio of ratios that the calibration reads as `spo2` percent (the inverse; 100 gives the largest such R)."""
    a, b, c = SPO2_CURVE
    return (-b - np.sqrt(b * b - 4 * a * (c - np.asarray(spo2, float)))) / (2 * a)


def tables() -> list[Table]:
    """The tables of firmware/vigil/dsp/coeffs/ppg.py."""
    r = np.arange(SPO2_ENTRIES) * SPO2_STEP
    return [
        Table(
            "HIGHPASS_Q14",
            highpass_q14(),
            f"Butterworth high-pass, order 2, {HIGHPASS_HZ} Hz at {FS_HZ:g} Hz: b0, -a1, -a2; numerator b0 (1, -2, 1)",
        ),
        Table(
            "SPO2_X100",
            np.rint(100 * spo2_pct(r)).astype(int),
            "SpO2 in 0.01 % at R = 0, 1/16 ... 2; Maxim UG7087 Rev 0 section 3.2, MAX30101, finger; valid 70..100 %",
        ),
    ]
