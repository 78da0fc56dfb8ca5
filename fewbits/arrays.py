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

#: Share of the examples that is put aside where no test data are passed.
_TEST_FRACTION: Final = 0.2


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
    """All arrays by name. Without `test_data` a fifth of the examples, drawn with seed 0, is put aside.

    Raises ValueError for arrays of different lengths, and for inputs or outputs that the model does not have.
    """
    arrays = _part("train", x, y, ends)
    if validation_data is not None:
        arrays |= _part("val", *validation_data, ends)
    if test_data is not None:
        return arrays | _part("test", *test_data, ends)
    return _with_test_part(arrays)


def _part(part: str, x: Examples, y: Examples, ends: Ends) -> dict[str, Any]:
    arrays = _named(f"x_{part}", x, ends.inputs, "input") | _named(f"y_{part}", y, ends.outputs, "output")
    (first, rows), *others = ((_argument(name, part), len(array)) for name, array in arrays.items())
    for name, count in others:
        if count != rows:
            raise ValueError(
                f"{first} has {rows} rows and {name} has {count}; they must have one row per example"
            )
    return arrays


def _argument(name: str, part: str) -> str:
    """An array as the call names it: x_train_image is x['image']."""
    argument, _, of = name.partition(f"_{part}")
    return f"{argument}[{of[1:]!r}]" if of else argument


def _named(stem: str, examples: Any, layers: Mapping[str, str], kind: str) -> dict[str, Any]:
    """The arrays of all inputs, or of all outputs, of a part."""
    if isinstance(examples, Mapping):
        by_layer = {_layer(key, layers, kind): np.asarray(array) for key, array in examples.items()}
    elif isinstance(examples, list | tuple) and len(layers) > 1:
        if len(examples) != len(layers):
            listed = ", ".join(layers)
            raise ValueError(
                f"{len(examples)} arrays for the {len(layers)} {kind}s of the model, which are {listed}"
            )
        by_layer = dict(zip(layers.values(), map(np.asarray, examples), strict=True))
    else:
        return {stem: np.asarray(examples)}
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


def _with_test_part(arrays: Mapping[str, Any]) -> dict[str, Any]:
    count = len(next(iter(arrays.values())))
    order = np.random.default_rng(0).permutation(count)
    test, train = np.split(order, [round(_TEST_FRACTION * count)])
    parted = {name: array for name, array in arrays.items() if name.startswith(("x_val", "y_val"))}
    for name, array in arrays.items():
        if name not in parted:
            parted[name] = array[train]
            parted[name.replace("_train", "_test", 1)] = array[test]
    return parted
