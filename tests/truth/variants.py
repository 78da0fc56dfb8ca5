"""Random networks as users write them: options, policies, operators, names; and some that cannot be built. Plain.

`variant` changes how a network of `tests.truth.networks` is described, not what it is; each change of `WRONG` makes it
one that Keras cannot build, or one outside of what is documented.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.truth.networks import random_network

Document = dict[str, Any]
Entry = dict[str, Any]
Change = Callable[[Document, random.Random], None]


def keras_object(module: str, class_name: str, **config: Any) -> dict[str, Any]:
    """An object as Keras serializes it."""
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


_INITIALIZERS: Final = (
    "he_normal",
    keras_object("keras.initializers", "GlorotUniform", seed=3),
    keras_object("keras.initializers", "RandomNormal", mean=0.0, stddev=0.1, seed=None),
    keras_object(
        "keras.initializers", "VarianceScaling", scale=1.0, mode="fan_out", distribution="uniform", seed=None
    ),
    keras_object("keras.initializers", "Constant", value=0.1),
)
_REGULARIZERS: Final = (
    "l2",
    keras_object("keras.regularizers", "L1", l1=0.001),
    keras_object("keras.regularizers", "L1L2", l1=0.001, l2=0.01),
)
_CONSTRAINTS: Final = (
    "max_norm",
    keras_object("keras.constraints", "MaxNorm", max_value=2, axis=0),
    keras_object("keras.constraints", "NonNeg"),
    keras_object("keras.constraints", "UnitNorm", axis=0),
)
_POLICIES: Final = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64", "float32")
_NORMALIZATION: Final = (
    *(("epsilon", 0.01), ("beta_initializer", "ones"), ("gamma_regularizer", "l2"), ("trainable", False)),
)
_LOOP: Final = (
    *(("dropout", 0.2), ("recurrent_dropout", 0.2), ("go_backwards", True), ("unroll", True)),
    *(("use_bias", False), ("recurrent_initializer", "orthogonal"), ("kernel_constraint", "max_norm")),
    *(("activation", "relu"), ("recurrent_regularizer", "l2"), ("seed", 3)),
)
#: Class -> fields that change no shape, with values.
_OPTIONS: Final[Mapping[str, tuple[tuple[str, Any], ...]]] = {
    "BatchNormalization": (
        *_NORMALIZATION,
        ("momentum", 0.5),
        ("renorm", True),
        ("moving_mean_initializer", "ones"),
    ),
    "LayerNormalization": _NORMALIZATION,
    "SimpleRNN": _LOOP,
    "LSTM": (*_LOOP, ("recurrent_activation", "hard_sigmoid"), ("unit_forget_bias", False)),
    "GRU": (*_LOOP, ("recurrent_activation", "hard_sigmoid"), ("reset_after", False)),
    "MultiHeadAttention": (
        *(("dropout", 0.1), ("use_bias", False), ("value_dim", 3), ("kernel_regularizer", "l1"), ("seed", 3)),
    ),
    "PReLU": (("alpha_initializer", "ones"), ("shared_axes", [1])),
    "ReLU": (("max_value", 6.0), ("negative_slope", 0.1), ("threshold", 0.5)),
    "LeakyReLU": (("negative_slope", 0.01),),
    "ELU": (("alpha", 0.5),),
    "Dropout": (("seed", 3), ("rate", 0.5)),
    "Embedding": (
        ("embeddings_initializer", "orthogonal"),
        ("embeddings_regularizer", "l2"),
        ("mask_zero", True),
    ),
}
_WEIGHTED: Final = ("Dense", "Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose")
_NAMES: Final = ("block-{}", "_{}", "{}.x", "kernel{}", "a>b{}", "INPUT{}")
_LAYERS_AS_FUNCTIONS: Final = (
    keras_object("keras.layers", "LeakyReLU", name="f", negative_slope=0.1),
    keras_object("keras.layers", "ReLU", name="f", max_value=4.0),
    keras_object("keras.layers", "ELU", name="f", alpha=1.0),
    {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "relu"},
)
_OPERATORS: Final[Mapping[str, tuple[str, str]]] = {
    "relu": ("keras.src.ops.nn", "Relu"),
    "relu6": ("keras.src.ops.nn", "Relu6"),
    "tanh": ("keras.src.ops.numpy", "Tanh"),
    "sigmoid": ("keras.src.ops.nn", "Sigmoid"),
    "gelu": ("keras.src.ops.nn", "Gelu"),
    "leaky_relu": ("keras.src.ops.nn", "LeakyRelu"),
}
_MERGES: Final = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")


def variant(number: int) -> Document:
    """A random network, described in a random way that is supported."""
    draw = random.Random(f"variant {number}")
    document = random_network(number)
    policy = draw.choice(_POLICIES) if draw.random() < 0.4 else None
    for entry in _layers(document)[1:]:
        _change_entry(entry, policy, draw)
    if any(entry["class_name"] == "Softmax" for entry in _layers(document)):
        _layers(document)[1]["config"].pop("mask_zero", None)  # which Keras' Softmax takes for its own
    if draw.random() < 0.3:
        document |= {
            "build_config": {"input_shape": None},
            "compile_config": {"optimizer": "adam", "loss": "mse"},
        }
    if draw.random() < 0.5:
        _rename(document, draw)
    return document


def _layers(document: Document) -> list[Entry]:
    layers: list[Entry] = document["config"]["layers"]
    return layers


def _change_entry(entry: Entry, policy: str | None, draw: random.Random) -> None:
    config, class_name = entry["config"], entry["class_name"]
    if policy is not None:
        config["dtype"] = keras_object("keras", "DTypePolicy", name=policy)
    for name, value in _OPTIONS.get(class_name, ()):
        if draw.random() < 0.3:
            config[name] = value
    if class_name in _WEIGHTED:
        _change_weights(config, draw)
    entry["build_config"] = {"input_shape": [None, 3]}
    call = entry["inbound_nodes"][0]
    if draw.random() < 0.3:
        call["kwargs"] = draw.choice(({"training": False}, {"training": None}, {"mask": None}))
    if class_name == "MultiHeadAttention" and draw.random() < 0.5:
        call["kwargs"] = {"use_causal_mask": True}
    if draw.random() < 0.5:
        _as_operator(entry)


def _change_weights(config: Entry, draw: random.Random) -> None:
    for tensor in ("kernel", "bias"):
        for what, values in (
            *(("initializer", _INITIALIZERS), ("regularizer", _REGULARIZERS), ("constraint", _CONSTRAINTS)),
        ):
            if draw.random() < 0.2:
                config[f"{tensor}_{what}"] = draw.choice(values)
    if draw.random() < 0.2:
        config["activity_regularizer"] = draw.choice(_REGULARIZERS)
    if draw.random() < 0.3 and config.get("activation") not in ("softmax", "linear"):
        config["activation"] = draw.choice(_LAYERS_AS_FUNCTIONS)


def _as_operator(entry: Entry) -> None:
    """A merge of two tensors, or a function, as `keras.ops` writes it; other layers stay."""
    config, call = entry["config"], entry["inbound_nodes"][0]
    if entry["class_name"] in _MERGES and len(call["args"][0]) == 2:
        module, class_name = "keras.src.ops.numpy", entry["class_name"]
        call["args"] = call["args"][0]
    elif entry["class_name"] == "Concatenate":
        module, class_name = "keras.src.ops.numpy", "Concatenate"
    elif entry["class_name"] == "Activation" and config["activation"] in _OPERATORS:
        module, class_name = _OPERATORS[config["activation"]]
    else:
        return
    settings = {"name": config["name"], **({"axis": -1} if class_name == "Concatenate" else {})}
    call["kwargs"] = {}
    entry.update(module=module, class_name=class_name, config=settings, registered_name=class_name)


def _rename(document: Document, draw: random.Random) -> None:
    entry = draw.choice(_layers(document)[1:])
    old, new = entry["name"], draw.choice(_NAMES).format(entry["name"])
    entry["name"] = entry["config"]["name"] = new
    for reference in _references(document):
        if reference[0] == old:
            reference[0] = new


def _references(value: Any) -> list[list[Any]]:
    """Every [layer, call, output] of a document."""
    if isinstance(value, dict):
        return [reference for item in value.values() for reference in _references(item)]
    if not isinstance(value, list):
        return []
    if len(value) == 3 and isinstance(value[0], str) and value[1:] == [0, 0]:
        return [value]
    return [reference for item in value for reference in _references(item)]


# --- what cannot be built, or is not documented --------------------------------------------------------------------


def _dense(document: Document) -> Entry:
    entries = [entry for entry in _layers(document) if entry["class_name"] == "Dense"]
    return entries[0]


def _set(**fields: Any) -> Change:
    def change(document: Document, draw: random.Random) -> None:
        _dense(document)["config"].update(copy.deepcopy(fields))

    return change


def _top(**fields: Any) -> Change:
    return lambda document, draw: _dense(document).update(copy.deepcopy(fields))


def _call(**named: Any) -> Change:
    return lambda document, draw: _dense(document)["inbound_nodes"][0].update(kwargs=copy.deepcopy(named))


def _named(name: str) -> Change:
    def change(document: Document, draw: random.Random) -> None:
        entry = _dense(document)
        old = entry["name"]
        entry["name"] = entry["config"]["name"] = name
        for reference in _references(document):
            if reference[0] == old:
                reference[0] = name

    return change


_LAMBDA: Final = keras_object("keras.layers", "Lambda", name="l", function="relu")
_FUNCTION: Final = {"module": "keras.config", "class_name": "function", "config": "set_epsilon"}

#: What is wrong -> the change that makes it so.
WRONG: Final[Mapping[str, Change]] = {
    "no units": _set(units=0),
    "units that are a word": _set(units="three"),
    "a field Keras does not have": _set(neurons=3),
    "a function Keras does not have": _set(activation="reluu"),
    "a function that halves the width": _set(activation="glu"),
    "a function with arguments": _set(activation="threshold"),
    "a function out of keras.config": _set(activation=_FUNCTION),
    "a layer with weights as a function": _set(activation=keras_object("keras.layers", "PReLU", name="p")),
    "an initializer Keras does not have": _set(kernel_initializer="he_uniformly"),
    "an initializer of matrices for a vector": _set(bias_initializer="orthogonal"),
    "an initializer without its value": _set(bias_initializer=keras_object("keras.initializers", "Constant")),
    "a regularizer without defaults": _set(kernel_regularizer="l1_l2"),
    "a constraint along a third axis": _set(
        kernel_constraint=keras_object("keras.constraints", "MaxNorm", axis=2)
    ),
    "a flag that is a word": _set(use_bias="yes"),
    "a quantized type": _set(dtype={"module": "keras.dtype_policies", "class_name": "QuantizedDTypePolicy"}),
    "a type of whole numbers": _set(dtype="int8"),
    "LoRA": _set(lora_rank=2),
    "a layer hidden in a call": _call(training=_LAMBDA),
    "a function hidden in a call": _call(mask=_FUNCTION),
    "an argument that is not one": _call(temperature=0.5),
    "always training": _call(training=True),
    "a class of one's own": _top(registered_name="mine>Dense"),
    "a class that is not Keras'": _top(module="mine.layers"),
    "a field beside the configuration": _top(compile_config={"loss": "mse"}),
    "an operator that is no layer": _top(
        module="keras.src.ops.numpy", class_name="Einsum", registered_name="Einsum"
    ),
    "a name with a slash": _named("block/dense"),
    "a name with a letter of German": _named("größe"),
    "a name with a blank": _named("my layer"),
    "an empty name": _named(""),
    "a name used twice": _named("input"),
}


def wrong(number: int, what: str) -> Document:
    """The network with this number, with something wrong in one of its Dense layers."""
    document = random_network(number)
    WRONG[what](document, random.Random(number))
    return document
