"""The performance ledger: what each stage cost at each release and on each board, kept in docs/performance.json.

    {schema, releases: {version: {utc, machine, stages, mpy_bytes, native_bytes, seal}}, boards: {name: {...}}}

stages: engine to stage to [us a block, worst us, bytes allocated a block]; seal: engine to us; mpy_bytes:
architecture to module to bytes. `make bench` measures and shows it beside the last release (`--keep VERSION` writes
it there); `vigil bench-board --ledger FILE` adds a board. docs/performance.md is made of it by `make gen`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from host_tools.errors import UserError
from host_tools.paths import ROOT

FILE = ROOT / "docs" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"
SCHEMA = "vigil-performance/1"
_HEAD = """\
# What each stage costs

Made by `python -m host_tools.documents` from `docs/performance.json`. `make bench` prints a commit beside the last
release here, `python -m host_tools.bench --keep VERSION` adds one, `vigil bench-board --ledger docs/performance.json` a
board. Microseconds a block of 100 ms (the worst block in brackets), bytes allocated a block in steady state. Times are
of the machine named; bytes hold everywhere.
"""
_GREW = 1.02  # of bytes: what grows by more is told by name


def read(file: Path = FILE) -> dict:
    """The ledger; an empty one where there is none. Raises UserError when the file is something else."""
    if not file.exists():
        return {"schema": SCHEMA, "releases": {}, "boards": {}}
    try:
        held = json.loads(file.read_text())
    except (OSError, ValueError):
        held = {}
    if not isinstance(held, dict) or held.get("schema") != SCHEMA:
        raise UserError(f"`{file}` is no performance ledger", f"one says `{SCHEMA}`; name a new file to begin one")
    return held


def write(held: dict, file: Path = FILE) -> None:
    """Keep it. Raises UserError when that cannot be."""
    try:
        file.write_text(json.dumps(held, indent=1) + "\n")
    except OSError as e:
        raise UserError(f"cannot write `{file}`", e.strerror or "") from e


def entry(record: dict) -> dict:
    """What a release keeps of what `make bench` has measured."""
    stages = {engine: _stages(told) for engine, told in record["stages"].items()}
    return {
        "utc": datetime.now(UTC).date().isoformat(),
        "machine": record["machine"],
        "stages": stages,
        "seal_us": {engine: _seal(told) for engine, told in record["stages"].items()},
        "mpy_bytes": record["mpy_bytes"],
        "native_bytes": sum(record["native_bytes"].values()),
    }


def board_entry(said: dict) -> dict:
    """What is kept of `vigil bench-board`."""
    heap = {s["stage"]: s["free"] for s in said["stages"] if "free" in s}
    return {
        "utc": datetime.now(UTC).date().isoformat(),
        "micropython": said["board"]["version"],
        "hz": said["board"]["hz"],
        "stages": {"board": _stages(said["stages"])},
        "seal_us": {"board": _seal(said["stages"])},
        "heap_free": heap,
    }


def best(runs: list[list[dict]]) -> list[dict]:
    """Each stage as its quickest run has it: what other programs took of the machine is no cost of the stage."""
    return [min(same, key=lambda s: s.get("us_per_block", s.get("us", 0))) for same in zip(*runs, strict=True)]


def add_board(said: dict, file: Path) -> str:
    """Put a board's figures into the ledger `file`; returns the name that they have there."""
    held = read(file)
    name = said["board"]["machine"] or said["board"]["platform"]
    held["boards"][name] = board_entry(said)
    write(held, file)
    return name


def _stages(told: list[dict]) -> dict[str, list[float | None]]:
    return {
        s["stage"]: [s["us_per_block"], s["worst_us"], s["bytes_allocated_per_block"]]
        for s in told
        if "us_per_block" in s and "stage" in s
    }


def _seal(told: list[dict]) -> int | None:
    return next((s["us"] for s in told if s["stage"] == "seal"), None)


def beside(now: dict, held: dict) -> tuple[Table, list[str]]:
    """A table of what was measured beside the last release, and what has grown, in words."""
    last_name = next(reversed(held["releases"]), None)
    last = held["releases"].get(last_name) if last_name else None
    table = Table(
        "engine", "stage", "us a block", "then", "ratio", "B allocated", title=f"beside {last_name or 'nothing'}"
    )
    for engine, stages in now["stages"].items():
        for stage, (us, _, allocated) in stages.items():
            then = (last or {}).get("stages", {}).get(engine, {}).get(stage, [None])[0]
            ratio = f"{us / then:.2f}" if then else "-"
            table.add_row(engine, stage, f"{us}", "-" if then is None else f"{then}", ratio, str(allocated))
    grown = []
    for arch, modules in now["mpy_bytes"].items():
        before = (last or {}).get("mpy_bytes", {}).get(arch, {})
        total, then = sum(modules.values()), sum(before.values())
        table.add_row(arch, ".mpy, bytes", str(total), str(then or "-"), f"{total / then:.3f}" if then else "-", "")
        for name, size in modules.items():
            if name in before and size > before[name] * _GREW:
                grown.append(f"{arch} {name}: {before[name]} to {size} bytes of .mpy")
            elif last and name not in before:
                grown.append(f"{arch} {name}: new, {size} bytes of .mpy")
    return table, grown


def page(held: dict | None = None) -> str:
    """docs/performance.md as it must be."""
    held = held or read()
    lines = [_HEAD]
    for name, release in reversed(held["releases"].items()):
        lines.append(f"\n## {name}, {release['utc']}, {release['machine']}\n\n")
        engines = list(release["stages"])
        lines.append(f"| stage | {' | '.join(engines)} | allocated |\n|---|{'---:|' * (len(engines) + 1)}\n")
        for stage in release["stages"][engines[0]]:
            cells = [release["stages"][engine].get(stage, [None, None, None]) for engine in engines]
            times = " | ".join("-" if c[0] is None else f"{c[0]:g} ({c[1]:g})" for c in cells)
            allocated = cells[0][2]
            lines.append(f"| {stage} | {times} | {'-' if allocated is None else f'{allocated:g}'} |\n")
        seals = " | ".join(str(release["seal_us"].get(engine) or "-") for engine in engines)
        lines.append(f"| seal one batch | {seals} | |\n")
        totals = ", ".join(f"{arch} {sum(modules.values())}" for arch, modules in release["mpy_bytes"].items())
        lines.append(f"\nBytes of `.mpy`, all modules: {totals}; native code {release['native_bytes']}.\n")
    lines.append("\n## Boards\n\n")
    if not held["boards"]:
        lines.append("None measured yet.\n")
    for name, board in held["boards"].items():
        clock = f", {board['hz'] // 1_000_000} MHz" if board.get("hz") else ""
        lines.append(f"**{name}**, MicroPython {board['micropython']}{clock}, {board['utc']}\n\n")
        lines.append("| stage | us a block | allocated |\n")
        lines.append("|---|---:|---:|\n")
        for stage, (us, worst, allocated) in board["stages"]["board"].items():
            lines.append(f"| {stage} | {us:g} ({worst:g}) | {'-' if allocated is None else f'{allocated:g}'} |\n")
        lines.append(f"| seal one batch | {board['seal_us']['board'] or '-'} | |\n")
        heap = ", ".join(f"{stage}: {free} B free" for stage, free in board["heap_free"].items())
        lines.append(f"\n{heap}\n\n")
    return "".join(lines).rstrip() + "\n"
