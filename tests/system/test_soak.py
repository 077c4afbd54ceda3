"""A short soak, and the script of a long one."""

import json
import subprocess
import sys

from host_tools.virtual.misfortune import script


def test_the_script_of_a_day():
    day = script(24, 1)
    assert day.events == script(24, 1).events != script(24, 2).events
    counts = {what: day.count(what) for what in ("cut", "broker", "gateway", "gateway before acknowledging")}
    assert counts == {"cut": 30, "broker": 50, "gateway": 25, "gateway before acknowledging": 25}
    assert max(event.at_s for event in day.events if event.what == "cut") < 4 * 3600  # then the heap is looked at
    assert max(event.at_s for event in day.events) <= 24 * 3600 - 600  # what waits can be drained
    assert [e.what for e in day.events if e.what in ("lock", "unlock")][::2] == ["lock"] * 24
    assert len(day.faults) == 336 and len(day.faults_from(12 * 3600)) < 200
    short = script(1, 1, of_hours=24)
    assert short.count("broker") == 50 and max(event.at_s for event in short.events) < 3600


def test_a_few_minutes_with_one_of_everything(tmp_path):
    soak = [sys.executable, "-m", "host_tools.virtual.soak"]
    command = [*soak, "--hours", "0.04", "--seed", "3", "--state", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and summary["ok"], done.stdout + done.stderr
    assert summary["sealed"] == summary["stored"] >= 12 and summary["lost"] == summary["rejected"] == 0
    for what in ("cut", "broker", "gateway", "lock", "unlock", "jump", "away", "back"):
        assert summary["events"][what] >= 1, what
    assert summary["boots"] >= 3
