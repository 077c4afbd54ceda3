"""asyncio on the virtual clock does what the built-in one does, at the same times."""

import os
import subprocess
from pathlib import Path

from boards.virtual.server import Server
from host_tools.virtual import interpreter
from host_tools.virtual.device import launch

SCRIPT = Path(__file__).parent / "asyncio_script.py"


def test_virtual_and_built_in_asyncio_agree(tmp_path):
    real = subprocess.run(
        interpreter.command(SCRIPT), env={**os.environ, "VIGIL_LINK": ""}, capture_output=True, text=True, timeout=30
    )
    assert "end" in real.stdout, real.stderr
    with Server({}) as server:
        process = launch(str(SCRIPT), state=tmp_path, server=server, output=subprocess.PIPE, speed=0)
        virtual = process.communicate(timeout=30)[0].decode()
    without_times = [[line.rsplit(" at ", 1)[0] for line in text.splitlines()] for text in (virtual, real.stdout)]
    assert without_times[0] == without_times[1]
    if virtual != real.stdout:  # a busy machine delays the real one, never hastens it
        times = [[int(s.rsplit(" ", 1)[1]) for s in t.splitlines() if " at " in s] for t in (virtual, real.stdout)]
        assert all(v <= r + 1 for v, r in zip(*times, strict=True))
