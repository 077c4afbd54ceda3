"""What an image never has is no longer asked for: a lean device is without strips, orders, respiration, other sensors.

The source asks `if self._strips:` and imports what it can do without in a `try`. In a linked program the answers are
known. `settle` writes them in place: of an import that must fail what comes of it, of a name or field that only ever
gets one plain value that value, of a parameter that its only caller gives (or leaves at) one the same; then it drops
branches that are never taken. It repeats that until nothing changes. What it knows it knows by name: a name with more
than one meaning in the program stays.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from host_tools.image.fold import walk, written
from host_tools.image.names import BY_NAME, SPECIAL
from host_tools.image.tidy import is_still, is_text, tidied

_OURS = "vigil."
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SEVERAL = object()


def settle(program: Mapping[str, str], root: str, stays: Collection[str], asked: Collection[str]) -> dict[str, str]:
    """Return a program, text by module name, with what is known about module `root` written into it.

    stays: names that may mean something outside of the program, too. asked: those of them that somebody outside calls.
    """
    others = _nodes(*(ast.parse(text) for name, text in program.items() if name != root))
    said_by_others, read_by_others = Counter(_names(others)), set(_read(others))
    stores = list(_field_stores(others))
    fixed = {*stays, *_looked_for(others), *_methods(others), *_top_level(others)}
    before, text = "", written(_Imports(program).visit(ast.parse(program[root])))
    while before != text:
        before = text
        tree = ast.parse(text)
        nodes = _nodes(tree)
        kept = fixed | set(_looked_for(nodes))
        _drop_idle(tree, nodes, {*asked, *SPECIAL, *said_by_others, *_looked_for(nodes)})
        _bind_parameters(tree, nodes, said_by_others + Counter(_names(nodes)), kept)
        fields = _plain([*stores, *_field_stores(nodes)], kept | _methods(nodes))
        tree = _Known(fields, _plain(_stores(tree.body, nodes), kept)).visit(tree)
        bound = Counter(name for name, _ in _stores(tree.body, nodes))
        made = {part.name for part in tree.body if isinstance(part, _Function | ast.ClassDef) and bound[part.name] == 1}
        tree = tidied(tree, made, fields.keys() - read_by_others - set(_read(_nodes(tree))))
        text = written(tree)
    return {**program, root: before}


def _looked_for(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Fields that somebody looks for by a text."""
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
            yield from (str(part.value) for part in node.args if isinstance(part, ast.Constant) and is_text(part))


def _top_level(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Names that other modules bind: they are fields of these modules."""
    for node in nodes:
        if isinstance(node, ast.Name) and _is_stored(node):
            yield node.id
        elif isinstance(node, ast.Global):
            yield from node.names


def _is_stored(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)


def _read(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr


def _nodes(*trees: ast.AST) -> list[ast.AST]:
    return [node for tree in trees for node in walk(tree)]


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name


def _plain(stores: Iterable[tuple[str, ast.expr | None]], fixed: Collection[str]) -> dict[str, Any]:
    """Names that get one plain value alone."""
    found: dict[str, Any] = {}
    for name, value in stores:
        plain = value.value if isinstance(value, ast.Constant) else _SEVERAL
        if isinstance(plain, str | bytes | float):
            plain = _SEVERAL
        known = found.setdefault(name, plain)
        if known is not plain and not (type(known) is type(plain) and known == plain):
            found[name] = _SEVERAL
    return {name: value for name, value in found.items() if value is not _SEVERAL and name not in fixed}


def _targets(node: ast.AST) -> Iterator[tuple[ast.AST, ast.expr | None]]:
    """What a node stores to, and what; None where that is not one plain value."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name | ast.Attribute):
                yield target, node.value
            else:
                yield from ((part, None) for part in walk(target) if _is_stored(part))
    elif isinstance(node, ast.AugAssign):
        yield node.target, None
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield from ((part, None) for part in walk(node.target) if _is_stored(part))
    elif isinstance(node, ast.Delete):
        yield from ((part, None) for target in node.targets for part in walk(target) if _is_stored(part))
    elif isinstance(node, ast.withitem) and node.optional_vars:
        yield from ((part, None) for part in walk(node.optional_vars) if _is_stored(part))
    elif isinstance(node, ast.NamedExpr):
        yield node.target, None


def _field_stores(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr | None]]:
    for node in nodes:
        for target, value in _targets(node):
            if isinstance(target, ast.Attribute):
                yield target.attr, value
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            for target, value in _targets(part):
                if isinstance(target, ast.Name):
                    yield target.id, value


