"""A short fuzzing campaign, and that one that finds something says so."""

import json
import os
import subprocess
import sys

from host_tools.paths import ROOT

FUZZ = [sys.executable, "-m", "tests.fuzz"]


# requirement: PAR-1
def test_a_short_campaign_finds_nothing():
    command = [*FUZZ, "--n", "12000", "--seed", "7", "--micropython", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and summary["ok"], done.stdout
    assert summary["inputs"] == sum(summary["counts"].values()) == 12000 and summary["micropython_inputs"] == 2000
    # Inputs reach the depth of each parser: neither all refused nor, where bytes can be wrong, all accepted.
    assert all(2 < summary["accepted_pct"][name] < 98 for name in ("ack", "batch", "cbor", "journal", "mqtt", "sealed"))


def test_a_fault_is_found_shortened_and_named():
    """A parser that breaks on two bytes next to each other."""
    program = (
        "import runpy, sys; sys.argv = ['fuzz', '--n', '4000', '--micropython', '0'];"
        "import tests.fuzz.__main__ as fuzz; import parsers;"
        "parsers.TARGETS['ack'] = (lambda data: 1 // (b'\\x82\\x18' not in data), ValueError); sys.exit(fuzz.main())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout and "--target ack --hex 8218\n" in done.stdout
