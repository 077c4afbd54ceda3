"""Whole-program linking: modules that a device always loads together, as one module with one set of names.

On the device a module costs some 300 bytes before its first function, each name that it imports an entry of its
dictionary, and its own path a string in the name pool. `link` writes the members of a group into the first one's file,
and the rest of the program imports from there. It works on syntax trees and refuses what one set of names cannot
express; the suite wears what it makes. docs/adr/0029 has the figures.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Container, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from host_tools.errors import UserError
from host_tools.image.fold import walk, written

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_OURS = "vigil."
_LOADER = ("boot", "loader", "main")


def link(sources: Mapping[str, str], group: Iterable[str], doors: Iterable[str] = ()) -> dict[str, str]:
    """Return a program, text by module name, with the modules of `group` in the first one's place.

    A name that several members define gets its module's in front. An optional import (`try: ... except ImportError`)
    is decided: what can be there is known. doors: members that can still be imported by their own name, for who asks
    from outside the program. Raises UserError for what one set of names cannot express.
    """
    members = [name for name in group if name in sources]
    if len(members) < 2:
        return dict(sources)
    root = members[0]
    trees = {name: ast.parse(text) for name, text in sources.items()}
    for name in members:
        trees[name].body = list(_decided(trees[name], sources))
    names = _names({name: trees[name] for name in members})
    order = _order({name: trees[name] for name in members}, trees)
    trees = {name: _Linker(name, names, root).visit_Module(tree) for name, tree in trees.items()}
    program = {name: _text(tree) for name, tree in trees.items() if name not in names}
    for name in set(doors) & names.keys():
        handed = [f"{new} as {old}" for old, new in names[name].items() if not old.startswith("_")]
        program[name] = f"from {root} import {', '.join(handed)}\n"
    statements = [node for name in order for node in trees[name].body if not _is_docstring(node)]
    program[root] = "\n".join(dict.fromkeys(map(_text, statements))) + "\n"  # each import of the stock's once
    return program


def reached(sources: Mapping[str, str], root: str) -> list[str]:
    """Modules of a program that are loaded with `root`, itself first; the loader's are no part of it."""
    todo, seen = [root], []
    while todo:
        name = todo.pop()
        if name in sources and name not in seen and name not in _LOADER:
            seen.append(name)
            for node in _decided(ast.parse(sources[name]), sources):
                todo += _imported(node)
    return seen


def _text(tree: ast.AST) -> str:
    return written(tree)


def _imported(node: ast.AST) -> list[str]:
    """Modules that a statement may import."""
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _decided(tree: ast.Module, program: Container[str]) -> Iterator[ast.stmt]:
    """A module's statements; of an import of ours that may fail what comes of it."""
    for node in tree.body:
        parts = node.body if isinstance(node, ast.Try) else []
        wanted = [part.module or "" for part in parts if isinstance(part, ast.ImportFrom)]
        if isinstance(node, ast.Try) and wanted and all(name.startswith(_OURS) for name in wanted):
            yield from node.body if all(name in program for name in wanted) else node.handlers[0].body
        else:
            yield node


def _order(members: Mapping[str, ast.Module], program: Mapping[str, ast.Module]) -> list[str]:
    """Members, each after those that it needs while it is loaded."""
    needs = {}
    for name, tree in members.items():
        found = {needed for node in tree.body for needed in _imported(node)} - {name}
        needs[name] = sorted(found & members.keys())  # a set's order is another in each process
        for other in found & program.keys() - members.keys():
            if any(set(_imported(node)) & members.keys() for node in walk(program[other])):
                raise UserError(f"{name} is linked and loads {other}, which needs what is linked", "link that, too")
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as e:
        raise UserError("modules that are linked import each other", " -> ".join(e.args[1])) from None


def _names(members: Mapping[str, ast.Module]) -> dict[str, dict[str, str]]:
    """What each name of each member is called after linking."""
    taken = set(dir(builtins))
    own: dict[str, set[str]] = {}
    for module, tree in members.items():
        own[module] = set()
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own[module].add(node.name)
            else:
                own[module] |= _bound(node)
        for node in walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom) and not set(_imported(node)) & set(members):
                taken |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    every = [name for names in own.values() for name in names]
    called: dict[str, dict[str, str]] = {}
    for module, names in own.items():
        stem = module.rpartition(".")[2]
        called[module] = {}
        for name in sorted(names):
            new = name
            if every.count(name) > 1 or name in taken:
                new = f"_{stem}{name}" if name.startswith("_") else f"{stem}_{name}"
                if new in every or new in taken:
                    raise UserError(f"`{name}` of {module} cannot be linked", f"`{new}` is something else already")
                taken.add(new)
            called[module][name] = new
    return called


