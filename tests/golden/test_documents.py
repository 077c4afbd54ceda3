"""Documents that follow from the code, the figures and the tests are in step with them."""

import json
import re

import pytest

from host_tools.documents import figures, regions, third_party, trace
from host_tools.documents.__main__ import stale
from host_tools.errors import UserError
from host_tools.paths import ROOT

SOME = {
    "a.b": {"value": 1.25, "digits": 1, "unit": "%", "what": "w", "on": "o", "command": "c", "from": "ecg/x/Vigil, y/z"}
}


def test_every_document_is_in_step():
    assert stale() == []  # make gen


def test_regions():
    text = "<!--=code vigil.dsp.resp.WINDOW * 0.32--><!--/--> s; <!--=figure a.b-->old<!--/-->"
    once = regions.filled(text, SOME)
    assert "-->32<!--/-->" in once and "-->1.2 %<!--/-->" in once and regions.filled(once, SOME) == once
    assert "| w | o | 1.2 % | `c` |" in regions.filled("<!--=figures a--><!--/-->", SOME)


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        ("code vigil.dsp.resp.NOTHING", "the code has no `vigil.dsp.resp.NOTHING` any more"),
        ("code 1 + 1", "`1 + 1` names no constant"),
        ("figure no.such", "there is no figure `no.such`"),
        ("figures none", "no figure begins with `none.`"),
        ("magic x", "is not a kind of region"),
    ],
)
def test_regions_that_say_nothing(region, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        regions.filled(f"<!--={region}--><!--/-->", SOME)


def test_figures_come_from_a_report():
    held = json.loads(json.dumps(SOME))
    report = {"study": "all", "result": {"parts": {"ecg": {"result": {"x": {"Vigil, y": {"z": 1.31}}}}}}}
    assert figures.update(held, [report]) == ["a.b: 1.25 is now 1.3"] and held["a.b"]["value"] == 1.3
    assert figures.update(held, [{"study": "resp", "result": {}}]) == []
    assert figures.update(held, [{"study": "ecg", "result": {}}]) == ["a.b: the report on ecg has no `x/Vigil, y/z`"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rows/name=b, c/x", None),  # a field of that name is not there
        ("rows/b, c/x", 2),
        ("rows/kind=ma,snr_db=-6/x", 3),
        ("rows/kind=ma,snr_db=6/x", None),
        ("rows/kind=ma/y", None),
    ],
)
def test_rows_are_found_by_name_or_fields(path, value):
    rows = [{"name": "a", "x": 1}, {"name": "b, c", "x": 2}, {"kind": "ma", "snr_db": -6.0, "x": 3}]
    assert figures.at({"rows": rows}, path) == value


def test_targets_of_a_whole_report_are_found_in_their_parts():
    target = {"part": "rhythm", "name": "n", "value": 0.5}
    report = {"study": "all", "result": {"targets": [target], "parts": {"rhythm": {"result": {}}}}}
    held = {"r": {"value": 1.0, "digits": 0, "from": "rhythm/targets/n/value", "times": 100}}
    assert figures.update(held, [report]) == ["r: 1.0 is now 50.0"]


def test_every_figure_names_its_command():
    held = json.loads(regions.FIGURES.read_text())["figures"]
    for name, figure in held.items():
        assert {"value", "digits", "unit", "what", "on", "command"} <= set(figure), name
        if figure["command"].startswith("vigil validate"):  # then a report has it
            assert figure["from"].startswith(figure["command"].split()[2] + "/"), name


def test_marks_and_requirements_meet(tmp_path, monkeypatch):
    good = trace.page()
    assert "| ECG-1 |" in good and "`golden/test_ecg_acceptance.py` test_reads" in good
    monkeypatch.setattr(trace, "marked", lambda: {})
    with pytest.raises(UserError, match="requirements without a test: ACQ-1"):
        trace.page()
    monkeypatch.setattr(trace, "marked", lambda: {"XYZ-1": [("f", "t")]})
    with pytest.raises(UserError, match="tests name what is no requirement: XYZ-1"):
        trace.page()


def test_third_parties():
    held = third_party.PAGE.read_text()
    names = {name for rows in third_party.requirements().values() for name, _ in rows}
    assert names == set(re.findall(r"^\| ([\w.\-]+) \|", held, re.MULTILINE)) - {"package"}
    assert "not installed here" not in held and (ROOT / "LICENSE").exists()
