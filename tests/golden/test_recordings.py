"""Recordings of one's own: every format into every other and back, and what is said of a file that leaves it open."""

from datetime import datetime

import edfio
import numpy as np
import pytest

from host_tools import recordings
from host_tools.errors import UserError
from host_tools.recordings import reference, roles
from host_tools.recordings.signals import Channel, Mark, Options, Signals, of_counts

RNG = np.random.default_rng(4)
N = 1803


def some():
    """An ECG of 12 bits at 360 Hz with lost samples, light of 18 bits at 90 Hz, annotations and a start."""
    ecg = of_counts("MLII", "mV", 360.0, RNG.integers(0, 2048, N), 200.0, 1024)
    ecg.values[500:590] = np.nan
    counts = 120_000 + np.cumsum(RNG.integers(-9, 10, N // 4))
    marks = [Mark(1.0, "N"), Mark(1.5, "+", "(AFIB"), Mark(2.0, "V")]
    return Signals("some", [ecg, of_counts("RED", "NU", 90.0, counts, 1.0)], marks, datetime(2020, 2, 3, 4, 5, 6))


def same(a, b):
    """Integers, gaps, rates, units, scales (as far as a header tells), annotations, start."""
    assert a.start == b.start and a.marks == b.marks
    for x, y in zip(a.channels, b.channels, strict=True):
        assert (x.name, x.unit, x.fs) == (y.name, y.unit, y.fs)
        n = len(x.values)
        assert np.array_equal(x.lost(), y.lost()[:n]) and y.lost()[n:].all()
        assert np.array_equal(x.counts()[~x.lost()], y.counts()[:n][~x.lost()])
        np.testing.assert_allclose(y.values[:n], x.values, rtol=1e-6, atol=1e-6)


# requirement: REC-1
@pytest.mark.parametrize("first", [".hea", ".bdf", ".csv", ".npz"])
@pytest.mark.parametrize("second", [".hea", ".bdf", ".csv", ".npz"])
def test_every_format_gives_back_every_integer(first, second, tmp_path):
    file = some()
    assert recordings.write(file, tmp_path / f"a{first}") in ([], [END])
    between = recordings.read(tmp_path / f"a{first}")
    same(file, between)
    recordings.write(between, tmp_path / f"b{second}")
    same(file, recordings.read(tmp_path / f"b{second}"))


END = "the exact end: the last frame is filled up with lost samples"


def test_edf_holds_sixteen_bits(tmp_path):
    file = some()
    file.channels[1].values = file.channels[1].values - 90_000  # 18 bits around 30000: more than 15, the span is less
    recordings.write(file, tmp_path / "a.edf")
    same(file, recordings.read(tmp_path / "a.edf"))
    file.channels[1].values[7] = 200_000
    with pytest.raises(UserError, match=r"`RED` spans \d+ counts: more than 16 bits") as e:
        recordings.write(file, tmp_path / "b.edf")
    assert ".bdf" in e.value.hint


def test_what_is_rounded_is_said(tmp_path):
    file = Signals("f", [Channel("ECG", "mV", 250.0, np.sin(np.arange(1000) / 9) * np.pi)])
    (said,) = recordings.write(file, tmp_path / "a.hea")
    assert said == "ECG: rounded to steps of 1e-06 mV"
    assert recordings.write(file, tmp_path / "a.csv") == recordings.write(file, tmp_path / "a.npz") == []
    for suffix in ("csv", "npz"):
        assert np.array_equal(recordings.read(tmp_path / f"a.{suffix}").channels[0].values, file.channels[0].values)
    truth = Signals("t", file.channels, truth={"spo2": (np.zeros(2), np.ones(2))})
    assert "reference rates and saturations" in recordings.write(truth, tmp_path / "b.csv")


def test_an_edf_of_another_hand(tmp_path):
    """Its zero lies between two integers, as where -3000..3000 uV are said of all 16 bits."""
    digital = RNG.integers(-900, 900, 512).astype(np.int16)
    signal = edfio.EdfSignal.from_digital(
        digital, 256, label="ECG Lead II", physical_dimension="uV", physical_range=(-3000, 3000),
        digital_range=(-32768, 32767),
    )  # fmt: skip
    edfio.Edf([signal]).write(tmp_path / "a.edf")
    file = recordings.read(tmp_path / "a.edf")
    np.testing.assert_allclose(file.channels[0].values, signal.data, atol=1e-9)
    assert recordings.write(file, tmp_path / "b.hea") == ["ECG Lead II: its zero, which moves by 0.046 uV"]
    assert recordings.write(file, tmp_path / "c.csv") == []
    for name in ("b.hea", "c.csv"):
        recordings.write(recordings.read(tmp_path / name), tmp_path / "back.edf")
        back = recordings.read(tmp_path / "back.edf").channels[0]
        assert np.array_equal(back.counts(), digital) and np.abs(back.values - signal.data).max() < 0.05
    assert recordings.load(tmp_path / "a.edf").ecg_fs == 256


def test_names_and_units():
    for name, split in {
        "ecg_mv": ("ecg", "mv"), "ECG [mV]": ("ECG", "mV"), "acc_x (m/s^2)": ("acc_x", "m/s^2"), "red": ("red", ""),
        "time_s": ("time", "s"), "ax_g": ("ax", "g"), "lead_II": ("lead_II", ""), '"t_ms"': ("t", "ms"),
    }.items():  # fmt: skip
        assert roles.split(name) == split
    named = {"ECG II": "ecg", "MLII": "ecg", "PLETH,": "ppg", "Acc_X": "ax", "LED red": "red", "RESP": None}
    assert {name: roles.role_of(name) for name in named} == named


def rows(head, cells, n=500, comma=","):
    return head + "\n" + "".join(comma.join(str(c(i)) for c in cells) + "\n" for i in range(n))


def beat(i):
    return int(i % 200 == 0)


CSV = {  # text, options, rate, what must be in the recording
    "milliseconds": (rows("t_ms,ecg_uv,beat", [lambda i: 4 * i, lambda i: i % 50, beat]), {}, 250, 0.049),
    "rounded times of 360 Hz": (rows("t_ms,ecg_mv", [lambda i: round(i / 0.36), lambda i: i % 50]), {}, 360, 49),
    "a rate of its own": (rows("# fs=300 Hz\necg_mv", [lambda i: i % 50]), {}, 300, 49),
    "--fs": (rows("ECG [uV]", [lambda i: i % 50]), {"fs": 125.0}, 125, 0.049),
    "--unit": (rows("t_s,lead_2", [lambda i: i / 200, lambda i: i % 50]),
               {"columns": {"ecg": "lead_2"}, "units": {"ecg": "mV"}}, 200, 49),
    "--column by number": (rows("t_s,a,b", [lambda i: i / 200, lambda i: 0, lambda i: i % 50]),
                           {"columns": {"ecg": "3"}, "units": {"ecg": "V"}}, 200, 49000),
    "semicolons and decimal commas": (rows("time (s);EKG (mV)", [lambda i: str(i / 250).replace(".", ","),
                                                                 lambda i: "0,5"], comma=";"), {}, 250, 0.5),
    "a gap": (rows("t_s,ecg_mv", [lambda i: (i + 100 * (i > 250)) / 250, lambda i: i % 50]), {}, 250, 49),
    "an option for another file": (rows("t_ms,ecg_mv", [lambda i: 4 * i, lambda i: i % 50]), {"units": {"t": "s"}},
                                   250, 49),
    "a clock of a column": (rows("when,ecg_mv", [lambda i: 4000 * i, lambda i: i % 50]),
                            {"columns": {"t": "when"}, "units": {"t": "us"}}, 250, 49),
}  # fmt: skip


@pytest.mark.parametrize("case", CSV)
def test_tables_that_people_have(case, tmp_path):
    text, options, fs, most = CSV[case]
    (tmp_path / "own.csv").write_text("\ufeff" + text)
    r = recordings.load(tmp_path / "own.csv", Options(**options))
    assert r.ecg_fs == pytest.approx(fs, rel=1e-6) and r.ecg is not None
    assert np.nanmax(r.ecg) == pytest.approx(most)
    if case == "a gap":
        assert np.isnan(r.ecg).sum() == 100 and len(r.ecg) == 600
    if case == "milliseconds":
        assert r.beats_s is not None and np.allclose(r.beats_s, [0, 0.8, 1.6])


def test_a_reference_whose_name_tells_nothing(tmp_path):
    (tmp_path / "own.csv").write_text(rows("t_ms,ecg_mv", [lambda i: 4 * i, lambda i: i % 50]))
    (tmp_path / "beats.txt").write_text("0.5\n1.25\n")
    r = recordings.load(tmp_path / "own.csv")
    with pytest.raises(UserError, match=r"`beats.txt` is text, and its name does not say how to read it") as said:
        reference.attach(r, tmp_path / "beats.txt")
    assert "named .csv" in said.value.hint


def test_light_and_acceleration(tmp_path):
    text = rows("t_s,Acc X [mg],Acc Y [mg],Acc Z [mg],PLETH", [lambda i: i / 50, *[lambda i: i % 9] * 4])
    (tmp_path / "own.csv").write_text(text)
    r = recordings.load(tmp_path / "own.csv")
    assert r.accel is not None and r.accel.max() == pytest.approx(0.008) and r.accel_fs == 50
    assert (r.ppg_channels, r.ppg_unit) == (("ir",), "relative") and r.ecg is None
    light = [of_counts(name, "NU", 100.0, np.full(300, v), 1.0) for name, v in (("IR", 7), ("RED", 5))]
    recordings.write(Signals("x", light), tmp_path / "x.hea")
    r = recordings.load(tmp_path / "x")
    assert r.ppg is not None and (r.ppg_channels, r.ppg_unit) == (("red", "ir"), "counts") and list(r.ppg[0]) == [5, 7]


WRONG = {  # text, options, sentence, what the hint says
    "no rate": ("ecg_mv\n1\n2\n", {}, "the sample rate of `own.csv` is missing; its columns are ecg_mv", "--fs 250"),
    "time without a unit": (rows("time,ecg_mv", [float, float]), {}, "`time` of `own.csv` has no unit", "--unit t=s"),
    "no unit": (rows("t_s,ecg", [lambda i: i / 250, lambda i: i % 3 / 2]), {}, "`ecg` has no unit",
                "--unit ecg=mV (of mV or uV)"),
    "a unit of something else": (rows("t_s,ecg [kg]", [lambda i: i / 250, float]), {}, "`ecg` has the unit `kg`",
                                 "its values lie between"),
    "a rate that no heart has": (rows("t_s,ecg_mv", [float, float]), {}, "the ECG of `own` has 1 samples a second",
                                 "its unit of time, another"),
    "no signal": (rows("t_s,weight", [lambda i: i / 250, float]), {}, "with a known name; it has weight",
                  "--column ecg=NAME"),
    "no such column": (rows("t_s,a", [lambda i: i / 250, float]), {"columns": {"ecg": "b"}}, "has no column `b`",
                       "it has 2: 1 t, 2 a"),
    "no header": (rows("0.0,1.5", [float, float]), {}, "has no header line: it begins with `0.0,1.5`", "t_s,ecg_mv"),
    "cut off": (rows("t_s,ecg_mv", [float, float]) + "500", {}, "row 502 of `own.csv` has 1 cells", "complete"),
    "time that stands": (rows("t_s,ecg_mv", [lambda i: 1, float]), {}, "do not rise in row 2", "--fs 250"),
    "two axes": (rows("t_s,ax_g,ay_g", [lambda i: i / 50, float, float]), {}, "2 of the three axes", "az=NAME"),
    "no rate at all": ("# fs=fast\necg_mv\n1\n2\n", {}, "`# fs=fast` is not a sample rate", "# fs=250"),
    "nothing": ("", {}, "holds no samples", "header line"),
}  # fmt: skip


# requirement: REC-1
@pytest.mark.parametrize("case", WRONG)
def test_what_a_table_leaves_open(case, tmp_path):
    text, options, sentence, hint = WRONG[case]
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(UserError) as e:
        recordings.load(tmp_path / "own.csv", Options(**options))
    assert sentence in e.value.sentence and hint in e.value.hint, (e.value.sentence, e.value.hint)


def test_other_wrong_uses(tmp_path):
    recordings.write(some(), tmp_path / "a.hea")
    recordings.write(some(), tmp_path / "a.bdf")
    for name in ("a.hea", "a.bdf"):
        with pytest.raises(UserError, match="itself") as e:
            recordings.read(tmp_path / name, Options(fs=500.0))
        assert e.value.hint == "leave out --fs"
    np.savez(tmp_path / "n.npz", ecg=np.ones(9))
    with pytest.raises(UserError, match=r"the sample rate of `ecg` in `n\.npz` is missing; its arrays are ecg"):
        recordings.read(tmp_path / "n.npz")
    assert recordings.read(tmp_path / "n.npz", Options(fs=250.0)).channels[0].fs == 250
    (tmp_path / "b.edf").write_bytes(b"0       nonsense")
    with pytest.raises(UserError, match="cannot be read"):
        recordings.read(tmp_path / "b.edf")
    with pytest.raises(UserError, match="is not a format"):
        recordings.write(some(), tmp_path / "a.wav")
    with pytest.raises(UserError, match="cannot write"):
        recordings.write(some(), tmp_path / "a.hea" / "b.npz")
