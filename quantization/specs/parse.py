"""Quantizers as values: `QuantizerSpec`, its expression and its JSON. Plain: no Keras, no numpy.

`parse_quantizer("quantized_bits(4,0,1,alpha=1.0)")` reads the expressions of AutoQKeras users, and
`str(spec)` writes them; a pydantic field of type `Quantizer` takes either the expression or the object.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from quantization.specs.akida import DiscreteRelu, Max, MaxPerAxis, ScaleFactor, Std, StdPerAxis, TrainableStd
from quantization.specs.base import QuantizerBase
from quantization.specs.expression import Argument, Expression, QuantizerError, parse_expression
from quantization.specs.per_channel import QuantizedBitsPerChannel, as_per_channel
from quantization.specs.power_of_two import QuantizedPo2, QuantizedReluPo2
from quantization.specs.qkeras import (
    Bernoulli,
    Binary,
    QuantizedBits,
    QuantizedHswish,
    QuantizedLinear,
    QuantizedRelu,
    QuantizedSigmoid,
    QuantizedTanh,
    QuantizedUlaw,
    StochasticBinary,
    StochasticTernary,
    Ternary,
)

__all__ = [
    "KINDS",
    "Quantizer",
    "QuantizerError",
    "QuantizerSpec",
    "as_spec",
    "parse_quantizer",
]

QuantizerSpec = (
    QuantizedBits
    | QuantizedBitsPerChannel
    | QuantizedLinear
    | QuantizedRelu
    | QuantizedUlaw
    | QuantizedTanh
    | QuantizedSigmoid
    | QuantizedHswish
    | QuantizedPo2
    | QuantizedReluPo2
    | Binary
    | Ternary
    | StochasticBinary
    | StochasticTernary
    | Bernoulli
    | Std
    | StdPerAxis
    | TrainableStd
    | Max
    | MaxPerAxis
    | ScaleFactor
    | DiscreteRelu
)

#: kind -> class of its specification.
KINDS: Final[Mapping[str, type[QuantizerBase]]] = {
    spec.model_fields["kind"].default: spec for spec in get_args(QuantizerSpec)
}

#: Arguments of QKeras that only name or place its variables: accepted and ignored.
_INERT: Final = frozenset({"var_name", "use_variables", "enable_fast_inference"})


def parse_quantizer(text: str) -> QuantizerSpec:
    """The quantizer of an expression such as `quantized_relu(3,1)`.

    Raises `QuantizerError` with the text, the position of the error and what is allowed there.
    """
    expression = parse_expression(text)
    spec = KINDS.get(expression.name)
    if spec is None:
        raise QuantizerError(
            _unknown(expression.name, "quantizer", list(KINDS)), text, text.find(expression.name)
        )
    arguments = _bound(expression, spec)
    try:
        values = {name: argument.value for name, argument in arguments.items()}
        document = {"kind": expression.name} | dict.fromkeys(spec.NEW_RULES, False) | values
        return _ADAPTER.validate_python(as_per_channel(document))
    except ValidationError as error:
        raise _refused(error, expression, arguments) from None
    except ValueError as error:
        raise QuantizerError(str(error), text) from None


def as_spec(value: object) -> QuantizerSpec:
    """The quantizer of an expression, a JSON object or a specification; raises `QuantizerError`."""
    if isinstance(value, str):
        return parse_quantizer(value)
    try:
        return _ADAPTER.validate_python(as_per_channel(value) if isinstance(value, Mapping) else value)
    except ValidationError as error:
        raise QuantizerError(f"{value!r} is not a quantizer: {_problem(error)}") from None
    except ValueError as error:
        raise QuantizerError(f"{value!r} is not a quantizer: {error}") from None


def _bound(expression: Expression, spec: type[QuantizerBase]) -> dict[str, Argument]:
    """The arguments by name; positions and names are checked."""
    positional = spec.positional_names()
    bound: dict[str, Argument] = {}
    for index, argument in enumerate(expression.arguments):
        problem = None
        name = argument.name
        if name is None:
            if any(other.name for other in expression.arguments[:index]):
                problem = "an argument without a name follows one with a name"
            elif index >= len(positional):
                problem = f"at most {len(positional)} arguments without a name ({', '.join(positional)})"
            else:
                name = positional[index]
        elif name not in spec.argument_names() and name not in _INERT:
            problem = _unknown(name, f"argument of {expression.name}", list(spec.argument_names()))
        if problem is None and name in bound:
            problem = f"{name} is given twice"
        if problem is not None or name is None:
            raise QuantizerError(problem or "", expression.text, argument.position)
        bound[name] = argument
    return {name: argument for name, argument in bound.items() if name not in _INERT}


def _unknown(name: str, what: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {what} {name!r}; {hint}known: {', '.join(names)}"


def _refused(
    error: ValidationError, expression: Expression, arguments: Mapping[str, Argument]
) -> QuantizerError:
    fields = [str(part) for part in error.errors()[0]["loc"] if str(part) in arguments]
    position = arguments[fields[0]].position if fields else 0
    return QuantizerError(_problem(error), expression.text, position)


def _problem(error: ValidationError) -> str:
    """Every fault that pydantic found, once for each field, in words."""
    problems: dict[str, list[str]] = {}
    for item in error.errors():
        field = next((str(part) for part in item["loc"][1:2]), "")
        message = item["msg"].removeprefix("Value error, ")
        problems.setdefault(field, []).append(message[:1].lower() + message[1:])
    return "; ".join(
        (f"{field}: " if field else "") + " or ".join(dict.fromkeys(messages))
        for field, messages in problems.items()
    )


def _parsed(value: Any) -> Any:
    if isinstance(value, str):
        return parse_quantizer(value)
    return as_per_channel(value) if isinstance(value, Mapping) else value


_Tagged = Annotated[QuantizerSpec, Field(discriminator="kind")]

#: Type of a pydantic field that takes an expression, a JSON object or a specification.
Quantizer = Annotated[_Tagged, BeforeValidator(_parsed, json_schema_input_type=str | _Tagged)]

_ADAPTER: Final[TypeAdapter[QuantizerSpec]] = TypeAdapter(_Tagged)
