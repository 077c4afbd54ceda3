"""Short numbers for the names that a module says most often.

In bytecode a name is its place in the module's table of names, in the order of their first use: one byte up to 127, two
beyond. A linked module has 650 names, and its top level, which is run once and dropped, says nearly all of them first.
`number` lets a module begin with an expression that is never evaluated and names the most frequent ones.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

from host_tools.image.fold import walk

_ONE_BYTE = 126  # places 0 to 127, less the file's name and __name__
_LONGEST = 10  # up to so many bytes MicroPython's compiler makes a name of a text
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def number(program: Mapping[str, str]) -> dict[str, str]:
    """Return a program, text by module name, in which each module of many names says the frequent ones first."""
    return {name: _headed(text) for name, text in program.items()}


def _headed(text: str) -> str:
    often = Counter(_said(ast.parse(text), frozenset()))
    if len(often) <= _ONE_BYTE:
        return text
    first = sorted(often, key=lambda name: (-often[name], name))[:_ONE_BYTE]
    return f"__name__ or {'.'.join(first)}\n{text}"  # a module's name is true: what follows is never looked up


def _said(node: ast.AST, own: frozenset[str]) -> Iterator[str]:
    """Names as bytecode says them: not those that a function around binds for itself."""
    if isinstance(node, _Function):
        arguments = node.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        parameters += filter(None, (arguments.vararg, arguments.kwarg))
        yield from (parameter.arg for parameter in parameters)
        own |= {parameter.arg for parameter in parameters} | _bound(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from (node.name, node.name)  # where it is kept, and in itself
    elif isinstance(node, ast.Name) and node.id not in own:
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield from [node.value] if len(node.value) <= _LONGEST else []
    for part in ast.iter_child_nodes(node):
        yield from _said(part, own)


def _bound(function: ast.AST) -> set[str]:
    elsewhere = {n for part in walk(function) if isinstance(part, ast.Global) for n in part.names}
    names = {part.id for part in walk(function) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return names - elsewhere
