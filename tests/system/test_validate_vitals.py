"""`vigil validate ppg|spo2|resp` on a small synthetic data set: document, page, wrong uses."""

import json

import numpy as np
import pytest
import wfdb

from host_tools import cli
from host_tools.validate import light_peers, page, peers, vitals
from host_tools.validate.pairs import Pairs, events_rate
from signal_models.synth.wearer import wearer

SECONDS = 60


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A folder of data with one record of `bidmc`, breaths marked by two."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "bidmc"
    folder.mkdir()
    made = wearer(SECONDS, 3, breaths_min=(15.0, 15.0))
    assert made.ppg is not None and made.ecg is not None
    n = np.arange(SECONDS * 125) / 125
    light = np.interp(n, np.arange(len(made.ppg)) / 100, -made.ppg[:, 1].astype(float))
    light = (light - light.mean()) / np.ptp(light)
    lead = np.interp(n, np.arange(len(made.ecg)) / 250, made.ecg)
    wfdb.wrsamp(
        "bidmc01", fs=125, units=["NU", "mV"], sig_name=["PLETH", "II"], p_signal=np.stack([light, lead], axis=1),
        fmt=["16", "16"], write_dir=str(folder),
    )  # fmt: skip
    marks = np.arange(2.0, SECONDS, 4.0)
    at = np.sort(np.concatenate([marks, marks + 0.2]) * 125).astype(int)
    wfdb.wrann(
        "bidmc01", "breath", at, symbol=['"'] * len(at), aux_note=["ann1", "ann2"] * len(marks), fs=125,
        write_dir=str(folder),
    )  # fmt: skip
    return root


@pytest.fixture
def data(patients, monkeypatch, tmp_path):
    monkeypatch.setenv("VIGIL_DATA", str(patients))
    monkeypatch.setattr(peers, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(vitals, "RATES", (60,))
    monkeypatch.setattr(vitals, "PERFUSIONS", (1.0,))
    return patients


def said(capsys, *arguments):
    """Exit status, standard output and standard error of `vigil ...`."""
    with pytest.raises(SystemExit) as done:
        cli.main([str(a) for a in arguments])
    out = capsys.readouterr()
    return done.value.code or 0, out.out, out.err


def test_respiration_is_read_and_drawn(data, capsys, tmp_path):
    status, out, _ = said(
        capsys, "validate", "resp", "--engine", "cpython", "--no-peers", "--jobs", "1", "--out", tmp_path, "--json"
    )
    assert status == 0
    document = json.loads(out)
    assert document == json.loads((tmp_path / "resp.json").read_text())
    result = document["result"]
    assert set(result["groups"]) == {"Vigil on bidmc, light", "Vigil on bidmc, light and ECG"}
    group = result["groups"]["Vigil on bidmc, light"]
    assert group["agreement"]["n"] == 15 and group["mae"] < 1.5
    assert {t["name"] for t in result["targets"]} >= {"light: coverage", "light: within 5 a minute"}
    html = (tmp_path / "resp.html").read_text()
    for word in ("Bland-Altman", "Error against coverage", "Tracks over the reference", "bidmc01"):
        assert word in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_pulse_rate_is_read_beside_a_peer(data, capsys, tmp_path, monkeypatch):
    def every_second(x, fs):
        return np.arange(0, len(x), fs)

    peer = peers.Peer("clock", peers.Package("numpy", "numpy"), every_second)
    monkeypatch.setattr(light_peers, "PULSE_PEERS", {"clock": peer})
    monkeypatch.setattr(light_peers, "ALL", {"clock": peer})
    status, out, _ = said(capsys, "validate", "ppg", "--jobs", "1", "--out", tmp_path)
    assert status == 0 and "clock on bidmc" in out
    result = json.loads((tmp_path / "ppg.json").read_text())["result"]
    assert result["groups"]["Vigil on bidmc, ECG beats"]["mae"] < 2
    assert result["groups"]["clock on bidmc, ECG beats"]["agreement"]["coverage"] > 0.95  # the first is short
    assert "Vigil on synthetic, clean" in result["groups"]


def test_saturation_is_read(data, capsys, tmp_path):
    status, out, _ = said(capsys, "validate", "spo2", "--jobs", "1", "--out", tmp_path)
    assert status == 0 and "Simulator, clean, Arms" in out
    result = json.loads((tmp_path / "spo2.json").read_text())["result"]
    assert result["groups"]["Vigil on synthetic, clean"]["arms"] < 1


def test_wrong_uses_are_told_in_a_sentence(data, capsys, tmp_path):
    for arguments, word in (
        (("resp", "--records", "bidmc99"), "no record bidmc99"),
        (("resp", "--engine", "steam"), "unknown engine"),
    ):
        status, _, err = said(capsys, "validate", *arguments, "--out", tmp_path)
        assert status and word in err and "Traceback" not in err


def test_rates_of_events_and_pages_without_any_reading():
    assert events_rate(np.array([0.0, 4.0, 8.0, 12.0]), np.array([0.0, 20.0]), np.array([12.0, 30.0])).tolist()[0] == 15
    none = np.full(3, np.nan)
    empty = Pairs(np.arange(3.0), none, none, np.zeros(3), np.zeros(3, bool), np.arange(3.0))
    study = vitals.VitalsStudy("resp", peers=False)
    from host_tools.validate.study import finite

    result = finite(study.summarise([(vitals.Task("x", "bidmc", "light"), [("x", empty)])]))
    assert page.table([], []) and study.sections(result)
