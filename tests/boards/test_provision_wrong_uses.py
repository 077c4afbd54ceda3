"""What a user does wrong with provision and device: one sentence, a hint, an exit status, nothing half done.

With the thirty of `vigil flash` (tests/boards/test_flash.py) these are the wrong uses on the way from a bare board.
"""

import json
import socket

import pytest
from desk_board import DeskBoard, Device
from relay import Relay

from host_tools import cli
from host_tools.bringup import ports, provision

RADIO = "--wifi-ssid ward --wifi-key-file {}/key"
OK = f"provision --port {{desk}} {RADIO} --host gateway.example --name Anna --leds normal"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VIGIL_HOME", str(tmp_path / "home"))
    for name in ("VIGIL_PASSPHRASE", "VIGIL_WIFI_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "key").write_text("secret88\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "short").write_text("1234567\n")
    (tmp_path / "file").write_text("not a port")
    return tmp_path


def wrong(line, capsys, code=2):
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    said = capsys.readouterr().err
    lines = [x for x in said.splitlines() if not x.startswith(("asking", "testing", "writing"))]
    assert end.value.code == code, said
    assert len(lines) == 2 and lines[0].startswith("vigil: ") and lines[1].startswith("  hint: "), said
    assert len(lines[1]) > 12 and "Traceback" not in said
    return lines[0]


BEFORE_THE_BOARD = [
    # name, command line ({} is the folder), what the sentence says
    ("no board is connected", f"provision {RADIO}", "no board is connected"),
    ("port absent", f"provision --port /dev/ttyNONE {RADIO}", "there is no port /dev/ttyNONE"),
    ("port is a file", f"provision --port {{}}/file {RADIO}", "is not a serial port"),
    ("nobody at the address", f"provision --port socket://127.0.0.1:9 {RADIO}", "nobody answers at"),
    ("no Wi-Fi key", "provision --port x --wifi-ssid ward", "the key of the network `ward` is not given"),
    ("key file absent", "provision --port x --wifi-ssid ward --wifi-key-file {}/no", "cannot read the key"),
    ("key file empty", "provision --port x --wifi-ssid ward --wifi-key-file {}/empty", "is empty"),
    ("key too short", "provision --port x --wifi-ssid ward --wifi-key-file {}/short", "8 to 63 characters"),
    ("key without a network", "provision --port x --wifi-key-file {}/key", "no network to use it for"),
    ("key of an open network", f"provision --port x {RADIO} --open-wifi", "an open network has no key"),
    ("network's name too long", f"provision --port x --open-wifi --wifi-ssid {33 * 'w'}", "1 to 32 bytes"),
    ("host with a slash", f"provision --port x {RADIO} --host http://x/", "is not the name or address of a machine"),
    ("host is this machine's own", f"provision --port x {RADIO} --host localhost", "cannot reach `localhost`"),
    ("port number of dreams", f"provision --port x {RADIO} --port-number 70000", "70000 is not a port"),
    ("name with a slash", f"provision --port x {RADIO} --name a/b", "`a/b` is not a name"),
    ("name like an id", f"provision --port x {RADIO} --name 0123456789abcdef", "looks like a device id"),
    ("a long burst", f"provision --port x {RADIO} --radio-burst 61", "61 batches are no burst"),
    ("LEDs in a muddle", f"provision --port x {RADIO} --leds green", "`green` is not an order of LEDs"),
    ("list before the first device", "device list", "no device is provisioned"),
    ("revoke before the first device", "device revoke Anna --yes", "no device is provisioned"),
    ("rotate before the first device", "device rotate Anna --port x --yes", "no device is provisioned"),
]


@pytest.mark.parametrize(("line", "sentence"), [w[1:] for w in BEFORE_THE_BOARD], ids=[w[0] for w in BEFORE_THE_BOARD])
def test_before_the_board_is_touched(folder, capsys, monkeypatch, line, sentence):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert sentence in wrong(line.replace("{}", str(folder)), capsys)
    assert not (folder / "home").exists(), "nothing half done"


