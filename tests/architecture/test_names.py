"""Names and sentences that cost a lean device nothing: the program means the same, and what others say stays."""

import ast
import re
import subprocess

import pytest

from host_tools import board
from host_tools.errors import UserError
from host_tools.image.fold import fold_all
from host_tools.image.names import rename, rom_names, translate
from host_tools.image.texts import FILE, MARK, move
from host_tools.virtual import interpreter

PROGRAM = {
    "vigil.app": """
import json
from vigil.part import Deep, twice as double

class Store:
    count = 1

    def __init__(self, first, *more, end_mark=None):
        self._held = [first, *more]
        self._end_mark = end_mark

    @property
    def size(self):
        return len(self._held) + self._added(Store.count)

    def _added(self, much):
        def inner(much_more):
            nonlocal much
            much += much_more
            return much
        return inner(10) + sum(held for held in self._held)

class Longer(Store):
    def __init__(self, first):
        super().__init__(first, 2, end_mark="e")
        self._own = lambda first, much=3: first * much

    def told(self):
        return self._own(self._end_mark), self.size, getattr(self, "size"), hasattr(self, "count")

total = 0

def add_up(values, start=0):
    global total
    for value in sorted(values, key=lambda value: -value):
        total += value
    try:
        raise ValueError("no")
    except ValueError as failure:
        said = str(failure)
    return json.dumps([total, said], separators=(",", ":")), start

def outcome(board):
    return Longer(5).told(), add_up(values=[3, 4], start=double(2)), Deep().deep_end(), board.power_level()
""",
    "vigil.part": """
class Deep:
    def __init__(self):
        self._held = 7
    def deep_end(self):
        return self._held
def twice(number):
    return number * 2
""",
    "board": "class Board:\n    def power_level(self):\n        return 9\n",
}


def _outcome(program):
    """What `outcome` returns when the program is run; its name and the board's are the outside's."""
    modules = {}
    for name in ("vigil.part", "vigil.app"):
        tree = ast.parse(program[name])
        wanted = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in modules]
        scope = {a.asname or a.name: modules[n.module][a.name] for n in wanted for a in n.names}
        tree.body = [node for node in tree.body if node not in wanted]
        exec(compile(tree, name, "exec"), scope)
        modules[name] = scope
    board_scope = {}
    exec(program["board"], board_scope)
    return modules["vigil.app"]["outcome"](board_scope["Board"]())


def test_a_renamed_program_means_the_same():
    renamed, meant = rename(PROGRAM, {"outcome"})
    assert _outcome(renamed) == _outcome(PROGRAM)
    assert renamed["board"] == PROGRAM["board"]
    words = {word for name in ("vigil.app", "vigil.part") for word in ast.unparse(ast.parse(renamed[name])).split()}
    for gone in ("Longer", "twice", "add_up", "_end_mark", "much_more"):
        assert not any(gone in word for word in words), gone
    for said in ("outcome", "power_level", "size", "count", "separators"):
        assert any(said in word for word in words), said
    assert set(meant) <= set(rom_names()) | {name for name in meant if len(name) <= 2}
    assert sorted(old for olds in meant.values() for old in olds) == sorted(
        {o for olds in meant.values() for o in olds}
    )


def test_what_one_class_names_alone_shares_its_name_with_others():
    apart = "class A:\n    def f(self):\n        self._x = 1\nclass B:\n    def g(self):\n        self._y = 1\n"
    named = "A().f()\nB().g()\n"
    _, meant = rename({"vigil.a": apart + named})
    assert any({"_x", "_y"} <= set(olds) or {"f", "_y"} <= set(olds) for olds in meant.values())
    family = "class A:\n    def f(self):\n        self._x = 1\nclass B(A):\n    def g(self):\n        self._y = 1\n"
    _, meant = rename({"vigil.a": family + named})
    assert not any({"_x", "_y"} <= set(olds) for olds in meant.values())


def test_what_nobody_names_is_dropped_and_bytes_are_written_as_bytes():
    text = "TABLE = (1, 2)\ndef unasked():\n    return lone(1)\ndef lone(x):\n    return x\nclass A:\n"
    text += "    def __len__(self):\n        return 1\n    def rest(self):\n        return 2\nprint(A())\n"
    renamed, _ = rename({"vigil.a": text})
    kept = ast.parse(renamed["vigil.a"]).body
    assert len(kept) == 2 and "__len__" in renamed["vigil.a"] and "return 2" not in renamed["vigil.a"]
    table = {"vigil/a.py": "from micropython import const\nA = const(1)\nB = bytes((A, 2))\n"}
    assert "B = b" in fold_all(table, strip=True)["vigil/a.py"]


def test_a_name_that_is_put_together_is_refused():
    with pytest.raises(UserError, match="puts a name together"):
        rename({"vigil.a": "def f(x, y):\n    return getattr(x, '_' + y)\n"})


def test_a_trace_is_put_back_into_our_names():
    meant = {"append": ["_seal"], "abs": ["Journal", "_end"]}
    assert translate('  File "vigil/app/main.py", line 1, in append', meant).endswith("in _seal")
    assert translate("AttributeError: 'abs' object has no attribute 'append'", meant) == (
        "AttributeError: 'Journal or _end' object has no attribute '_seal'"
    )
    assert translate("info link: append is 'abs'", meant) == "info link: append is 'abs'"


def test_the_names_are_in_the_interpreters_read_only_memory():
    script = (
        "import gc, micropython, sys\nmicropython.qstr_info()\n"
        f"exec('lambda self: ({','.join('self.' + name for name in rom_names())})')\nmicropython.qstr_info()\n"
    )
    done = subprocess.run(
        [interpreter.micropython(), "-X", "heapsize=2m", "-c", script], capture_output=True, text=True
    )
    before, after = (
        int(line.split("n_qstr=")[1].split(",")[0]) for line in done.stdout.splitlines() if "n_qstr" in line
    )
    assert after - before <= 6, done.stdout  # of the script itself: <stdin>, <string>, <lambda> and the like


def test_sentences_move_to_flash():
    moved = move({"vigil.a": "def f(n):\n    log(WARN, 'a', 'lost %d of them' % n)\n    raise E('a long sentence')\n"})
    texts = ast.literal_eval(moved[FILE].partition(" = ")[2]).decode()
    assert "'lost" not in moved["vigil.a"] and "'a'" in moved["vigil.a"]
    calls = [int(at) for at in re.findall(r"said\((\d+)\)", moved["vigil.a"])]
    assert [texts[at:].partition("\n")[0] for at in sorted(calls)] == ["lost %d of them", "a long sentence"]
    assert texts.startswith(MARK)


def test_a_lean_device_says_its_sentences(tmp_path):
    tree = tmp_path / "tree"
    program = board.profile("lean").program(("max30102",), {})
    names = ("vigil/texts.py", "vigil/app/texts.py", "vigil/__init__.py", "vigil/app/__init__.py")
    sources = {name: program.get(name, "") for name in names}
    reader = (board.FIRMWARE / "vigil" / "app" / "texts.py").read_text()
    interpreter.compile_sources(tree, sources | {"vigil/app/texts.py": reader}, march=None)
    script = f"from vigil.app.texts import said\nprint(said({len(MARK)}))\nprint(said(1 << 20) == '')\n"
    command = [interpreter.micropython(), "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=interpreter.environment(tree))
    first = ast.literal_eval(program["vigil/texts.py"].partition(" = ")[2]).decode()[len(MARK) :].partition("\n")[0]
    assert done.stdout.splitlines() == [first, "True"], done.stderr
