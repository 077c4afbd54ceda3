"""Heap of a running device by profile and sensors: `make heap` measures, and writes boards/heap.toml.

It runs the whole device, with its link, on the MicroPython whose words are as wide as the chip's, and takes off what
the virtual board needs; what the board's own module needs on a chip is measured beside it, with stand-ins for the
chip's modules. TLS is in neither: the 112 KB of a plain ESP32 are what is left beside it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from boards.virtual.scenario import Missing, Scenario
from boards.virtual.server import Server
from host_tools import board, children
from host_tools.errors import UserError
from host_tools.image.heap import FILE
from host_tools.virtual import device, interpreter
from host_tools.virtual.run import Session, private_folder
from signal_models.synth.wearer import wearer

CASES = (
    ("lean", ("max30102",)),
    ("lean", ("ad8232",)),
    ("lean", ("max30003",)),
    ("lean", ("ad8232", "max30102")),
    ("lean-ble", ("max30102",)),
    ("lean-ble", ("ad8232",)),
    ("lean-ble", ("ad8232", "max30102")),
    ("full", ("ad8232", "lis3dh", "max30102")),
)
_SECONDS = 60
_LIMIT_S = 120
_ALONE = """
import gc, asyncio
gc.collect()
before = gc.mem_alloc()
import board
made = board.make()
gc.collect()
print("BYTES", gc.mem_alloc() - before)
"""
_CHIP = """
import gc, sys, asyncio, binascii, errno, hashlib, io, json, os, socket, ssl, struct, time
import loader, vigil.app
class Any:
    def __init__(self, *_a, **_k): pass
    def __getattr__(self, _name): return Any
for name in ("machine", "network", "esp32", "bluetooth"):
    sys.modules[name] = Any()
gc.collect()
before = gc.mem_alloc()
import vigil.app.main
gc.collect()
print("BYTES", gc.mem_alloc() - before)
"""


def run(profile: str, sensors: tuple[str, ...]) -> float:
    """KB of heap of the firmware alone at the end of a run with these sensors fitted."""
    ecg = "max30003" if "max30003" in sensors else "ad8232"
    faults = tuple(Missing(part) for part in ("max30102", ecg, "lis3dh") if part not in sensors)
    with tempfile.TemporaryDirectory() as folder:
        state, worn = private_folder(Path(folder) / "state"), wearer(_SECONDS, seed=1)
        if profile == "lean-ble":  # nobody is near that it could talk to
            scenario = Scenario(worn, faults=faults, ecg=ecg)
            alone = device.VirtualWearer(state, scenario, speed=0, duration_s=_SECONDS - 1, profile=profile)
            alone.start()
            alone.wait(_LIMIT_S)
            used = (alone.end_report or {})["heap_used"]
        else:
            with Session(worn, state=state, speed=20, ecg=ecg, profile=profile, faults=faults) as session:
                session.wait()
                used = session.summary()["device"]["heap_used"]
    return (used - _bytes(_ALONE, state=True)) / 1024


def chip_board(name: str = "ESP32_GENERIC") -> float:
    """KB of heap that a board's own modules add to the program that they are linked into, with an ECG to time."""
    programs = [board.profile("lean").program(("ad8232",), own) for own in (board.load(name).sources(), {})]
    march = interpreter.march_of("viper")
    with_it, without = (_bytes(_CHIP, tree=interpreter.cached(program, march=march)) for program in programs)
    return (with_it - without) / 1024


def _bytes(script: str, *, state: bool = False, tree: Path | None = None) -> int:
    with tempfile.TemporaryDirectory() as folder, Server({}) as server:
        file = Path(folder) / "script.py"
        file.write_text(script)
        process = device.launch(
            str(file),
            state=Path(folder) / "state",
            server=server,
            output=subprocess.PIPE,
            tree=device.board_tree() if state else tree,
        )
        try:
            said = process.communicate(timeout=60)[0].decode()
        finally:
            children.stop(process)
    try:
        return int(said.partition("BYTES ")[2].split()[0])
    except IndexError:
        raise UserError("the heap cannot be measured", said.strip()[-300:]) from None


def main() -> None:
    """Measure every case; print the figures, and write them where told."""
    parser = argparse.ArgumentParser(prog="make heap", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace boards/heap.toml")
    write = parser.parse_args().write
    lines = [
        "# KB of heap that a running device takes, by profile and sensors, without TLS; by `make heap`.",
        f"board_kb = {chip_board():.1f}  # modules of the board itself, on top of each",
        "",
        "[heap_kb]",
    ]
    for profile, sensors in CASES:
        lines.append(f'"{profile}: {" + ".join(sensors)}" = {run(profile, sensors):.1f}')
        print(lines[-1], flush=True)
    print(lines[1])
    if write:
        FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    try:
        main()
    except UserError as e:
        sys.exit(f"vigil: {e}")
