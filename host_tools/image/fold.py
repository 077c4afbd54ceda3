"""Whole-program constant folding: what `const` does within a module of the firmware, done across its modules.

MicroPython's compiler replaces `X = const(3)` by the number inside one module only. A name that another module
imports costs that module, on the device, an entry of its dictionary, a string in the name pool and code to fetch it.
`fold` writes the number in its place, before the compiler sees the source, and drops the import; for an image
(`strip`) the definition goes too, since nothing looks for it any more, and so do the imports of names that only the
compiler reads. Values stay equal by construction, and the suite runs the folded code. ADR 0023 has the figures.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from host_tools.errors import UserError

_PRIVATE = "_"  # the compiler itself folds these, and keeps no definition


def public_constants(sources: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Integers that each module binds by `NAME = const(...)` at its top level, by module name.

    sources: text by module name. An expression may use constants that the same module bound before.
    """
    found = {}
    for module, text in sources.items():
        known: dict[str, int] = {}
        for node in ast.parse(text).body:
            bound = _definition(node)
            if bound:
                value = _value(bound[1], known)
                if value is not None:
                    known[bound[0]] = value
        found[module] = {name: value for name, value in known.items() if not name.startswith(_PRIVATE)}
    return found


def fold(text: str, constants: Mapping[str, Mapping[str, int]], *, strip: bool = False) -> str:
    """Return a module's source with the constants that it imports written as numbers.

    constants: of all modules, as public_constants gives them. strip: drop the module's own public constants too
    (its own uses are folded first). Raises UserError when a name stands for a constant and for something else.
    """
    tree = ast.parse(text)
    folder = _Folder(constants, tree, strip)
    return written(folder.visit(tree))


def walk(tree: ast.AST) -> list[ast.AST]:
    """Return a tree's nodes as ast.walk does, but all at once, which is three times as fast, and without contexts."""
    found = [tree]
    for node in found:
        for field in node._fields:
            part = getattr(node, field, None)
            if isinstance(part, list):
                found += [item for item in part if isinstance(item, ast.AST)]
            elif isinstance(part, ast.AST) and field != "ctx":
                found.append(part)
    return found


def written(tree: ast.AST) -> str:
    """Return the source of a tree. Like ast.unparse, but `a, b = x, y` stays so: where the right side is in
    parentheses, MicroPython makes a tuple of it, which allocates in the sampling path."""
    for node in walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Tuple)
            and len(node.value.elts) > 1
            and all(isinstance(target, ast.Tuple) for target in node.targets)
        ):
            node.value = ast.Name(", ".join(map(ast.unparse, node.value.elts)))
    return ast.unparse(ast.fix_missing_locations(tree))


def fold_all(sources: Mapping[str, str], *, strip: bool = False) -> dict[str, str]:
    """Fold every module of a program, text by path (`vigil/core/log.py`), each with the constants of all."""
    constants = public_constants({module_name(path): text for path, text in sources.items()})
    folded = {}
    for path, text in sources.items():
        try:
            folded[path] = fold(text, constants, strip=strip)
        except UserError as e:
            raise UserError(f"{path}: {e}", e.hint) from None
    return folded


def module_name(path: str) -> str:
    """Name by which the module in a file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _definition(node: ast.stmt) -> tuple[str, ast.expr] | None:
    """Return name and expression of `NAME = const(expression)`."""
    if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
        return None
    call = node.value
    is_const = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "const"
    return (node.targets[0].id, call.args[0]) if is_const and isinstance(call, ast.Call) else None


def _value(expression: ast.expr, known: Mapping[str, int]) -> int | None:
    """Return the integer that an expression of literals and `known` names is worth; None for anything else."""
    for node in walk(expression):
        allowed = ast.Constant | ast.Name | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop | ast.expr_context
        if not isinstance(node, allowed):
            return None
        if isinstance(node, ast.Name) and node.id not in known:
            return None
    value = eval(compile(ast.Expression(expression), "<const>", "eval"), {"__builtins__": {}}, dict(known))
    return value if isinstance(value, int) else None


class _Folder(ast.NodeTransformer):
    """names: constants by the name they have here. modules: constants by the name that a module has here."""

    def __init__(self, constants: Mapping[str, Mapping[str, int]], tree: ast.Module, strip: bool):
        self._constants = constants
        self._strip = strip
        self.names: dict[str, int] = {}
        self.modules: dict[str, Mapping[str, int]] = {}
        own = {bound[0]: bound[1] for node in tree.body if (bound := _definition(node))}
        self._own = {name for name in own if not name.startswith(_PRIVATE)} if strip else set()
        known: dict[str, int] = {}
        for name, expression in own.items():
            value = _value(expression, known)
            if value is None:
                self._own.discard(name)
            else:
                known[name] = value
        self.names |= {name: known[name] for name in self._own}
        calls = [n for n in walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        loose = sum(call.func.id == "const" for call in calls) - len(own)  # type: ignore[union-attr]
        if loose:
            raise UserError("a `const` is not folded", "write each as `NAME = const(...)` at the module's top level")
        for node in walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    here = alias.asname or alias.name
                    values = constants.get(node.module, {})
                    if alias.name in values:
                        self.names[here] = values[alias.name]
                    elif f"{node.module}.{alias.name}" in constants:
                        self.modules[here] = constants[f"{node.module}.{alias.name}"]
        decorators = {
            decorator.value
            for node in walk(tree)
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
            if isinstance(decorator, ast.Attribute)
        }
        uses = {node for node in walk(tree) if isinstance(node, ast.Name) and node.id == "micropython"}
        self._only_decorates = strip and uses <= decorators
        for node in walk(tree):
            if isinstance(node, ast.arg):
                taken = node.arg
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                taken = node.id
            else:
                continue
            if taken in self.names and taken not in self._own:
                raise UserError(f"`{taken}` is an imported constant and is bound again", "give one another name")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        values = self._constants.get(node.module or "", {})
        compiled_away = ("const",) if self._strip and node.module == "micropython" else ()
        node.names = [alias for alias in node.names if alias.name not in values and alias.name not in compiled_away]
        return node if node.names else None

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if not (alias.name == "micropython" and self._only_decorates)]
        return node if node.names else None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        bound = _definition(node)
        if bound and bound[0] in self._own:
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A table `bytes((1, 2, 3))` becomes its bytes: the compiler would keep the tuple, four times the size."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "bytes" and isinstance(node.args[0], ast.Tuple):
            items = [part.value if isinstance(part, ast.Constant) else None for part in node.args[0].elts]
            if all(isinstance(item, int) for item in items):
                return ast.copy_location(ast.Constant(bytes(items)), node)  # type: ignore[arg-type]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self.names:
            return ast.copy_location(ast.Constant(self.names[node.id]), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            values = self.modules.get(node.value.id, {})
            if node.attr in values:
                return ast.copy_location(ast.Constant(values[node.attr]), node)
        return self.generic_visit(node)
