"""`python -m host_tools.bench [--json FILE]`: run the stages on every engine and print the tables."""

from __future__ import annotations

import argparse
import ast
import json
import platform
import subprocess
import sys
import tempfile
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.progress import track
from rich.table import Table

from host_tools import board
from host_tools.bench import ledger, stages, units
from host_tools.bench.heap import CASES
from host_tools.errors import UserError
from host_tools.image.fold import fold_all
from host_tools.image.heap import heap_kb
from host_tools.paths import FIRMWARE, ROOT
from host_tools.trust.verify import verify_signature
from host_tools.virtual import interpreter

ORDER = ("core", "dsp", "wire", "crypto", "estimators", "store", "ota", "link", "drivers", "app")
RUNS = {"viper": 5, "bytecode": 2, "cpython": 2}  # the quickest counts
RATE = {"ecg channel": (75, 1), "ppg channel": (75, 1), "ppg in motion": (75, 3)}  # what must be read, within what


# Of each unit: what it must answer (least, most), and the modules that are charged to it.
UNITS = {
    "PPG front, 2 columns": (700, 900, ("dsp.ppg_front",)),
    "PPG beats": (6, 11, ("dsp.ppg_beats",)),
    "pulse rate": (740, 760, ("estimators.pulse_rate", "dsp.ppg_window")),
    "SpO2": (955, 1000, ("estimators.spo2",)),
    "contact": (2, 2, ("estimators.contact",)),
    "hand-over": (16, 200, ("estimators.hand_over", "dsp.pulse_shape")),
    "pulse rate in motion": (730, 770, ("estimators.motion_rate", "dsp.motion", "dsp.coeffs.motion")),
    "spectrum": (20, 20, ("dsp.fft", "dsp.coeffs.fft")),
    "respiration rate": (145, 155, ("estimators.resp_rate", "dsp.resp", "dsp.coeffs.resp")),
    "breath's views": (780, 810, ()),
    "fusion": (748, 752, ("estimators.fusion",)),
}


def modules() -> list[str]:
    """Firmware modules, packages left out, each after those that it loads: so that each is charged for itself alone."""
    files = [f for f in (FIRMWARE / "vigil").rglob("*.py") if f.name not in ("__init__.py", "hal.py")]
    names = {".".join(f.relative_to(FIRMWARE).with_suffix("").parts): f for f in files}
    return list(
        TopologicalSorter({name: [n for n in _loads(f) if n in names] for name, f in names.items()}).static_order()
    )


def _by_layer(name: str) -> tuple[int, str]:
    return ORDER.index(name.split(".")[1]), name


def _loads(file: Path) -> list[str]:
    """What a module imports when it is loaded, in order."""
    loaded = []
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            loaded += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            loaded += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return loaded


def run(engine: str, *args: str, program: ModuleType = stages, heap_kb: int = 512) -> list[dict]:
    """Run a program of stages on an engine (viper, bytecode or cpython) and return what it tells."""
    assert program.__file__
    if engine == "cpython":
        command, env = [sys.executable, "-c", CPYTHON.format(program.__name__), *args], None
    else:
        command = interpreter.command(program.__file__, *args, heap_kb=heap_kb)
        env = interpreter.environment(*interpreter.import_path(engine))
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, cwd=ROOT)
    if done.returncode:
        raise UserError(f"the benchmark failed on {engine}", (done.stdout + done.stderr).strip()[-400:])
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


CPYTHON = "import host_tools, runpy; runpy.run_module({!r}, run_name='__main__')"


def sizes(march: str) -> dict[str, int]:
    """Bytes of .mpy by module."""
    with tempfile.TemporaryDirectory() as folder:
        interpreter.compile_tree(Path(folder), march=march)
        return {n: (Path(folder) / (n.replace(".", "/") + ".mpy")).stat().st_size for n in modules()}


def native_sizes(march: str) -> dict[str, int]:
    """Bytes of native code by module: what lives in executable memory and not in the heap."""
    found = {}
    texts = fold_all(interpreter.read_tree(FIRMWARE))
    for path, text in texts.items():
        if "@micropython.viper" not in text:
            continue
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and "micropython.viper" in map(ast.unparse, node.decorator_list):
                node.body = [ast.Return(ast.Constant(0))] if node.returns else [ast.Pass()]
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            interpreter.compile_sources(out, {"whole.py": text, "empty.py": ast.unparse(tree)}, march=march)
            size = (out / "whole.mpy").stat().st_size - (out / "empty.mpy").stat().st_size
        found[path.removesuffix(".py").replace("/", ".")] = size
    return found


