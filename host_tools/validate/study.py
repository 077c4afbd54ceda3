"""A validation study, and how one is run: tasks over the cores, one JSON document, one HTML report.

The document, schema `vigil-validate/2` (docs/validate.md has it for readers):

    schema   "vigil-validate/2"
    study    name of the study ("all", "ecg", "ecg-recording", ...); title: the same for people
    made     utc, seconds, cpu_seconds (of this run's tasks, what they started included), tasks, kept (how many of them
             an earlier run had done), vigil (version), commit (of the checkout, "+" when it was changed; null
             elsewhere), command, machine {system, processor, cores, python, numpy, scipy}
    result   what the study found: plain JSON, described by the study's module; the same inputs give the same bytes.
             `targets` (see `judged`) and `left_out` (sentences) are in every study's
    compared null, or what host_tools.validate.compare says of it beside an earlier document

A study is a picklable object: its options are its fields. Tasks that share a `case` run one after the other, so that
it is read once. To add a study, write a class with these members and name it in host_tools.validate.parts.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from host_tools.errors import UserError
from host_tools.paths import ROOT
from host_tools.validate.kept import Kept

SCHEMA = "vigil-validate/2"
_ORDER_SEED = 1  # cases run in mixed order, so that the time left is a fair guess
DRAWS, _DRAW_SEED = 2000, 1  # of the bootstrap


@dataclass(frozen=True)
class Section:
    """A part of the report: html below a heading; note: a sentence under the heading."""

    heading: str
    html: str
    note: str = ""
    part: str = ""  # of a report on several: the name of the part that begins here


Shares = Mapping[str, tuple[float, float]]  # of each record: what is summed up, and what that is divided by


def judged(
    name: str, value: float, unit: str, limit: float | None, least: bool, records: Shares | None = None, root=False
) -> dict:
    """A figure beside what is asked of it: at least `limit`, or at most; None: it is followed, and no more.

    records: what it is made of, so that another run can be compared (host_tools.validate.compare): the value is the sum
    of the first numbers over the sum of the second ones, or the square root of that; `interval` holds it in 95 of 100
    draws of as many records (bootstrap, seeded), null of fewer than three.
    """
    met = None if limit is None else bool(value >= limit if least else value <= limit)
    shares = {r: [float(a), float(b)] for r, (a, b) in (records or {}).items()}
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "limit": limit,
        "least": least,
        "met": met,
        "interval": interval(np.array(list(shares.values())), root),
        "root": root,
        "records": shares,
    }


def drawn(records: np.ndarray, root: bool) -> np.ndarray:
    """Values of a figure over DRAWS draws of as many of its records (n, 2) as it has; NaN where nothing is divided."""
    pick = np.random.default_rng(_DRAW_SEED).integers(0, len(records), (DRAWS, len(records)))
    above, below = records[pick].sum(axis=1).T
    ratio = np.divide(above, below, out=np.full(DRAWS, np.nan), where=below != 0)
    return np.sqrt(np.maximum(ratio, 0)) if root else ratio


def interval(records: np.ndarray, root: bool) -> list[float] | None:
    """95 % of `drawn`; None of fewer than three records."""
    if len(records) < 3:
        return None
    values = drawn(records, root)
    values = values[np.isfinite(values)]
    return [float(v) for v in np.percentile(values, (2.5, 97.5))] if len(values) else None


class Study(Protocol):
    """name, title: see the document. tasks() are independent; run(task) works in a process of its own.

    key(task) names all that run(task) depends on but code and recordings: its result is kept under it.
    summarise(results) makes `result` from (task, what run gave) pairs, in the order of tasks(); sections(result) draws.
    """

    @property
    def name(self) -> str:
        """Short name, also of the files."""
        ...

    @property
    def title(self) -> str:
        """What is validated, for people."""
        ...

    def tasks(self) -> list[Any]:
        """All there is to do. Raises UserError when data or records are not here."""
        ...

    def key(self, task: Any) -> str:
        """What the task's result is kept under."""
        ...

    def run(self, task: Any) -> Any:
        """Do one; called in another process. Never None."""
        ...

    def summarise(self, results: list[tuple[Any, Any]]) -> dict:
        """Plain JSON."""
        ...

    def sections(self, result: dict) -> list[Section]:
        """Parts of the report, from the JSON alone."""
        ...


