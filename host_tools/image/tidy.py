"""Dropped: what known values leave without effect. Branches never taken, what follows an end, fields never read."""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator
from typing import Any

from host_tools.image.fold import walk

_Ends = ast.Return | ast.Raise | ast.Continue | ast.Break


def tidied(tree: ast.Module, made: Collection[str], unread: Collection[str]) -> ast.Module:
    """Return a tree without what has no effect (it is changed in place).

    made: names of functions and classes, which are true. unread: names of fields that nothing reads.
    """
    return _Tidy(made, unread).visit(tree)


def is_text(node: ast.AST) -> bool:
    """Tell whether it is a text written out."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_still(node: ast.AST) -> bool:
    """Tell whether to evaluate it does nothing: names and their fields."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name | ast.Constant)


class _Tidy(ast.NodeTransformer):
    def __init__(self, made: Collection[str], unread: Collection[str]):
        self._made = made
        self._unread = unread

    def _asked(self, test: ast.expr) -> ast.expr:
        """What decides, of an expression that is only asked whether it is true."""
        if isinstance(test, ast.BoolOp):
            last = test.values[-1]
            if isinstance(last, ast.Constant) and bool(last.value) == isinstance(test.op, ast.And):
                test.values.pop()
                return test if len(test.values) > 1 else test.values[0]
        return ast.Constant(True) if isinstance(test, ast.Name) and test.id in self._made else test

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        sides = (node.left, node.comparators[0])
        if len(node.ops) == 1 and all(isinstance(side, ast.Constant) and not is_text(side) for side in sides):
            return ast.Constant(eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<known>", "eval")))
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        ends = isinstance(node.op, ast.Or)  # what an `or` ends at is true
        values: list[ast.expr] = []
        for value in node.values:
            if not isinstance(value, ast.Constant):
                values.append(value)
            elif bool(value.value) == ends:
                values.append(value)
                break
            elif value is node.values[-1]:
                values.append(value)
        last = values[-1]
        if not ends and isinstance(last, ast.Constant) and not last.value and all(map(is_still, values)):
            return last  # only asked whether it is true, or any false value does
        node.values = values
        return node if len(values) > 1 else last

    def _branches(self, node: ast.If | ast.IfExp) -> Any:
        self.generic_visit(node)
        node.test = self._asked(node.test)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    visit_If = visit_IfExp = _branches

    def visit_While(self, node: ast.While) -> Any:
        self.generic_visit(node)
        return None if isinstance(node.test, ast.Constant) and not node.test.value else node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        if isinstance(node.value, ast.Constant):
            node.targets = [t for t in node.targets if not (isinstance(t, ast.Attribute) and t.attr in self._unread)]
        return node if node.targets else None

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = [part for part in node.body if not self._is_unread(part)] or [ast.Pass()]
        return node

    def _is_unread(self, node: ast.stmt) -> bool:
        plain = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        return plain and all(isinstance(t, ast.Name) and t.id in self._unread for t in node.targets)  # type: ignore

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        before = copy.deepcopy(node) if _yields(node) else None
        self.generic_visit(node)
        return before if before and not _yields(node) else node  # without a yield it would be no generator

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and not isinstance(node, ast.Module):
                setattr(node, field, list(_needed(statements, must=field == "body")))
        return node


def _yields(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Yield | ast.YieldFrom) for part in walk(node))


def _needed(statements: list[ast.stmt], must: bool) -> Iterator[ast.stmt]:
    """Statements that are reached and do something. must: there has to be one."""
    some = False
    for node in statements:
        plain = isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        if isinstance(node, ast.If) and not node.orelse and all(isinstance(part, ast.Pass) for part in node.body):
            plain = is_still(node.test)
        if plain:
            continue
        some = True
        yield node
        if isinstance(node, _Ends):
            return
    if must and not some:
        yield ast.Pass()
