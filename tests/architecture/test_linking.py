"""Whole-program linking: what modules that become one still mean, and what is refused."""

import sys

import pytest

from host_tools import board
from host_tools.errors import UserError
from host_tools.image.link import link, reached

PROGRAM = {
    "vigil.main": "from vigil.a import f, twice as two\nfrom vigil import b\n_N = 1\ndef run():\n"
    "    from vigil.late import last\n    return f(_N), two(_N), b.f(_N), b.LIST, last()\n",
    "vigil.a": '"""About a."""\n_N = 10\ndef f(x):\n    return x + _N\ndef twice(f):\n    return f * 2\n',
    "vigil.b": "import json\n_N = 100\nLIST = [json.dumps(0)]\nclass B:\n    def f(self, _N):\n        return f(_N)\n"
    "def f(x):\n    return x + _N\n",
    "vigil.late": "from vigil import b\nfrom vigil.a import f\ndef last():\n    return f(0), b.B().f(0)\n",
}
GROUP = ["vigil.main", "vigil.a", "vigil.b"]


def _run(program, name, monkeypatch):
    """Execute a program as a device would: the module `name`, what was loaded with it, what its run() returns."""

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            from importlib.machinery import ModuleSpec

            return ModuleSpec(name, Finder, is_package=name == "vigil") if name in program else None

        @staticmethod
        def create_module(spec):
            return None

        @staticmethod
        def exec_module(module):
            exec(program[module.__name__], module.__dict__)

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    for known in [known for known in sys.modules if known.partition(".")[0] == "vigil"]:
        monkeypatch.delitem(sys.modules, known)
    __import__(name)
    loaded = {known for known in sys.modules if known.startswith("vigil.")}
    module = sys.modules[name]
    result = module.run() if hasattr(module, "run") else None
    for known in [known for known in sys.modules if known.partition(".")[0] == "vigil"]:
        del sys.modules[known]
    return module, loaded, result


@pytest.mark.parametrize("group", [[], GROUP, [*GROUP, "vigil.late"]], ids=["apart", "linked", "all"])
def test_linked_modules_mean_the_same(group, monkeypatch):
    program = link(PROGRAM, group) | {"vigil": ""}
    _, loaded, result = _run(program, "vigil.main", monkeypatch)
    assert result == (11, 2, 101, ["0"], (10, 100))
    if group:
        assert loaded == {"vigil.main"}
        assert program["vigil.main"].count("import json") == 1 and "About" not in program["vigil.main"]
    if group == GROUP:
        assert "from vigil.main import B, a_f" in program["vigil.late"]


def test_a_door_hands_on_what_a_member_defined(monkeypatch):
    program = link(PROGRAM, GROUP, doors=["vigil.b"]) | {"vigil": ""}
    module, loaded, _ = _run(program, "vigil.b", monkeypatch)
    assert loaded == {"vigil.main", "vigil.b"}
    assert module.f(1) == 101 and module.B().f(2) == 102


@pytest.mark.parametrize("there, says", [(True, "real"), (False, "none")])
def test_optional_imports_are_decided(there, says, monkeypatch):
    text = "try:\n    from vigil.part import Part\nexcept ImportError:\n    Part = 'none'\n"
    program = {"vigil.main": text, "vigil.other": "x = 1\n"}
    program |= {"vigil.part": "Part = 'real'\n"} if there else {}
    group = [*reached(program, "vigil.main"), "vigil.other"]
    linked = link(program, group)
    assert "try" not in linked["vigil.main"] and (there or "vigil.part" not in group)
    assert _run(linked | {"vigil": ""}, "vigil.main", monkeypatch)[0].Part == says


@pytest.mark.parametrize(
    "changed, why",
    [
        ({"vigil.a": "from vigil import main\ndef f(): pass\ndef twice(): pass\n"}, "import each other"),
        ({"vigil.a": "from vigil.b import f\ndef twice(): pass\n"}, "from where it is defined"),
        ({"vigil.a": "from vigil import b\ndef f(): return b\ndef twice(): pass\n"}, "uses the module"),
        ({"vigil.a": "a_f = 1\ndef f(): pass\ndef twice(): pass\n"}, "something else"),
        ({"vigil.main": "def f():\n    from vigil.a import f as x\ndef g():\n    from vigil.b import f as x\n"}, "two"),
        ({"vigil.main": "from vigil.late import last\n", "vigil.late": "from vigil.a import f\n"}, "link that"),
    ],
    ids=["circle", "second hand", "a module as a value", "no free name", "one name for two", "loads what needs it"],
)
def test_what_cannot_be_linked_is_refused(changed, why):
    with pytest.raises(UserError) as told:
        link(PROGRAM | changed, GROUP)
    assert why in str(told.value) + str(told.value.hint)


def test_the_lean_device_loads_one_module_and_few_others():
    fitted = ("max30102", "ad8232")
    program = board.profile("lean").program(fitted, {})
    modules = board.profile("lean").modules(fitted)
    assert len(program) < len(modules) - 40
    assert "from vigil.app.main import" in program["vigil/app/identity.py"]
    assert "vigil/link/mqtt.py" not in program and "vigil/app/ecg_timer.py" in program
