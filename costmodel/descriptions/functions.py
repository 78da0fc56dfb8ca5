"""Activation functions: by name, as Keras serializes them, and as layers given in place of a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costmodel.descriptions.kinds import Walk, plain_items
from costmodel.descriptions.place import Place, described, shown

#: Keras' functions of one tensor that keep its shape and have nothing to set.
FUNCTIONS: Final = (
    *(
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_shrink",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
    ),
    *(
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
    ),
    *(
        "soft_shrink",
        "softmax",
        "softplus",
        "softsign",
        "sparse_plus",
        "sparse_sigmoid",
        "sparsemax",
        "squareplus",
    ),
    *("swish", "tanh", "tanh_shrink"),
)
#: Modules under which Keras writes a function.
_MODULES: Final = ("builtins", "keras.activations", "keras.src.activations.activations")
#: Class of a layer -> its fields with their defaults.
FUNCTION_LAYERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ReLU": {"max_value": None, "negative_slope": 0.0, "threshold": 0.0},
    "LeakyReLU": {"negative_slope": 0.3},
    "ELU": {"alpha": 1.0},
    "Softmax": {"axis": -1},
    "Activation": {"activation": "linear"},
}
#: (class, fields) of layers that are a function of Keras.
_SAME: Final[tuple[tuple[str, Mapping[str, Any], str], ...]] = (
    ("ReLU", {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}, "relu"),
    ("ReLU", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}, "relu6"),
    ("LeakyReLU", {"negative_slope": 0.2}, "leaky_relu"),
    ("ELU", {"alpha": 1.0}, "elu"),
    ("Softmax", {"axis": -1}, "softmax"),
)


def function(value: Any, place: Place, walk: Walk) -> Any:
    """A function's name. A layer in its place is its function's name, or, if there is none, a fault."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in FUNCTIONS:
            raise place.fault(f"is {shown(value)}, which no layer takes; allowed: {', '.join(FUNCTIONS)}")
        return value
    if not isinstance(value, Mapping):
        raise place.fault(f"must be the name of a function, is {described(value)}")
    if value.get("class_name") == "function":
        name = value.get("config")
        is_keras = value.get("module") in _MODULES and value.get("registered_name") in (None, name)
        if is_keras and isinstance(name, str) and name in FUNCTIONS:
            return name
        raise place.fault(f"is the object 'function' {described(name)}; allowed: {', '.join(FUNCTIONS)}")
    layer = function_layer(value, place)
    name = function_name(*layer)
    if name is None:
        raise place.fault(
            f"{layer[0]} with these settings is no function that this layer can run: put the layer behind this one"
        )
    return name


def function_layer(value: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    """Class and settings of a layer that is given in place of a function."""
    class_name, body = value.get("class_name"), value.get("config")
    is_keras = value.get("module") in (None, "keras.layers") and value.get("registered_name") in (
        None,
        class_name,
    )
    if not isinstance(class_name, str) or class_name not in FUNCTION_LAYERS or not is_keras:
        remedy = "; put PReLU behind this layer: its weights are its own" if class_name == "PReLU" else ""
        raise place.fault(
            f"{described(value)} is not allowed as a function; allowed: the name of a function, or one of"
            f" {', '.join(FUNCTION_LAYERS)}{remedy}"
        )
    if not isinstance(body, Mapping):
        raise place.at("config").fault("must be an object")
    defaults = FUNCTION_LAYERS[class_name]
    return class_name, {key: body.get(key, default) for key, default in defaults.items()}


def function_name(class_name: str, settings: Mapping[str, Any]) -> str | None:
    """The function of Keras that a layer computes; None if there is none."""
    if class_name == "Activation":
        name = settings["activation"]
        return name if isinstance(name, str) and name in FUNCTIONS else None
    values = {
        key: value[0] if (value := plain_items(item)) and len(value) == 1 else item
        for key, item in settings.items()
    }
    return next((name for cls, same, name in _SAME if cls == class_name and values == same), None)
