"""The board of the hardware-in-the-loop suite: `pytest -n 0 tests/hil --port PORT`."""

import tempfile
from pathlib import Path

import pytest

from host_tools.bench.board import compile_for
from host_tools.bringup.repl import Repl

UNIT = Path(__file__).parent.parent / "unit"


@pytest.fixture(scope="session")
def board(request):
    """A board at its raw REPL that sees the firmware and tests/unit, compiled for it."""
    port = request.config.getoption("--port", default=None)
    if not port:
        pytest.skip("no board: pytest -n 0 tests/hil --port PORT runs the suite on one")
    if hasattr(request.config, "workerinput"):
        pytest.fail("there is one board: add -n 0", pytrace=False)
    with Repl(port) as repl, tempfile.TemporaryDirectory() as folder:
        programs = [*sorted(UNIT.glob("test_*.py")), Path(__file__).parent / "on_board.py"]
        compile_for(repl.about["arch"], Path(folder), *programs)
        repl.mount(Path(folder))
        yield repl
