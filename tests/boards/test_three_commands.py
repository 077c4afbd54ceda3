"""The three commands of the README, from an empty flash to verified readings at the gateway.

The chip's ROM loader is simulated, esptool is not. What it has written then boots under MicroPython, with the emulated
sensors behind the port's modules; it is provisioned over a pty by mpremote's transport and sends to a real broker.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import bench
import firmware_bin
import pytest
from rom import Rom
from stand_in import until
from typer.main import get_command

from boards.virtual.scenario import Scenario
from host_tools import children, cli
from host_tools.board import load
from host_tools.bringup import flash, repl
from host_tools.image import image
from host_tools.paths import BOARDS, ROOT
from host_tools.virtual import interpreter
from signal_models.synth.wearer import wearer

HERE = Path(__file__).parent
BOARD = "ESP32_GENERIC"


def vigil(*arguments):
    """A command in this process; its exit status."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return end.value.code or 0


def test_from_a_bare_board_to_readings(tmp_path, monkeypatch, capsys):
    march = interpreter.native_march()
    if march is None:
        pytest.skip("MicroPython has no native code on this machine")
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VIGIL_PASSPHRASE", "a ward of its own")
    monkeypatch.setenv("VIGIL_WIFI_KEY", "secret88")
    monkeypatch.setattr(flash.platformdirs, "user_config_dir", lambda name: str(tmp_path / "config"))
    monkeypatch.setattr(repl, "_PC", ())  # the process on the pty resets as a chip does
    board = load(BOARD)
    firmware, filesystem, chip = tmp_path / "m.bin", tmp_path / "fs", tmp_path / "flash.bin"
    firmware.write_bytes(firmware_bin.make(body_bytes=20_000))
    filesystem.write_bytes(image.build(board, "lean", arch=march).filesystem)

    with Rom("socket", "esp32") as rom:
        line = ("--board", BOARD, "--firmware", firmware, "--image", filesystem, "--port", rom.port)
        assert vigil("flash", *line, "--allow-unknown", "--yes") == 0
        chip.write_bytes(rom.flash)

    more = {"VIGIL_FLASH": f"{chip} {board.vfs_offset} {board.vfs_bytes} esp32", "VIGIL_TESTS": str(HERE)}
    options = {"boot": HERE / "flashed.py", "program": "import main", "folders": [BOARDS / "virtual"], "more": more}
    options["heap_kb"] = 4096  # the stand-in keeps the flash in memory
    port = children.free_port()
    with bench.board(tmp_path / "chip", Scenario(wearer(120.0)), **options) as relay:
        capsys.readouterr()
        # On loopback, by an address that the check for loopback leaves alone.
        line = ("--wifi-ssid", "ward 3", "--host", "127.0.0.2", "--port-number", port, "--name", "Anna", "--json")
        assert vigil("provision", "--port", relay.port, *line) == 0
        made = json.loads(capsys.readouterr().out)
        assert {line["what"]: line["result"] for line in made["self_test"]} == dict.fromkeys(
            ("firmware", "random generator", "flash", "MAX30102", "LEDs", "ECG", "memory", "clock"), "good"
        )
        nvs = json.loads((tmp_path / "chip" / "nvs.json").read_text())["vigil"]
        assert bytes.fromhex(nvs["link.host"]) == b"127.0.0.2" and len(nvs["release.key"]) == 64

        environment = {k: v for k, v in os.environ.items() if k != "VIGIL_PASSPHRASE"}  # not needed to receive
        with (tmp_path / "out").open("wb") as out, (tmp_path / "log").open("wb") as log:
            gateway = subprocess.Popen(
                [sys.executable, "-m", "host_tools.cli", "gateway", "--show", "--json"],
                stdout=out, stderr=log, env=environment, cwd=ROOT,
            )  # fmt: skip
        try:
            shown = r"Anna: .*heart rate \d+\.\d+ /min .*pulse rate \d+"
            try:
                until(lambda: re.search(shown, (tmp_path / "out").read_text()), 90)
            except AssertionError:
                raise AssertionError(relay.said[-2000:].decode(errors="replace")) from None
            assert vigil("device", "list", "--json") == 0
            (device,) = json.loads(capsys.readouterr().out)
            assert device["device"] == made["device"] and device["state"] == "active" and device["envelopes"] > 0
            assert device["hardware"] == "30aea4c5240a" and device["last_seen_ms"]

            assert vigil("device", "revoke", "Anna", "--yes") == 0
            until(lambda: '"shut_out"' in (tmp_path / "log").read_text())
            # In the handshake, where the port beside the broker's was free for who says so.
            refused = re.compile("client not OCSP valid|authentication error")
            until(lambda: refused.search((tmp_path / "home/gateway/broker/broker.log").read_text()), 30)
        finally:
            children.stop(gateway)
    assert '"rejected"' not in (tmp_path / "log").read_text()


def test_the_readme_shows_these_commands():
    """Each line's command and options exist; what they do is tried above."""
    text = (ROOT / "README.md").read_text().partition("From a bare ESP32")[2]
    lines = re.findall(r"^    \.venv/bin/vigil (.+)$", text.partition("A test goes")[0], re.M)
    assert [line.split()[0] for line in lines] == ["flash", "provision", "gateway"]
    commands = get_command(cli.app).commands
    for name, *words in map(str.split, lines):
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
