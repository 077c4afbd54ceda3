"""The gallery's examples run, and show what its page says."""

import importlib
import sys

import pytest

from host_tools.paths import ROOT

GALLERY = ROOT / "docs" / "gallery"
SHOWN = {
    "beat": lambda said: said["missed"] == said["false"] == 0 and said["beats"] == 36,
    "motion": lambda said: said["error_bpm"]["with acceleration"] < 2 and said["withheld_alone"] > 10,
    "spo2": lambda said: said["worst_pct"] < 2 and said["shown"] > 50,
    "envelope": lambda said: said["bits_refused"] == said["bits"] == 520 and said["boot and sequence"] == [1, 7],
    "own_file": lambda said: said["missed"] == said["false"] == 0 and said["error_bpm"] < 1,
}


@pytest.mark.parametrize("name", SHOWN)
def test_example(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(GALLERY))
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path)])
    said = importlib.import_module(name).main()
    assert SHOWN[name](said), said
    assert said["picture"].parent == tmp_path and said["picture"].stat().st_size < 100_000
    page = (GALLERY / "README.md").read_text()
    assert f"]({name}.py)" in page and f"]({name}.png)" in page
    assert (GALLERY / f"{name}.png").stat().st_size < 100_000


def test_the_page_names_every_example():
    assert {file.stem for file in GALLERY.glob("*.py")} - {"canvas"} == set(SHOWN)
