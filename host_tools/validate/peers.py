"""Open beat detectors to stand beside ours: each takes an ECG in mV and gives beats in seconds.

They are the optional extra `validate-peers` and are imported when used. A peer runs with its own filters and the
settings its authors ship, on the whole record at its original rate; none of them is causal, ours is.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from host_tools.errors import UserError
from host_tools.paths import cache_dir

Detect = Callable[[np.ndarray, int], Any]  # (ecg in mV, Hz) to sample numbers
EXTRA = "pip install 'vigil-monitor[validate-peers]'"


@dataclass(frozen=True)
class Package:
    """A distribution and the module it gives."""

    distribution: str
    module: str

    @property
    def version(self) -> str | None:
        """Installed version; None when it is not installed."""
        return version(self.distribution) if importlib.util.find_spec(self.module) else None


WFDB = Package("wfdb", "wfdb")
NEUROKIT = Package("neurokit2", "neurokit2")
BIOSPPY = Package("biosppy", "biosppy")
DETECTORS = Package("py-ecg-detectors", "ecgdetectors")
PACKAGES = (WFDB, NEUROKIT, BIOSPPY, DETECTORS)


@dataclass(frozen=True)
class Peer:
    """detect(ecg_mv, fs) gives sample numbers. in_noise: does it take part in the noise stress test?"""

    name: str
    package: Package
    detect: Detect
    in_noise: bool = True


def _xqrs(ecg_mv: np.ndarray, fs: int) -> Any:
    from wfdb import processing

    detector: Any = processing.XQRS(sig=ecg_mv, fs=fs)  # type: ignore[arg-type]
    detector.detect(verbose=False)
    return detector.qrs_inds


def _gqrs(ecg_mv: np.ndarray, fs: int) -> Any:
    from wfdb import processing

    return processing.gqrs_detect(ecg_mv, fs=fs)


def _neurokit(method: str, cleaner: str | None = None) -> Detect:
    def detect(ecg_mv: np.ndarray, fs: int) -> Any:
        neurokit2: Any = importlib.import_module("neurokit2")
        clean = neurokit2.ecg_clean(ecg_mv, sampling_rate=fs, method=cleaner or method)
        return neurokit2.ecg_peaks(clean, sampling_rate=fs, method=method)[1]["ECG_R_Peaks"]

    return detect


def _biosppy(method: str) -> Detect:
    def detect(ecg_mv: np.ndarray, fs: int) -> Any:
        ecg: Any = importlib.import_module("biosppy.signals.ecg")
        tools: Any = importlib.import_module("biosppy.signals.tools")
        # As biosppy.signals.ecg.ecg does: its band-pass, its segmenter, then its own correction of the R peak.
        order = round(1.5 * fs)
        clean = ecg_mv - ecg_mv.mean()
        clean = tools.filter_signal(clean, "FIR", "bandpass", order, [0.67, 45], fs)[0]
        found = getattr(ecg, f"{method}_segmenter")(signal=clean, sampling_rate=fs)[0]
        return ecg.correct_rpeaks(signal=clean, rpeaks=found, sampling_rate=fs, tol=0.05)[0]

    return detect


def _detectors(method: str) -> Detect:
    def detect(ecg_mv: np.ndarray, fs: int) -> Any:
        ecgdetectors: Any = importlib.import_module("ecgdetectors")
        return getattr(ecgdetectors.Detectors(fs), f"{method}_detector")(ecg_mv)

    return detect


# The stress test has 144 cases: to keep it within an hour the slowest, and Gamboa's (twice as many beats as there are),
# take no part.
# NeuroKit2 and py-ecg-detectors share their Hamilton, Engzee, Christov and Elgendi: each stands here once.
PEERS = {
    p.name: p
    for p in (
        Peer("wfdb XQRS", WFDB, _xqrs),
        Peer("wfdb GQRS", WFDB, _gqrs),
        Peer("NeuroKit2 neurokit", NEUROKIT, _neurokit("neurokit")),
        Peer("NeuroKit2 Pan-Tompkins", NEUROKIT, _neurokit("pantompkins1985")),
        Peer("NeuroKit2 Hamilton", NEUROKIT, _neurokit("hamilton2002")),
        Peer("NeuroKit2 Elgendi", NEUROKIT, _neurokit("elgendi2010")),
        Peer("NeuroKit2 Engzee", NEUROKIT, _neurokit("engzeemod2012"), in_noise=False),
        Peer("NeuroKit2 Kalidas", NEUROKIT, _neurokit("kalidas2017", "neurokit")),
        Peer("NeuroKit2 Martinez", NEUROKIT, _neurokit("martinez2004", "neurokit")),
        Peer("NeuroKit2 Nabian", NEUROKIT, _neurokit("nabian2018", "neurokit")),
        Peer("NeuroKit2 Rodrigues", NEUROKIT, _neurokit("rodrigues2021", "neurokit")),
        Peer("BioSPPy Hamilton", BIOSPPY, _biosppy("hamilton")),
        Peer("BioSPPy Christov", BIOSPPY, _biosppy("christov"), in_noise=False),
        Peer("BioSPPy Engzee", BIOSPPY, _biosppy("engzee"), in_noise=False),
        Peer("BioSPPy Gamboa", BIOSPPY, _biosppy("gamboa"), in_noise=False),
        Peer("BioSPPy ASI", BIOSPPY, _biosppy("ASI")),
        Peer("py-ecg-detectors Pan-Tompkins", DETECTORS, _detectors("pan_tompkins")),
        Peer("py-ecg-detectors SWT", DETECTORS, _detectors("swt")),
        Peer("py-ecg-detectors WQRS", DETECTORS, _detectors("wqrs"), in_noise=False),
    )
}


def installed(wanted: bool | None) -> tuple[list[Peer], str]:
    """Peers that can run, and one sentence about those that cannot ("" when all can).

    wanted: False none, None those that are here. Raises UserError when wanted is True and a package is missing.
    """
    if wanted is False:
        return [], "peers were not asked for"
    absent = [p.distribution for p in PACKAGES if p.version is None]
    if wanted and absent:
        raise UserError(f"peers that are not installed: {', '.join(absent)}", EXTRA)
    here = [p for p in PEERS.values() if p.package.version is not None]
    return here, f"peers that are not installed: {', '.join(absent)} ({EXTRA})" if absent else ""


def beats_s(peer: Peer, ecg_mv: np.ndarray, fs: int) -> np.ndarray:
    """Beats that `peer` finds, seconds. Kept in the cache by content and version: peers are slow and do not change.

    A peer that fails on a record has found no beat there: its exception is not ours to report.
    """
    content = hashlib.sha256(f"{peer.name} {peer.package.version} {fs}".encode())
    content.update(np.ascontiguousarray(ecg_mv, float).tobytes())
    kept = cache_dir() / "peers" / f"{content.hexdigest()[:40]}.npy"
    if kept.is_file():
        return np.load(kept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = np.asarray(peer.detect(np.asarray(ecg_mv, float), fs), float)
        except Exception:
            found = np.zeros(0)
    found = np.unique(found[np.isfinite(found)]) / fs
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{id(found)}.part.npy")
    np.save(part, found)
    part.replace(kept)
    return found