def _bound(tree: ast.AST) -> set[str]:
    return {n.id for n in walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _locals(node: _Function) -> set[str]:
    """Names that a function binds for itself, those of functions within it included; not by imports."""
    found, elsewhere = set(), set()
    for part in walk(node):
        if isinstance(part, ast.arg):
            found.add(part.arg)
        elif isinstance(part, ast.ExceptHandler | ast.FunctionDef | ast.AsyncFunctionDef) and part is not node:
            found.add(part.name or "")
        elif isinstance(part, ast.Global | ast.Nonlocal):
            elsewhere.update(part.names)
    return (found | _bound(node)) - elsewhere


class _Linker(ast.NodeTransformer):
    """One module: imports of members go, what they bound is called by its new name."""

    def __init__(self, module: str, names: Mapping[str, Mapping[str, str]], root: str):
        self._module = module
        self._names = names
        self._root = root
        self._here = dict(names.get(module, {}))  # what a name of this module is called after linking
        self._modules: dict[str, str] = {}  # members, by the name that they have here
        self._shadowed: list[set[str]] = []
        self._wanted: set[str] = set()  # by a module that is no member

    def _renamed(self, name: str) -> str:
        return name if any(name in names for names in self._shadowed) else self._here.get(name, name)

    def _member(self, name: str) -> str | None:
        return None if any(name in names for names in self._shadowed) else self._modules.get(name)

    def _called(self, module: str, name: str) -> str:
        if name not in self._names[module]:
            raise UserError(f"{self._module} takes `{name}` from {module}", "import it from where it is defined")
        new = self._names[module][name]
        if self._module not in self._names:
            self._wanted.add(new)
        return new

    def visit_Module(self, node: ast.Module) -> ast.Module:
        for part in walk(node):
            if isinstance(part, ast.ImportFrom):
                for alias in part.names:
                    here = alias.asname or alias.name
                    member = f"{part.module}.{alias.name}"
                    new = self._called(part.module, alias.name) if part.module and part.module in self._names else None
                    if member in self._names:
                        new = self._modules.setdefault(here, member)
                        known = member
                    elif new is not None:
                        known = self._here.setdefault(here, new)
                    else:
                        continue
                    if known != new:
                        raise UserError(f"`{here}` is two things in {self._module}", "give one another name")
        self.generic_visit(node)
        if self._wanted:
            names = [ast.alias(name) for name in sorted(self._wanted)]
            at = next((i for i, part in enumerate(node.body) if isinstance(part, ast.Import | ast.ImportFrom)), 0)
            node.body.insert(at, ast.ImportFrom(self._root, names, 0))
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        if node.module in self._names:
            return None
        node.names = [alias for alias in node.names if f"{node.module}.{alias.name}" not in self._names]
        return node if node.names else None

    def _function(self, node):
        if not (isinstance(node, ast.Lambda) or self._shadowed or self._in_class):
            node.name = self._here.get(node.name, node.name)
        kept = [part for part in walk(node) if isinstance(part, ast.Import | ast.ImportFrom)]
        kept = [part for part in kept if not self._names.keys() & set(_imported(part))]
        self._shadowed.append(_locals(node) | {alias.asname or alias.name for part in kept for alias in part.names})
        self.generic_visit(node)
        self._shadowed.pop()
        if not isinstance(node, ast.Lambda) and not node.body:
            node.body = [ast.Pass()]
        return node

    _in_class = False
    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if not self._shadowed:
            node.name = self._here.get(node.name, node.name)
        before, self._in_class = self._in_class, True
        self.generic_visit(node)
        self._in_class = before
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._renamed(name) for name in node.names]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self._member(node.id):
            raise UserError(f"{self._module} uses the module `{node.id}` as a value", "name what it needs of it")
        node.id = self._renamed(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.value, ast.Name) or self._member(node.value.id) is None:
            return self.generic_visit(node)
        return ast.Name(self._called(self._modules[node.value.id], node.attr), node.ctx)
