"""The virtual wearer's life: provisioned, switched on and off, and never left behind."""

import os
import stat
import subprocess

import pytest
from worn import recording

from boards.virtual.scenario import Missing, Scenario
from host_tools.errors import UserError
from host_tools.virtual import device, interpreter
from host_tools.virtual.device import VirtualWearer
from vigil.crypto.signer import device_id


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def provision(wearer, seen=None):
    def issue(public_key, name):
        if seen is not None:
            seen.append((public_key, name))
        return b"certificate", b"key"

    return wearer.provision(host="127.0.0.1", port=18883, server_name="broker", ca_der=b"ca", issue=issue)


def test_the_allowance_for_the_board_is_what_its_code_takes(tmp_path):
    """The firmware is held to a chip's memory; only what no chip carries may come on top."""
    script = tmp_path / "measure.py"
    script.write_text(
        "import asyncio, gc\ngc.collect()\nbefore = gc.mem_alloc()\nimport board\ngc.collect()\n"
        "print(gc.mem_alloc() - before)\n"
    )
    done = subprocess.run(
        interpreter.command(script), env=interpreter.environment(device.board_tree()), capture_output=True, check=True
    )
    taken = int(done.stdout)
    assert taken + 1024 >= device.BOARD_HEAP_KB * 1024, f"the board's code takes {taken} bytes"


def test_provisioning_proves_the_key_and_installs_the_link(tmp_path):
    seen = []
    wearer = VirtualWearer(tmp_path / "device", Scenario(recording(5)))
    name = provision(wearer, seen)
    key, issued_for = seen[0]
    assert issued_for == name == device_id(key)
    assert (wearer.state / "nvs" / "link.port").read_bytes() == b"18883"
    assert (wearer.state / "fs" / "tls" / "client.der").read_bytes() == b"certificate"
    private = wearer.state / "fs" / "tls" / "client.key"
    assert private.read_bytes() == b"key" and stat.S_IMODE(private.stat().st_mode) == 0o600
    assert provision(wearer) == name  # the key was made once


def test_a_device_that_cannot_prove_its_key_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(device.secrets, "token_bytes", lambda n: bytes(n))
    launch = device.launch
    monkeypatch.setattr(device, "launch", lambda *a, **k: launch(*a, **{**k, "extra": {"VIGIL_NONCE": "11" * 32}}))
    with pytest.raises(UserError, match="proof of possession is wrong"):
        provision(VirtualWearer(tmp_path / "device", Scenario(recording(5))))


def test_a_run_ends_with_its_report(tmp_path):
    wearer = VirtualWearer(tmp_path / "device", Scenario(recording(15)), speed=50, duration_s=12)
    wearer.start()
    pid = wearer.pid
    assert pid and wearer.wait(60) and wearer.status == 0
    assert gone(pid) and wearer.pid is None
    assert wearer.end_report and wearer.end_report["sealed"] >= 1


def test_stop_and_exceptions_leave_nothing(tmp_path):
    scenario = Scenario(recording(5), faults=(Missing("max30102"),))
    with pytest.raises(KeyError), VirtualWearer(tmp_path / "device", scenario) as wearer:
        wearer.start()
        pid = wearer.pid
        assert not wearer.wait(0.3) and not gone(pid)
        raise KeyError
    assert gone(pid) and wearer.end_report is None
    wearer.stop()


def test_an_emulators_failure_is_told(tmp_path):
    scenario = Scenario(recording(5), ecg="ad8232")
    wiring = scenario.wiring()
    wiring["adc:ecg"].read_uv = lambda *_: 1 / 0
    scenario.wiring = lambda: wiring
    with VirtualWearer(tmp_path / "device", scenario, speed=20) as wearer:
        wearer.start()
        with pytest.raises(RuntimeError, match="emulator"):
            wearer.wait(20)
        assert wearer.pid is None


def test_no_interpreter_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("VIGIL_MICROPYTHON", str(tmp_path / "nothing"))
    wearer = VirtualWearer(tmp_path / "device", Scenario(recording(5)))
    with pytest.raises(UserError, match="not a program"):
        wearer.start()
    assert not wearer._running
