"""What a lean program is made without: parts that its image never has, its start once that is over, long numbers."""

import ast
import subprocess

import pytest

from host_tools.image.absent import settle
from host_tools.image.numbers import number
from host_tools.image.start import forget_start
from host_tools.virtual import interpreter

SETTLED = {
    "import that fails": (
        "def run():\n    try:\n        from vigil.gone import A\n    except ImportError:\n"
        "        return 1\n    return A()",
        "def run():\n    return 1",
    ),
    "import that fails late": (
        "def run(x):\n    if x:\n        from vigil.gone import A\n        return A()\n    return x",
        "def run(x):\n    if x:\n        raise ImportError\n    return x",
    ),
    "name of nothing": (
        "Part = None\ndef run(x):\n    part = Part() if Part else None\n    if part and x:\n        x()\n"
        "    return not part",
        "Part = None\n\ndef run(x):\n    return True",
    ),
    "field of one value": (
        "class A:\n    def __init__(self):\n        self.kind = 2\n    def f(self):\n"
        "        while self.kind == 1:\n            pass\n        return self.kind\ndef run(): return A().f()",
        "class A:\n\n    def __init__(self):\n        pass\n\n    def f(self):\n        return 2\n\n"
        "def run():\n    return A().f()",
    ),
    "field of two values": (
        "class A:\n    def __init__(self):\n        self.kind = 2\n    def f(self):\n        self.kind += 1\n"
        "        return self.kind\ndef run(): return A().f()",
        None,
    ),
    "field that is looked for by a text": ("def run(a):\n    a.b = 1\n    return (a.b, getattr(a, 'b'))", None),
    "field that another module binds": ("import other\ndef run(a):\n    a.bound = 1\n    return other.bound", None),
    "argument of the only call": (
        "def run(a):\n    return f(a, c=None)\ndef f(b, *, c=1, d=2):\n    return (b, d) if c is None else c",
        "def run(a):\n    return f(a)\n\ndef f(b):\n    return (b, 2)",
    ),
    "arguments of two calls": ("def run(a):\n    return (f(a), f(1))\n\ndef f(b, c=1):\n    return (b, c)", None),
    "generator that yields nothing": ("def run():\n    return\n    yield", None),
    "shadowed": ("X = None\n\ndef run(X):\n    return X and X()", None),
    "private method": (
        "class A:\n    def f(self):\n        return self._g()\n    def _g(self):\n        return 1\n"
        "    def _push(self):\n        return 2\ndef run(b):\n    return A().f()",
        "class A:\n\n    def f(self):\n        return self._g()\n\n    def _g(self):\n        return 1\n\n"
        "def run(b):\n    return A().f()",
    ),
    "private method of another": (
        "class A:\n\n    def _push(self):\n        return 2\n\ndef run(b):\n    return (b._push(), A)",
        None,
    ),
}


@pytest.mark.parametrize("case", SETTLED)
def test_what_is_known_is_written_and_nothing_else(case):
    before, after = SETTLED[case]
    made = settle({"root": before, "other": "bound = 0\nfrom root import run\n"}, "root", (), ("run",))["root"]
    assert ast.unparse(ast.parse(made)) == ast.unparse(ast.parse(after if after is not None else before))


PROGRAM = """
import gc
class Part:
    def __init__(self, x):
        self._x = self._first(x)
    def _first(self, x):
        return later(x) + once(x)
    def work(self):
        return later(self._x)
class Again:
    def __init__(self):
        self.x = later(1)
def once(x):
    return x
def handed(x):
    return x
def later(x):
    return x + 1
def forget():
    pass
def run(x):
    part = Part(x)
    part.taken = handed
    forget()
    gc.collect()
    return part.work() + part.taken(1) + Again().x
"""


def test_only_what_the_start_alone_calls_is_forgotten():
    made = forget_start({"root": PROGRAM, "door": "from root import once\n"}, "root", ["door"])["root"]
    scope = {}
    exec(made, scope)
    assert scope["run"](5) == 15
    gone = {name for name, value in scope.items() if value is None}
    assert gone == {"once", "forget"} and scope["Part"].__init__ is None and scope["Part"]._first is None
    assert scope["Again"].__init__ is not None and scope["handed"] is not None
    assert forget_start({"root": PROGRAM, "other": "from root import once\n"}, "root")["root"].count("once =") == 0


def test_frequent_names_get_short_numbers(tmp_path):
    names = [f"name{i}" for i in range(300)]
    text = "\n".join(f"def {name}(): return x.often.enough" for name in names) + "\nprint(len(globals()) > 300)\n"
    sizes = []
    for program in ({"many.py": text}, number({"many.py": text})):
        interpreter.compile_sources(tmp_path, program, march=None)
        sizes.append((tmp_path / "many.mpy").stat().st_size)
        done = subprocess.run(
            [interpreter.micropython(), "-c", "import many"],
            env=interpreter.environment(tmp_path),
            capture_output=True,
            text=True,
        )
        assert done.stdout == "True\n", done.stderr
    assert sizes[1] < sizes[0]
    assert number({"few": "a.b"}) == {"few": "a.b"}
