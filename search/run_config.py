"""Reads the text of an AutoQKeras run_config: JSON, Python, or a notebook. Plain; no code in it is run."""

from __future__ import annotations

import ast
import json
from bisect import bisect_right
from collections.abc import Collection, Iterator
from typing import Any, Final

from search.errors import InvalidSpec, Problem

MAX_TEXT: Final = 1_000_000
#: A notebook also has the pictures of its outputs, which are not read.
MAX_NOTEBOOK: Final = 20_000_000
#: Nodes of the dictionary, once the variables in it are replaced.
MAX_NODES: Final = 200_000
#: A longer range is no list of layers.
MAX_RANGE: Final = 10_000

_REMEDY: Final = (
    "write its value, or save the dictionary where it is made: json.dump(run_config, open('run_config.json', 'w'),"
    " default=list)"
)
#: Classes whose keyword arguments a run_config is.
_SEARCHES: Final = ("AutoQKeras", "AutoQKerasScheduler")
#: Arguments of `fit` that are kept, under the key "fit".
_FIT: Final = ("epochs", "batch_size")


def read_run_config(
    text: str, *, unused: Collection[str] = (), layer_count: int | None = None
) -> dict[str, Any]:
    """The run_config in a text: JSON, or Python that assigns one or calls `AutoQKeras`; also the file of a notebook.

    Of several it is the last one. Names are replaced by the literals that were assigned to them before; later changes
    (`run_config["seed"] = 1`, `update`) count. What the arguments `unused` hold is not read. `layer_count`: what
    `len(model.layers)` is; None where the model is not known. InvalidSpec otherwise.
    """
    if len(text) > MAX_NOTEBOOK:
        raise _fault("", f"longer than {MAX_NOTEBOOK} characters")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    cells = _cells(document)
    source = text if cells is None else cells
    if len(source) > MAX_TEXT:
        raise _fault("", f"longer than {MAX_TEXT} characters")
    config = _python(source, unused, layer_count) if document is None or cells is not None else document
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise _fault("", "a run_config is a dictionary of keyword arguments")
    return config


def _cells(document: Any) -> str | None:
    """The code of a notebook, without its commands for the shell; None if the document is no notebook."""
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        return None
    lines: list[str] = []
    for cell in document["cells"]:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            text = "".join(source) if isinstance(source, list) else str(source)
            lines += (line for line in text.splitlines() if not line.lstrip().startswith(("%", "!")))
    return "\n".join(lines)