BLIND = {"lies": {"parts": lambda said: said | {"max30102": "no answer", "ecg": "no answer"}}}
LAST = {"lies": {"switch": lambda held: held | {"client.der": "00"}}}
AT_THE_BOARD = [
    # name, what the board says, options, sentence, exit status, what the register holds afterwards
    ("no Vigil on it", {"said": {"firmware": None}}, OK, "there is no Vigil on the board", 2, None),
    ("another chip's image", {"said": {"wrong": "ValueError: incompatible .mpy"}}, OK, "does not start", 2, None),
    ("no network known", {}, "provision --port desk", "the device does not know a Wi-Fi network", 2, None),
    ("no sensors", BLIND, OK, "self-test failed", 2, None),
    ("cable pulled", {"lost_at": 9}, OK, "no MicroPython answers", 2, None),
    ("cable pulled at the last step", LAST, OK, "TLS files on the board", 3, "pending"),
]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(ports, "check", lambda port: None)
    monkeypatch.setattr(provision, "_CLOCK_S", 0.02)
    monkeypatch.setattr(provision, "_CLOCK_PPM", 10**6)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("board", "line", "sentence", "code", "left"), [w[1:] for w in AT_THE_BOARD], ids=[w[0] for w in AT_THE_BOARD]
)
def test_at_the_board(folder, capsys, monkeypatch, board, line, sentence, code, left):
    monkeypatch.setattr(provision, "OnBoard", DeskBoard.plug(Device(folder / "device"), **board))
    assert sentence in wrong(line.replace("{desk}", "desk").replace("{}", str(folder)), capsys, code)
    with pytest.raises(SystemExit) as end:
        cli.main(["device", "list", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert end.value.code == 0 and [device["state"] for device in listed] == ([left] if left else [])


@pytest.mark.usefixtures("quick")
def test_devices(folder, capsys, monkeypatch):
    monkeypatch.setattr(provision, "OnBoard", DeskBoard.plug(Device(folder / "device")))
    with pytest.raises(SystemExit) as end:
        cli.main(OK.replace("{desk}", "desk").replace("{}", str(folder)).split())
    said = capsys.readouterr().out
    assert end.value.code == 0 and "Anna is device" in said and "self-test" in said and "secret88" not in said
    assert "there is no device `Ben`" in wrong("device show Ben", capsys)
    assert "nothing was revoked" in wrong("device revoke Anna", capsys)
    assert "nothing was changed" in wrong("device rotate Anna --port desk --key", capsys)
    for line, words in (("list", "Anna"), ("show Anna", "public key"), ("revoke Anna --yes", "is revoked")):
        with pytest.raises(SystemExit) as end:
            cli.main(["device", *line.split()])
        assert end.value.code == 0 and words in capsys.readouterr().out
    assert "was revoked" in wrong("device rotate Anna --port desk --yes", capsys)
    assert "was revoked" in wrong(OK.replace("{desk}", "desk").replace("{}", str(folder)), capsys)


def test_a_port_with_something_else_on_it(folder, capsys, monkeypatch):
    monkeypatch.setattr("host_tools.bringup.repl._ANSWER_S", 1)
    with Relay("pty", mute=True) as relay:
        line = OK.replace("{desk}", relay.port).replace("{}", str(folder))
        assert "no MicroPython answers on" in wrong(line, capsys)


@pytest.mark.usefixtures("quick")
def test_the_gateways_port_is_taken(folder, capsys, monkeypatch):
    monkeypatch.setattr(provision, "OnBoard", DeskBoard.plug(Device(folder / "device")))
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        number = taken.getsockname()[1]
        line = OK.replace("{desk}", "desk").replace("{}", str(folder))
        with pytest.raises(SystemExit) as end:
            cli.main([*line.split(), "--port-number", str(number)])
        assert end.value.code == 0
        capsys.readouterr()
        assert f"port {number} on 0.0.0.0 is in use" in wrong("gateway", capsys)
