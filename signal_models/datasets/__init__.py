"""Recordings of others: which data sets are known, how a user gets them, and how a file of one becomes a Recording.

`known(path)` asks the modules named in LOADERS, in order, whether they claim the path; each has
`claims(path) -> bool` and `load(path) -> Recording`. host_tools.recordings reads any recording, these among them.
Nothing of the data is in this repository.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.paths import data_dir
from signal_models.recording import Recording

LOADERS = (
    "mitdb",
    "cinc2017",
    "bidmc",
    "ispc2015",
    "oxiwear",
    "max30102",
    "weda_fall",
)


@dataclass(frozen=True)
class DataSet:
    """A known data set. pattern: glob of its record files below its folder, suffix included."""

    name: str
    title: str
    signals: str
    reference: str
    source: str
    licence: str
    how: str  # what a user does to get it
    pattern: str


_PHYSIONET = "python -c \"import wfdb; wfdb.dl_database('{0}', '{0}')\""
_ODC_BY = "Open Data Commons Attribution 1.0"

KNOWN = {
    d.name: d
    for d in (
        DataSet(
            "mitdb",
            "MIT-BIH Arrhythmia Database (Moody and Mark 2001)",
            "2-lead ECG, 360 Hz, 30 min a record",
            "beat and rhythm annotations",
            "https://physionet.org/content/mitdb/1.0.0/",
            _ODC_BY,
            _PHYSIONET.format("mitdb"),
            "*.hea",
        ),
        DataSet(
            "nstdb",
            "MIT-BIH Noise Stress Test Database (Moody, Muldrow and Mark 1984)",
            "noise of electrodes, muscle and baseline wander, 360 Hz",
            "none: it is added to clean records",
            "https://physionet.org/content/nstdb/1.0.0/",
            _ODC_BY,
            _PHYSIONET.format("nstdb"),
            "*.hea",
        ),
        DataSet(
            "cinc2017",
            "PhysioNet/CinC Challenge 2017 (Clifford 2017)",
            "hand-held single-lead ECG, 300 Hz, 9-61 s a record",
            "a rhythm label a record: N, A, O or ~",
            "https://physionet.org/content/challenge-2017/1.0.0/",
            _ODC_BY,
            "download training2017.zip from the source and unpack it into `cinc2017`",
            "*.hea",
        ),
        DataSet(
            "afdb-rr",
            "MIT-BIH Atrial Fibrillation Database, RR intervals (Moody and Mark 1983)",
            "RR intervals, 10 h a record",
            "rhythm annotations",
            "https://physionet.org/content/afdb/1.0.0/",
            _ODC_BY,
            "for each record: `ann2rr -r R -a qrs -w > qrsR.txt` and `rdann -r R -a atr -v > atrR.txt`",
            "qrs*.txt",
        ),
        DataSet(
            "bidmc",
            "BIDMC PPG and Respiration Dataset (Pimentel 2017)",
            "PPG, ECG and impedance respiration, 125 Hz, 8 min a record",
            "monitor's HR, PULSE, RESP and SpO2 at 1 Hz; manual breath marks",
            "https://physionet.org/content/bidmc/1.0.0/",
            _ODC_BY,
            _PHYSIONET.format("bidmc"),
            "bidmc[0-9][0-9].hea",
        ),
        DataSet(
            "ispc2015",
            "IEEE Signal Processing Cup 2015 (Zhang, Pi and Liu 2015)",
            "2 wrist PPG, accelerometer and chest ECG on a treadmill, 125 Hz",
            "heart rate of each 8 s window, from the ECG",
            "https://doi.org/10.1109/TBME.2014.2359372",
            "academic use with citation; never redistribute",
            "ask its authors (Zhang, Pi and Liu) and unpack the training set into `ispc2015`",
            "*_TYPE0?.mat",
        ),
        DataSet(
            "oxiwear",
            "OxiWear induced hypoxia, MAXM86161",
            "red and infrared counts, 64 Hz, 3-7 s a capture",
            "SpO2 and heart rate in the file's name",
            "https://github.com/aarusso/OxiWear",
            "none stated: for your own use only",
            "git clone the source into `oxiwear`",
            "*.csv",
        ),
        DataSet(
            "max30102",
            "MAX30102 captures on an ESP32",
            "red and infrared counts, 25 Hz",
            "words in the file's name",
            "https://github.com/alsementsov/MAX30102-Heart-and-Respiratory-rate-SPO2-library",
            "none stated: for your own use only",
            "git clone the source into `max30102`",
            "*",
        ),
        DataSet(
            "weda-fall",
            "WEDA-FALL, wrist accelerometer",
            "acceleration, 50 Hz",
            "the kind of fall or activity, and when",
            "https://github.com/joaojtmarques/WEDA-FALL",
            "none stated: for your own use only",
            "git clone the source into `weda-fall`",
            "*/*.csv",
        ),
    )
}


def folder(name: str) -> Path:
    """Folder of a data set on this machine. Raises UserError, with the way to get it, when it is not there."""
    if name not in KNOWN:
        raise UserError(f"`{name}` is not a known data set", "known: " + ", ".join(KNOWN))
    root = data_dir()
    if root is None or not (root / name).is_dir():
        where = f"{root}/{name}" if root else f"a folder `{name}`, and point VIGIL_DATA at the folder above it"
        raise UserError(f"the data set `{name}` is not here", f"get it into {where}: {KNOWN[name].how}")
    return root / name


def records(name: str) -> list[Path]:
    """Files of the records of a data set, sorted. Raises UserError when the data set is not here."""
    return sorted(p for p in folder(name).glob(KNOWN[name].pattern) if p.is_file())


def known(path: Path) -> Recording | None:
    """The recording at `path` when it is of a known data set, else None. Raises UserError when it cannot be read."""
    for name in LOADERS:
        loader = importlib.import_module(f"signal_models.datasets.{name}")
        if loader.claims(path):
            try:
                return loader.load(path)
            except UserError:
                raise
            except Exception as e:  # parsers of others raise anything on a broken file
                raise UserError(f"`{path}` cannot be read: {e or type(e).__name__}", "is the file complete?") from e
    return None


def load(path: str | Path) -> Recording:
    """Read a recording of a known data set. Raises UserError when it is none; host_tools.recordings reads any other."""
    recording = known(Path(path))
    if recording is None:
        raise UserError(f"`{path}` is of no known data set", "see `vigil data`")
    return recording
