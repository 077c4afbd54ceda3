"""Names that cost a device no memory: what only our program calls something is called by a name MicroPython has anyway.

Each name in a `.mpy` that MicroPython does not know lies on the heap: its text, and six bytes in the name pool. A lean
device had 800 of them. `rename` gives functions, classes, fields and parameters of a whole program other names, out
of those that every MicroPython has in its read-only memory (rom_names.txt), or short ones when these are used up. What
anybody outside of the program says stays: names of MicroPython, of the board, of the loader, of what provisioning
calls, and every name that is also written as a string. docs/adr/0035 has the figures.

`python -m host_tools.image.names MANIFEST < LOG` puts our names back into the traces of a device's log.
"""

from __future__ import annotations

import array
import ast
import asyncio
import binascii
import builtins
import errno
import gc
import hashlib
import io
import itertools
import json
import keyword
import os
import random
import re
import socket
import ssl
import string
import struct
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.image.fold import walk, written

ROM_NAMES = Path(__file__).with_name("rom_names.txt")
_OURS = "vigil."
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
# MicroPython itself looks these up on objects of ours, or reads them in viper code.
SPECIAL = {"args", "errno", "value", "ioctl", "read", "write", "readinto", "close", "send", "throw"}
SPECIAL |= {"ptr", "ptr8", "ptr16", "ptr32", "uint"}
_BUILTIN = frozenset(dir(builtins))
# What the modules and types that both Pythons have in common are called: not all of it stands in rom_names.txt.
_MODULES = (array, asyncio, binascii, errno, gc, hashlib, io, json, os, random, re, socket, ssl, struct, sys, time)
_TYPES = (array.array, asyncio.Event, asyncio.Lock, asyncio.StreamReader, asyncio.Task, io.BytesIO, io.FileIO)
_TYPES += (socket.socket, ssl.SSLContext, ssl.SSLSocket, bytearray, bytes, dict, float, int, list, memoryview, set, str)
STOCK = frozenset(name for thing in _MODULES + _TYPES for name in dir(thing))
_PARAMETERS = 16  # names that functions share for their parameters


def rom_names() -> list[str]:
    """Names that every MicroPython has, those first that are short in a .mpy."""
    return [line for line in ROM_NAMES.read_text().splitlines() if line and not line.startswith("#")]


def rename(program: Mapping[str, str], stays: Collection[str] = ()) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return a program, text by module name, with names that cost nothing; and what of ours each of them stands for.

    A class, or a function outside of classes, gets a name of its own; what only one class names (and those it derives
    from or to) may share its name with what is in other classes.
    stays: names that somebody else uses, too. Raises UserError for a name that is put together at run time.
    """
    trees = {name: ast.parse(text) for name, text in program.items()}
    ours = [tree for name, tree in trees.items() if name.startswith(_OURS)]
    known = set(rom_names())
    kept = {*known, *SPECIAL, *_BUILTIN, *STOCK, *stays, *(part for name in program for part in name.split("."))}
    defined = {node.name for tree in ours for node in walk(tree) if isinstance(node, _Named)} - kept
    keywords = {node.arg for tree in trees.values() for node in walk(tree) if isinstance(node, ast.keyword)}
    keywords |= set(stays)
    for name, tree in trees.items():
        kept |= {node.value for node in walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        if name.startswith(_OURS):
            _refuse_computed(name, tree)
            kept |= _folded(tree) | _errors(tree) | _of_others(tree, defined)
        else:
            kept |= spoken(tree)
            kept |= {node.arg for node in walk(tree) if isinstance(node, ast.arg)} & keywords
    _drop_unnamed(trees, kept)
    used = {word for tree in trees.values() for word in _identifiers(tree)}

    new = (name for name in rom_names() if name not in used | SPECIAL | _BUILTIN)
    new = itertools.chain(new, _short(used | kept))
    parameters = list(itertools.islice(new, _PARAMETERS))
    wanted = {name for tree in ours for name in _costly(tree, keywords) if not name.startswith("__")} - kept
    inner = _inner(ours, wanted)
    shared = list(itertools.islice(new, max(map(len, inner), default=0)))
    called = {old: name for names in inner for old, name in zip(names, shared, strict=False)}
    often = Counter(word for tree in ours for word in _identifiers(tree))
    called |= {old: next(new) for old in sorted(wanted - called.keys(), key=lambda old: (-often[old], old))}
    for tree in ours:
        _Renamer(called, parameters, keywords).visit(tree)
    meant: dict[str, list[str]] = {}
    for old, name in sorted(called.items()):
        meant.setdefault(name, []).append(old)
    renamed = {name: written(tree) if tree in ours else program[name] for name, tree in trees.items()}
    return renamed, meant


def spoken(tree: ast.AST) -> set[str]:
    """Names by which a module speaks of what others have, or others of what it has: all but its variables'."""
    found = {name for node in walk(tree) if not isinstance(node, ast.Name | ast.arg) for name in _named(node)}
    return {name for name in found if not name.startswith("_")}


