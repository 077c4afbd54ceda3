"""Power cuts during updates, on the real LittleFS under the real MicroPython: a sample; all by `make powercut`."""

import json
import subprocess
from pathlib import Path

from host_tools.virtual import interpreter

SCRIPT = Path(__file__).with_name("update_cuts.py")


# requirement: UPD-1
def test_a_sample_of_the_cuts_always_leaves_a_complete_release():
    done = subprocess.run(
        interpreter.command(SCRIPT, "7", "3", heap_kb=8192),
        env=interpreter.environment(*interpreter.import_path("bytecode")),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["cuts"] > 150 and summary["confirmed"] == summary["rolled_back"] == 2, summary
