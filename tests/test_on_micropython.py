"""Every file of tests/unit again, under the real MicroPython: viper and bytecode, in a small heap.

The tests are compiled beforehand as the firmware is, but with their asserts: a test's text, and the tree that the
compiler makes of it, would take a quarter of the heap that is being tested.
"""

import subprocess
from pathlib import Path

import pytest

from host_tools.virtual import interpreter

UNIT = Path(__file__).parent / "unit"
RUNNER = Path(__file__).parent / "micropython_runner.py"


@pytest.mark.parametrize("engine", ["viper", "bytecode"])
@pytest.mark.parametrize("module", sorted(f.stem for f in UNIT.glob("test_*.py")))
def test_unit(module, engine):
    tests = interpreter.cached(interpreter.read_tree(UNIT), march=interpreter.march_of(engine), level=0)
    done = subprocess.run(
        interpreter.command(RUNNER, str(tests), module),
        env=interpreter.environment(*interpreter.import_path(engine)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "ran 0" not in done.stdout
