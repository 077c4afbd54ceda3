"""docs/trace.md: each requirement, the risk it controls and the tests that verify it.

Made of docs/requirements.toml and of the tests. A test says what it verifies in a comment on the line above it (and
above its decorators), which works in files that MicroPython runs, too; or by pytest.mark.requirement:

    # requirement: ECG-1 SIG-2
    def test_reads(...):
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from host_tools.errors import UserError
from host_tools.paths import ROOT

PAGE = ROOT / "docs" / "trace.md"
SOURCE = ROOT / "docs" / "requirements.toml"
_MARK = re.compile(r"^\s*# requirement: ([A-Z0-9 \-]+)$")
_PYTEST = re.compile(r"^\s*@pytest\.mark\.requirement\(([^)]*)\)")
_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)\(")
_HEAD = """\
# Requirements, risks and tests

Made by `python -m host_tools.documents` from `docs/requirements.toml` and from the marks in the tests, in the manner
of IEC 62304 (5.2, 5.7, 7.3) and ISO 14971. A requirement without a test, and a mark without a requirement, fail the
suite. Vigil is not a medical device: this is how its claims are kept, not a claim of conformity.

"""


def marked(root: Path = ROOT / "tests") -> dict[str, list[tuple[str, str]]]:
    """Requirement to (file, test) pairs. Raises UserError for a mark that stands above no test."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in sorted(root.rglob("test_*.py")):
        waiting: list[str] = []
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if match := _MARK.match(line):
                waiting += match[1].split()
            elif match := _PYTEST.match(line):
                waiting += re.findall(r"[A-Z]+-\d+", match[1])
            elif match := _TEST.match(line):
                for name in waiting:
                    found.setdefault(name, []).append((file.relative_to(ROOT).as_posix(), match[1]))
                waiting = []
            elif waiting and not line.strip():
                raise UserError(f"{file.name}:{number}: a mark of {', '.join(waiting)} stands above no test")
    return found


def page() -> str:
    """The page as it must be. Raises UserError where requirements and tests do not meet."""
    source = tomllib.loads(SOURCE.read_text())
    risks, requirements = source["risk"], source["requirement"]
    tests = marked()
    names = {r["id"] for r in requirements}
    if foreign := sorted(set(tests) - names):
        raise UserError(f"tests name what is no requirement: {', '.join(foreign)}", f"see {SOURCE.relative_to(ROOT)}")
    if bare := sorted(names - set(tests)):
        raise UserError(f"requirements without a test: {', '.join(bare)}", "mark a test with `# requirement: ID`")
    if unknown := {k for r in requirements for k in r["risks"]} - {r["id"] for r in risks}:
        raise UserError(f"unknown risks: {', '.join(sorted(unknown))}", f"see {SOURCE.relative_to(ROOT)}")
    lines = [_HEAD, "## Risks\n\n| risk | harm | controlled by |\n|---|---|---|\n"]
    for risk in risks:
        by = ", ".join(r["id"] for r in requirements if risk["id"] in r["risks"])
        lines.append(f"| {risk['text']} | {risk['harm']} | {by} |\n")
    lines.append("\n## Requirements\n\n| id | requirement | risk | control | verified by |\n|---|---|---|---|---|\n")
    for r in requirements:
        by = "<br>".join(f"`{file.removeprefix('tests/')}` {test}" for file, test in tests[r["id"]])
        lines.append(f"| {r['id']} | {r['text']} | {', '.join(r['risks'])} | {r['control']} | {by} |\n")
    return "".join(lines)
