"""Constant folding across modules: what it replaces, what it leaves alone, what it refuses."""

import subprocess

import pytest

from host_tools.errors import UserError
from host_tools.image.fold import fold, fold_all, public_constants
from host_tools.virtual import interpreter

CORE = "from micropython import const\nA = const(3)\nB = const(A << 2)\n_C = const(7)\nNAMES = ('x',)\nLOOSE = 5\n"


def test_public_constants_are_the_integers_bound_by_const():
    assert public_constants({"core": CORE}) == {"core": {"A": 3, "B": 12}}


@pytest.mark.parametrize(
    "text, folded",
    [
        ("from core import A, NAMES\nx = A - -A\n", "from core import NAMES\nx = 3 - -3"),
        ("from core import B as width\nx = y[width]\n", "x = y[12]"),
        ("def f(block):\n    from core import A\n    return block.A + A\n", "def f(block):\n    return block.A + 3"),
        ("from core import LOOSE\nx = LOOSE\n", "from core import LOOSE\nx = LOOSE"),
        ("import core\n", "import core"),
    ],
)
def test_imported_constants_become_numbers(text, folded):
    assert fold(text, {"core": {"A": 3, "B": 12}}) == folded


def test_a_module_imported_by_name_is_folded_too():
    sources = {"p/__init__.py": "", "p/core.py": CORE, "user.py": "from p import core as c\nx = c.A, c.NAMES\n"}
    assert fold_all(sources)["user.py"] == "from p import core as c\nx = (3, c.NAMES)"


def test_strip_drops_definitions_and_what_only_the_compiler_reads():
    text = CORE + "import micropython\n\n@micropython.viper\ndef f(n: int) -> int:\n    return n + int(B)\n"
    stripped = fold(text, {}, strip=True)
    assert "A =" not in stripped and "import" not in stripped
    assert "_C = const(7)" in stripped and "LOOSE = 5" in stripped and "n + int(12)" in stripped


@pytest.mark.parametrize("text", ["from core import A\nA = 4\n", "from core import A\ndef f(A):\n    return A\n"])
def test_a_name_that_means_two_things_is_refused(text):
    with pytest.raises(UserError, match="`A`"):
        fold(text, {"core": {"A": 3}})


@pytest.mark.parametrize("text", ["A, B = const(1), const(2)\n", "def f():\n    x = const(3)\n    return x\n"])
def test_a_const_that_no_compiler_folds_is_refused(text):
    with pytest.raises(UserError, match="not folded"):
        fold(text, {})


def test_what_is_refused_is_named():
    with pytest.raises(UserError, match=r"vigil/a\.py"):
        fold_all({"vigil/a.py": "A, B = const(1), const(2)\n"})


def test_the_stripped_firmware_carries_no_public_constant(tmp_path):
    """The saving is real: names like NO_CONTACT are not even in the name pool of a device."""
    interpreter.compile_sources(
        tmp_path, fold_all(interpreter.read_tree(interpreter.FIRMWARE), strip=True), march="xtensawin"
    )
    records = (tmp_path / "vigil" / "core" / "records.mpy").read_bytes()
    assert b"NO_CONTACT" not in records and b"ABSENT_NAMES" in records


def test_folded_and_plain_give_the_same_answers(tmp_path):
    interpreter.compile_sources(
        tmp_path,
        fold_all({"core.py": CORE, "user.py": "from core import A, B\n\nSUM = A + B\n"}, strip=True),
        march=None,
    )
    script = tmp_path / "script.py"
    script.write_text("import user\nprint(user.SUM)\n")
    done = subprocess.run(
        interpreter.command(script), env=interpreter.environment(tmp_path), capture_output=True, text=True
    )
    assert done.stdout == "15\n", done.stderr


def test_tuples_assigned_to_tuples_stay_on_the_stack():
    text = "(a, b) = (b, a)\nc, d, e = x, (1, 2), -y\nf = (1, 2)\ng = h, i = p, q\nreturned = (a,)"
    lines = fold(text, {}).splitlines()
    assert lines == ["a, b = b, a", "c, d, e = x, (1, 2), -y", "f = (1, 2)", "g = h, i = (p, q)", "returned = (a,)"]
