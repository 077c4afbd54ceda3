"""The campaign of `make property`: it holds on a few cases, knows every kernel, and names the one that is broken."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.paths import ROOT
from tests.property.__main__ import main

# A kernel, what is written there, and what stands there instead.
BROKEN = {
    "a rounding bit": ("dsp.ecg.fir_q15", "acc = 16384", "acc = 16383"),
    "an overflow": ("dsp.beat_shape.norm_q4", "norm = int(root(squares)) << 4", "norm = int(root(squares << 8))"),
    "a sample of delay": ("dsp.ecg.views", "ph[(pos - 20) & 63]", "ph[(pos - 21) & 63]"),
}


def campaign(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "tests.property", "--seed", "3", *arguments],
        cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(folder)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def mutant(tmp_path_factory):
    """A copy of the checkout in which three kernels are broken."""
    folder = tmp_path_factory.mktemp("mutant")
    for name in (
        "boards/cpython",
        "firmware/vigil",
        "host_tools",
        "signal_models",
        "tests/property",
        "tests/differential",
    ):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for kernel, written, instead in BROKEN.values():
        path = folder / "firmware/vigil" / Path(*kernel.split(".")[:-1]).with_suffix(".py")
        source = path.read_text()
        assert source.count(written) == 1
        path.write_text(source.replace(written, instead))
    return folder


def test_a_broken_kernel_is_called_by_its_name(mutant):
    sound = ["dsp.ecg.root", "dsp.ecg.valley", "dsp.ppg_window"]
    status, out, err = campaign(mutant, "--examples", "80", *(k for k, _, _ in BROKEN.values()), *sound)
    assert status == 1, err
    failed = out.splitlines()[-1].partition("failed: ")[2]
    assert set(failed.split(", ")) == {k for k, _, _ in BROKEN.values()}
    assert "dsp.beat_shape.norm_q4: OverflowError: viper int32 overflow" in out
    for kernel, _, _ in BROKEN.values():
        assert f"again: python -m tests.property {kernel} --seed 3 --examples 80" in out
    assert "case=Case(" in out


def test_kernels_as_they_are_hold(capsys):
    assert main(["--seed", "3", "--examples", "2", "dsp"]) == 0
    assert "failed: none" in capsys.readouterr().out


def test_no_kernel_is_without_an_oracle():
    known = (ROOT / "tests/property").glob("of_*.py")
    named = "".join(path.read_text() for path in known)
    for path in sorted((ROOT / "firmware/vigil/dsp").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any("viper" in ast.dump(d) for d in node.decorator_list):
                assert f'"dsp.{path.stem}.{node.name}"' in named, f"dsp.{path.stem}.{node.name} has no oracle"


def test_a_name_that_is_none_is_told(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["dsp.nowhere"])
    assert "no kernel is called so" in capsys.readouterr().err
