"""EC57 matching as a table, and the loaders on files written here."""

import numpy as np
import pytest
import wfdb

from host_tools import recordings
from host_tools.errors import UserError
from host_tools.recordings import npz_file
from signal_models import datasets
from signal_models.datasets import nstdb
from signal_models.metrics.beats import heart_rate_series, match, score
from signal_models.recording import Recording


@pytest.mark.parametrize(
    ("beats", "found", "tp", "fn", "fp"),
    [
        ([1, 2, 3], [1, 2, 3], 3, 0, 0),
        ([1, 2, 3], [], 0, 3, 0),
        ([], [1, 2], 0, 0, 2),
        ([1, 2, 3], [1.15, 2, 3], 3, 0, 0),  # just inside
        ([1, 2, 3], [1.151, 2, 3], 2, 1, 1),  # just outside
        ([1, 2], [0.95, 1.0, 2], 2, 0, 1),  # a doubled detection costs one
        ([1, 2], [1.0, 1.05, 2], 2, 0, 1),
        ([1.0, 1.2], [1.1], 1, 1, 0),  # one detection serves one beat
        ([1.0, 1.2], [1.14], 1, 1, 0),
        ([1, 1.25, 1.5], [1.02, 1.27, 1.52], 3, 0, 0),
    ],
)
def test_matching(beats, found, tp, fn, fp):
    s = score(np.array(beats, float), np.array(found, float))
    assert (s.tp, s.fn, s.fp) == (tp, fn, fp)


def test_matching_takes_the_nearest():
    assert match(np.array([1.0, 1.2]), np.array([1.14])) == [(1, 0)]
    assert match(np.array([1.0]), np.array([0.9, 1.02])) == [(0, 1)]


def test_edges_and_exclusions():
    beats = np.arange(1.0, 11.0)
    s = score(beats, beats + 0.01, start_s=3.0, end_s=9.5, excluded_s=[(4.5, 6.5)])
    assert (s.tp, s.fn, s.fp) == (5, 0, 0)
    assert s.bias_ms == pytest.approx(10) and s.sd_ms == pytest.approx(0, abs=1e-6)
    doubled = s + score(beats, beats[:5])
    assert (doubled.tp, doubled.fn) == (10, 5) and doubled.se_pct == pytest.approx(100 * 10 / 15)


def test_heart_rate_series_counts_beats():
    t, bpm = heart_rate_series(np.array([0, 1, 1.5, 2.5]))
    assert bpm[t == 0.5] == 60 and bpm[t == 1.25] == 120
    assert bpm.mean() * 2.5 / 60 == pytest.approx(3, abs=0.1)


def test_wfdb_record(tmp_path):
    mv = np.sin(np.arange(1000) / 20)[:, None]
    wfdb.wrsamp(
        "one", 200, ["mV", "mV"], ["PLETH", "II"], np.hstack([0 * mv, mv]), fmt=["16", "16"], write_dir=str(tmp_path)
    )
    wfdb.wrann("one", "atr", np.array([100, 300, 500]), ["N", "+", "V"], write_dir=str(tmp_path))
    for name in ("one", "one.hea", "one.dat"):
        r = recordings.load(tmp_path / name)
        assert r.ecg_fs == 200 and r.beats_s is not None and list(r.beats_s) == [0.5, 2.5]
        assert r.ecg is not None and np.abs(r.ecg - mv[:, 0]).max() < 1e-3


def test_csv_and_npz(tmp_path):
    file = tmp_path / "own.csv"
    rows = "\n".join(f"{4 * i},{i % 50},{int(i % 100 == 0)}" for i in range(500))
    file.write_text("t_ms,ecg_uv,beat\n" + rows + "\n")
    r = recordings.load(file)
    assert r.ecg_fs == pytest.approx(250) and r.ecg is not None and r.ecg.max() == pytest.approx(0.049)
    assert r.beats_s is not None and len(r.beats_s) == 5
    r.truth["heart_rate"] = heart_rate_series(r.beats_s)
    npz_file.save(r, tmp_path / "own.npz")
    again = recordings.load(tmp_path / "own.npz")
    assert np.array_equal(again.ecg, r.ecg) and np.array_equal(again.truth["heart_rate"][1], r.truth["heart_rate"][1])
    ppg = Recording("p", ppg=np.ones((400, 1)), ppg_fs=100.0, ppg_channels=("green",), ppg_unit="relative")
    npz_file.save(ppg, tmp_path / "p.npz")
    again = recordings.load(tmp_path / "p.npz")
    assert again.ppg_channels == ("green",) and again.ppg_unit == "relative" and again.ppg_fs == 100


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("absent.hea", None),
        ("letter.txt", b"Dear all"),
        ("table.csv", b"name,age\nx,3\n"),
        ("short.csv", b"ecg_mv\n1\n2\n"),  # no rate
        ("broken.npz", b"PK nothing"),
        ("broken.hea", b"broken 2 360\n"),
    ],
)
def test_what_is_no_recording_is_said_so(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as e:
        recordings.load(tmp_path / name)
    assert name.split(".")[0] in e.value.sentence and e.value.hint


def test_every_known_data_set_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("VIGIL_DATA", str(tmp_path))
    for name, known in datasets.KNOWN.items():
        assert known.licence and known.source.startswith("https://")
        with pytest.raises(UserError) as e:
            datasets.folder(name)
        assert known.how in e.value.hint


def test_noise_is_added_at_the_ratio_asked_for():
    rng = np.random.default_rng(1)
    t = np.arange(720 * 360) / 360
    ecg, beats_s = np.zeros(len(t)), np.arange(1, 719.0)
    ecg[np.rint(beats_s * 360).astype(int)] = 1.0  # peak to peak 1 mV: the power of a sine is 1/8
    noisy = nstdb.stressed(ecg, rng.normal(0, 3, 100_000), 6.0, beats_s)
    added = noisy - ecg
    assert not added[t < 300].any() and not added[(t > 420.1) & (t < 540)].any()
    assert 10 * np.log10(1 / 8 / added[(t > 300) & (t < 420)].var()) == pytest.approx(6.0, abs=0.2)
