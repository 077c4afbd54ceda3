"""Every file of tests/unit again, under the real MicroPython: viper and bytecode, from .mpy, in a small heap."""

import subprocess
from pathlib import Path

import pytest

from host_tools.virtual import interpreter

UNIT = Path(__file__).parent / "unit"
RUNNER = Path(__file__).parent / "micropython_runner.py"


@pytest.mark.parametrize("engine", ["viper", "bytecode"])
@pytest.mark.parametrize("module", sorted(f.stem for f in UNIT.glob("test_*.py")))
def test_unit(module, engine):
    done = subprocess.run(
        interpreter.command(RUNNER, str(UNIT), module),
        env=interpreter.environment(*interpreter.import_path(engine)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "ran 0" not in done.stdout
