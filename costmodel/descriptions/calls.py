"""The calls of a layer: tensors of other layers, and a few plain values. Nothing else reaches Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from costmodel.descriptions.kinds import Kind, Walk, flag, only, plain_items
from costmodel.descriptions.place import Place, described, shown
from costmodel.layer_classes import AUGMENTATIONS, LAYER_CLASSES, TRAINING_ONLY
from costmodel.shapes import RECURRENT

MAX_NAME: Final = 256
MAX_CALLS: Final = 64
#: Tensors a call may take.
MAX_TENSORS: Final = 256
_TENSOR: Final = "__keras_tensor__"
#: Arguments that take tensors.
_TENSORS: Final = ("inputs", "sequences", "query", "value", "key")
_ATTENTION: Final = "MultiHeadAttention"
_NO_TENSOR: Final = "a tensor passed by this name is not supported; leave it out"
_MASKS: Final = ("mask", "query_mask", "value_mask", "key_mask", "attention_mask")

#: Arguments of every layer that take no tensor.
_ARGUMENTS: Final[Mapping[str, Kind]] = {
    "training": only(
        None, False, why="a layer that always runs as in training computes something else than what is priced"
    ),
    "initial_state": only(None, why=_NO_TENSOR),
    **dict.fromkeys(_MASKS, only(None, why=_NO_TENSOR)),
}
_ATTENTION_ARGUMENTS: Final[Mapping[str, Kind]] = {
    "use_causal_mask": flag,
    "return_attention_scores": only(False, why="a layer must return one tensor"),
}
#: Classes that compute something else in training; for the others the argument says nothing.
_TRAINED: Final = TRAINING_ONLY | {"BatchNormalization", "Bidirectional", _ATTENTION, *RECURRENT}
#: Classes whose default is to run as in training.
_IMAGES: Final = (*AUGMENTATIONS, "Resizing", "CenterCrop")
_TYPES: Final = (
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "bool",
)


def is_tensor(value: Any) -> bool:
    """Whether a value is a reference to another layer's output, as Keras 3 writes it."""
    return isinstance(value, Mapping) and value.get("class_name") == _TENSOR


def source(value: Any) -> str:
    """The layer whose output a cleaned reference is."""
    return str(value["config"]["keras_history"][0])


def rank(value: Mapping[str, Any]) -> int | None:
    """Axes of a tensor, the batch among them, as the document states them; None if it does not."""
    body = value.get("config")
    shape = plain_items(body.get("shape")) if isinstance(body, Mapping) else None
    return len(shape) if shape else None


def clean_calls(class_name: str, nodes: Any, masks: frozenset[str], place: Place, walk: Walk) -> list[Any]:
    """The calls of a layer, of a class in the table; `masks`: operators that make a mask that Keras makes again."""
    items = plain_items(nodes)
    if items is None or len(items) > MAX_CALLS:
        raise place.fault(f"must be a list of at most {MAX_CALLS} calls")
    return [_call(class_name, node, masks, place.at(index), walk) for index, node in enumerate(items)]


def _call(class_name: str, node: Any, masks: frozenset[str], place: Place, walk: Walk) -> dict[str, Any]:
    if not isinstance(node, Mapping) or not set(node) <= {"args", "kwargs"}:
        raise place.fault("is not in the format of Keras 3; save the model with Keras 3")
    arguments, named = node.get("args", []), node.get("kwargs", {})
    items = arguments if isinstance(arguments, list | tuple) else None
    if items is None or len(items) > MAX_TENSORS:
        raise place.at("args").fault("must be a list of tensors")
    if not isinstance(named, Mapping):
        raise place.at("kwargs").fault("must be an object")
    return {
        "args": [tensors(item, place.at("args", index)) for index, item in enumerate(items)],
        "kwargs": {
            **dict(_named(class_name, named, masks, place.at("kwargs"), walk)),
            **({"training": False} if class_name in AUGMENTATIONS else {}),  # where nobody says
        },
    }


