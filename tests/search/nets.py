"""Small networks for tests, as Keras' JSON describes them; made without Keras."""

from __future__ import annotations

from typing import Any

Layer = dict[str, Any]


def layer(class_name: str, name: str, inbound: list[str], **config: Any) -> Layer:
    """One layer; `inbound` are the names of the layers it takes its inputs from."""
    return {"class_name": class_name, "name": name, "inbound": inbound, "config": {"name": name, **config}}


def functional(
    shape: tuple[int, ...], layers: list[Layer], outputs: list[str] | None = None
) -> dict[str, Any]:
    """A functional model with one input called `input`."""
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, *shape], "dtype": "float32", "sparse": False, "name": "input"},
        "registered_name": None,
        "name": "input",
        "inbound_nodes": [],
    }
    described = [
        {
            "module": "keras.layers",
            "class_name": each["class_name"],
            "config": each["config"],
            "registered_name": None,
            "name": each["name"],
            "inbound_nodes": [{"args": _arguments(each["inbound"]), "kwargs": {}}],
        }
        for each in layers
    ]
    ends = outputs or [layers[-1]["name"]]
    config = {
        "name": "net",
        "trainable": True,
        "layers": [first, *described],
        "input_layers": [["input", 0, 0]],
        "output_layers": [[name, 0, 0] for name in ends],
    }
    return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": "Functional"}


def _arguments(inbound: list[str]) -> list[Any]:
    tensors = [
        {
            "class_name": "__keras_tensor__",
            "config": {"shape": None, "dtype": "float32", "keras_history": [name, 0, 0]},
        }
        for name in inbound
    ]
    return tensors if len(tensors) == 1 else [tensors]


def residual() -> dict[str, Any]:
    """Two convolutions, the second added to the first, then a classifier."""
    same = {"kernel_size": [3, 3], "padding": "same", "strides": [1, 1]}
    return functional(
        (8, 8, 1),
        [
            layer("Conv2D", "conv_a", ["input"], filters=8, **same),
            layer("Activation", "relu_a", ["conv_a"], activation="relu"),
            layer("Conv2D", "conv_b", ["relu_a"], filters=8, **same),
            layer("Add", "sum", ["conv_a", "conv_b"]),
            layer("Flatten", "flat", ["sum"]),
            layer("Dense", "hidden", ["flat"], units=10, activation="relu", use_bias=False),
            layer("Dense", "dense", ["hidden"], units=5, activation="linear"),
            layer("Activation", "softmax", ["dense"], activation="softmax"),
        ],
    )
