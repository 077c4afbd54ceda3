"""The numbers of the power spectrum that the pulse rate in motion and the respiration rate share."""

from __future__ import annotations

import numpy as np

from signal_models.design import Table

FFT = 1024
WINDOW = 200
WINDOW_HEIGHT = 225  # |sample| <= 2047 gives |product >> 10| <= 450


def sine_q14() -> np.ndarray:
    """sin(2 pi i / 1024) for the first quarter, i = 0..256."""
    return np.rint(16384 * np.sin(2 * np.pi * np.arange(FFT // 4 + 1) / FFT)).astype(np.int64)


def window_q10() -> np.ndarray:
    """Hann window without its zeros."""
    i = np.arange(1, WINDOW + 1)
    return np.rint(WINDOW_HEIGHT * np.sin(np.pi * i / (WINDOW + 1)) ** 2).astype(np.int64)


def tables() -> list[Table]:
    """The tables of firmware/vigil/dsp/coeffs/fft.py."""
    return [
        Table("SINE_Q14", sine_q14(), "sin(2 pi i / 1024), i = 0..256"),
        Table("WINDOW_Q10", window_q10(), "Hann, 200 samples, height 225", "B"),
    ]
