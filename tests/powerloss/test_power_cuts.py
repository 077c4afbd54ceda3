"""Power cuts on the real LittleFS under the real MicroPython: a sample here, all of them by `make powercut`."""

import json
import subprocess
from pathlib import Path

from host_tools.virtual import interpreter

SCRIPT = Path(__file__).with_name("cuts.py")


# requirement: LOS-1
def test_a_sample_of_the_cuts_loses_nothing_and_reuses_no_sequence():
    done = subprocess.run(
        interpreter.command(SCRIPT, "500", "101", "17", heap_kb=4096),
        env=interpreter.environment(*interpreter.import_path("bytecode")),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["cuts"] > 150 and summary["rotations"] > 10 and summary["dropped"] > 50, summary
    assert summary["lost"] == summary["sequences_reused"] == summary["unbootable"] == 0
