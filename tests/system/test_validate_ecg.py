"""`vigil validate ecg` on a small synthetic data set from end to end, its document, its page, and its wrong uses."""

import json
import re
import sys

import numpy as np
import pytest
import wfdb

from host_tools import cli, recordings
from host_tools.errors import UserError
from host_tools.recordings.reference import attach
from host_tools.recordings.signals import Signals, of_counts
from host_tools.validate import ecg_study, own, page, peers, plots, study
from host_tools.validate.cases import Case
from signal_models.recording import Recording
from signal_models.synth.ecg import ecg
from signal_models.synth.wearer import wearer

SECONDS, FS = 352, 360  # the first 300 s are not scored


def write_record(folder, name, seconds=SECONDS, seed=1, notes=True, rate_bpm=72.0):
    made = ecg(seconds, np.random.default_rng(seed), fs=FS, rate_bpm=rate_bpm)
    wfdb.wrsamp(
        name, fs=FS, units=["mV"], sig_name=["MLII"], p_signal=made.ecg[:, None], fmt=["212"], write_dir=str(folder)
    )
    if notes:
        at = np.rint(made.beats_s[made.beats_s < seconds] * FS).astype(int)
        wfdb.wrann(name, "atr", at, symbol=["N"] * len(at), write_dir=str(folder))
    return made


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    """A folder of data with two records of `mitdb` and the noises of `nstdb`."""
    root = tmp_path_factory.mktemp("data")
    for name in ("mitdb", "nstdb"):
        (root / name).mkdir()
    write_record(root / "mitdb", "112")
    write_record(root / "mitdb", "118", seed=2, rate_bpm=95.0)
    rng = np.random.default_rng(3)
    for name in ("ma", "bw"):
        noise = rng.normal(0, 0.2, (40 * FS, 1))
        wfdb.wrsamp(
            name, fs=FS, units=["mV"], sig_name=["n"], p_signal=noise, fmt=["212"], adc_gain=[200.0], baseline=[0],
            write_dir=str(root / "nstdb"),
        )  # fmt: skip
    return root


@pytest.fixture
def data(hearts, monkeypatch, tmp_path):
    monkeypatch.setenv("VIGIL_DATA", str(hearts))
    monkeypatch.setattr(peers, "cache_dir", lambda: tmp_path / "cache")
    return hearts


def said(capsys, *arguments):
    """Exit status, standard output and standard error of `vigil ...`."""
    with pytest.raises(SystemExit) as done:
        cli.main([str(a) for a in arguments])
    out = capsys.readouterr()
    return done.value.code or 0, out.out, out.err


