"""The arrays of a search by the names that a data file gives them: x_train, y_train, x_train_NAME, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: One array; of several inputs or outputs a mapping by name, or a list in the model's order.
Examples: TypeAlias = "ArrayLike | Mapping[str, ArrayLike] | Sequence[ArrayLike]"

#: The argument that holds a part.
_PARTS: Final = {"val": "validation_data", "test": "test_data"}

#: What arrays hold that is not read, by the kind of its type, and the remedy.
_UNREADABLE: Final = {
    **dict.fromkeys("US", "text; number what it says: labels, y = numpy.unique(texts, return_inverse=True)"),
    "O": "values of different kinds; pass numbers: of a table its numeric columns, of texts their class numbers",
    "c": "complex numbers; pass their real and imaginary parts as features",
    **dict.fromkeys("Mm", "times; pass numbers, such as seconds since the first"),
    "V": "records; pass one array of their numeric fields",
}


@dataclass(frozen=True)
class Ends:
    """The inputs and the outputs of a model: the key that Keras knows each by -> its layer. Empty: not known."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


#: Of a model that is a file or a name.
UNKNOWN: Final = Ends({}, {})


def ends_of(model: Any) -> Ends:
    """The ends of a Keras model; `UNKNOWN` where it has not been built."""
    if not getattr(model, "built", False) or not hasattr(model, "output_names"):
        return UNKNOWN
    inputs = [str(tensor.name) for tensor in model.inputs]
    return Ends(_by_key(model.input, inputs), _by_key(model.output, model.output_names))


def _by_key(structure: Any, layers: Sequence[str]) -> dict[str, str]:
    # Keras lists what a mapping holds in the order of its keys.
    keys = sorted(structure) if isinstance(structure, Mapping) else layers
    return dict(zip(keys, layers, strict=True))


def named_arrays(
    x: Examples,
    y: Examples,
    validation_data: tuple[Examples, Examples] | None = None,
    test_data: tuple[Examples, Examples] | None = None,
    ends: Ends = UNKNOWN,
) -> dict[str, Any]:
    """All arrays by name. ValueError names the argument that does not hold numbers, one row per example.

    So do arrays of different lengths, and inputs or outputs that the model does not have.
    """
    arrays = _part("train", x, y, ends)
    for part, argument, pair in (
        ("val", "validation_data", validation_data),
        ("test", "test_data", test_data),
    ):
        if pair is not None:
            arrays |= _part(part, *_two(argument, pair), ends)
    return arrays


def _two(argument: str, pair: Any) -> tuple[Any, Any]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        size = f" of length {len(pair)}" if isinstance(pair, tuple | list) else ""
        raise ValueError(f"{argument} must be the pair (x, y), not {_kind(pair)}{size}")
    return pair[0], pair[1]


def _part(part: str, x: Examples, y: Examples, ends: Ends) -> dict[str, Any]:
    named = _named(f"x_{part}", x, ends.inputs, "input") | _named(f"y_{part}", y, ends.outputs, "output")
    arrays = {name: _numbers(_argument(name, part), array) for name, array in named.items()}
    (first, rows), *others = ((_argument(name, part), len(array)) for name, array in arrays.items())
    for name, count in others:
        if count != rows:
            raise ValueError(
                f"{first} has {rows} rows and {name} has {count}; they must have one row per example"
            )
    return arrays


def _numbers(argument: str, values: Any) -> Any:
    """An array of numbers, one row per example; ValueError names the argument, what it holds, and the remedy."""
    try:
        array = np.asarray(values)
        if array.dtype == object and array.ndim:  # such as the columns of a table: numbers, kept as objects
            array = np.asarray(array.tolist())
    except (ValueError, TypeError) as error:
        raise ValueError(f"{argument} is not one array of numbers: {error}") from None
    if not array.ndim:
        raise ValueError(
            f"{argument} must be an array with one row per example, not {_kind(values)}; of a data set that yields"
            " batches, collect the examples in arrays first"
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{argument} holds {_UNREADABLE.get(array.dtype.kind, array.dtype.name)}")
    if not array.size:
        raise ValueError(f"{argument} has no examples: its shape is {array.shape}")
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        place = tuple(int(index) for index in np.unravel_index(int(finite.argmin()), array.shape))
        raise ValueError(
            f"{argument}[{', '.join(map(str, place))}] is {array[place]}; remove or replace such values"
        )
    return array


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _argument(name: str, part: str) -> str:
    """An array as the call names it: x_train_image is x['image'], x_val the x of validation_data."""
    argument, _, of = name.partition(f"_{part}")
    argument = f"{argument}[{of[1:]!r}]" if of else argument
    return argument if part == "train" else f"{_PARTS[part]}: {argument}"


def _named(stem: str, examples: Any, layers: Mapping[str, str], kind: str) -> dict[str, Any]:
    """The arrays of all inputs, or of all outputs, of a part."""
    if isinstance(examples, Mapping):
        by_layer = {_layer(key, layers, kind): array for key, array in examples.items()}
    elif isinstance(examples, list | tuple) and len(layers) > 1:
        if len(examples) != len(layers):
            listed = ", ".join(layers)
            raise ValueError(
                f"{len(examples)} arrays for the {len(layers)} {kind}s of the model, which are {listed}"
            )
        by_layer = dict(zip(layers.values(), examples, strict=True))
    else:
        return {stem: examples}
    if missing := [key for key, layer in layers.items() if layer not in by_layer]:
        raise ValueError(f"the model has the {kind} {missing[0]!r}, for which there is no array")
    return (
        {f"{stem}_{layer}": array for layer, array in by_layer.items()}
        if len(by_layer) > 1
        else {stem: next(iter(by_layer.values()))}
    )


def _layer(key: str, layers: Mapping[str, str], kind: str) -> str:
    if not layers:
        return key
    if key in layers:
        return layers[key]
    if key in layers.values():
        return key
    raise ValueError(f"the model has no {kind} {key!r}; its {kind}s are {', '.join(layers)}")
