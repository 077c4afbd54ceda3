"""`vigil doctor`: each trouble by its code, in a sentence, with a hint; on a board of dictionaries, on a REPL."""

import json

import bench
import pytest
from desk_board import DeskBoard, Device
from relay import Relay
from stand_in import until

from boards.virtual.scenario import Missing, Scenario
from host_tools import cli
from host_tools.bringup import doctor, repl
from host_tools.trust import pki
from host_tools.virtual import interpreter
from signal_models.synth.wearer import wearer

SETTINGS = {"sign.seed": b"S" * 32, "link.host": b"gateway.example", "link.port": b"8883",
            "link.server_name": b"localhost", "wifi.ssid": b"ward 3", "prov.state": b"done"}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """TLS files: good, of a certificate that has ended, and that ends soon."""
    folder = tmp_path_factory.mktemp("pki")
    authority = pki.Authority(folder)
    days, made = pki._LEAF_DAYS, {}
    for name, left in (("good", days), ("ended", -0.5), ("soon", 20)):
        pki._LEAF_DAYS = left
        certificate, key = authority.device("0123456789abcdef")
        made[name] = {"ca.der": authority.ca_der, "client.der": certificate, "client.key": key}
    pki._LEAF_DAYS = days
    other = pki.Authority(folder / "other").ca_der
    return made | {"foreign": made["good"] | {"ca.der": other}, "half": {"ca.der": authority.ca_der}, "none": {}}


CASES = [
    # name, settings changed, TLS files, device changed, what the board says, codes that are wrong or odd
    ("a healthy board", {}, "good", {}, {}, []),
    ("old MicroPython", {}, "good", {}, {"about": {"version": "1.22.2"}}, ["old-micropython"]),
    ("no firmware", {}, "good", {}, {"said": {"firmware": None, "fs": None}}, ["no-firmware"]),
    ("image of another architecture", {}, "good", {},
     {"said": {"wrong": "ValueError: incompatible .mpy file"}}, ["wrong-image"]),
    ("image of another board", {}, "good", {},
     {"about": {"machine": "Generic ESP32S3 module with ESP32S3"}}, ["wrong-image"]),
    ("firmware that does not start", {}, "good", {}, {"said": {"wrong": "NameError: x"}}, ["no-start"]),
    ("no identity", {"sign.seed": b""}, "good", {}, {}, ["no-identity"]),
    ("not provisioned", {"link.host": b"", "link.port": b""}, "none", {}, {}, ["not-provisioned", "tls-missing"]),
    ("provisioning interrupted", {"prov.state": b"open"}, "good", {}, {}, ["half-provisioned"]),
    ("TLS files missing", {}, "half", {}, {}, ["tls-missing"]),
    ("certificate of another authority", {}, "foreign", {}, {}, ["tls-damaged"]),
    ("certificate ended", {}, "ended", {}, {}, ["tls-expired"]),
    ("certificate ends soon", {}, "soon", {}, {}, ["tls-ends"]),
    ("no network set", {"wifi.ssid": b""}, "good", {}, {}, ["no-wifi"]),
    ("network out of range", {"wifi.ssid": b"attic"}, "good", {}, {}, ["wifi-not-found"]),
    ("Bluetooth needs no network", {"link.kind": b"ble", "wifi.ssid": b""}, "good", {}, {}, []),
    ("no oximeter", {}, "good", {"max30102": "MAX30102 does not answer"}, {}, ["no-ppg"]),
    ("no ECG", {}, "good", {"ecg": "no front end is wired"}, {}, ["no-ecg"]),
    ("little heap", {}, "good", {}, {"lies": {"memory": lambda said: 12_000}}, ["heap"]),
    ("flash full", {}, "good", {}, {"lies": {"flash": lambda said: [True, 9_000]}}, ["flash"]),
    ("flash worn out", {}, "good", {}, {"lies": {"flash": lambda said: [False, 900_000]}}, ["flash", "flash-bad"]),
    ("the link failed", {}, "good", {}, {"about": {"recent": {"link": "TCP: ECONNREFUSED"}}}, ["link"]),
    ("the broker refused it", {}, "good", {},
     {"about": {"recent": {"link": "securing: alert: our certificate is revoked or expired"}}}, ["refused"]),
    ("it crashed", {}, "good", {}, {"lies": {"crash": lambda said: "publish\nTraceback\nOSError: 28"}}, ["crash"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "tls", "parts", "says", "codes"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_diagnosis(monkeypatch, tmp_path, capsys, files, settings, tls, parts, says, codes):
    device = Device(tmp_path / "device")
    device.keystore.held = {**SETTINGS, **settings}
    device.parts |= parts
    (tmp_path / "device" / "tls").mkdir()
    for name, content in files[tls].items():
        (tmp_path / "device" / "tls" / name).write_bytes(content)
    monkeypatch.setattr(doctor, "OnBoard", DeskBoard.plug(device, **says))
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor", "--port", "desk", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [f["code"] for f in found if f["level"] != "fine"] == codes
    assert end.value.code == (1 if any(f["level"] == "wrong" for f in found) else 0)
    for finding in found:
        assert finding["sentence"] and (
            finding["level"] == "fine" or finding["hint"] or (finding["code"] == "flash" and "flash-bad" in codes)
        )
    with pytest.raises(SystemExit):
        cli.main(["doctor", "--port", "desk"])
    said = capsys.readouterr().out
    assert all(words in said.replace("\n", " ") for words in (f["sentence"].split()[0] for f in found))
    assert "S" * 32 not in said


def test_ports_and_silence(monkeypatch, capsys):
    monkeypatch.setattr(repl, "_ANSWER_S", 1)
    assert [f.code for f in doctor.diagnose("/dev/ttyNONE")] == ["port"]
    with Relay("pty", mute=True) as relay:
        (found,) = doctor.diagnose(relay.port)
    assert found.code == "no-micropython" and "reset button" in found.hint


def test_a_board_lost_on_the_way(monkeypatch, tmp_path):
    device = Device(tmp_path / "device")
    device.keystore.held = dict(SETTINGS)
    monkeypatch.setattr(doctor, "OnBoard", DeskBoard.plug(device, lost_at=1))
    found = doctor.diagnose("desk")
    assert [f.code for f in found if f.level != "fine"] == ["stopped"] and "no MicroPython" in found[0].sentence


@pytest.mark.parametrize("flashed", [True, False])
def test_on_a_repl(monkeypatch, tmp_path, flashed):
    """A running firmware is interrupted, looked at, and runs again; bare MicroPython is told from it."""
    monkeypatch.setattr(repl, "_PC", ())
    scenario = Scenario(wearer(20.0), faults=(Missing("max30102"),))
    options = {} if flashed else {"folders": [], "program": None}
    with bench.board(tmp_path / "device", scenario, **options) as relay:
        if flashed:
            until(lambda: (tmp_path / "device" / "nvs" / "sign.seed").exists())
        codes = {f.code: f.level for f in doctor.diagnose(relay.port)}
        until(lambda: relay.resets == 2)
    if not flashed:
        assert codes == {"no-firmware": "wrong"}
        return
    assert interpreter.native_march() is None or codes["no-ppg"] == "odd"
    assert codes["tls-missing"] == codes["not-provisioned"] == "wrong" and codes["ecg"] == "fine"