def _methods(nodes: Iterable[ast.AST]) -> set[str]:
    return {node.name for node in nodes if isinstance(node, _Function | ast.ClassDef)}


def _stores(body: Iterable[ast.AST], nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that `body` binds; one that anything else among the nodes binds, too, counts as several things."""
    top = set(body)
    for node in nodes:
        if isinstance(node, ast.arg):
            yield node.arg, None
        elif isinstance(node, _Function | ast.ClassDef | ast.ExceptHandler):
            yield node.name or "", None
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name), None
        for target, value in _targets(node):
            if isinstance(target, ast.Name):
                yield target.id, value if node in top else None


def _drop_idle(tree: ast.Module, nodes: Collection[ast.AST], asked: Collection[str]) -> None:
    """Drop functions, classes and methods that nothing names any more; private ones that their family does not name."""
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    tree.body = [node for node in tree.body if not _is_idle(node, {*asked, *names})]
    foreign = _said_of_others(nodes)
    fields = set(_fields(nodes))
    for family in _families(tree):
        if any(isinstance(base, ast.Attribute) for kind in family for base in kind.bases):
            continue  # MicroPython calls its methods
        said = set(_fields(_nodes(*family))) | foreign
        for kind in family:
            kept = [
                part for part in kind.body if not _is_idle(part, {*asked, *(said if _is_private(part) else fields)})
            ]
            kind.body = kept or [ast.Pass()]


def _fields(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (node.attr for node in nodes if isinstance(node, ast.Attribute))


def _is_private(node: ast.stmt) -> bool:
    return isinstance(node, _Function) and node.name.startswith("_")


def _is_idle(node: ast.stmt, said: Collection[str]) -> bool:
    """Tell whether a statement makes a function or class that nothing says."""
    return isinstance(node, _Function | ast.ClassDef) and not node.name.startswith("__") and node.name not in said


def _families(tree: ast.Module) -> list[list[ast.ClassDef]]:
    """Classes with those that they derive from."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def root(name: str) -> str:
        bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name) and base.id in classes]
        return root(bases[0]) if bases else name

    families: dict[str, list[ast.ClassDef]] = {}
    for name, node in classes.items():
        families.setdefault(root(name), []).append(node)
    return list(families.values())


def _said_of_others(nodes: Iterable[ast.AST]) -> set[str]:
    """Fields of what is not called self."""
    fields = [node for node in nodes if isinstance(node, ast.Attribute)]
    return {node.attr for node in fields if not (isinstance(node.value, ast.Name) and node.value.id == "self")}


