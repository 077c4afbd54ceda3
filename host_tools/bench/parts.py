"""What a lean device's program is made of: bytes of bytecode and native code by part.

`python -m host_tools.bench.parts` prints the table of docs/memory.md. It compiles what the image builder has left of
each part by itself, and reads the code's lengths in the `.mpy` (version 6, as MicroPython's py/persistentcode.c).
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterator
from pathlib import Path

from host_tools import board
from host_tools.virtual import interpreter

PARTS = {  # by what a module's name contains; the first that fits
    "sensor: driver, source, filters, estimators": ("drivers.", "dsp.", "estimators.", "_source", "ecg_", "keep"),
    "MQTT, TLS, session, uplink, acknowledgements": ("link.", "uplink", "wire.ack", "wire.request"),
    "signing: SHA-512, Ed25519, envelope": ("crypto.", "envelope", "identity"),
    "readings, batches, CBOR": ("cbor", "batch", "publish", "records", "pipeline"),
    "journal": ("journal",),
    "the board": ("esp32", "board"),
    "composition, supervision, memory, settings, updates' watch": ("",),
}
_BYTECODE = 0  # kind of a function's code
_VIPER = 2
_Made = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Mpy:
    """Reads one .mpy."""

    def __init__(self, data: bytes):
        self._data = data
        self._at = 4
        names, constants = self._number(), self._number()
        for _ in range(names):
            length = self._number()
            if not length & 1:
                self._at += (length >> 1) + 1
        for _ in range(constants):
            self._constant()

    def _number(self) -> int:
        n = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            n = n << 7 | byte & 0x7F
            if not byte & 0x80:
                return n

    def _constant(self) -> None:
        kind = self._number()
        if kind <= 4:  # a table of functions, None, False, True, ...
            return
        length = self._number()
        if kind == 10:
            for _ in range(length):
                self._constant()
        else:
            self._at += length + (kind in (5, 6))  # texts and bytes end in a zero

    def code(self) -> Iterator[tuple[int, int]]:
        """(kind, bytes) of each function from here on, the module's own first."""
        head = self._number()
        kind, length = head & 3, head >> 3
        yield kind, length
        self._at += length
        if kind == _VIPER:
            self._number()
        if head & 4:
            for _ in range(self._number()):
                yield from self.code()


def part_of(module: str) -> str:
    """The part that a module belongs to."""
    return next(part for part, marks in PARTS.items() if any(mark in module for mark in marks))


def sizes(sensor: str, board_name: str = "ESP32_GENERIC") -> dict[str, tuple[int, int]]:
    """Bytes of (bytecode, native code) by part, of a lean device with one sensor."""
    lean, made_for = board.profile("lean"), board.load(board_name)
    sources = lean.modules((sensor,)) | made_for.sources()
    origin = {}
    for module, file in sources.items():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, _Made):
                stem = module.rpartition(".")[2]
                names = (node.name, f"{stem}_{node.name}", f"_{stem}{node.name}")  # as host_tools.image.link calls it
                origin |= {name: module for name in reversed(names) if name not in origin}
    program, meant = lean.made((sensor,), made_for.sources())
    tree = ast.parse(program[lean.linked[0].replace(".", "/") + ".py"])
    constants = [node for node in tree.body if ast.unparse(node).partition(" = ")[2].startswith("const(")]
    found: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        if isinstance(node, _Made):
            ours = meant.get(node.name, [node.name])
            module = next((origin[name] for name in ours if name in origin), "")
            found.setdefault(part_of(module), []).append(node)
    return {part: _compiled([*constants, *nodes], made_for.arch) for part, nodes in found.items()}


def _compiled(nodes: list[ast.stmt], arch: str) -> tuple[int, int]:
    text = "from micropython import const\nimport micropython\n" + "\n".join(map(ast.unparse, nodes))
    with tempfile.TemporaryDirectory() as folder:
        interpreter.compile_sources(Path(folder), {"part.py": text}, march=arch)
        code = list(_Mpy((Path(folder) / "part.mpy").read_bytes()).code())[1:]  # less what is run once
    return (
        sum(length for kind, length in code if kind == _BYTECODE),
        sum(length for kind, length in code if kind != _BYTECODE),
    )


def main() -> None:
    """Print the table."""
    light, ecg = sizes("max30102"), sizes("ad8232")
    print("| part | bytecode, light | native, light | bytecode, AD8232 | native, AD8232 |")
    print("|---|---:|---:|---:|---:|")
    for part in sorted(light.keys() | ecg.keys(), key=lambda part: -sum(light.get(part, (0, 0)))):
        print("|", part, *(f"| {n}" for n in (*light.get(part, (0, 0)), *ecg.get(part, (0, 0)))), "|")
    print("| all", *(f"| {sum(row[i] for row in table.values())}" for table in (light, ecg) for i in (0, 1)), "|")


if __name__ == "__main__":
    main()
