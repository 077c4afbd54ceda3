"""What the ECG study looks at: the records as they are, and clean ones with noise added at a stated SNR."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from host_tools.errors import UserError
from signal_models import datasets
from signal_models.datasets import mitdb, nstdb
from signal_models.recording import Recording
from signal_models.synth.ecg import motion_noise

SNRS_DB = (24, 18, 12, 6, 0, -6)
NOISES = {
    "ma": "muscle (nstdb ma)",
    "bw": "baseline wander (nstdb bw)",
    "em": "electrode motion (simulated)",
}
# Regular rhythm, clean first channel: what fails there fails for the noise.
CLEAN = ("100", "103", "112", "113", "115", "117", "118", "119", "121", "122", "123", "209", "212", "220", "230", "234")
_MOTION_S = 1800  # as long as the recorded noises
_MOTION_SEED = 2026


@dataclass(frozen=True)
class Case:
    """One record of a data set; noise: "" as it is, or a key of NOISES added at snr_db."""

    record: str
    noise: str = ""
    snr_db: float | None = None
    data_set: str = "mitdb"

    def __str__(self) -> str:
        return f"{self.record} {self.noise} {self.snr_db:g} dB" if self.noise else self.record


@lru_cache(4)
def load(case: Case) -> Recording:
    """Recording of a case. Noise stands in alternate two-minute blocks from 5:00."""
    path = datasets.folder(case.data_set) / case.record
    recording = mitdb.load(path) if case.data_set == "mitdb" else datasets.load(path)
    if case.noise:
        assert recording.ecg is not None and recording.beats_s is not None and case.snr_db is not None
        recording.ecg = nstdb.stressed(recording.ecg, _noise(case.noise), case.snr_db, recording.beats_s)
    return recording


@lru_cache(4)
def notes_of(record: str) -> mitdb.Annotations:
    """Beats and flutter of a record of mitdb."""
    return mitdb.read_atr(datasets.folder("mitdb") / record)


@lru_cache(3)
def _noise(kind: str) -> np.ndarray:
    if kind == "em":
        return motion_noise(round(_MOTION_S * nstdb.FS), nstdb.FS, np.random.default_rng(_MOTION_SEED))
    return nstdb.noise(kind)


def record_names(data_set: str, wanted: tuple[str, ...] = ()) -> list[str]:
    """Names of the records of a data set, all or those wanted. Raises UserError for one that is not here."""
    here = [p.stem for p in datasets.records(data_set)]
    unknown = [w for w in wanted if w not in here]
    if unknown:
        raise UserError(f"there is no record `{unknown[0]}` in {data_set}", f"its records here: {', '.join(here)}")
    if not here:
        raise UserError(f"the data set `{data_set}` has no record here", f"{datasets.KNOWN[data_set].how}")
    return [h for h in here if h in wanted or not wanted]


def stressed(records: list[str], snrs_db: tuple[float, ...]) -> tuple[list[Case], str]:
    """Cases of the noise stress test on the clean ones of `records`, and a sentence on what is left out ("")."""
    clean = [r for r in records if r in CLEAN] or records
    kinds, left_out = list(NOISES), ""
    try:
        datasets.folder("nstdb")
    except UserError as e:
        kinds, left_out = ["em"], f"{e.sentence}: recorded noise is left out"
    return [Case(r, k, float(s)) for k in kinds for s in snrs_db for r in clean], left_out
