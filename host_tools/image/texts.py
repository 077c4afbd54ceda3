"""Sentences that a device rarely says, kept in flash: `vigil/texts.mpy`, where vigil.app.texts reads them.

A sentence in a `.mpy` lies on the heap as long as its module is loaded, 50 bytes on average, whether it is ever said or
not. `move` replaces those that stand in what is raised or logged by a call that reads them, told where they begin.
docs/adr/0035 has the figures.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from host_tools.image.fold import written
from host_tools.paths import FIRMWARE

_OURS = "vigil."
FILE = "vigil.texts"
TABLE = "TEXTS"  # what nobody names in it
_READER = "vigil.app.texts"
MARK = "\n~\n"  # where they begin in the file; no name or length before them contains it
_SHORTEST = 11  # up to ten bytes MicroPython keeps a text in its name pool, once


def move(program: Mapping[str, str]) -> dict[str, str]:
    """Return a program, text by module name, with its sentences in a module of their own, that nobody imports."""
    texts: dict[str, int] = {}
    moved = {}
    for name, text in program.items():
        if not name.startswith(_OURS) or name == _READER:
            moved[name] = text
            continue
        tree = ast.parse(text)
        mover = _Mover(texts)
        tree = mover.visit(tree)
        if mover.found:
            at = next((i for i, node in enumerate(tree.body) if isinstance(node, ast.Import | ast.ImportFrom)), 0)
            tree.body.insert(at, ast.ImportFrom(_READER, [ast.alias("said")], 0))
        moved[name] = written(tree)
    lines = "".join(f"{text}\n" for text in texts)
    reader = (FIRMWARE / (_READER.replace(".", "/") + ".py")).read_text()
    return moved | {_READER: reader, FILE: f"{TABLE} = {(MARK + lines).encode()!r}\n"}


class _Mover(ast.NodeTransformer):
    def __init__(self, texts: dict[str, int]):
        self._texts = texts
        self._rare = False
        self.found = False

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self._within(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self._within(node) if ast.unparse(node.func) == "log" else self.generic_visit(node)

    def _within(self, node: ast.AST) -> ast.AST:
        before, self._rare = self._rare, True
        node = self.generic_visit(node)
        self._rare = before
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        text = node.value
        if not (self._rare and isinstance(text, str) and len(text) >= _SHORTEST and "\n" not in text):
            return node
        self.found = True
        at = self._texts.setdefault(text, len(MARK) + sum(len(known.encode()) + 1 for known in self._texts))
        return ast.Call(ast.Name("said", ast.Load()), [ast.Constant(at)], [])
