"""`vigil run` from end to end: the firmware on the real MicroPython, real TLS, broker, gateway and database."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import until

from boards.virtual.scenario import Missing
from host_tools.errors import UserError
from host_tools.trust.pki import private_folder
from host_tools.virtual import device, interpreter
from host_tools.virtual.run import Session, state_folder
from signal_models.synth.wearer import wearer

RUN = [sys.executable, "-m", "host_tools.cli", "run", "--json"]


def descendants(pid):
    """Process ids below a process, where /proc tells."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def gone(pids):
    return not [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and "Z" not in state_of(pid)]


def state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_summary_is_the_last_line_and_right(tmp_path):
    command = [*RUN, "--duration", "24", "--speed", "20", "--state", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["sealed"] == summary["verified"] >= 2
    assert (summary["rejected"], summary["duplicates"], summary["lost"]) == (0, 0, 0)
    assert summary["heart_rate_mae_bpm"] <= 2
    assert summary["pulse_rate_mae_bpm"] <= 2
    assert summary["spo2_arms_pct"] <= 2
    assert summary["device"]["pending"] == summary["device"]["restarts"] == 0
    # What is kept can be verified again, by anybody who has the public keys.
    again = [sys.executable, "-m", "host_tools.cli", "verify", "--state", str(tmp_path / "state"), "--json"]
    verified = subprocess.run(again, capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in verified.stdout.splitlines()]
    assert verified.returncode == 0 and len(lines) == summary["verified"]
    assert {line["verdict"] for line in lines} == {"accepted"}
    # Vital signs are the owner's business, and none is in a log.
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert "heart" not in (tmp_path / "state" / "gateway.log").read_text()


def test_a_state_folder_is_one_device_over_several_runs(tmp_path):
    with state_folder(tmp_path / "state") as state:
        devices, sequences = set(), []
        for _ in range(2):
            with Session(wearer(12, seed=1), state=state, speed=20) as session:
                session.wait()
                summary = session.summary()
                devices.add(session.device)
                sequences.append(session.store.sequences(session.device))
            assert summary["lost"] == summary["rejected"] == 0 < summary["sealed"]
    assert len(devices) == 1
    assert len(sequences[1]) > len(sequences[0]) and sequences[1][: len(sequences[0])] == sequences[0]


def test_broker_and_gateway_killed_during_a_run(tmp_path):
    with Session(wearer(100, seed=2), state=private_folder(tmp_path / "state"), speed=10) as session:
        until(lambda: session.store.counts()["verified"] >= 1)
        session.broker.kill()
        time.sleep(1.5)
        session.broker.start()
        before = session.store.counts()["verified"]
        until(lambda: session.store.counts()["verified"] > before, 30)
        session.gateway.kill()
        time.sleep(1.5)
        session.gateway.start()
        session.wait()
        summary = session.summary()
        stored = session.store.sequences(session.device)
    assert summary["lost"] == summary["rejected"] == 0
    assert len(stored) == len(set(stored)) == summary["sealed"] >= 9
    assert stored == list(range(stored[0], stored[0] + len(stored)))


def _used_kb(log):
    """KB of heap of the firmware alone, as of 64-bit words, at the end of a run."""
    used = json.loads(log.read_text().partition("VIGIL-END ")[2].splitlines()[0])["heap_used"]
    return used * interpreter.HEAP_KB / interpreter.heap_bytes(interpreter.HEAP_KB) - device.BOARD_HEAP_KB


def test_a_lean_device_with_the_other_front_end(tmp_path):
    """Both chains: what a plain ESP32 carries where the code is not in its memory."""
    command = [*RUN, "--duration", "60", "--speed", "20", "--ecg", "ad8232", "--profile", "lean"]
    done = subprocess.run([*command, "--state", str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["lost"] == summary["rejected"] == 0 and summary["heart_rate_mae_bpm"] < 1
    assert "rhythm" not in summary["coverage_pct"]
    assert _used_kb(tmp_path / "wearer" / "device.log") <= 147  # 106 KB of the chip's


@pytest.mark.parametrize("missing", ["ad8232", "max30102"])
def test_one_chain_fits_a_plain_esp32_beside_tls(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(device.HEAPS_KB, "lean", device.PLAIN_ESP32_KB)
    faults = (Missing(missing),)
    with Session(
        wearer(60, seed=3),
        state=private_folder(tmp_path / "state"),
        speed=20,
        ecg="ad8232",
        profile="lean",
        faults=faults,
    ) as session:
        session.wait()
        summary = session.summary()
    assert summary["lost"] == summary["rejected"] == summary["device"]["restarts"] == 0 < summary["verified"]
    if missing == "ad8232":
        assert summary["pulse_rate_mae_bpm"] <= 2 and summary["spo2_arms_pct"] <= 2
    else:
        assert summary["heart_rate_mae_bpm"] <= 2
    assert _used_kb(session.state / "wearer" / "device.log") <= 121  # 87 KB of the chip's 112


# requirement: ACQ-2
def test_missing_sensor_is_one_sentence_and_the_rest_goes_on():
    command = [*RUN, "--duration", "20", "--speed", "20", "--without", "max30102"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "vigil: no answer from the pulse oximeter"
    summary = json.loads(done.stdout)
    assert summary["lost"] == summary["rejected"] == 0
    assert summary["missing_sensors"] == ["pulse oximeter"]
    assert summary["coverage_pct"]["heart_rate"] > 0
    assert summary["coverage_pct"]["spo2"] == 0 and summary["spo2_arms_pct"] is None


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc, which is not here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_leaves_nothing_running(tmp_path, number):
    command = [*RUN, "--duration", "600"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        # broker, gateway and the wearer itself (not the short-lived ones that compile and provision)
        pids = until(lambda: len(found := descendants(process.pid)) >= 3 and found, 60, what="starting")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130 and out == ""
    assert "interrupted" in err and "Traceback" not in err
    until(lambda: gone(pids), 5, what="ending the children")
    assert not list(tmp_path.iterdir())  # the temporary state folder is gone


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv (util-linux)")
def test_killed_outright_leaves_nothing_running_either(tmp_path):
    process = subprocess.Popen([*RUN, "--duration", "600"], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        pids = until(lambda: len(found := descendants(process.pid)) >= 3 and found, 60, what="starting")
    finally:
        process.kill()
        process.wait()
    until(lambda: gone(pids), 15, what="ending the children")


def test_wearer_that_dies_is_reported(tmp_path):
    def run_and_kill():
        with Session(wearer(600, seed=1), state=private_folder(tmp_path / "state"), speed=1) as session:
            os.kill(session.wearer.pid, signal.SIGKILL)
            session.wait()

    with pytest.raises(UserError, match="the wearer stopped before its end"):
        run_and_kill()