def conduct(study: Study, *, jobs: int | None = None, quiet: bool = False, kept: Kept | None = None) -> dict:
    """Run a study over `jobs` processes (one a core) with a progress bar on stderr; returns the document.

    kept: results of earlier runs, and where this one's go as they come.
    """
    began = time.monotonic()
    tasks = study.tasks()
    results: list[Any] = [kept.get(maker(study, t), study.key(t)) if kept else None for t in tasks]
    due = [i for i, r in enumerate(results) if r is None]
    cpu_s = 0.0
    for i, result, spent_s in _run(study, tasks, due, jobs or os.cpu_count() or 1, quiet):
        results[i] = result
        cpu_s += spent_s
        if kept:
            kept.put(maker(study, tasks[i]), study.key(tasks[i]), result)
    result = study.summarise(list(zip(tasks, results, strict=True)))
    return {
        "schema": SCHEMA,
        "study": study.name,
        "title": study.title,
        "made": _made(time.monotonic() - began, cpu_s, len(tasks), len(tasks) - len(due)),
        "result": finite(result),
        "compared": None,
    }


def maker(study: Study, task: Any) -> str:
    """Name of the module whose code does a task: of a study of several parts, that of the part."""
    parts = getattr(study, "studies", None)
    return maker(parts[task.number], task.task) if parts else type(study).__module__


def _timed(study: Study, task: Any) -> tuple[Any, float]:
    """What the task gave, and the processor's seconds it took, those of the processes it started included."""
    before = os.times()
    result = study.run(task)
    return result, sum(b - a for a, b in zip(before[:4], os.times()[:4], strict=True))


def _run(study: Study, tasks: list[Any], due: list[int], jobs: int, quiet: bool) -> Iterator[tuple[int, Any, float]]:
    """Do the tasks numbered in `due`; gives number, result and seconds of each as it is done."""
    if jobs == 1 or len(due) < 2:
        for i in due:
            yield i, *_timed(study, tasks[i])
        return
    groups: dict[str, list[int]] = {}
    for i in due:
        groups.setdefault(str(getattr(tasks[i], "case", tasks[i])), []).append(i)
    mixed = list(groups.values())
    random.Random(_ORDER_SEED).shuffle(mixed)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the cores are already shared out
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
        speed_estimate_period=120,
    )
    spawn = multiprocessing.get_context("spawn")
    with progress, ProcessPoolExecutor(min(jobs, len(due)), mp_context=spawn) as pool:
        bar = progress.add_task(study.title, total=len(tasks), completed=len(tasks) - len(due))
        futures = {pool.submit(_timed, study, tasks[i]): i for group in mixed for i in group}
        try:
            for future in as_completed(futures):
                i = futures[future]
                yield i, *future.result()
                progress.update(bar, advance=1, description=f"{study.title}: {tasks[i]}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def write(document: dict, html: str, out: Path) -> tuple[Path, Path]:
    """Write STUDY.json and STUDY.html into `out`. Raises UserError when that cannot be."""
    paths = out / f"{document['study']}.json", out / f"{document['study']}.html"
    check_writable(out)
    for path, text in zip(paths, (json.dumps(document, indent=1) + "\n", html), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def check_writable(out: Path) -> None:
    """Make the folder `out`, before hours are spent. Raises UserError when nothing can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".vigil-probe"
        probe.touch()
        probe.unlink()
    except OSError as e:
        raise UserError(
            f"the report cannot be written to `{out}`: {e.strerror or e}", "name a folder with --out"
        ) from e


def finite(value: Any) -> Any:
    """The same with numbers that JSON has: NaN and infinities become null, floats have six digits after the point."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _made(seconds: float, cpu_s: float, tasks: int, kept: int) -> dict:
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_s, 1),
        "tasks": tasks,
        "kept": kept,
        "vigil": version("vigil-monitor"),
        "commit": _commit(),
        "command": " ".join(["vigil", *sys.argv[1:]]),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "scipy": version("scipy"),
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.processor())


def _commit() -> str | None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != ROOT:  # installed below somebody else's repository
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "firmware", "signal_models", "host_tools")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