def _python(text: str, unused: Collection[str], layer_count: int | None) -> Any:
    try:
        script = _Script(ast.parse(text.strip()).body)
        values = _Literals(script, layer_count)
        return script.config(values, unused)
    except (
        SyntaxError,
        ValueError,
        IndexError,
        TypeError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        raise _fault("", f"neither JSON nor Python that assigns a dictionary: {error}") from error


class _Script:
    """What statements assign, in their order, without running them.

    An expression is looked at as of its statement: names in it mean what they were assigned before. A dictionary is
    changed in place, as Python does, so that what refers to it sees the change.
    """

    def __init__(self, statements: list[ast.stmt]) -> None:
        self._history: dict[str, list[tuple[int, ast.expr | None]]] = {}
        self._moment = 0
        self._moments: dict[int, int] = {}  #: id of a node that was put into another one -> its own moment
        self._calls: list[
            tuple[int, ast.Call, str | None]
        ] = []  #: of AutoQKeras, with the name of the result
        self._fits: dict[str, tuple[int, ast.Call]] = {}
        self._last: tuple[int, ast.expr, str | None] | None = (
            None  #: the last dictionary or expression, its name
        )
        self._read(statements)

    def look_up(self, name: str, moment: int) -> tuple[ast.expr, int] | None:
        """What a name was assigned last before a moment, and when; None if that is not known."""
        entries = self._history.get(name, [])
        place = bisect_right(entries, moment, key=lambda entry: entry[0] + 1) - 1
        if place < 0 or (node := entries[place][1]) is None:
            return None
        return node, entries[place][0]

    def moment_of(self, node: ast.expr, moment: int) -> int:
        """When a node inside an expression of this moment was written."""
        return self._moments.get(id(node), moment)

    def config(self, values: _Literals, unused: Collection[str]) -> Any:
        """The arguments of the last search, or else the last `run_config`, or the last dictionary."""
        if self._calls:
            moment, call, name = self._calls[-1]
            arguments = values.arguments([(word.arg, word.value) for word in call.keywords], unused, moment)
            return arguments | self._fit(name, values)
        name = "run_config"
        if name not in self._history:
            if self._last is None:
                raise ValueError("expected one dictionary")
            moment, node, name = self._last
        if name is not None:
            if (assigned := self.look_up(name, self._moment + 1)) is None:
                raise _fault("", f"`{name}` is changed by code, and none is run: {_REMEDY}")
            node, moment = assigned
        return values.dictionary(node, unused, moment)

    def _fit(self, name: str | None, values: _Literals) -> dict[str, Any]:
        if name not in self._fits:
            return {}
        moment, call = self._fits[name]
        options = {word.arg: word.value for word in call.keywords if word.arg in _FIT}
        return {"fit": {key: values.value(node, f"/fit/{key}", moment) for key, node in options.items()}}

    def _read(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self._moment += 1
            match statement:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value)
                case ast.Expr(value=value):
                    self._expression(value)
                case ast.With(body=body) | ast.Try(body=body):
                    self._read(body)
                case (
                    ast.FunctionDef()
                    | ast.AsyncFunctionDef()
                    | ast.ClassDef()
                    | ast.Import()
                    | ast.ImportFrom()
                ):
                    pass
                case _:
                    self._forget(statement)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._history.setdefault(target.id, []).append((self._moment, value))
            self._note(value, target.id)
        elif isinstance(target, ast.Subscript):
            self._change(target.value, [(target.slice, value)])

    def _expression(self, value: ast.expr) -> None:
        match value:
            case ast.Call(
                func=ast.Attribute(value=owner, attr="update"), args=[ast.Dict() as new], keywords=[]
            ):
                self._change(
                    owner, [(key, item) for key, item in zip(new.keys, new.values, strict=True) if key]
                )
            case ast.Call(func=ast.Attribute(value=owner, attr="update"), args=[], keywords=words):
                self._change(owner, [(ast.Constant(word.arg), word.value) for word in words if word.arg])
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="fit")):
                self._fits[name] = (self._moment, value)
            case ast.Call(func=ast.Attribute(value=owner)) if self._dictionary(owner) is not None:
                self._forget(value)
            case _:
                self._note(value, None)

    def _note(self, value: ast.expr, name: str | None) -> None:
        """Remember a search, or a dictionary."""
        if isinstance(value, ast.Call) and _called(value) in _SEARCHES:
            self._calls.append((self._moment, value, name))
        elif isinstance(value, ast.Dict) or (
            name is None and (self._last is None or not isinstance(value, ast.Call))
        ):
            self._last = (self._moment, value, name)

    def _dictionary(self, node: ast.expr) -> ast.Dict | None:
        """The dictionary that `name` or `name["key"]` means at this moment."""
        moment = self._moment
        for _ in range(100):
            match node:
                case ast.Dict():
                    return node
                case ast.Name(id=name) if (entry := self.look_up(name, moment)) is not None:
                    node, moment = entry
                case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
                    if (outer := self._dictionary(owner)) is None:
                        return None
                    pairs = zip(outer.keys, outer.values, strict=True)
                    items = [
                        item for name, item in pairs if isinstance(name, ast.Constant) and name.value == key
                    ]
                    if not items:
                        return None
                    node = items[-1]
                case _:
                    return None
        return None

    def _change(self, owner: ast.expr, pairs: list[tuple[ast.expr, ast.expr]]) -> None:
        """Set keys of a dictionary, in place; what is no dictionary of literals is not known any more."""
        dictionary = self._dictionary(owner)
        if dictionary is None:
            self._forget(owner)
            return
        for key, value in pairs:
            self._moments[id(value)] = self._moments[id(key)] = self._moment
            dictionary.keys.append(key)
            dictionary.values.append(value)

    def _forget(self, code: ast.AST) -> None:
        """Names that this code may change are not known any more."""
        for name in _names(code):
            if name in self._history:
                self._history[name].append((self._moment, None))


