"""Grammar of quantizer expressions, the strings AutoQKeras users write: `quantized_bits(4,0,1,alpha=1.0)`.

    expression = name [ "(" [ argument { "," argument } [","] ] ")" ]
    argument   = [ name "=" ] value
    value      = number | string | "True" | "False" | "None" | "[" [ value { "," value } [","] ] "]"

Nothing is evaluated: a name that is not a literal is an error. Plain Python, no Keras.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: A literal of an expression.
Value = None | bool | int | float | str | tuple["Value", ...]

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<string>'[^'\\]*'|"[^"\\]*")
      | (?P<mark>[()\[\],=])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)
_LITERALS: Final[dict[str, Value]] = {"True": True, "False": False, "None": None}
#: Room for the widths of 2,048 channels.
_MAX_LENGTH: Final = 16_000
_MAX_DEPTH: Final = 8


class QuantizerError(ValueError):
    """A quantizer expression that cannot be read: states the position, and what is allowed there.

    `text` is the expression, `position` the offset of the error in it.
    """

    def __init__(self, problem: str, text: str | None = None, position: int = 0) -> None:
        where = "" if text is None else f"quantizer {text!r}, position {position}: "
        super().__init__(where + problem)
        self.text = text or ""
        self.position = position


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its name, or None for a positional one, its value and its position in the text."""

    name: str | None
    value: Value
    position: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed quantizer expression: a name and its arguments, not yet looked up."""

    text: str
    name: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_expression(text: str) -> Expression:
    """Read one expression; raises `QuantizerError` with the position of what is not allowed."""
    if len(text) > _MAX_LENGTH:
        raise QuantizerError(f"longer than {_MAX_LENGTH} characters", text[:40] + "...", _MAX_LENGTH)
    return _Parser(text, _tokens(text)).expression()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise QuantizerError(
                f"{text[start]!r} is not allowed; allowed are names, numbers, quoted strings and ( ) [ ] , =",
                text,
                start,
            )
        group = match.lastgroup
        tokens.append(_Token(group, match[group], match.start(group)))
        if group == "end":
            return tokens
        position = match.end()


class _Parser:
    """Recursive descent over the tokens; one method for each rule of the grammar."""

    def __init__(self, text: str, tokens: Sequence[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._index = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._index]

    def _take(self) -> _Token:
        token = self._next
        self._index += 1
        return token

    def _accept(self, mark: str) -> bool:
        if self._next.kind == "mark" and self._next.text == mark:
            self._index += 1
            return True
        return False

    def _fail(self, expected: str) -> QuantizerError:
        token = "the end" if self._next.kind == "end" else repr(self._next.text)
        return QuantizerError(f"expected {expected}, found {token}", self._text, self._next.position)

    def expression(self) -> Expression:
        if self._next.kind != "name":
            raise self._fail("the name of a quantizer")
        name = self._take().text
        arguments = self._arguments() if self._accept("(") else ()
        if self._next.kind != "end":
            raise self._fail("the end of the expression" if arguments else "'(' or the end of the expression")
        return Expression(self._text, name, arguments)

    def _arguments(self) -> tuple[Argument, ...]:
        arguments: list[Argument] = []
        while not self._accept(")"):
            arguments.append(self._argument())
            if not self._accept(","):
                if not self._accept(")"):
                    raise self._fail("',' or ')'")
                break
        return tuple(arguments)

    def _argument(self) -> Argument:
        position = self._next.position
        following = self._tokens[min(self._index + 1, len(self._tokens) - 1)]
        if self._next.kind == "name" and following.kind == "mark" and following.text == "=":
            name = self._take().text
            self._take()
            return Argument(name, self._value(0), position)
        return Argument(None, self._value(0), position)

    def _value(self, depth: int) -> Value:
        token = self._next
        if token.kind == "number":
            return _number(self._take().text)
        if token.kind == "string":
            return self._take().text[1:-1]
        if token.kind == "name" and token.text in _LITERALS:
            return _LITERALS[self._take().text]
        if depth < _MAX_DEPTH and self._accept("["):
            return self._list(depth + 1)
        raise self._fail("a number, a quoted string, True, False, None or a list [...]")

    def _list(self, depth: int) -> Value:
        values: list[Value] = []
        while not self._accept("]"):
            values.append(self._value(depth))
            if not self._accept(","):
                if not self._accept("]"):
                    raise self._fail("',' or ']'")
                break
        return tuple(values)


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def format_value(value: Value) -> str:
    """The literal that reads back as `value`."""
    if isinstance(value, tuple):
        return "[" + ",".join(format_value(item) for item in value) + "]"
    if isinstance(value, str):
        return f"'{value}'"
    return repr(value)
