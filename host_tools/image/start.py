"""What only the start of a device calls, forgotten after it: bytecode on the heap that nothing will run again.

`forget_start` finds the functions of a linked program that are called, directly, by what runs before the monitor
stands, and by nothing else; and lets the function `forget` of vigil.app.main drop them. It goes by names: one that
is also said elsewhere, as a value, as a string or in a function that may run later, stays. Modules beside the program
that only provisioning and self-test load (`doors`) do not count: they never start the monitor.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from host_tools.image.fold import walk
from host_tools.image.names import SPECIAL

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.GeneratorExp
_START = "run"  # of the root; it calls FORGET once everything is made
_FORGET = "forget"
_MAKE = "__init__"


def forget_start(program: Mapping[str, str], root: str, doors: Collection[str] = ()) -> dict[str, str]:
    """Return a program, text by module name, whose module `root` drops what only its start calls."""
    tree = ast.parse(program[root])
    others = [ast.parse(text) for name, text in program.items() if name not in (root, *doors)]
    functions = dict(_functions(tree))
    hook = functions.get(_FORGET)
    if hook is None:
        return dict(program)
    elsewhere = SPECIAL | {name for other in others for name in _mentioned(other)}
    called = {name for text in program.values() for name in _mentioned(ast.parse(text))}
    idle = {
        path: node
        for path, node in functions.items()
        if _said_as(path) in called - elsewhere
        and not _said_as(path).startswith("__")
        and path not in (_START, _FORGET)
        and not node.decorator_list
    }
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    before = None
    while before != len(idle):
        before = len(idle)
        stays = set(_stays(tree, classes, [*idle.values(), functions[_START]]))
        idle = {path: node for path, node in idle.items() if _said_as(path) not in stays}
    made = sorted(path.partition(".")[0] for path in idle if path.endswith(f".{_MAKE}"))
    rest = sorted(path for path in idle if not path.endswith(f".{_MAKE}"))
    lines = [f"global {name}" for name in [*(path for path in rest if "." not in path), _FORGET]]
    lines += [f"for part in ({', '.join(made)},):\n part.{_MAKE} = None"] if made else []
    # None, because a dictionary keeps the value of what is deleted until something takes its place.
    hook.body = ast.parse("\n".join([*lines, f"{' = '.join([*rest, _FORGET])} = None"])).body
    return {**program, root: ast.unparse(ast.fix_missing_locations(tree)) + "\n"}


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Functions of a module and methods of its classes, by path."""
    for node in tree.body:
        if isinstance(node, _Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{part.name}", part) for part in node.body if isinstance(part, _Function))


def _said_as(path: str) -> str:
    """Name by which a function is called: its class's where it makes one."""
    holder, _, name = path.rpartition(".")
    return holder if name == _MAKE else name


def _stays(node: ast.AST, classes: Collection[str], idle: Collection[ast.AST], starting: bool = False) -> Iterator[str]:
    """Names that are said where it may be later than the start, or in another way than by a call."""
    if isinstance(node, _Inner):
        starting = node in idle
    if starting and isinstance(node, _Function) and node.name == _START:
        for part in node.body:
            starting = starting and not (isinstance(part, ast.Expr) and ast.unparse(part) == f"{_FORGET}()")
            yield from _stays(part, classes, idle, starting)
        return
    if isinstance(node, ast.Call) and starting and isinstance(node.func, ast.Name | ast.Attribute):
        of = node.func.value if isinstance(node.func, ast.Attribute) else None
        if of and not (isinstance(of, ast.Name) and of.id in classes):
            yield from _stays(of, classes, idle, starting)
        for part in (*node.args, *node.keywords):
            yield from _stays(part, classes, idle, starting)
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr != _MAKE:
        yield node.attr
        yield from () if node.value.id in classes else (node.value.id,)  # a class's field makes nothing of it
        return
    yield from _names(node)
    parts = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.ClassDef) and any(isinstance(part, _Function) and part.name == _MAKE for part in node.body):
        parts = [part for part in parts if part not in node.bases]  # it makes its own
    for part in parts:
        yield from _stays(part, classes, idle, starting)


def _mentioned(tree: ast.AST) -> Iterator[str]:
    for node in walk(tree):
        yield from _names(node)


def _names(node: ast.AST) -> Iterator[str]:
    """Names that a node itself says, texts included: somebody may look for one."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.asname or node.name
        yield node.name
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