def _names(code: ast.AST) -> Iterator[str]:
    """The names that code assigns, or whose objects it may change."""
    for node in ast.walk(code):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case (
                ast.Subscript(value=owner, ctx=ast.Store() | ast.Del())
                | ast.Call(func=ast.Attribute(value=owner))
            ):
                while isinstance(owner, ast.Subscript | ast.Attribute):
                    owner = owner.value
                if isinstance(owner, ast.Name):
                    yield owner.id


def _called(call: ast.Call) -> str:
    """The last word of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


class _Literals:
    """Values of expressions that need no code to be run."""

    def __init__(self, script: _Script, layer_count: int | None) -> None:
        self._script = script
        self._layer_count = layer_count
        self._nodes = 0

    def dictionary(self, node: ast.expr, unused: Collection[str], moment: int) -> Any:
        """The value of a dictionary, its items as `arguments`; of other expressions simply their value."""
        while isinstance(node, ast.Name) and (entry := self._script.look_up(node.id, moment)) is not None:
            node, moment = entry
        if not isinstance(node, ast.Dict):
            return self.value(node, "", moment)
        pairs: list[tuple[Any, ast.expr]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            name = None if key is None else self.value(key, "", self._script.moment_of(key, moment))
            pairs.append((name, value))
        return self.arguments(pairs, unused, moment)

    def arguments(
        self, pairs: list[tuple[Any, ast.expr]], unused: Collection[str], moment: int
    ) -> dict[Any, Any]:
        """Arguments one by one, so that a fault names its own. A pair without name is a dictionary of arguments."""
        values: dict[Any, Any] = {}
        for name, node in pairs:
            if name is None:
                values |= self._unpacked(node, unused, moment)
            elif isinstance(name, str) and name in unused:
                values[name] = None
            else:
                values[name] = self.value(node, f"/{name}", moment)
        return values

    def _unpacked(self, node: ast.expr, unused: Collection[str], moment: int) -> dict[Any, Any]:
        is_known = isinstance(node, ast.Dict) or (
            isinstance(node, ast.Name) and self._script.look_up(node.id, moment) is not None
        )
        values = self.dictionary(node, unused, moment) if is_known else None
        if not isinstance(values, dict):
            raise _fault("", f"`**{_short(node)}` is code, and none is run: {_REMEDY}")
        return values

    def value(self, node: ast.expr, pointer: str, moment: int) -> Any:
        """The value of a literal. InvalidSpec names what is none."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _fault(pointer, f"holds more than {MAX_NODES} values")
        moment = self._script.moment_of(node, moment)
        match node:
            case ast.Constant():
                return node.value
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = [(key, item) for key, item in zip(keys, values, strict=True) if key is not None]
                return {
                    self.value(key, pointer, moment): self.value(item, pointer, moment) for key, item in pairs
                }
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return [self.value(item, pointer, moment) for item in items]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand, pointer, moment)
            case ast.BinOp(op=ast.Add() | ast.Sub(), left=left, right=right):
                sign = 1 if isinstance(node.op, ast.Add) else -1
                return self._number(left, pointer, moment) + sign * self._number(right, pointer, moment)
            case ast.Name(id=name) if (entry := self._script.look_up(name, moment)) is not None:
                return self.value(entry[0], pointer, entry[1])
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=words) if all(
                word.arg for word in words
            ):
                return {word.arg: self.value(word.value, pointer, moment) for word in words}
            case ast.Call():
                return self._call(node, pointer, moment)
        raise _fault(pointer, f"`{_short(node)}` is code, and none is run: {_REMEDY}")

    def _call(self, node: ast.Call, pointer: str, moment: int) -> Any:
        """The few functions that are computed: numbers of layers and ranges of them."""
        match node:
            case ast.Call(func=ast.Name(id="len"), args=[ast.Attribute(attr="layers")], keywords=[]):
                if self._layer_count is not None:
                    return self._layer_count
            case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]) if 1 <= len(bounds) <= 3:
                return self._range([self._number(bound, pointer, moment) for bound in bounds], pointer)
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[items], keywords=[]):
                return list(self.value(items, pointer, moment))
        raise _fault(pointer, f"`{_short(node)}` is code, and none is run: {_REMEDY}")

    def _number(self, node: ast.expr, pointer: str, moment: int) -> Any:
        number = self.value(node, pointer, moment)
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
