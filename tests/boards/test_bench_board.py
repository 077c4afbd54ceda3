"""`vigil bench-board` and tests/hil against a plain MicroPython on a pty and on a socket."""

import json
import os
import socket
import subprocess
import sys

import pytest
from relay import Relay

from host_tools import cli
from host_tools.bringup.repl import Repl
from host_tools.errors import UserError
from host_tools.paths import ROOT

MODULES = "import json, sys\nprint(json.dumps(sorted(sys.modules)))"


def bench(*arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["bench-board", *arguments])
    return end.value.code


@pytest.mark.parametrize("kind", ["pty", "socket"])
def test_bench_board(kind, tmp_path, capsys):
    (tmp_path / "cwd").mkdir()
    with Relay(kind, cwd=tmp_path / "cwd") as relay:
        with Repl(relay.port) as repl:
            before = repl.run(MODULES)
        kept = ("--json", str(tmp_path / "figures.json"), "--ledger", str(tmp_path / "ledger.json"))
        assert bench("--port", relay.port, *kept) == 0
        with Repl(relay.port) as repl:
            assert repl.run(MODULES) == before
            assert repl.run("import os\nprint(os.getcwd())").strip() == str(tmp_path / "cwd")
        assert relay.resets == 0
    assert list((tmp_path / "cwd").iterdir()) == []
    said = json.loads((tmp_path / "figures.json").read_text())
    assert [s["stage"] for s in said["stages"]] == [
        "heap after start",
        "ecg channel",
        "ppg channel",
        "ppg in motion",
        "ecg waveform",
        "seal",
        "heap after stages",
    ]
    for stage in said["stages"]:
        if "us_per_block" in stage:
            assert stage["us_per_block"] > 0 and stage["block_us"] == 100_000
    assert said["stages"][5]["us"] > 0 and said["wrong"] == []
    assert {b["what"]: b["within"] for b in said["budgets"]}["batch of 10 s, signed"] is True
    assert len(said["heap_of_modules"]) > 30
    (of_board,) = json.loads((tmp_path / "ledger.json").read_text())["boards"].values()
    assert of_board["stages"]["board"]["ecg channel"][0] == said["stages"][1]["us_per_block"]
    assert "seal one batch" in capsys.readouterr().out


def test_a_chip_is_reset_softly_before_and_after():
    with Relay("pty") as relay:
        with Repl(relay.port, soft_reset=True) as repl:
            assert relay.resets == 1 and repl.about["arch"] and repl.about["heap_free"] > 0
        with Repl(relay.port) as repl:
            assert repl.run("print(1)") == "1\r\n" or repl.run("print(1)") == "1\n"
        assert relay.resets == 2


def test_what_fails_on_the_board_is_said():
    with Relay("pty") as relay, Repl(relay.port) as repl:
        with pytest.raises(UserError, match="the board stopped with ZeroDivisionError"):
            repl.run("1 // 0")
        with pytest.raises(UserError) as e:
            repl.run("bytearray(100_000_000)")
        assert "MemoryError" in e.value.sentence and "heap is too small" in e.value.hint


def test_a_board_without_native_code_gets_bytecode(tmp_path):
    from host_tools.bench.board import compile_for

    compile_for(None, tmp_path)
    assert (tmp_path / "vigil_pointers.mpy").exists() and (tmp_path / "vigil" / "dsp" / "ecg.mpy").exists()
    for file in tmp_path.rglob("*.mpy"):
        assert file.read_bytes()[2] >> 2 == 0, file  # no architecture in the header


def test_ports_that_cannot_be_used(tmp_path, capsys):
    (tmp_path / "file").write_text("not a port")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"socket://127.0.0.1:{taken.getsockname()[1]}"
        for port, sentence in (
            ("/dev/ttyNONE", "there is no port /dev/ttyNONE"),
            (str(tmp_path / "file"), "is not a serial port"),
            (dead, "nobody answers at socket://"),
            ("carrier-pigeon://x", "is not a port"),
        ):
            assert bench("--port", port) == 2
            said = capsys.readouterr().err
            assert sentence in said and "\n  hint: " in said and "Traceback" not in said, said


def test_a_silent_port(monkeypatch, capsys):
    monkeypatch.setattr("host_tools.bringup.repl._ANSWER_S", 1)
    with Relay("pty", mute=True) as relay:
        assert bench("--port", relay.port) == 2
    said = capsys.readouterr()
    assert "no MicroPython answers on" in said.err and "Traceback" not in said.err


def suite(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "tests/hil", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_suite_runs_on_a_board():
    with Relay("pty") as relay:
        done = suite("-n", "0", "--port", relay.port, "-k", "test_cbor or test_sha512 or test_viper_subset")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_suite_says_that_no_board_is_there():
    done = suite("-n", "0", "-rs", "-k", "test_cbor")
    assert done.returncode == 0 and "no board: pytest -n 0 tests/hil --port PORT" in done.stdout
