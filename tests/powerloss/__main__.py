"""`make powercut`: 500 seals, acknowledgements and rotations, and four updates, the power cut before and within every
change of flash.

Prints a line of JSON for each, and one of what eight hours and a day ask of the flash. Exit 1 where a batch is lost, a
sequence used twice, a start fails or an incomplete release is started.
"""

import subprocess
import sys
from pathlib import Path

from host_tools.virtual import interpreter

SCRIPT = Path(__file__).with_name("cuts.py")

for command in (
    interpreter.command(SCRIPT, "500", "1", "0", heap_kb=4096),
    interpreter.command(SCRIPT.with_name("update_cuts.py"), "1", "0", heap_kb=8192),
):
    done = subprocess.run(
        command,
        env=interpreter.environment(*interpreter.import_path("bytecode")),
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:  # without a failure it has only what MicroPython's collector says about files on dead flash
        print(done.stderr[-3000:], file=sys.stderr)
        sys.exit(1)
day = interpreter.command(SCRIPT.with_name("day.py"), heap_kb=24_576)
subprocess.run(day, env=interpreter.environment(*interpreter.import_path("bytecode")), check=True)
