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

from rich.console import Console
from rich.progress import track
from rich.table import Table

from host_tools import board
from host_tools.bench import stages
from host_tools.errors import UserError
from host_tools.image.fold import fold_all
from host_tools.paths import FIRMWARE, ROOT
from host_tools.trust.verify import verify_signature
from host_tools.virtual import interpreter

ORDER = ("core", "dsp", "wire", "crypto", "estimators", "store", "ota", "link", "drivers", "app")
RATE = {"ecg channel": (75, 1), "ppg channel": (75, 1), "ppg in motion": (75, 3)}  # what must be read, within what


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


def run(engine: str, *args: str, heap_kb: int = 512) -> list[dict]:
    """Run stages.py on an engine (viper, bytecode or cpython) and return what it tells."""
    if engine == "cpython":
        command, env = [sys.executable, "-c", CPYTHON, *args], None
    else:
        command = interpreter.command(stages.__file__, *args, heap_kb=heap_kb)
        env = interpreter.environment(*interpreter.import_path(engine))
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, cwd=ROOT)
    if done.returncode:
        raise UserError(f"the benchmark failed on {engine}", (done.stdout + done.stderr).strip()[-400:])
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


CPYTHON = "import host_tools, runpy; runpy.run_module('host_tools.bench.stages', run_name='__main__')"


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


def main() -> int:
    """Measure, check, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    args = parser.parse_args()
    console = Console()
    heap = {h["module"]: h["bytes"] for h in run("viper", *modules())}
    bytes_ = {march: sizes(march) for march in track(("xtensawin", "rv32imc"), "compiling", console=console)}
    told = {}
    wrong = []
    for engine in track(("viper", "bytecode", "cpython"), "running the stages", console=console):
        told[engine] = run(engine)
        wrong += check(engine, told[engine])

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
    console.print(
        f"[dim]64-bit heap: about twice a board's. Machine: {platform.machine()}, {platform.python_version()}"
    )
    for line in wrong:
        console.print(f"[red]{line}")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    record = {"machine": platform.machine(), "heap": heap, "mpy_bytes": bytes_, "native_bytes": native, "stages": told}
    args.json.write_text(json.dumps(record, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
