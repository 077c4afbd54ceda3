"""IEEE Signal Processing Cup 2015: two wrist PPG, accelerometer and chest ECG of treadmill runners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import io

from signal_models.recording import Recording

_FS = 125.0
WINDOW_S, STEP_S = 8.0, 2.0  # BPM0[i] belongs to i * STEP_S .. i * STEP_S + WINDOW_S


def claims(path: Path) -> bool:
    """Is this a signal file of the set, `DATA_NN_TYPENN.mat`?"""
    return path.is_file() and path.suffix == ".mat" and path.stem.startswith("DATA_") and "_TYPE" in path.stem


def load(path: Path) -> Recording:
    """One run. The pulse is AC-coupled (relative, two green columns); the reference stands at its window's middle.

    The reference is counted from the ECG and serves as heart rate and as pulse rate. The ECG's gain is not told: its
    largest waves are taken to be 1 mV.
    """
    signals = np.asarray(io.loadmat(path)["sig"], float)
    trace = path.with_name(path.stem.removesuffix("_BPMtrace") + "_BPMtrace.mat")
    truth = {}
    if trace.is_file():
        bpm = np.asarray(io.loadmat(trace)["BPM0"], float).ravel()
        truth["heart_rate"] = truth["pulse_rate"] = (np.arange(len(bpm)) * STEP_S + WINDOW_S / 2, bpm)
    ecg = signals[0] - np.median(signals[0])
    return Recording(
        path.stem,
        ecg=ecg / max(float(np.percentile(np.abs(ecg), 99.5)), 1e-9),
        ecg_fs=_FS,
        ppg=signals[1:3].T,
        ppg_fs=_FS,
        ppg_channels=("green", "green"),
        ppg_unit="relative",
        accel=signals[3:6].T,
        accel_fs=_FS,
        truth=truth,
        meta={"data set": "ispc2015"},
    )
