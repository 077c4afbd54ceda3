"""What a user does wrong: one sentence on stderr, a hint, exit status 2, no traceback, nothing left running."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from stand_in import Sealer

from host_tools import cli


def children_of(pid="self"):
    """Process ids of the children of a process, where /proc tells."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += task.read_text().split()
    return found


@pytest.fixture
def folder(tmp_path):
    """A folder with things to be wrong about."""
    (tmp_path / "notes.txt").write_text("milk, eggs\n")
    (tmp_path / "broken.npz").write_bytes(b"PK not really")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "bad.toml").write_text("broker = \n")
    (tmp_path / "half.toml").write_text('broker = "mqtts://localhost:1"\n')
    (tmp_path / "odd.toml").write_text('broker = "mqtts://localhost:1"\nstore = "sqlite://"\ncolour = "red"\n')
    (tmp_path / "http.toml").write_text('broker = "http://localhost"\nstore = "sqlite://"\n')
    (tmp_path / "nodb.toml").write_text('broker = "mqtts://localhost:1"\nstore = "nonsense"\n')
    (tmp_path / "away.toml").write_text('broker = "mqtts://localhost:1"\nstore = "sqlite:////no/such/folder/x.db"\n')
    (tmp_path / "nocert.toml").write_text('broker = "mqtts://localhost:1"\nstore = "sqlite://"\nca = "/no/such.pem"\n')
    (tmp_path / "envelope").write_bytes(Sealer().seal())
    (tmp_path / "device.pub").write_bytes(Sealer().public_key)
    ecg_mv = np.sin(np.arange(5000) / 250 * 2 * np.pi * 1.2)
    np.savez(tmp_path / "heart.npz", ecg=ecg_mv, ecg_fs=250.0)
    return tmp_path


CASES = [
    # name, arguments ({} is the folder), what the sentence says
    ("recording that is not one", "run --recording {}/notes.txt", "is not a recording"),
    ("recording that is absent", "run --recording {}/absent", "there is no recording at"),
    ("recording that is broken", "run --recording {}/broken.npz", "cannot be read"),
    ("speed zero", "run --recording {}/heart.npz --speed 0", "0 is not a speed"),
    ("speed backwards", "run --recording {}/heart.npz --speed -2", "-2 is not a speed"),
    ("speed not finite", "run --recording {}/heart.npz --speed nan", "nan is not a speed"),
    ("speed of dreams", "run --recording {}/heart.npz --speed 1e6", "1e+06 is not a speed"),
    ("no duration", "run --duration 0", "0 s is not a possible duration"),
    ("endless duration", "run --duration inf", "inf s is not a possible duration"),
    ("duration beyond the recording", "run --recording {}/heart.npz --duration 21", "21 s is not a possible duration"),
    ("unknown engine", "run --recording {}/heart.npz --engine steam", "`steam` is not an engine"),
    ("unknown part", "run --recording {}/heart.npz --without wings", "`wings` is not a part"),
    ("part of the other front end", "run --recording {}/heart.npz --without ad8232", "`ad8232` is not a part"),
    ("unknown front end", "run --recording {}/heart.npz --ecg cuff", "`cuff` is not an ECG front end"),
    ("state that cannot be", "run --recording {}/heart.npz --state /dev/null/state", "cannot write to the folder"),
    ("gateway without settings", "gateway", "needs --state or --config"),
    ("gateway without a file", "gateway --config {}/absent.toml", "cannot read the configuration"),
    ("gateway on an empty state", "gateway --state {}", "cannot read the configuration"),
    ("gateway, bad TOML", "gateway --config {}/bad.toml", "is not a TOML file"),
    ("gateway, half a TOML", "gateway --config {}/half.toml", "does not say where"),
    ("gateway, odd setting", "gateway --config {}/odd.toml", "unusable setting `colour`"),
    ("gateway, no broker's URL", "gateway --config {}/http.toml", "is not the URL of a broker"),
    ("gateway, no database's URL", "gateway --config {}/nodb.toml", "is not the URL of a database"),
    ("gateway, database away", "gateway --config {}/away.toml", "cannot open the database"),
    ("gateway, no certificate", "gateway --config {}/nocert.toml", "there is no file `/no/such.pem`"),
    ("verify nothing", "verify", "there is nothing to verify"),
    ("verify without a key", "verify {}/envelope", "needs --key or --state"),
    ("verify with two keys", "verify {}/envelope --key {}/device.pub --state {}", "needs --key or --state"),
    ("verify an absent file", "verify {}/absent --key {}/device.pub", "cannot read"),
    ("verify a folder", "verify {} --key {}/device.pub", "cannot read"),
    ("verify an empty file", "verify {}/empty --key {}/device.pub", "is empty"),
    ("verify with no key", "verify {}/envelope --key {}/notes.txt", "is not a public key"),
    ("verify an empty state", "verify --state {}", "cannot read the configuration"),
]


def wrong(arguments, capsys):
    """Run the command line in this process; returns its standard error, after the checks that hold for all."""
    before = children_of()
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    said = capsys.readouterr()
    assert end.value.code == 2
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0].startswith("vigil: ") and "Traceback" not in said.err
    assert len(lines) == 2 and lines[1].startswith("  hint: ") and len(lines[1]) > 10
    assert children_of() == before
    return lines[0]


@pytest.mark.parametrize(("arguments", "sentence"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_wrong_use(folder, capsys, arguments, sentence):
    signals = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert sentence in wrong(arguments.replace("{}", str(folder)).split(), capsys)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == signals


def test_port_in_use(folder, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = wrong(["run", "--recording", str(folder / "heart.npz"), "--port", str(port)], capsys)
        assert f"port {port} on 127.0.0.1 is in use" in said


def test_missing_micropython(folder, capsys, monkeypatch):
    monkeypatch.setenv("VIGIL_MICROPYTHON", "/no/such/micropython")
    assert "/no/such/micropython" in wrong(["run", "--recording", str(folder / "heart.npz")], capsys)


def test_missing_broker(folder, capsys, monkeypatch):
    monkeypatch.setattr("host_tools.ingest.broker.sys", SimpleNamespace(executable="/no/such/python"))
    monkeypatch.setattr("host_tools.ingest.broker.shutil", SimpleNamespace(which=lambda _: None))
    assert "cannot find `nats-server`" in wrong(["run", "--recording", str(folder / "heart.npz")], capsys)


def test_help_is_quick_and_lists_the_commands():
    """Quick, because what only a command needs is imported when that runs."""
    dear = {"asyncio", "numpy", "rich", "sqlalchemy"}
    say = f"finally: print(sorted({dear} & set(sys.modules)))"
    ask = f"import sys\nfrom host_tools import cli\ntry: cli.main(['--help'])\n{say}"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]"
    for name in ("run", "gateway", "waveform", "verify", "data", "version"):
        assert f"  {name} " in done.stdout


def test_data_names_every_set_and_how_to_get_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("VIGIL_DATA", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "--json"])
    assert end.value.code == 0
    sets = json.loads(capsys.readouterr().out)
    assert {"mitdb", "bidmc", "ispc2015"} <= {s["name"] for s in sets}
    assert all(not s["present"] and s["how"] and s["licence"] and s["source"] for s in sets)
