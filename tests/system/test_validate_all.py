"""`vigil validate` as one instrument: all parts in one document, kept results, an earlier run beside it, wrong uses."""

import json

import numpy as np
import pytest
import wfdb

from host_tools import cli
from host_tools.validate import cases, compare, fixed_point, kept, page, parts, study, vitals
from host_tools.validate.study import judged
from signal_models.synth.ecg import ecg

SECONDS, FS = 320, 360  # the first 300 s are not scored


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    """A folder of data with two records of `mitdb` and no other data set."""
    root = tmp_path_factory.mktemp("data")
    (root / "mitdb").mkdir()
    for name, seed in (("112", 1), ("118", 2)):
        made = ecg(SECONDS, np.random.default_rng(seed), fs=FS)
        at = np.rint(made.beats_s[made.beats_s < SECONDS] * FS).astype(int)
        folder = str(root / "mitdb")
        wfdb.wrsamp(
            name, fs=FS, units=["mV"], sig_name=["MLII"], p_signal=made.ecg[:, None], fmt=["212"], write_dir=folder
        )
        wfdb.wrann(name, "atr", at, symbol=["N"] * len(at), aux_note=["(N"] + [""] * (len(at) - 1), write_dir=folder)
    return root


@pytest.fixture
def data(hearts, monkeypatch, tmp_path):
    monkeypatch.setenv("VIGIL_DATA", str(hearts))
    monkeypatch.setenv("VIGIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cases, "SNRS_DB", (6,))
    monkeypatch.setattr(fixed_point, "KERNELS", fixed_point.KERNELS[:5])
    monkeypatch.setattr(vitals, "PERFUSIONS", (1.0,))


def small():
    """All parts that these data have, without the ones that take long."""
    made = [parts.study_of(name, parts.Options("cpython", peers=False)) for name in ("spo2", "resp", "fixed-point")]
    return parts.WholeStudy((*made, parts.study_of("beat_class", parts.Options())))


def test_all_parts_in_one_document_and_again_the_same_bytes(data, tmp_path, monkeypatch):
    store = kept.Kept()
    first = study.conduct(small(), jobs=1, quiet=True, kept=store)
    result = first["result"]
    assert set(result) == {"left_out", "targets", "parts"} and set(result["parts"]) == {
        "spo2",
        "fixed-point",
        "beat_class",
    }
    assert result["left_out"] == ["resp: the data set `bidmc` is not here"]
    assert {t["part"] for t in result["targets"]} == set(result["parts"]) and first["made"]["kept"] == 0
    text = page.page(first, small().sections(result))
    assert text.count('class="part"') == 3 and 'href="#beat_class"' in text

    again = study.conduct(small(), jobs=1, quiet=True, kept=kept.Kept())
    assert (
        again["made"]["kept"] == again["made"]["tasks"] == first["made"]["tasks"] and not again["made"]["cpu_seconds"]
    )
    monkeypatch.setenv("VIGIL_CACHE", str(tmp_path / "another"))
    anew = study.conduct(small(), jobs=1, quiet=True, kept=kept.Kept())
    assert anew["made"]["kept"] == 0
    for other in (again, anew):
        assert json.dumps(other["result"]) == json.dumps(result)
    same = compare.compare(first, anew)["figures"]
    assert {f["verdict"] for f in same} == {"same"} and len(same) == len(result["targets"])


def test_an_interrupted_run_goes_on_where_it_was(data):
    class Cut(Exception):
        pass

    class Interrupted(parts.WholeStudy):
        def run(self, task):
            if str(task) == "fixed-point: dsp.ecg.refine":
                raise Cut
            return super().run(task)

    whole = small()
    with pytest.raises(Cut):
        study.conduct(Interrupted(whole.studies), jobs=1, quiet=True, kept=kept.Kept())
    made = study.conduct(whole, jobs=1, quiet=True, kept=kept.Kept())["made"]
    assert 0 < made["kept"] < made["tasks"]


@pytest.mark.parametrize(
    ("value", "least", "unit", "said"),
    [
        (89.0, True, "%", ["1 of 1 targets missed", "1 points too low", "(89.00, asked ≥ 90 %"]),
        (95.0, True, "%", ["The target is met."]),
        (95.25, False, "ms", ["5.2 ms too high", "asked ≤ 90 ms"]),
    ],
)
def test_the_summary_says_first_what_is_missed_and_by_how_much(value, least, unit, said):
    target = judged("F1", value, unit, 90.0, least)
    html = page.summary({"targets": [target], "left_out": []}, "").html
    for words in said:
        assert 0 <= html.index(words) < html.index("<table")


def test_a_kept_result_is_not_taken_for_other_recordings(data, hearts, monkeypatch, tmp_path):
    maker = "host_tools.validate.beat_class"
    kept.Kept().put(maker, "key", 1)
    assert kept.Kept().get(maker, "key") == 1 and kept.Kept().get(maker, "another") is None
    assert kept.Kept().get("host_tools.validate.vitals", "key") is None
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "mitdb" / "112.dat").write_bytes(b"other")
    monkeypatch.setenv("VIGIL_DATA", str(tmp_path))
    assert kept.Kept().get(maker, "key") is None


