"""The journal under the real MicroPython on a real folder, killed with no warning, again and again."""

import random
import subprocess
import time
from pathlib import Path

from host_tools.virtual import interpreter

SCRIPT = Path(__file__).with_name("journal_process.py")


# requirement: LOS-1
def test_killed_at_random_moments_loses_nothing_and_reuses_no_sequence(tmp_path):
    rng = random.Random(6)
    environment = interpreter.environment(*interpreter.import_path("bytecode"))
    signed: dict[int, str] = {}
    kept: set[int] = set()
    freed: set[int] = set()
    waiting: set[int] = set()
    for _ in range(25):
        log = tmp_path / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                interpreter.command(SCRIPT, str(tmp_path / "journal")), env=environment, stdout=file, stderr=file
            )
            time.sleep(0.05 + rng.random() * 0.15)
            process.kill()
            process.wait()
        for line in log.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            assert "Traceback" not in line, log.read_text()
            words = line.split()
            if words[0] == "signed":
                assert signed.setdefault(int(words[1]), words[2]) == words[2], "one sequence, two payloads"
            elif words[0] == "open":
                waiting = {int(seq) for seq in words[2:]}
                assert kept - freed <= waiting
            elif words[0] == "kept":
                kept.add(int(words[1]))
            elif words[0] == "free":
                freed.add(int(words[1]))
    assert len(kept) > 100, "the processes did not get anywhere"
    assert sorted(signed) == list(range(1, max(signed) + 1))
    assert waiting <= set(signed)
