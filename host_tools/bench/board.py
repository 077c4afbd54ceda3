"""`vigil bench-board`: the stages of `make bench` on a board, from compiled code that it mounts and forgets again."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from host_tools import bench
from host_tools.bench.__main__ import check, modules
from host_tools.bringup.repl import Repl
from host_tools.image.fold import fold_all
from host_tools.paths import BOARDS, FIRMWARE
from host_tools.virtual import interpreter

SECONDS = 15  # of signal: 30 would not fit beside the code in a plain ESP32
_STAGES = Path(bench.__file__).parent / "stages.py"
_PROGRAM = """
import stages
stages.SECONDS = {seconds}
{feed}
stages.heap("heap after start")
stages.main({modules})
"""

_FEED = "import machine; stages.rest = machine.WDT(timeout=20000).feed"  # the monitor ran before: its watchdog lives on

# DESIGN.md section 10.
SHARE_PERCENT = 10  # of one core, all chains
SEAL_US = 100_000
ENVELOPE_BYTES = 400
HEAP_LEFT_BYTES = 32 * 1024


def bench_board(port: str, on_stage=lambda stage: None) -> dict:
    """Measure on the MicroPython behind `port`; return board, stages, modules, budgets and complaints.

    on_stage(stage) is told each stage as it ends. Raises UserError when the board does not answer or fails.
    """
    told: list[dict] = []

    def line(text: str) -> None:
        if text.startswith("{"):
            told.append(json.loads(text))
            on_stage(told[-1])

    with Repl(port) as board, tempfile.TemporaryDirectory() as folder:
        compile_for(board.about["arch"], Path(folder), _STAGES)
        board.mount(Path(folder))
        board.run(
            _PROGRAM.format(feed=_FEED if board.about["watched"] else "", seconds=SECONDS, modules=modules()),
            timeout_s=120,
            on_line=line,
        )
        about = board.about
    heap = {stage["module"]: stage["bytes"] for stage in told if stage["stage"] == "heap"}
    stages = [stage for stage in told if stage["stage"] != "heap"]
    complaints = check("board", stages)
    return {
        "board": {key: about[key] for key in ("platform", "machine", "version", "arch", "hz")},
        "stages": stages,
        "heap_of_modules": heap,
        "budgets": budgets(stages),
        "wrong": complaints,
    }


def compile_for(arch: str | None, out: Path, *more: Path) -> None:
    """Compile the firmware and the programs `more` for a board into `out`; arch None: bytecode."""
    sources = interpreter.read_tree(FIRMWARE)
    for name in ("boot.py", "main.py", "vigil/hal.py"):
        del sources[name]
    if arch is None:
        more = (*more, BOARDS / "virtual" / "bytecode" / "vigil_pointers.py")
    sources |= {file.name: file.read_text() for file in more}
    interpreter.compile_sources(out, fold_all(sources), march=arch)


def budgets(stages: list[dict]) -> list[dict]:
    """What was measured against what DESIGN.md section 10 allows. limit_us and the share are for the board's clock."""
    by_name = {stage["stage"]: stage for stage in stages}
    pulse = "ppg in motion" if "ppg in motion" in by_name else "ppg channel"  # the dearer, where it is fitted
    chains = [by_name["ecg channel"], by_name[pulse]]
    share = sum(100 * stage["us_per_block"] / stage["block_us"] for stage in chains)
    allocated = [stage["bytes_allocated_per_block"] for stage in chains]
    seal = by_name["seal"]
    rows = [
        ("all chains, share of a core", round(share, 2), SHARE_PERCENT, "%"),
        ("allocated in the chains, a block", None if None in allocated else sum(allocated), 0, "B"),
        ("seal one batch", seal["us"], SEAL_US, "us"),
        ("batch of 10 s, signed", seal["envelope_bytes"], ENVELOPE_BYTES, "B"),
    ]
    found = [
        {
            "what": what,
            "measured": measured,
            "limit": limit,
            "unit": unit,
            "within": None if measured is None else measured <= limit,
        }
        for what, measured, limit, unit in rows
    ]
    left = by_name["heap after stages"]["free"]
    found.append(
        {
            "what": "heap left with all chains loaded, at least",
            "measured": left,
            "limit": HEAP_LEFT_BYTES,
            "unit": "B",
            "within": left >= HEAP_LEFT_BYTES,
        }
    )
    return found


def table(said: dict):
    """The result as rich tables."""
    from rich.console import Group
    from rich.table import Table

    about = said["board"]
    title = f"{about['machine'] or about['platform']}, MicroPython {about['version']}, {about['arch'] or 'bytecode'}"
    cost = Table("stage", "us a block", "worst us", "B allocated a block", title=title)
    for stage in said["stages"]:
        if "us_per_block" in stage:
            row = (stage["us_per_block"], stage["worst_us"], stage["bytes_allocated_per_block"])
            cost.add_row(stage["stage"], *["-" if value is None else str(value) for value in row])
        elif stage["stage"] == "seal":
            cost.add_row(f"seal {stage['envelope_bytes']} B", str(stage["us"]), "", "")
        else:
            cost.add_row(f"{stage['stage']}: {stage['free']} B free, {stage['used']} B used", "", "", "")
    limits = Table("budget", "measured", "limit", "", title="DESIGN.md section 10")
    for row in said["budgets"]:
        verdict = {True: "within", False: "OVER", None: "not counted"}[row["within"]]
        limits.add_row(row["what"], f"{row['measured']} {row['unit']}", f"{row['limit']} {row['unit']}", verdict)
    return Group(cost, limits)
