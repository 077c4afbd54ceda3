"""Stand-in for MicroPython's `micropython` module on CPython, with a plain and a checked viper.

Plain: the source runs as it is; `ptr8`, `ptr16`, `ptr32` become typed views. Checked: every binary operation,
augmented assignment and unary minus inside a viper function is wrapped in an int32 range check, so that what an
ESP32 would silently wrap raises OverflowError here. Both check every index against its buffer, and mask stores as the
chip does.
"""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import os
import textwrap
from typing import Any

INT32_MIN, INT32_MAX = -0x80000000, 0x7FFFFFFF
CHECKED = os.environ.get("VIGIL_VIPER", "plain") == "checked"


def const(x):
    """Return x; MicroPython folds it at compile time."""
    return x


def opt_level(_level: int = 0) -> int:
    """Return 0: CPython has no optimisation level to set."""
    return 0


def heap_lock() -> int:
    """Return 0: CPython's heap cannot be locked."""
    return 0


heap_unlock = heap_lock


class _Pointer:
    """A typed view of a buffer with viper's load (unsigned up to 16 bits) and store (masking) rules."""

    _code: Any = "B"
    _mask = 0xFF

    def __init__(self, buffer: Any):
        self._view = memoryview(buffer).cast("B").cast(self._code)

    def __getitem__(self, i: int) -> int:
        if i < 0:
            raise IndexError("viper pointer: negative index %d" % i)
        return self._view[i]

    def __setitem__(self, i: int, value: int) -> None:
        if i < 0:
            raise IndexError("viper pointer: negative index %d" % i)
        self._view[i] = value & self._mask


class ptr8(_Pointer):
    """Bytes, loaded unsigned."""

    _code, _mask = "B", 0xFF


class ptr16(_Pointer):
    """Half words, loaded unsigned as on every port."""

    _code, _mask = "H", 0xFFFF


class ptr32(_Pointer):
    """Words. Loaded unsigned, as x86-64 does and Xtensa does not: portable code must fix the sign either way."""

    _code, _mask = "I", 0xFFFFFFFF

    def __getitem__(self, i: int) -> int:
        v = super().__getitem__(i)
        # Xtensa reads a signed word; the portable idiom gives the same from both, so tests alternate by this flag.
        return v - 0x100000000 if SIGNED_PTR32 and v & 0x80000000 else v


SIGNED_PTR32 = True  # the chip's reading; tests flip it to prove that a kernel does not depend on it


def _check(value: Any) -> Any:
    if isinstance(value, int) and not INT32_MIN <= value <= INT32_MAX:
        raise OverflowError("viper int32 overflow: %d" % value)
    return value


class _Checker(ast.NodeTransformer):
    """Wraps every arithmetic node of a function in `_viper_check`."""

    @staticmethod
    def _wrap(node: ast.expr) -> ast.expr:
        return ast.Call(ast.Name("_viper_check", ast.Load()), [node], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(self._wrap(node), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(self._wrap(node), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        load = copy.deepcopy(node.target)
        for part in ast.walk(load):
            if hasattr(part, "ctx"):
                part.ctx = ast.Load()  # type: ignore[attr-defined]
        value = self._wrap(ast.BinOp(load, node.op, node.value))  # type: ignore[arg-type]
        return ast.copy_location(ast.Assign([node.target], value), node)


def viper(function):
    """Return `function` as it is, or recompiled with int32 checks when VIGIL_VIPER=checked."""
    return checked(function) if CHECKED else function


native = viper


def checked(function):
    """Recompile `function` with an int32 range check on every arithmetic node.

    It shares its module's globals, so a kernel sees its own constants. Raises OverflowError from the compiled
    function where a value leaves int32.
    """
    tree = _Checker().visit(ast.parse(textwrap.dedent(inspect.getsource(function))))
    tree.body[0].decorator_list = []
    ast.fix_missing_locations(tree)
    file = inspect.getsourcefile(function) or "<viper>"
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    scope = function.__globals__
    scope["_viper_check"] = _check
    space: dict[str, Any] = {}
    exec(compile(tree, file, "exec"), scope, space)
    result = space[function.__name__]
    result.unchecked = function
    return result


for _name, _value in (("ptr8", ptr8), ("ptr16", ptr16), ("ptr32", ptr32), ("uint", int)):
    setattr(builtins, _name, _value)