def translate(line: str, meant: Mapping[str, list[str]]) -> str:
    """Return a line of a device's log with our names where a trace has a device's."""

    def ours(found: re.Match) -> str:
        return " or ".join(meant.get(found[0], [found[0]]))

    line = re.sub(r"(?<=, in )\w+$", ours, line)
    if re.match(r"\w+(: .*)?$", line):  # what the trace ends with
        line = re.sub(r"^\w+|(?<=')\w+(?=')", ours, line)
    return line


def _short(taken: set[str]) -> Iterator[str]:
    """Names of one letter, then of two, that nothing has."""
    for letters in itertools.chain.from_iterable(itertools.product(string.ascii_letters, repeat=n) for n in (1, 2, 3)):
        name = "".join(letters)
        if name not in taken and not keyword.iskeyword(name):
            yield name


def _named(node: ast.AST) -> list[str]:
    """Identifiers that stand in a node itself."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.keyword | ast.ExceptHandler | _Named):
        name = node.arg if isinstance(node, ast.keyword) else node.name
        return [name] if name else []
    if isinstance(node, ast.Global | ast.Nonlocal):
        return list(node.names)
    if isinstance(node, ast.alias):
        return [*node.name.split("."), *([node.asname] if node.asname else [])]
    return node.module.split(".") if isinstance(node, ast.ImportFrom) and node.module else []


def _identifiers(tree: ast.AST) -> Iterator[str]:
    return itertools.chain.from_iterable(map(_named, walk(tree)))


def _refuse_computed(module: str, tree: ast.Module) -> None:
    for node in walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME):
            continue
        of_modules = ast.unparse(node.args[0]).startswith("sys.modules")
        if not (of_modules or isinstance(node.args[1], ast.Constant)):
            raise UserError(f"{module} puts a name together: `{ast.unparse(node)}`", "write the name, or use a table")


BY_NAME = ("getattr", "setattr", "hasattr", "delattr")


def _folded(tree: ast.Module) -> set[str]:
    """Private constants of a module: the compiler keeps none of their names."""
    return {
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "const"
        and node.targets[0].id.startswith("_")
    }


def _errors(tree: ast.Module) -> set[str]:
    """Types of errors: logs and status speak of them."""
    classes = [node for node in walk(tree) if isinstance(node, ast.ClassDef) and node.bases]
    return {node.name for node in classes if ast.unparse(node.bases[0]).endswith(("Error", "Exception"))}


def _drop_unnamed(trees: Mapping[str, ast.Module], kept: set[str]) -> None:
    """Drop functions, classes and methods, and globals that are plain values, that nothing in the program names."""
    dropped = True
    while dropped:
        often = Counter(itertools.chain.from_iterable(map(_identifiers, trees.values())))
        dropped = False
        for name, tree in trees.items():
            holders = [tree, *(node for node in walk(tree) if isinstance(node, ast.ClassDef))]
            for holder in holders if name.startswith(_OURS) else ():
                idle = [node for node in holder.body if often[_made(node)] == 1 and _made(node) not in kept]
                holder.body = [node for node in holder.body if node not in idle] or [ast.Pass()]
                dropped = dropped or bool(idle)


def _made(node: ast.stmt) -> str:
    """The name that a statement makes, where it does nothing else."""
    if isinstance(node, _Named):
        return "" if node.name.startswith("__") else node.name
    if not isinstance(node, ast.Assign) or any(isinstance(part, ast.Call) for part in walk(node.value)):
        return ""
    return node.targets[0].id if isinstance(node.targets[0], ast.Name) else ""


def _of_others(tree: ast.Module, defined: set[str]) -> set[str]:
    """Names that a module imports from MicroPython, and keywords of calls of what no module defines."""
    found = set()
    for node in walk(tree):
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.Import | ast.ImportFrom) and not module.startswith("vigil"):
            found |= {name for alias in node.names for name in _named(alias)}
        elif isinstance(node, ast.Call) and not defined & set(_named(node.func)):
            found |= {part.arg for part in node.keywords if part.arg}
    return found


def _costly(tree: ast.Module, keywords: set[str | None]) -> Iterator[str]:
    """Names that a module makes and the device would keep: of functions, classes, fields, globals."""
    for node in walk(tree):
        if isinstance(node, _Named):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.arg) and node.arg in keywords:
            yield node.arg
    bodies = [tree.body, *(node.body for node in walk(tree) if isinstance(node, ast.ClassDef))]
    for statement in itertools.chain.from_iterable(bodies):
        if not isinstance(statement, _Named):
            yield from (
                node.id for node in walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            )


def _inner(trees: Iterable[ast.Module], wanted: set[str]) -> list[list[str]]:
    """Wanted names that stand inside one class, or one family of classes, alone: by class."""
    base: dict[str, str] = {}
    places: dict[str, set[str]] = {}

    def note(tree: ast.AST, inside: str) -> None:
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.ClassDef):
                base[node.name] = ast.unparse(node.bases[0]) if node.bases else ""
            for name in _named(node):
                places.setdefault(name, set()).add(inside)
            note(node, inside or (node.name if isinstance(node, ast.ClassDef) else ""))

    def family(name: str) -> str:
        return family(base[name]) if base.get(name) in base else name

    for tree in trees:
        note(tree, "")
    found: dict[str, list[str]] = {}
    for name in sorted(wanted):
        families = {family(place) for place in places[name]}
        if len(families) == 1 and "" not in families:
            found.setdefault(families.pop(), []).append(name)
    return [found[name] for name in sorted(found)]


def _parameters(node: _Function) -> list[ast.arg]:
    said = node.args
    return [*said.posonlyargs, *said.args, *said.kwonlyargs, *filter(None, (said.vararg, said.kwarg))]


def _bound(node: _Function) -> set[str]:
    """Names that a function binds for itself."""
    found = {parameter.arg for parameter in _parameters(node)}
    todo: list[ast.AST] = list(node.body) if isinstance(node.body, list) else [node.body]
    elsewhere: set[str] = set()
    while todo:
        part = todo.pop()
        if isinstance(part, _Named):
            found.add(part.name)
        elif isinstance(part, ast.Global | ast.Nonlocal):
            elsewhere.update(part.names)
        elif isinstance(part, ast.Name | ast.ExceptHandler) and not isinstance(getattr(part, "ctx", None), ast.Load):
            found.update(_named(part))
        elif isinstance(part, ast.alias):
            found.add((part.asname or part.name).partition(".")[0])
        if not isinstance(part, _Named | ast.Lambda):
            todo += ast.iter_child_nodes(part)
    return found - elsewhere


class _Renamer(ast.NodeTransformer):
    """called: names by what they were. parameters: to be shared by functions. fixed: parameters that stay."""

    def __init__(self, called: Mapping[str, str], parameters: list[str], fixed: set):
        self._called = called
        self._shared = parameters
        self._fixed = fixed
        self._here: dict[str, str] = {}  # parameters of the functions around

    def _name(self, old: str) -> str:
        return self._here.get(old) or self._called.get(old, old)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._name(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._name(node.arg)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self._called.get(node.attr, node.attr)
        return self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        node.arg = node.arg and self._called.get(node.arg, node.arg)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._called.get(name, name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self._name(name) for name in node.names]
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = node.name and self._name(node.name)
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        for alias in node.names:
            ours = (node.module or "").startswith("vigil")
            new = self._called.get(alias.name, alias.name) if ours else alias.name
            here = self._name(alias.asname or alias.name)
            alias.name, alias.asname = new, None if here == new else here
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._name(node.name)
        return self.generic_visit(node)

    def _function(self, node: Any) -> ast.AST:
        if not isinstance(node, ast.Lambda):
            node.name = self._name(node.name)
            node.decorator_list = [self.visit(part) for part in node.decorator_list]
        node.args.defaults = [self.visit(part) for part in node.args.defaults]
        node.args.kw_defaults = [part and self.visit(part) for part in node.args.kw_defaults]
        around, bound = self._here, _bound(node)
        self._here = {old: new for old, new in around.items() if old not in bound}
        free = [name for name in self._shared if name not in around.values()]
        for parameter in _parameters(node):
            if parameter.arg not in self._fixed:
                self._here[parameter.arg] = free.pop(0)
            parameter.arg = self._name(parameter.arg)
        if isinstance(node, ast.Lambda):
            node.body = self.visit(node.body)
        else:
            node.body = [self.visit(part) for part in node.body]
        self._here = around
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function


def main() -> None:
    """Translate the log on standard input."""
    meant = json.loads(Path(sys.argv[1]).read_text())["names"]
    for line in sys.stdin:
        print(translate(line.rstrip("\n"), meant))


if __name__ == "__main__":
    main()
