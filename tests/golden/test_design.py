"""The firmware's coefficient files are what the designs make."""

import pytest

from signal_models import design
from signal_models.design.__main__ import main


def test_generated_files_are_current(capsys):
    assert main(["--check"]) == 0 and not capsys.readouterr().out


def test_a_stale_file_is_named(tmp_path, monkeypatch, capsys):
    assert sorted(p.stem for p in design.write(tmp_path)) == sorted(design.DESIGNS)
    assert design.stale(tmp_path) == []
    file = tmp_path / f"{design.DESIGNS[0]}.py"
    file.write_text(file.read_text().replace("1", "2", 1))
    assert design.stale(tmp_path) == [design.DESIGNS[0]]
    file.unlink()
    monkeypatch.setattr("signal_models.design.__main__.stale", lambda: design.stale(tmp_path))
    assert main(["--check"]) == 1
    assert design.COMMAND in capsys.readouterr().out


@pytest.mark.parametrize("total", [0, 5, -7, 32768])
def test_quantised_taps_keep_their_sum_and_symmetry(total):
    taps = [0.1003, -0.2001, 0.7004, -0.2001, 0.1003]
    q = design.quantise(taps, 15, total=total)
    assert q.sum() == total and list(q) == list(q[::-1])
