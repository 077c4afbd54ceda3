"""`vigil record`, `convert` and `plot`: a virtual board on a pty, files, and wrong uses as a table."""

import json
import re

import bench
import numpy as np
import pytest
import wfdb

from boards.virtual.scenario import Scenario
from host_tools import cli, recordings
from host_tools.recordings import capture
from host_tools.recordings.signals import Mark, Signals, of_counts
from signal_models.synth.wearer import wearer


def said(capsys, *arguments):
    """Exit status, standard output and standard error of `vigil ...`."""
    with pytest.raises(SystemExit) as done:
        cli.main([str(a) for a in arguments])
    out = capsys.readouterr()
    return done.value.code or 0, out.out, out.err


def test_a_board_on_a_port(tmp_path, capsys):
    heart = wearer(60.0, seed=4, rate_bpm=(70, 74))
    more = {"VIGIL_SPEED": "8"}
    with bench.board(tmp_path / "flash", Scenario(heart), program=None, heap_kb=2048, more=more) as relay:
        status, out, err = said(
            capsys, "record", "--port", relay.port, "--seconds", 8, "--out", tmp_path / "o", "--json"
        )
    assert status == 0, err
    told = json.loads(out)
    assert (
        7 < told["seconds"]["ecg"] < 9
        and 7 < told["seconds"]["ppg"] < 9
        and told["lost_samples"] == {"ecg": 0, "ppg": 0}
    )
    ecg = recordings.load(tmp_path / "o" / "board-ecg.hea")
    same = recordings.load(tmp_path / "o" / "board-ecg.csv")
    assert ecg.ecg is not None and np.array_equal(ecg.ecg, same.ecg) and ecg.ecg_fs == pytest.approx(250, rel=0.01)
    assert ecg.beats_s is not None and 4 <= len(ecg.beats_s) <= 11
    assert np.diff(ecg.beats_s).mean() == pytest.approx(60 / 72, abs=0.05)
    light = recordings.load(tmp_path / "o" / "board-ppg.hea")
    assert light.ppg is not None and light.ppg_channels == ("red", "ir") and light.ppg.min() > 10_000
    rows = (tmp_path / "o" / "board-readings.csv").read_text().splitlines()
    assert rows[0] == "t_start_s,t_end_s,kind,value,unit,quality_pct,withheld" and len(rows) > 8
    assert any(",heart_rate," in row for row in rows) and told["readings"] == len(rows) - 1


def test_spoilt_lines_are_gaps():
    lines = []
    for i in range(20):
        data = np.arange(25 * i, 25 * i + 25, dtype="<i2")
        lines.append(f"S 1 4000 {100 * i} 0 0 25 {data.tobytes().hex()}")
    lines[7] = lines[7][:40]
    lines[9] = "garbage"
    found = capture.of_lines([*lines, "B 1 500 90 0", "B 1 1500 90 1", "R 147842 720 -1 2720 90 0 2000 0"])
    signals = found.signals["ecg"]
    values = signals.channels[0].values
    assert len(values) == 500 and found.lost == {"ecg": 50} and np.isnan(values[175:200]).all()
    assert signals.channels[0].counts()[499] == 499
    assert signals.marks == [Mark(0.5, "N"), Mark(1.5, "V")]
    assert found.readings == [(0.0, 2.0, "heart_rate", 72.0, "/min", 90, "")]


def some(folder, name="a.hea"):
    counts = np.random.default_rng(1).integers(-500, 500, 2500)
    file = Signals("a", [of_counts("MLII", "mV", 250.0, counts, 200.0)], [Mark(1.0, "N")])
    recordings.write(file, folder / name)
    return folder / name


def test_convert_there_and_back(tmp_path, capsys):
    at = some(tmp_path)
    for target in ("b.edf", "c.csv", "d.npz", "e.bdf", "f.hea"):
        status, out, _ = said(capsys, "convert", at, tmp_path / target)
        assert status == 0 and "10.0 s, 1 annotations" in out and "nothing is lost" in out, out
        at = tmp_path / target
    first, last = (wfdb.rdrecord(str(tmp_path / n), physical=False) for n in ("a", "f"))
    assert np.array_equal(first.d_signal, last.d_signal) and first.adc_gain == last.adc_gain
    (tmp_path / "g.csv").write_text("x\n" + "0.123456789\n0.5\n" * 500)
    status, out, _ = said(capsys, "convert", tmp_path / "g.csv", tmp_path / "g.hea", "--fs", 100, "--column", "ecg=x",
                          "--unit", "ecg=mV")  # fmt: skip
    assert status == 0 and "not in the copy: ecg: rounded to steps of 1e-07 mV" in out
    assert recordings.load(tmp_path / "g.hea").ecg_fs == 100


def test_plot(tmp_path, capsys):
    from host_tools.recordings import npz_file

    heart = wearer(12.0, seed=3)
    heart.accel, heart.accel_fs = np.ones((600, 3)), 50.0
    npz_file.save(heart, tmp_path / "h.npz")
    for name in ("a.png", "a.svg"):
        where = ("--start", 6, "--seconds", 4)
        status, out, _ = said(capsys, "plot", tmp_path / "h.npz", "--out", tmp_path / name, *where, "--json")
        told = json.loads(out)
        truth = heart.beats_s[(heart.beats_s >= 6) & (heart.beats_s < 10)]
        assert status == 0 and np.allclose(told["beats_s"], truth, atol=0.02) and told["mm_per_mv"] == 10
    svg = (tmp_path / "a.svg").read_text()
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    (width,) = re.findall(r'<svg[^>]* width="([0-9.]+)pt"', svg)
    assert float(width) / 72 * 25.4 == pytest.approx(4 * 25 + 18, abs=0.1)  # 25 mm a second when printed


WRONG = {  # arguments, sentence, hint
    "convert nothing": ("convert {}/none.hea {}/x.csv", "there is no recording at", "WFDB"),
    "convert into nothing known": ("convert {}/a.hea {}/x.wav", "`.wav` is not a format", ".bdf"),
    "convert over a file": ("convert {}/a.hea {}/a.hea", "is there already", "--force"),
    "a role that is none": ("convert {}/a.hea {}/x.csv --column heart=1", "`--column heart=1` is not", "of ecg, red"),
    "a unit without one": ("convert {}/a.hea {}/x.csv --unit ecg", "`--unit ecg` is not", "ROLE=UNIT"),
    "a rate that is none": ("convert {}/a.hea {}/x.csv --fs 0", "0 Hz is not a sample rate", "--fs takes"),
    "plot beyond the end": ("plot {}/a.hea --start 11 --out {}/x.png", "from 11 s cannot be", "lasts 10 s"),
    "plot too much": ("plot {}/a.hea --seconds 90 --out {}/x.png", "a strip of 90 s", "at most 60 s"),
    "plot as a document": ("plot {}/a.hea --out {}/x.docx", "`.docx` is not a format of pictures", ".svg"),
    "plot against nothing": ("plot {}/a.hea --reference {}/x.atr --out {}/x.png", "there is no reference", "beats:"),
    "record both ways": ("record --out {} --port socket://127.0.0.1:1 --device a", "--port is a board", "leave out"),
    "record nobody": ("record --out {} --port socket://127.0.0.1:1", "nobody answers at", ""),
    "record without a gateway": ("record --out {} --state {}/none", "", "hint"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case, tmp_path, capsys):
    arguments, sentence, hint = WRONG[case]
    some(tmp_path)
    status, _, err = said(capsys, *arguments.replace("{}", str(tmp_path)).split())
    assert status == 2 and sentence in err and hint in err and "Traceback" not in err, err