def _named(
    class_name: str, named: Mapping[str, Any], masks: frozenset[str], place: Place, walk: Walk
) -> Iterator[tuple[str, Any]]:
    kinds = {**_ARGUMENTS, **(_ATTENTION_ARGUMENTS if class_name == _ATTENTION else {})}
    for key, value in named.items():
        inside = place.at(key[:64])
        if key in _TENSORS and value is not None:
            yield key, tensors(value, inside)
        elif key in _MASKS and is_tensor(value) and source(tensor(value, inside)) in masks:
            continue
        elif key == "training" and class_name in _IMAGES:
            continue  # Keras writes their default there, and passes whether it trains all the same
        elif key in kinds:
            cleaned = kinds[key](value, inside, walk)
            if cleaned is not None and (key != "training" or _depends_on_training(class_name)):
                yield key, cleaned
        elif value is not None or key not in _TENSORS:
            allowed = ", ".join((*_TENSORS, *kinds))
            raise inside.fault(f"a call with {shown(key)} is not supported; allowed: {allowed}")


def _depends_on_training(class_name: str) -> bool:
    return class_name in _TRAINED or not LAYER_CLASSES[class_name].keras


def tensors(value: Any, place: Place) -> Any:
    """A tensor, or a list of tensors."""
    if is_tensor(value):
        return tensor(value, place)
    if isinstance(value, list | tuple) and len(value) > MAX_TENSORS:
        raise place.fault(
            f"has {len(value)} tensors; a layer takes at most {MAX_TENSORS}: merge some of them before"
        )
    items = plain_items(value, MAX_TENSORS)
    if items is None or not items or not all(is_tensor(item) for item in items):
        what = "a nested list" if isinstance(value, list) else described(value)
        raise place.fault(
            f"is {what}; a layer is called with tensors, or a list of tensors, and nothing else"
        )
    return [tensor(item, place.at(index)) for index, item in enumerate(items)]


def tensor(value: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """A reference to another layer's output."""
    body = value.get("config")
    if set(value) != {"class_name", "config"} or not isinstance(body, Mapping):
        raise place.fault("is no tensor as Keras writes it")
    if not set(body) <= {"shape", "dtype", "keras_history"}:
        raise place.fault("is no tensor as Keras writes it")
    shape, dtype = plain_items(body.get("shape")) or [], body.get("dtype")
    fits = all(length is None or (isinstance(length, int) and 0 <= length < 2**31) for length in shape)
    return {
        "class_name": _TENSOR,
        "config": {
            "shape": shape if fits else [],
            "dtype": dtype if isinstance(dtype, str) and dtype in _TYPES else "float32",
            "keras_history": history(body.get("keras_history"), place.at("config", "keras_history")),
        },
    }


def history(value: Any, place: Place) -> list[Any]:
    """[layer, call, output]."""
    items = plain_items(value)
    if items is None or len(items) != 3 or not isinstance(items[0], str) or len(items[0]) > MAX_NAME:
        raise place.fault("must be a name and two numbers")
    if any(
        isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 1000 for index in items[1:]
    ):
        raise place.fault("must be a name and two numbers")
    return items


def references(value: Any, place: Place, depth: int = 0) -> list[list[Any]]:
    """The inputs or outputs of a model: one, a list, or a mapping of them."""
    if isinstance(value, list | tuple) and len(value) == 3 and isinstance(value[0], str):
        return [history(value, place)]
    if depth > 2 or not isinstance(value, list | tuple | Mapping) or len(value) > MAX_TENSORS:
        raise place.fault("must name layers, each as [name, 0, 0]")
    if isinstance(value, Mapping):
        items: list[tuple[str | int, Any]] = [(str(key), value[key]) for key in sorted(value, key=str)]
    else:
        items = list(enumerate(value))
    return [entry for key, item in items for entry in references(item, place.at(key), depth + 1)]