def check(engine: str, told: list[dict]) -> list[str]:
    """Complaints about a stage that did not do its work."""
    wrong = []
    for stage in told:
        if stage["stage"] in RATE:
            want, within = RATE[stage["stage"]]
            got = stage.pop("rate")
            if got is None or abs(got / 10 - want) > within:
                wrong.append(f"{engine}: {stage['stage']} reads {got}, not {want}")
        if stage["stage"] == "seal" and not verify_signature(
            bytes.fromhex(stage.pop("envelope")), bytes.fromhex(stage.pop("key"))
        ):
            wrong.append(f"{engine}: the sealed envelope does not verify")
    return wrong


def check_units(engine: str, told: list[dict]) -> list[str]:
    """Complaints about units that are missing or answer wrongly."""
    wrong = [f"{engine}: no {name}" for name in UNITS if name not in {u["unit"] for u in told}]
    for u in told:
        least, most, _ = UNITS[u["unit"]]
        if u["answer"] is None or not least <= u["answer"] <= most:
            wrong.append(f"{engine}: {u['unit']} answers {u['answer']}, not {least} to {most}")
    return wrong


def units_table(told: dict[str, list[dict]], mpy_bytes: dict[str, int]) -> Table:
    """What each unit of the light's chain costs on each engine."""
    table = Table("unit", "each", *(f"{engine} us" for engine in told), "worst us", "B allocated", ".mpy B")
    table.title = "the light's chain, a call"
    for rows in zip(*told.values(), strict=True):
        first = rows[0]
        size = sum(mpy_bytes[f"vigil.{name}"] for name in UNITS[first["unit"]][2])
        seconds = f"{first['every_ms'] / 1000:g} s"
        cost = [str(row["us"]) for row in rows]
        table.add_row(
            first["unit"], seconds, *cost, str(first["worst_us"]), str(first["bytes_allocated"]), str(size or "-")
        )
    return table


def main() -> int:
    """Measure, check, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--keep", metavar="VERSION", help="put the figures into docs/performance.json as a release's")
    args = parser.parse_args()
    console = Console()
    heap = {h["module"]: h["bytes"] for h in run("viper", *modules())}
    bytes_ = {march: sizes(march) for march in track(("xtensawin", "rv32imc"), "compiling", console=console)}
    told, of_units = {}, {}
    wrong = []
    for engine in track(("viper", "bytecode", "cpython"), "running the stages", console=console):
        told[engine] = ledger.best([run(engine) for _ in range(RUNS[engine])])
        wrong += check(engine, told[engine])
        of_units[engine] = run(engine, program=units)
        wrong += check_units(engine, of_units[engine])

    native = native_sizes("xtensawin")
    table = Table(
        "module", "heap, 64-bit B", "xtensawin .mpy B", "rv32imc .mpy B", "xtensawin native B", title="memory"
    )
    for name in sorted(modules(), key=_by_layer):
        row = heap[name], bytes_["xtensawin"][name], bytes_["rv32imc"][name], native.get(name, 0)
        table.add_row(name, *map(str, row))
    table.add_section()
    table.add_row(
        "all", *[str(sum(column.values())) for column in (heap, bytes_["xtensawin"], bytes_["rv32imc"], native)]
    )
    for fitted in (("max30102",), ("ad8232",), ("max30102", "ad8232")):
        carried = board.profile("lean").modules(fitted)
        table.add_row(f"lean, {' + '.join(fitted)}", "", "", "", str(sum(native.get(name, 0) for name in carried)))
    console.print(table)
    table = Table("engine", "stage", "us a block", "worst us", "ns a sample", "B allocated a block", title="cost")
    for engine, stages_ in told.items():
        for s in stages_:
            if "ns_per_sample" in s:
                row = (s["us_per_block"], s["worst_us"], s["ns_per_sample"], s["bytes_allocated_per_block"])
                table.add_row(engine, s["stage"], *["-" if v is None else str(v) for v in row])
            elif s["stage"] == "seal":
                table.add_row(engine, f"seal {s['envelope_bytes']} B", str(s["us"]))
            else:
                table.add_row(engine, f"{s['stage']}: {s['used']} B used")
    console.print(table)
    table = Table("running device", "heap, 32-bit KB", title="heap of a running device and its board (make heap)")
    for profile, sensors in CASES:
        table.add_row(f"{profile}: {' + '.join(sensors)}", f"{heap_kb(profile, sensors) or 0:.1f}")
    console.print(table)
    console.print(units_table(of_units, bytes_["xtensawin"]))
    console.print(
        f"[dim]64-bit heap: about twice a board's. Machine: {platform.machine()}, {platform.python_version()}"
    )
    for line in wrong:
        console.print(f"[red]{line}")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "machine": platform.machine(),
        "heap": heap,
        "mpy_bytes": bytes_,
        "native_bytes": native,
        "stages": told,
        "units": of_units,
    }
    args.json.write_text(json.dumps(record, indent=1))
    held, now = ledger.read(), ledger.entry(record)
    beside, grown = ledger.beside(now, held)
    console.print(beside)
    for line in grown:
        console.print(line, highlight=False)
    if args.keep:
        held["releases"][args.keep] = now
        ledger.write(held)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
