"""Every file of tests/unit on a real board, from compiled code that the board mounts; it keeps nothing of it."""

import json
from pathlib import Path

import pytest

UNIT = Path(__file__).parent.parent / "unit"
FORGET = """
import gc, sys
for name in list(sys.modules):
    if name.startswith(("vigil.", "test_")):
        del sys.modules[name]
gc.collect()
"""


@pytest.mark.parametrize("module", sorted(f.stem for f in UNIT.glob("test_*.py")))
def test_unit(board, module):
    try:
        said = board.run(f"import on_board\non_board.run({module!r})", timeout_s=300)
    finally:
        board.run(FORGET)
    told = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [t for t in told if "failed" in t] == []
    assert told[-1]["ran"] > 0
