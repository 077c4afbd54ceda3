"""docs/security.md names the test that shows each of its claims: they all exist."""

import ast
import re

from host_tools.paths import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_named_test_exists():
    assert len(NAMED) > 25
    for file, name in NAMED:
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_every_attack_has_a_test():
    rows = PAGE.split("## What stops them")[1].split("\n## ")[0].split("\n|")[3:]
    assert len(rows) > 15 and all("`tests/" in row for row in rows), [row for row in rows if "`tests/" not in row]


def test_commands_and_settings_that_it_names_exist():
    from typer.main import get_command

    from host_tools.cli import app

    commands = get_command(app).commands
    for words in re.findall(r"`vigil ([a-z]+)(?: ([a-z]+))?", PAGE):
        found = commands[words[0]]
        assert not hasattr(found, "commands") or words[1] in found.commands, words
