"""Calls of host_tools.bringup.agent on a board, over mpremote's transport."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from host_tools.bringup.repl import Repl
from host_tools.errors import UserError

_AGENT = Path(__file__).with_name("agent.py")
_ANSWER = "VIGIL-AGENT "


class OnBoard(Repl):
    """A board that runs the agent. said: what its `start` returned (firmware, board, wrong, fs)."""

    def __init__(self, port: str, *, soft_reset: bool | None = None):
        super().__init__(port, soft_reset=soft_reset)
        try:
            self.run(without_docstrings(_AGENT.read_text()))
            self.said: dict = self.call("start", bool(self.about["watched"]))
        except BaseException:
            self.close()
            raise

    def call(self, function: str, *arguments: str | int | bool, timeout_s: int = 30) -> Any:
        """What `function` of the agent returns. Raises UserError with what the board said when it failed."""
        words = ", ".join(map(repr, arguments))
        said = self.run(f"import json\nprint({_ANSWER!r} + json.dumps({function}({words})))", timeout_s=timeout_s)
        answer = next((line for line in said.splitlines() if line.startswith(_ANSWER)), None)
        try:
            return json.loads((answer or "")[len(_ANSWER) :])
        except ValueError:
            raise UserError(f"the answer of {self.port} is not understood", "is the cable good? try again") from None


def without_docstrings(source: str) -> str:
    """Return a program as short as it can be sent: the board has little memory to compile it in."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
