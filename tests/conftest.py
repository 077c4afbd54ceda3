"""What all tests share: the checked viper, recordings that may be absent, and a cache of compiled firmware."""

import os
from pathlib import Path

os.environ.setdefault("VIGIL_VIPER", "checked")  # before any firmware module is imported

import pytest

import host_tools  # noqa: F401  puts the firmware on the import path
from host_tools.paths import data_dir

SOURCES = {
    "mitdb": "PhysioNet mitdb",
    "nstdb": "PhysioNet nstdb",
    "cinc2017": "PhysioNet challenge-2017",
    "afdb-rr": "RR intervals of PhysioNet afdb",
    "bidmc": "PhysioNet bidmc",
    "ispc2015": "IEEE Signal Processing Cup 2015",
    "oxiwear": "github.com/aarusso/OxiWear",
    "max30102": "github.com/alsementsov/MAX30102-Heart-and-Respiratory-rate-SPO2-library",
    "weda-fall": "github.com/joaojtmarques/WEDA-FALL",
}


@pytest.fixture
def recordings():
    """Function from a data set's name to its folder; skips the test when the recordings are not here."""

    def find(name: str) -> Path:
        root = data_dir()
        folder = root / name if root else None
        if folder is None or not folder.is_dir():
            pytest.skip(f"recordings `{name}` are absent: get them from {SOURCES[name]} and set VIGIL_DATA")
        return folder

    return find