def one_peer(monkeypatch):
    """Put a single quick peer in the place of all."""

    def steepest(ecg_mv, fs):
        rise = np.abs(np.diff(ecg_mv, prepend=ecg_mv[0]))
        at = np.flatnonzero(rise > 0.6 * rise.max())
        return at[np.diff(at, prepend=-fs) > fs // 4]

    peer = peers.Peer("steepest", peers.WFDB, steepest)
    monkeypatch.setattr(peers, "PEERS", {peer.name: peer})
    monkeypatch.setattr(peers, "PACKAGES", (peers.WFDB,))


def test_a_small_data_set_through_the_whole_of_it(data, monkeypatch, tmp_path):
    one_peer(monkeypatch)
    chosen = ecg_study.EcgStudy(engine="micropython", snrs_db=(12.0, -6.0))
    document = study.conduct(chosen, jobs=1, quiet=True)
    assert document["schema"] == "vigil-validate/2" and document["study"] == "ecg"
    assert set(document["made"]) == {
        "utc", "seconds", "cpu_seconds", "tasks", "kept", "vigil", "commit", "command", "machine",
    }  # fmt: skip
    result = document["result"]
    assert set(result) == {
        "engine", "left_out", "data", "stress_records", "detectors", "targets", "clean", "stress", "heart_rate",
        "quality", "beat_quality", "monitor", "worst",
    }  # fmt: skip
    assert result["data"] == {"mitdb": ["112", "118"]}
    ours = result["clean"]["gross"]["Vigil"]
    assert ours["beats"] > 130 and ours["fn"] == ours["fp"] == 0 and ours["f1_25_pct"] == 100
    assert "as_it_is" in result["clean"]["gross"]["steepest"] and "as_it_is" not in ours
    assert [(r["noise"], r["snr_db"]) for r in result["stress"]] == [
        (k, s) for k in ("ma", "bw", "em") for s in (12.0, -6.0)
    ]
    for row in result["stress"]:
        assert row["best_peer"] == "steepest" and row["ours"]["withheld_share"] >= 0
    assert result["heart_rate"]["mitdb"]["agreement"]["mae"] < 0.5
    assert result["quality"]["mitdb"]["gap_pct"] < 1 and result["quality"]["noise"]["rows"]
    assert [r["right_pct"] for r in result["beat_quality"]["mitdb"]["rows"]] == [100] and result["monitor"] == []
    asked = [t for t in result["targets"] if t["limit"] is not None]
    assert len(asked) == 5 and all(isinstance(t["met"], bool) and isinstance(t["ahead"], bool) for t in asked)
    for t in result["targets"]:  # a figure is what its records add up to
        above, below = np.sum(list(t["records"].values()), axis=0)
        assert t["value"] == pytest.approx(np.sqrt(above / below) if t["root"] else above / below, abs=1e-5)

    html = page.page(document, chosen.sections(result))
    paths = study.write(document, html, tmp_path / "out")
    assert json.loads(paths[0].read_text()) == document
    self_contained(paths[1].read_text())
    assert html.count("<svg") >= 4 and "prefers-color-scheme:dark" in html and "width=device-width" in html


def self_contained(html):
    """Nothing in the page points outside of it."""
    assert not re.search(r"""(?:src|href|url|@import)\s*[=(](?!"#)""", html.replace("@media", ""))
    assert "http://" not in html and "https://" not in html and "<script" not in html


def test_the_same_again_gives_the_same_result(data):
    chosen = ecg_study.EcgStudy(peers=False, noise=False)
    first, second = (study.conduct(chosen, jobs=jobs, quiet=True)["result"] for jobs in (1, 2))
    assert json.dumps(first) == json.dumps(second)


def test_engines_agree(data):
    of = {
        engine: ecg_study.EcgStudy(engine=engine).run(ecg_study.Task(Case("112"))).beats_s
        for engine in ("mirror", "micropython", "micropython-bytecode")
    }
    assert len(of["mirror"]) > 400
    for engine in of:
        np.testing.assert_array_equal(of[engine], of["mirror"], engine)


def test_the_mirror_has_no_readings(data, capsys, tmp_path):
    status, out, _ = said(capsys, "validate", "ecg", "--engine", "mirror", "--records", "112", "--no-peers",
                          "--no-noise", "--json", "--out", tmp_path)  # fmt: skip
    result = json.loads(out)["result"]
    assert status == 0 and result["heart_rate"] == {} and len(result["left_out"]) == 4


@pytest.mark.parametrize("kind", ["wfdb", "wfdb without annotations", "csv", "npz"])
def test_a_recording_of_ones_own(kind, tmp_path, capsys):
    file = tmp_path / {"csv": "mine.csv", "npz": "mine.npz"}.get(kind, "mine.hea")
    made = ecg(40, np.random.default_rng(5), fs=250.0)
    if kind == "csv":
        t_s = np.arange(len(made.ecg)) / 250
        np.savetxt(file, np.stack([t_s, made.ecg], axis=1), delimiter=",", header="t_s,ecg_mv", comments="")
    elif kind == "npz":
        np.savez(file, ecg=made.ecg, ecg_fs=250.0, beats_s=made.beats_s)
    else:
        write_record(tmp_path, "mine", seconds=40, notes=kind == "wfdb")
    status, out, _ = said(capsys, "validate", "ecg", "--recording", file, "--out", tmp_path / "out")
    assert status == 0 and "beats in 40.0 s" in out and "withheld 2 s: settling" in out.replace("4 s", "2 s")
    document = json.loads((tmp_path / "out" / "ecg-recording.json").read_text())
    result = document["result"]
    assert set(result) == {
        "engine", "recording", "beats_s", "heart_rate", "withheld_s", "shown_share", "scores", "rate", "strips",
        "vitals",
    }  # fmt: skip
    assert (result["scores"] is not None) == (kind in ("wfdb", "npz"))
    assert len(result["beats_s"]) > 40 and result["shown_share"] > 0.8 and result["strips"]
    self_contained((tmp_path / "out" / "ecg-recording.html").read_text())


def test_light_of_ones_own_with_a_reference(tmp_path, capsys):
    heart = wearer(40.0, seed=6, spo2_pct=(95, 97))
    assert heart.ppg is not None and heart.beats_s is not None
    light = [of_counts(n, "counts", 100.0, np.rint(heart.ppg[:, i]), 1.0) for i, n in enumerate(("LED red", "LED ir"))]
    recordings.write(Signals("light", light), tmp_path / "light.bdf")
    t_s, spo2 = heart.truth["spo2"]
    pairs = zip(t_s, np.interp(t_s, *heart.truth["pulse_rate"]), spo2, strict=True)
    rows = "".join(f"{1000 * t:.0f},{rate},{x}\n" for t, rate, x in pairs)
    (tmp_path / "truth.csv").write_text("t_ms,pulse_rate,SpO2 [%]\n" + rows)
    status, out, _ = said(capsys, "validate", "--recording", tmp_path / "light.bdf", "--reference",
                          tmp_path / "truth.csv", "--out", tmp_path / "out")  # fmt: skip
    assert status == 0 and "pulse rate shown" in out
    result = json.loads((tmp_path / "out" / "ecg-recording.json").read_text())["result"]
    by_kind = {v["kind"]: v for v in result["vitals"]}
    assert by_kind["pulse_rate"]["agreement"]["mae"] < 1.5 and by_kind["spo2"]["agreement"]["mae"] < 1
    assert by_kind["perfusion_index"]["agreement"] is None and result["recording"]["signals"]
    self_contained((tmp_path / "out" / "ecg-recording.html").read_text())


REFERENCE = {  # file, content, sentence; None: good
    "beats.csv": ("t_s,label\n1.0,N\n2.0,V\n", None),
    "samples.csv": ("sample\n250\n500\n", None),
    "no-unit.csv": ("time\n1.0\n2.0\n", "the time column `time` of `no-unit.csv` has no unit"),
    "no-time.csv": ("when,what\n1.0,2\n", "`no-time.csv` has no column of time; its columns are when, what"),
    "late.csv": ("t_s\n250\n500\n", "the last beat of `late.csv` is at 500 s, the recording ends at 8 s"),
    "none.csv": (None, "there is no reference at"),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_references(name, tmp_path):
    content, sentence = REFERENCE[name]
    if content:
        (tmp_path / name).write_text(content)
    recording = Recording("r", ecg=np.zeros(2000), ecg_fs=250.0)
    if sentence is None:
        attach(recording, tmp_path / name)
        assert recording.beats_s is not None and list(recording.beats_s) == [1.0, 2.0]
        return
    with pytest.raises(UserError) as e:
        attach(recording, tmp_path / name)
    assert sentence in e.value.sentence and e.value.hint


WRONG = {
    "unknown record": (["--records", "112,999"], "there is no record `999` in mitdb"),
    "unknown engine": (["--engine", "abacus"], "unknown engine `abacus`"),
    "no such file": (["--recording", "nowhere.csv"], "there is no recording at `nowhere.csv`"),
    "recording and records": (["--recording", "x.csv", "--records", "112"], "--recording is judged alone"),
    "a reference of nothing": (
        ["--reference", "x.csv"],
        "--reference, --fs, --column and --unit belong to --recording",
    ),
    "recording by the mirror": (["--recording", "x.csv", "--engine", "mirror"], "the mirror finds beats only"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case, data, capsys, tmp_path):
    arguments, sentence = WRONG[case]
    status, _, err = said(capsys, "validate", "ecg", *arguments, "--out", tmp_path)
    assert status == 2 and sentence in err and "hint:" in err and "Traceback" not in err


def test_no_data(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("VIGIL_DATA", str(tmp_path))
    status, _, err = said(capsys, "validate", "ecg", "--out", tmp_path / "out")
    assert status == 2 and "the data set `mitdb` is not here" in err and "wfdb.dl_database" in err


def test_no_noise_records(data, monkeypatch, tmp_path):
    monkeypatch.setattr(ecg_study, "SNRS_DB", (6,))
    (tmp_path / "mitdb").symlink_to(data / "mitdb")
    monkeypatch.setenv("VIGIL_DATA", str(tmp_path))
    cases, left_out = ecg_study.stressed(["112"], (6.0,))
    assert [c.noise for c in cases] == ["em"] and "nstdb" in left_out


def test_peers_that_are_not_installed(data, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(peers, "PACKAGES", (peers.WFDB, peers.Package("no-such-peer", "no_such_peer")))
    status, _, err = said(capsys, "validate", "ecg", "--peers", "--out", tmp_path)
    assert status == 2 and "peers that are not installed: no-such-peer" in err and "validate-peers" in err
    assert "no-such-peer" in peers.installed(None)[1] and peers.installed(False)[0] == []


def test_a_report_that_cannot_be_written(data, capsys, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = said(capsys, "validate", "ecg", "--out", tmp_path / "file" / "below")
    assert status == 2 and "the report cannot be written" in err


def test_a_recording_without_ecg(tmp_path):
    file = tmp_path / "light.csv"
    file.write_text("t_s,ax_g,ay_g,az_g\n" + "".join(f"{i / 100},0,0,1\n" for i in range(400)))
    with pytest.raises(UserError, match="has neither ECG nor light"):
        own.RecordingStudy(file).tasks()


def test_a_peer_that_fails_has_found_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("VIGIL_CACHE", str(tmp_path))
    calls = []

    def broken(ecg_mv, fs):
        calls.append(fs)
        raise ValueError("no")

    peer = peers.Peer("broken", peers.WFDB, broken)
    for _ in range(2):
        assert len(peers.beats_s(peer, np.zeros(100), 360)) == 0
    assert calls == [360]  # the second time from the cache


def test_peers_are_imported_when_used():
    assert "ecgdetectors" not in sys.modules and "biosppy" not in sys.modules


def test_ticks_are_round_and_inside():
    for low, high in ((0, 100), (46.2, 74.8), (-6, 24), (99.1, 99.9), (0.001, 0.0042)):
        marks = plots.ticks(low, high)
        assert 3 <= len(marks) <= 7 and min(marks) >= low - 1e-9 and max(marks) <= high + 1e-9


def test_densest_holds_the_cluster():
    starts = ecg_study.densest(np.array([10.0, 50.0, 51.0, 52.0]), 8.0, 2)
    assert starts == [47.0, 6.0]
