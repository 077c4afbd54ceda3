"""Open software for pulse and breath, to stand beside ours: each finds beats or breaths, whose rate is then compared.

As host_tools.validate.peers does for the ECG: with their own filters and the settings their authors ship, on the whole
record at once; kept in the cache by content. pyPPG is not among them: its release 1.0.73 asks for exact versions of 60
packages of 2021 and 2022 (numpy 1.23.2, scipy 1.9.1, pip 21.3.1), which pip cannot build beside the others.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from host_tools.validate.peers import BIOSPPY, NEUROKIT, Package, Peer

HEARTPY = Package("heartpy", "heartpy")


def _heartpy(x: np.ndarray, fs: int) -> Any:
    heartpy: Any = importlib.import_module("heartpy")
    clean = heartpy.filter_signal(x, cutoff=[0.7, 3.5], sample_rate=fs, order=3, filtertype="bandpass")
    working, _ = heartpy.process(heartpy.scale_data(clean), float(fs))
    return [p for p, kept in zip(working["peaklist"], working["binary_peaklist"], strict=True) if kept]


def _neurokit(x: np.ndarray, fs: int) -> Any:
    neurokit2: Any = importlib.import_module("neurokit2")
    return neurokit2.ppg_findpeaks(neurokit2.ppg_clean(x, sampling_rate=fs), sampling_rate=fs)["PPG_Peaks"]


def _biosppy(x: np.ndarray, fs: int) -> Any:
    ppg: Any = importlib.import_module("biosppy.signals.ppg")
    tools: Any = importlib.import_module("biosppy.signals.tools")
    clean = tools.filter_signal(x, "butter", "bandpass", 4, [1, 8], fs)[0]
    return ppg.find_onsets_elgendi2013(signal=clean, sampling_rate=fs)[0]


def _breath_of_light(x: np.ndarray, fs: int) -> Any:
    neurokit2: Any = importlib.import_module("neurokit2")
    # Of its filters the one that takes the pulse away, too (0.1-0.35 Hz): the usual one leaves it, and counts it.
    clean = neurokit2.rsp_clean(x, sampling_rate=fs, method="biosppy")
    return neurokit2.rsp_findpeaks(clean, sampling_rate=fs)["RSP_Peaks"]


def _breath_of_ecg(x: np.ndarray, fs: int) -> Any:
    neurokit2: Any = importlib.import_module("neurokit2")
    peaks = neurokit2.ecg_peaks(neurokit2.ecg_clean(x, sampling_rate=fs), sampling_rate=fs)[0]
    rate = neurokit2.ecg_rate(peaks, sampling_rate=fs, desired_length=len(x))
    return neurokit2.rsp_findpeaks(neurokit2.ecg_rsp(rate, sampling_rate=fs), sampling_rate=fs)["RSP_Peaks"]


PULSE_PEERS = {
    p.name: p
    for p in (
        Peer("HeartPy", HEARTPY, _heartpy),
        Peer("NeuroKit2 Elgendi", NEUROKIT, _neurokit),
        Peer("BioSPPy Elgendi", BIOSPPY, _biosppy),
    )
}
BREATH_PEERS = {
    p.name: p
    for p in (
        Peer("NeuroKit2 breath of light, 0.1-0.35 Hz", NEUROKIT, _breath_of_light),
        Peer("NeuroKit2 breath of the ECG", NEUROKIT, _breath_of_ecg),
    )
}
ALL = {**PULSE_PEERS, **BREATH_PEERS}