def _bind_parameters(
    tree: ast.Module, nodes: Iterable[ast.AST], said: Mapping[str, int], fixed: Collection[str]
) -> None:
    """Write plain arguments of a function's, method's or class's only call into it; the others go by their places."""
    for call in nodes:
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute)):
            continue
        name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
        if said[name] != 1 or name in fixed:
            continue
        found = list(_called(tree, name, isinstance(call.func, ast.Attribute)))
        if len(found) == 1 and not found[0].decorator_list:
            _bind(call, found[0])
    foreign = _said_of_others(nodes) | set(fixed)
    for family in _families(tree):
        inside = _nodes(*family)
        often = Counter(node.attr for node in inside if isinstance(node, ast.Attribute))
        methods = [part for kind in family for part in kind.body if isinstance(part, _Function)]
        for call in (node for node in inside if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            found = [part for part in methods if part.name == name]
            private = name.startswith("_") and not name.startswith("__") and name not in foreign
            if private and often[name] == 1 and len(found) == 1 and not found[0].decorator_list:
                _bind(call, found[0])


def _called(tree: ast.Module, name: str, method: bool) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """What a call by a name may run."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            wanted = "__init__" if node.name == name and not method else name if method else None
            yield from (part for part in node.body if isinstance(part, _Function) and part.name == wanted)
        elif isinstance(node, _Function) and node.name == name and not method:
            yield node


def _bind(call: ast.Call, made: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    arguments = made.args
    starred = any(isinstance(part, ast.Starred) for part in call.args) or any(not k.arg for k in call.keywords)
    if starred or arguments.vararg or arguments.kwarg or arguments.posonlyargs:
        return
    parameters = [p.arg for p in (*arguments.args, *arguments.kwonlyargs)]
    own = parameters[:1] if parameters[:1] == ["self"] else []
    given = dict(zip(parameters[len(own) :], call.args, strict=False)) | {str(k.arg): k.value for k in call.keywords}
    defaults = dict(zip(reversed([p.arg for p in arguments.args]), reversed(arguments.defaults), strict=False))
    defaults |= {p.arg: d for p, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d}
    bound = {target.id for part in walk(made) for target, _ in _targets(part) if isinstance(target, ast.Name)}
    bound |= {part.arg for inner in walk(made) if inner is not arguments for part in _own_parameters(inner)}
    plain = {
        name: value
        for name, value in (defaults | given).items()
        if isinstance(value, ast.Constant) and not isinstance(value.value, str | bytes) and name not in bound
    }
    if not plain and not call.keywords:
        return
    given = {name: value for name, value in given.items() if name not in plain}
    left = [name for name in parameters if name in defaults and name not in plain and name not in given]
    call.args, call.keywords = list(given.values()), []
    arguments.args = [ast.arg(name) for name in (*own, *given, *left)]
    arguments.defaults = [defaults[name] for name in left]
    arguments.kwonlyargs, arguments.kw_defaults = [], []
    made.body = [_Parameter(plain).visit(part) for part in made.body]


def _own_parameters(node: ast.AST) -> list[ast.arg]:
    return node.args if isinstance(node, ast.arguments) else []


class _Parameter(ast.NodeTransformer):
    def __init__(self, values: Mapping[str, ast.expr]):
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


class _Imports(ast.NodeTransformer):
    """Imports within functions of modules that the image does not have."""

    def __init__(self, program: Mapping[str, str]):
        self._program = program

    def _fails(self, node: ast.AST) -> bool:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        return module.startswith(_OURS) and module not in self._program

    def visit_Try(self, node: ast.Try) -> Any:
        for handler in node.handlers:
            if self._fails(node.body[0]) and isinstance(handler.type, ast.Name) and handler.type.id == "ImportError":
                return [self.visit(part) for part in handler.body]
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        return ast.Raise(ast.Name("ImportError", ast.Load())) if self._fails(node) else node


class _Known(ast.NodeTransformer):
    """Writes plain values in the place of fields, of top-level names and of a function's own names."""

    def __init__(self, fields: Mapping[str, Any], names: Mapping[str, Any]):
        self._fields = fields
        self._names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.attr in self._fields and is_still(node.value):
            return ast.Constant(self._fields[node.attr])
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(self._names[node.id]) if isinstance(node.ctx, ast.Load) and node.id in self._names else node

    def _function(self, node: Any) -> ast.AST:
        nodes = _nodes(node)
        if any(isinstance(part, _Scope | ast.Global | ast.Nonlocal) and part is not node for part in nodes):
            return self.generic_visit(node)
        own = _plain(_stores(nodes, nodes[1:]), ())
        around, self._names = self._names, {**self._names, **own}
        self.generic_visit(node)
        self._names = around
        return _Unstored(own).visit(node) if own else node

    visit_FunctionDef = visit_AsyncFunctionDef = _function


class _Unstored(ast.NodeTransformer):
    """Drops what is stored under names that nobody reads any more."""

    def __init__(self, names: Collection[str]):
        self._names = names

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            node.targets = [t for t in node.targets if not (isinstance(t, ast.Name) and t.id in self._names)]
        return node if node.targets else ast.Pass()
