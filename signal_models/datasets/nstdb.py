"""MIT-BIH Noise Stress Test Database: real noise, and how it is added to a clean record."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from signal_models.datasets import folder, wfdb_record

_ADU_PER_MV = 200.0  # the headers say gain 0, which by WFDB means this
FS = 360.0


def noise(kind: str, where: Path | None = None) -> np.ndarray:
    """First channel of noise record `kind` ("bw" or "ma"), mV at 360 Hz."""
    record = wfdb_record.read((where or folder("nstdb")) / kind, physical=False)
    assert record.d_signal is not None
    return record.d_signal[:, 0] / _ADU_PER_MV


def stressed(ecg: np.ndarray, added: np.ndarray, snr_db: float, beats_s: np.ndarray, fs: float = FS) -> np.ndarray:
    """Clean ECG with noise in alternate two-minute blocks from 5:00, at `snr_db`.

    The signal's power is that of a sine with the QRS's mean peak-to-peak amplitude, measured 50 ms about the
    beats with the extreme 5 % on either side left out; the noise's power is the mean of its variance in 1 s pieces
    with the extreme 5 % left out (both as the database's own tool defines them).
    """
    half = round(0.05 * fs)
    beats = [i for i in np.rint(beats_s * fs).astype(int) if half <= i < len(ecg) - half]
    heights = np.sort([np.ptp(ecg[i - half : i + half + 1]) for i in beats])
    trim = len(heights) // 20
    signal_power = np.mean(heights[trim : len(heights) - trim]) ** 2 / 8
    step = round(fs)
    powers = np.sort([np.var(added[i : i + step]) for i in range(0, len(added) - step + 1, step)])
    trim = len(powers) // 20
    noise_power = np.mean(powers[trim : len(powers) - trim])
    gain = np.sqrt(signal_power / noise_power / 10 ** (snr_db / 10))
    t_s = np.arange(len(ecg)) / fs
    noisy = (t_s >= 300) & ((t_s - 300) % 240 < 120)
    repeated = np.resize(added - added.mean(), len(ecg))
    return ecg + np.where(noisy, gain * repeated, 0.0)
