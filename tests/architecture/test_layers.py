"""The rules of the layers, read from the syntax trees: what may import what, and what may stand in integer code."""

import ast
from pathlib import Path

import pytest

from host_tools.paths import FIRMWARE, ROOT

VIGIL = FIRMWARE / "vigil"
LAYER = {
    "core": 0,
    "dsp": 1,
    "wire": 1,
    "crypto": 1,
    "estimators": 2,
    "store": 2,
    "ota": 2,
    "link": 2,
    "drivers": 3,
    "app": 4,
}
# L3: link adapters carry protocols over asyncio and sockets, or over the radio's stack
ADAPTERS = {"link/mqtt_client.py", "link/ble_peripheral.py"}
CORE_MAY = {"const", "array", "struct", "micropython"}
LOADER = FIRMWARE / "loader.py"  # starts the watchdog and resets before any code that an update can change
CHIP = {"machine", "network", "bluetooth", "esp32"}
L3_ONLY = {"asyncio", "time", "socket", "ssl", "select", "os"}
NEVER = {"host_tools", "signal_models", "tests", "numpy", "boards"}
# os: the journal takes an os-like object as an argument, so that nothing below L3 imports it


def layer(file: Path) -> int:
    name = file.relative_to(VIGIL)
    if name.as_posix() in ADAPTERS:
        return 3
    return LAYER[name.parts[0]] if len(name.parts) > 1 else 0


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return names


def violations(file: Path) -> list[str]:
    """What `file` (below firmware/vigil) does that its layer may not do."""
    tree = ast.parse(file.read_text())
    here, names = layer(file), imported(tree)
    roots = {n.split(".")[0] for n in names}
    found = [f"imports {n}" for n in sorted(roots & (CHIP | NEVER))]
    if here < 3:
        found += [f"imports {n} below L3" for n in sorted(roots & L3_ONLY)]
    for name in sorted(names):
        parts = name.split(".")
        if parts[0] == "vigil" and len(parts) > 2:
            target = VIGIL.joinpath(*parts[1:]).with_suffix(".py")
            if target.exists() and layer(target) > here:
                found.append(f"imports {name} from above")
    if file.relative_to(VIGIL).parts[0] == "core":
        found += [f"core imports {n}" for n in sorted(roots - CORE_MAY - {"vigil", "time"})]
    if file.relative_to(VIGIL).parts[0] in ("dsp", "crypto"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                found.append(f"line {node.lineno}: float literal")
            if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
                found.append(f"line {node.lineno}: `/`")
    return found


@pytest.mark.parametrize("file", sorted(VIGIL.rglob("*.py")), ids=lambda f: f.relative_to(VIGIL).as_posix())
def test_firmware_keeps_to_its_layer(file):
    assert violations(file) == []


def test_the_chip_is_imported_by_boards_only():
    for root in (FIRMWARE, ROOT / "host_tools", ROOT / "signal_models"):
        for file in root.rglob("*.py"):
            assert file == LOADER or not {n.split(".")[0] for n in imported(ast.parse(file.read_text()))} & CHIP, file


def test_signal_models_use_only_the_lower_layers():
    for file in (ROOT / "signal_models").rglob("*.py"):
        for name in imported(ast.parse(file.read_text())):
            parts = name.split(".")
            leaf = ".".join(parts[:2]) in ("host_tools", "host_tools.errors", "host_tools.paths")  # they import nothing
            assert parts[0] != "host_tools" or leaf, f"{file} imports {name}"
            if parts[0] == "vigil" and len(parts) > 1:
                assert LAYER.get(parts[1], 0) <= 1, f"{file} imports {name}"


@pytest.mark.parametrize(
    ("where", "source", "complaint"),
    [
        ("dsp/x.py", "y = 0.5", "line 1: float literal"),
        ("dsp/x.py", "y = a / b", "line 1: `/`"),
        ("crypto/x.py", "a /= 2", "line 1: `/`"),
        ("estimators/x.py", "import time", "imports time below L3"),
        ("store/x.py", "from asyncio import sleep", "imports asyncio below L3"),
        ("app/x.py", "import machine", "imports machine"),
        ("app/x.py", "import numpy as np", "imports numpy"),
        ("dsp/x.py", "from vigil.app.pipeline import Pipeline", "imports vigil.app.pipeline from above"),
        ("core/x.py", "import json", "core imports json"),
    ],
)
def test_the_rules_can_fail(tmp_path, monkeypatch, where, source, complaint):
    monkeypatch.setattr(f"{__name__}.VIGIL", tmp_path / "vigil")
    file = tmp_path / "vigil" / where
    file.parent.mkdir(parents=True)
    file.write_text(source)
    above = tmp_path / "vigil" / "app" / "pipeline.py"
    above.parent.mkdir(exist_ok=True)
    above.touch()
    assert complaint in violations(file)
