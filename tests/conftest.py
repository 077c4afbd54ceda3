"""What all tests share: the checked viper, recordings that may be absent, and a cache of compiled firmware."""

import os
from pathlib import Path

os.environ.setdefault("VIGIL_VIPER", "checked")  # before any firmware module is imported

import pytest

import host_tools  # noqa: F401  puts the firmware on the import path
from host_tools.paths import data_dir
from signal_models import datasets


def pytest_addoption(parser):
    parser.addoption("--port", help="tests/hil: a board that runs MicroPython (a port, or socket://HOST:PORT)")


def pytest_xdist_auto_num_workers():
    """One more than there are cores: half the suite waits, for processes that start and clocks that pass."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def recordings():
    """Function from a data set's name to its folder; skips the test when the recordings are not here."""

    def find(name: str) -> Path:
        root = data_dir()
        folder = root / name if root else None
        if folder is None or not folder.is_dir():
            known = datasets.KNOWN[name]
            pytest.skip(f"recordings `{name}` are absent: {known.title}, {known.source}; then set VIGIL_DATA")
        return folder

    return find
