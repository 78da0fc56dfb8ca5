"""Reads the text of an AutoQKeras run_config: JSON, or Python literals. Plain; no code in it is run."""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from search.errors import InvalidSpec, Problem

MAX_TEXT: Final = 1_000_000
#: Nodes of the dictionary, once the variables in it are replaced.
MAX_NODES: Final = 200_000
#: A longer range is no list of layers.
MAX_RANGE: Final = 10_000

_REMEDY: Final = (
    "write its value, or save the dictionary where it is made: json.dump(run_config, open('run_config.json', 'w'),"
    " default=list)"
)


def read_run_config(
    text: str, *, unused: Collection[str] = (), layer_count: int | None = None
) -> dict[str, Any]:
    """The dictionary in a file: JSON, or the last of some Python assignments. InvalidSpec otherwise.

    Names of literals that were assigned before it are replaced by them. What the arguments `unused` hold is not read.
    `layer_count`: what `len(model.layers)` is; None where the model is not known.
    """
    if len(text) > MAX_TEXT:
        raise _fault("", f"longer than {MAX_TEXT} characters")
    try:
        config = json.loads(text)
    except ValueError:
        config = _python_literal(text, unused, layer_count)
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise _fault("", "a run_config is a dictionary of keyword arguments")
    return config


def _python_literal(text: str, unused: Collection[str], layer_count: int | None) -> Any:
    try:
        statements = ast.parse(text.strip()).body
        last = statements[-1]
        if not isinstance(last, ast.Assign | ast.Expr):
            raise ValueError("expected one dictionary")
        literals = _Literals(_assigned(statements[:-1]), layer_count)
        if isinstance(last.value, ast.Dict):
            return _arguments(last.value, literals, unused)
        return literals.value(last.value, "")
    except (
        SyntaxError,
        ValueError,
        IndexError,
        TypeError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        raise _fault("", f"neither JSON nor a Python literal: {error}") from error


def _assigned(statements: list[ast.stmt]) -> dict[str, ast.expr]:
    """Variables and what they were last assigned."""
    return {
        target.id: statement.value
        for statement in statements
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _arguments(dictionary: ast.Dict, literals: _Literals, unused: Collection[str]) -> dict[Any, Any]:
    """The arguments one by one, so that a fault names its own."""
    arguments: dict[Any, Any] = {}
    for key, value in zip(dictionary.keys, dictionary.values, strict=True):
        if key is None:
            raise _fault("", f"`**{ast.unparse(value)}` is code, and none is run: {_REMEDY}")
        name = literals.value(key, "")
        if isinstance(name, str) and name in unused:
            arguments[name] = None
        else:
            arguments[name] = literals.value(value, f"/{name}")
    return arguments


class _Literals:
    """Values of expressions that need no code to be run."""

    def __init__(self, variables: Mapping[str, ast.expr], layer_count: int | None) -> None:
        self._variables = variables
        self._layer_count = layer_count
        self._nodes = 0

    def value(self, node: ast.expr, pointer: str) -> Any:
        """The value of a literal. InvalidSpec names what is none."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _fault(pointer, f"holds more than {MAX_NODES} values")
        match node:
            case ast.Constant():
                return node.value
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return {self.value(key, pointer): self.value(item, pointer) for key, item in pairs if key}
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return [self.value(item, pointer) for item in items]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand, pointer)
            case ast.BinOp(op=ast.Add() | ast.Sub(), left=left, right=right):
                sign = 1 if isinstance(node.op, ast.Add) else -1
                return self._number(left, pointer) + sign * self._number(right, pointer)
            case ast.Name(id=name) if name in self._variables:
                return self.value(self._variables[name], pointer)
            case ast.Call(func=ast.Name(id="len"), args=[ast.Attribute(attr="layers")], keywords=[]):
                if self._layer_count is not None:
                    return self._layer_count
            case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]) if 1 <= len(bounds) <= 3:
                return self._range([self._number(bound, pointer) for bound in bounds], pointer)
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[items], keywords=[]):
                return list(self.value(items, pointer))
        raise _fault(pointer, f"`{_short(node)}` is code, and none is run: {_REMEDY}")

    def _number(self, node: ast.expr, pointer: str) -> Any:
        number = self.value(node, pointer)
        if not isinstance(number, int | float):
            raise _fault(pointer, f"`{_short(node)}` is no number")
        return number

    def _range(self, bounds: list[Any], pointer: str) -> list[int]:
        numbers = range(*bounds) if all(isinstance(bound, int) for bound in bounds) else range(MAX_RANGE + 1)
        if len(numbers) > MAX_RANGE:
            raise _fault(pointer, f"a range must count up to {MAX_RANGE} whole numbers")
        return list(numbers)


def _short(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fault(pointer: str, message: str) -> InvalidSpec:
    return InvalidSpec([Problem(pointer, message)])