def test_a_kept_result_depends_on_what_makes_it_and_on_nothing_else():
    def names(maker):
        return {path.relative_to(kept.ROOT).as_posix() for path in kept.sources(f"host_tools.validate.{maker}")}

    ecg = names("ecg_study")
    assert {"host_tools/validate/ecg_study.py", "host_tools/replay/player.py", "signal_models/fixed/ecg.py"} <= ecg
    assert {"firmware/vigil/estimators/ecg_channel.py", "firmware/vigil/dsp/coeffs/ecg.py"} <= ecg
    assert {"firmware/vigil/wire/waveform.py", "host_tools/validate/waveform_play.py"} <= names("waveform")
    for far in ("host_tools/validate/page.py", "firmware/vigil/link/mqtt.py", "host_tools/ingest/store.py"):
        assert far not in ecg


def document(values, *, least=False, unit="/min", limit=1.0):
    """A run of one figure whose records are `values`: (sum, divisor) each."""
    above, below = np.sum(list(values.values()), axis=0)
    target = judged("error", above / below, unit, limit, least, values)
    made = {"utc": "2026-01-01T00:00:00+00:00", "commit": "1", "vigil": "0"}
    return {"schema": study.SCHEMA, "study": "ppg", "made": made, "result": {"targets": [target], "left_out": []}}


RNG = np.random.default_rng(4)
ERRORS = {f"r{i}": (float(v), 10) for i, v in enumerate(RNG.uniform(2, 20, 20))}
CHANGES = {  # what each record's error becomes, and what that is called
    "same": (lambda v, i: v, "same"),
    "better": (lambda v, i: v * 0.8, "better"),
    "worse": (lambda v, i: v + 1, "worse"),
    "up here, down there": (lambda v, i: v + (3 if i % 2 else -2.9), "within noise"),
    "one record": (lambda v, i: v + (5 if i == 3 else 0), "within noise"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_change_is_called(name):
    change, verdict = CHANGES[name]
    now = {r: (change(v, i), n) for i, (r, (v, n)) in enumerate(ERRORS.items())}
    (figure,) = compare.compare(document(ERRORS), document(now))["figures"]
    assert figure["verdict"] == verdict and figure["records"] == 20
    assert figure["verdict"] == compare.compare(document(ERRORS), document(now))["figures"][0]["verdict"]
    assert compare.section({"with": document(now)["made"], "figures": [figure]}).html


def test_records_that_only_one_run_has_are_left_out():
    now = {r: v for r, v in ERRORS.items() if r != "r3"} | {"new": (100.0, 10)}
    (figure,) = compare.compare(document(ERRORS), document(now))["figures"]
    assert (figure["verdict"], figure["records"], figure["apart"]) == ("same", 19, 2)


def said(capsys, *arguments):
    """Exit status, standard output and standard error of `vigil ...`."""
    with pytest.raises(SystemExit) as done:
        cli.main([str(a) for a in arguments])
    out = capsys.readouterr()
    return done.value.code or 0, out.out, out.err


def test_a_missed_target_fails_by_name_and_an_earlier_run_is_beside(data, capsys, tmp_path):
    run = ("validate", "beat_class", "--jobs", "1", "--out", tmp_path / "out", "--fail-under")
    status, out, err = said(capsys, *run)  # these hearts have no ventricular beat: there is nothing to find
    assert status == 1 and "missed: Ventricular beats, sensitivity" in err and "NOT MET" in out
    status, out, _ = said(capsys, *run)
    assert status == 1 and "2 figures the same" in out and "2 of them kept" in out
    written = json.loads((tmp_path / "out" / "beat_class.json").read_text())
    assert len(written["compared"]["figures"]) == 2
    assert "Beside the previous run" in (tmp_path / "out" / "beat_class.html").read_text()


WRONG = {
    "no such part": (["pulse"], "there is no part `pulse`"),
    "an option of another part": (["spo2", "--records", "112"], "--records is not for spo2"),
    "records of all": (["--records", "112"], "--records is not for all parts together"),
    "the mirror for all": (["--engine", "mirror"], "unknown engine `mirror`"),
    "nothing to compare with": (["spo2", "--compare", "nowhere.json"], "`nowhere.json` cannot be compared with"),
    "something else to compare with": (["spo2", "--compare", "other.json"], "is no document of schema"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_uses(case, data, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.json").write_text("{}")
    arguments, sentence = WRONG[case]
    status, _, err = said(capsys, "validate", *arguments, "--out", tmp_path / "out")
    assert status == 2 and sentence in err and "hint:" in err and "Traceback" not in err
