"""Frozen values with checked fields: what the specifications of quantizers use of pydantic, and no more.

Types of fields are those of the specifications: strict numbers, flags, literals, tuples, unions of them, `Annotated`
with bounds and validators. Messages are plainer than pydantic's; what is taken is the same.
"""

from __future__ import annotations

import functools
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

Check = Callable[[Any], Any]
_MISSING: Any = object()


class ValidationError(ValueError):
    """Values that a class does not take: `errors` has the place and the reason of each."""

    def __init__(self, problems: list[tuple[tuple[str, ...], str]]) -> None:
        self._problems = problems
        super().__init__("; ".join(f"{'.'.join(place)}: {reason}" for place, reason in problems))

    def errors(self) -> list[dict[str, Any]]:
        """The problems, each with its `loc` and `msg`."""
        return [{"loc": place, "msg": reason} for place, reason in self._problems]


@dataclass(frozen=True)
class FieldInfo:
    """A field's default and bounds."""

    default: Any = _MISSING
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    allow_inf_nan: bool = True
    min_length: int | None = None
    discriminator: str | None = None

    def wrapped(self, inner: Check) -> Check:
        def check(value: Any) -> Any:
            result = inner(value)
            for fault in self._faults(result):
                raise ValueError(fault)
            return result

        return check

    def _faults(self, value: Any) -> Iterator[str]:
        if self.min_length is not None and len(value) < self.min_length:
            yield f"should have at least {self.min_length} items"
        if not self.allow_inf_nan and not math.isfinite(value):
            yield "should be a finite number"
        bounds = {
            "greater than or equal to": (self.ge, lambda bound: value >= bound),
            "greater than": (self.gt, lambda bound: value > bound),
            "less than or equal to": (self.le, lambda bound: value <= bound),
            "less than": (self.lt, lambda bound: value < bound),
        }
        yield from (
            f"should be {words} {bound:g}"
            for words, (bound, is_met) in bounds.items()
            if bound is not None and not is_met(bound)
        )


def Field(*, strict: bool = True, description: str = "", **options: Any) -> Any:  # noqa: N802 -- as pydantic's
    """A field's default and bounds; numbers and flags are strict in any case."""
    return FieldInfo(**options)


class BeforeValidator:
    """A function that a value goes through before it is checked."""

    def __init__(self, function: Check, json_schema_input_type: Any = None) -> None:
        self._function = function

    def wrapped(self, inner: Check) -> Check:
        return lambda value: inner(self._function(value))


class AfterValidator(BeforeValidator):
    """A function that a checked value goes through."""

    def wrapped(self, inner: Check) -> Check:
        return lambda value: self._function(inner(value))


class WrapValidator(BeforeValidator):
    """A function that gets a value and its check."""

    def wrapped(self, inner: Check) -> Check:
        function: Any = self._function
        return lambda value: function(value, inner)


class PlainSerializer:
    """How a value is written; here as it is."""

    def __init__(self, function: Check, return_type: Any = None) -> None:
        pass

    def wrapped(self, inner: Check) -> Check:
        return inner


def ConfigDict(**options: Any) -> dict[str, Any]:  # noqa: N802 -- as pydantic's
    """Options of a class: every class here is frozen and refuses unknown fields."""
    return options


class _ModelValidator:
    """A function of a class that checks all values together, marked by `model_validator`."""

    def __init__(self, function: Any, mode: str) -> None:
        self.mode = mode
        self._function = getattr(function, "__func__", function)

    def __call__(self, owner: Any, *values: Any) -> Any:
        return self._function(owner, *values)


def model_validator(*, mode: Literal["before", "after"]) -> Callable[[Any], Any]:
    """Mark a function of a class that reads raw values ("before"), or checks an instance ("after")."""
    return lambda function: _ModelValidator(function, mode)


