"""A validation study, and how one is run: tasks over the cores, one JSON document, one HTML report.

The document, schema `vigil-validate/1`:

    schema   "vigil-validate/1"
    study    name of the study ("ecg", "ecg-recording", ...); title: the same for people
    made     utc, seconds, vigil (version), commit (of the checkout, "+" when it was changed; null elsewhere), command,
             machine {system, processor, cores, python, numpy, scipy}
    result   what the study found: plain JSON, described by the study's module; the same inputs give the same bytes

A study is a picklable object: its options are its fields. Tasks that share a `case` run one after the other, so that
it is read once. To add a study, write a class with these five members, and a command in host_tools.validate.command.
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
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from host_tools.errors import UserError
from host_tools.paths import ROOT

SCHEMA = "vigil-validate/1"
_ORDER_SEED = 1  # cases run in mixed order, so that the time left is a fair guess


@dataclass(frozen=True)
class Section:
    """A part of the report: html below a heading; note: one sentence under the heading."""

    heading: str
    html: str
    note: str = ""


def judged(name: str, value: float, unit: str, limit: float, least: bool) -> dict:
    """A figure beside what is asked of it: at least `limit`, or at most."""
    met = bool(value >= limit if least else value <= limit)
    return {"name": name, "value": value, "unit": unit, "limit": limit, "least": least, "met": met}


class Study(Protocol):
    """name, title: see the document. tasks() are independent; run(task) works in a process of its own.

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

    def run(self, task: Any) -> Any:
        """Do one; called in another process."""
        ...

    def summarise(self, results: list[tuple[Any, Any]]) -> dict:
        """Plain JSON."""
        ...

    def sections(self, result: dict) -> list[Section]:
        """Parts of the report, from the JSON alone."""
        ...


def conduct(study: Study, *, jobs: int | None = None, quiet: bool = False) -> dict:
    """Run a study over `jobs` processes (one a core) with a progress bar on stderr; returns the document."""
    began = time.monotonic()
    tasks = study.tasks()
    results = _run(study, tasks, jobs or os.cpu_count() or 1, quiet)
    result = study.summarise(list(zip(tasks, results, strict=True)))
    return {
        "schema": SCHEMA,
        "study": study.name,
        "title": study.title,
        "made": _made(time.monotonic() - began),
        "result": finite(result),
    }


def _run(study: Study, tasks: list[Any], jobs: int, quiet: bool) -> list[Any]:
    if jobs == 1 or len(tasks) == 1:
        return [study.run(task) for task in tasks]
    results: list[Any] = [None] * len(tasks)
    groups: dict[str, list[int]] = {}
    for i, task in enumerate(tasks):
        groups.setdefault(str(getattr(task, "case", task)), []).append(i)
    mixed = list(groups.values())
    random.Random(_ORDER_SEED).shuffle(mixed)
    order = [i for group in mixed for i in group]
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
    with progress, ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=spawn) as pool:
        bar = progress.add_task(study.title, total=len(tasks))
        futures = {pool.submit(study.run, tasks[i]): i for i in order}
        try:
            for future in as_completed(futures):
                i = futures[future]
                results[i] = future.result()
                progress.update(bar, advance=1, description=f"{study.title}: {tasks[i]}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


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


def _made(seconds: float) -> dict:
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
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