class BaseModel:
    """A frozen value: fields by annotations, checked when it is made, equal where class and fields are."""

    model_fields: ClassVar[dict[str, FieldInfo]] = {}

    def __init_subclass__(cls) -> None:
        cls.model_fields = {}
        for name in _fields(cls):
            default = getattr(cls, name, FieldInfo())
            cls.model_fields[name] = default if isinstance(default, FieldInfo) else FieldInfo(default)

    def __init__(self, **values: Any) -> None:
        read: Any = values
        for validator in reversed(_validators(type(self), "before")):
            read = _without_place(validator, type(self), read)
        problems, checks = [], _checks(type(self))
        for name in checks:
            value = read.get(name, self.model_fields[name].default)
            try:
                if value is _MISSING:
                    raise ValueError("field required")
                checked = value if name not in read else checks[name](value)
                object.__setattr__(self, name, checked)
            except ValueError as error:
                problems.append(((name,), str(error)))
        problems += [((name,), "is no field") for name in read if name not in checks]
        if problems:
            raise ValidationError(problems)
        for validator in _validators(type(self), "after"):
            _without_place(validator, self)

    @classmethod
    def model_validate(cls, value: Any) -> Self:
        """The value of a mapping; an instance is returned as it is."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise ValidationError([((), "should be a mapping")])
        return cls(**value)

    def model_dump(self, mode: Literal["python", "json"] = "python") -> dict[str, Any]:
        """The fields by name; "json": tuples as lists."""
        values = {name: getattr(self, name) for name in self.model_fields}
        if mode == "python":
            return values
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.model_dump() == other.model_dump()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), *self.model_dump().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.model_dump().items())})"


class TypeAdapter:
    """Checks values of a type that is no class of its own: a union that a field tells apart."""

    def __init__(self, kind: Any) -> None:
        self._classes = {entry.model_fields["kind"].default: entry for entry in get_args(get_args(kind)[0])}

    def validate_python(self, value: Any) -> Any:
        """The value of a mapping with a kind; an instance is returned as it is."""
        if isinstance(value, tuple(self._classes.values())):
            return value
        name = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(name, str) or name not in self._classes:
            raise ValidationError([((), f"kind should be one of {', '.join(self._classes)}")])
        try:
            return self._classes[name](**value)
        except ValidationError as error:
            problems = [((name, *problem["loc"]), problem["msg"]) for problem in error.errors()]
            raise ValidationError(problems) from None


def _without_place(validator: _ModelValidator, *arguments: Any) -> Any:
    """What a function of a class returns; its fault belongs to no field."""
    try:
        return validator(*arguments)
    except ValidationError:
        raise
    except ValueError as error:
        raise ValidationError([((), str(error))]) from None


def _fields(cls: type[Any]) -> Iterator[str]:
    """The name of every field, those of base classes first; annotations are texts here."""
    for owner in reversed(cls.__mro__):
        for name, annotation in vars(owner).get("__annotations__", {}).items():
            if not str(annotation).startswith("ClassVar"):
                yield name


@functools.cache
def _checks(cls: type[BaseModel]) -> dict[str, Check]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: _check(hints[name]) for name in cls.model_fields}


def _validators(cls: type[Any], mode: str) -> list[_ModelValidator]:
    """Functions that check all values, those of base classes first; one that is defined again stands for both."""
    names = {
        name: None
        for owner in reversed(cls.__mro__)
        for name, value in vars(owner).items()
        if isinstance(value, _ModelValidator) and value.mode == mode
    }
    found = (next(vars(owner)[name] for owner in cls.__mro__ if name in vars(owner)) for name in names)
    return [validator for validator in found if isinstance(validator, _ModelValidator)]


@functools.cache
def _check(kind: Any) -> Check:
    """The function that checks values of a type."""
    if get_origin(kind) is Annotated:
        inner, *wrappers = get_args(kind)
        check = _check(inner)
        for wrapper in wrappers:
            check = wrapper.wrapped(check)
        return check
    if get_origin(kind) in (Union, types.UnionType):
        return functools.partial(_one_of, tuple(map(_check, get_args(kind))))
    if get_origin(kind) is Literal:
        return functools.partial(_literal, get_args(kind))
    if get_origin(kind) is tuple:
        return functools.partial(_sequence, _check(get_args(kind)[0]))
    return functools.partial(_plain, kind)


def _one_of(checks: tuple[Check, ...], value: Any) -> Any:
    reasons = []
    for check in checks:
        try:
            return check(value)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError(" or ".join(dict.fromkeys(reasons)))


def _literal(allowed: tuple[Any, ...], value: Any) -> Any:
    if any(type(value) is type(entry) and value == entry for entry in allowed):
        return value
    raise ValueError(f"should be {' or '.join(map(repr, allowed))}")


def _sequence(check: Check, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("should be a list")
    return tuple(check(entry) for entry in value)


def _plain(kind: Any, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    is_taken = value is None if kind is type(None) else isinstance(value, kind)
    if not is_taken or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"should be {'None' if kind is type(None) else kind.__name__}")
    return value
