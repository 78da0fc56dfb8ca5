"""Small networks for the cells of the matrix of exports: one for each layer and quantizer, and whole ones.

Keras is loaded; `tools.export_matrix` imports this where it measures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import keras
import numpy as np
from keras import layers

from benchmarks.exports import quantized as quantized_throughout
from costmodel.layer_classes import INPUT, KERAS_LAYERS, TRAINING_ONLY
from quantization.layers import QUANTIZED_LAYERS
from quantization.models.convert import float_model, quantize
from quantization.specs.parse import KINDS, QuantizerSpec, parse_quantizer
from search.networks.zoo import ZOO, zoo_config
from tools.export_matrix import default_spec

#: Variants of a network, the most quantized first: the first that a format takes is measured.
Cell = tuple[Callable[[], keras.Model], ...]

_KERNEL: Final = "quantized_bits(4,0,1,alpha=1.0)"
_BIAS: Final = "quantized_bits(8,3,1)"
_GRID: Final = "quantized_bits(8,0,0,keep_negative=False)"
#: Slot -> quantizer where a layer has it; others stay float.
_SLOTS: Final = {
    **dict.fromkeys(("kernel", "recurrent_kernel", "pointwise_kernel", "embeddings"), _KERNEL),
    **dict.fromkeys(("bias", "beta"), _BIAS),
    "alpha": "quantized_bits(4,0,1)",
}
_FUNCTIONS: Final = {"activation": "quantized_relu(4,2)"}
_LOOP: Final = {
    "activation": "quantized_tanh(5)",
    "recurrent_activation": "quantized_sigmoid(5)",
    "state": "quantized_bits(6,1,1)",
}
_LOOPS: Final = ("SimpleRNN", "LSTM", "GRU", "Bidirectional")
_MERGES: Final = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
#: Arguments without which a layer is not made.
_ARGUMENTS: Final[Mapping[str, dict[str, Any]]] = {
    "Activation": {"activation": "relu"},
    "CenterCrop": {"height": 4, "width": 4},
    "Dense": {"units": 4, "activation": "relu"},
    "Dot": {"axes": 1},
    "Embedding": {"input_dim": 9, "output_dim": 3},
    "GRU": {"units": 3},
    "GroupNormalization": {"groups": 2},
    "LSTM": {"units": 3},
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
    "Normalization": {"mean": 0.5, "variance": 0.25},
    "Permute": {"dims": (2, 1)},
    "RepeatVector": {"n": 3},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": (3, 2)},
    "Resizing": {"height": 3, "width": 3},
    "SimpleRNN": {"units": 3},
}
_SERIES: Final = (
    *_LOOPS,
    "Masking",
    "MultiHeadAttention",
    "Permute",
    "LayerNormalization",
    "GroupNormalization",
)
_IMAGES: Final = ("CenterCrop", "Flatten", "Normalization", "Rescaling", "Resizing")
#: Networks of `tests.models` that users' networks look like.
USERS: Final = (
    *("sequential_cnn", "rescaled_cnn", "batch_normalized", "residual", "squeeze_and_excitation", "mobile"),
    *("separable", "dense_block", "unet", "lstm", "stacked_gru", "text_cnn"),
    *("temporal_cnn", "transformer", "mlp", "self_normalizing"),
)


def cells() -> Iterator[tuple[str, str, Cell]]:
    """(table, row, variants) of every cell of the matrix, but for the column."""
    for name in sorted(KERAS_LAYERS - {INPUT} - TRAINING_ONLY):
        yield "layer", name, tuple(functools.partial(_layer_network, name, level) for level in (2, 1, 0))
    for kind in sorted(KINDS):
        spec = default_spec(kind)
        if spec is not None:
            yield "quantizer of a kernel", kind, (functools.partial(_kernel_network, spec),)
            yield "quantizer of an activation", kind, (functools.partial(_activation_network, spec),)
    for name in ZOO:
        yield "network", name, (functools.partial(_zoo_network, name),)
    for name in USERS:
        yield "network", f"user's {name}", (functools.partial(_user_network, name),)


def inputs_of(model: keras.Model, count: int = 24, seed: int = 1) -> Any:
    """Examples as the model reads them: from 0 to 1, of an embedding the numbers of words."""
    shape = (count, *(int(size) for size in model.inputs[0].shape[1:]))
    random = np.random.default_rng(seed)
    if any("Embedding" in type(layer).__name__ for layer in model.layers):
        return random.integers(0, 9, shape).astype(np.float32)
    return random.uniform(0, 1, shape).astype(np.float32)


def _layer_network(name: str, level: int) -> keras.Model:
    """A network about a layer: quantized throughout (2), its weights alone (1), or float (0)."""
    x = layers.Input(_shape(name), name="image")
    made, slots = _made(name)
    sources = [x]
    grids: dict[str, dict[str, str]] = {} if name == "Embedding" else {"image": {"activation": _GRID}}
    if name in _MERGES:
        sources = [layers.Dense(4, activation="relu", name=f"part_{index}")(x) for index in range(2)]
        part = {"kernel": _KERNEL, "bias": _BIAS, "activation": "quantized_relu(4,2)"}
        grids |= {f"part_{index}": part for index in range(2)}
    y = made(x, x) if name == "MultiHeadAttention" else made(sources if len(sources) > 1 else x)
    chosen = {slot: text for slot, text in slots.items() if level == 2 or (level == 1 and slot in _SLOTS)}
    return _randomized(quantize(keras.Model(x, y), _parsed(grids | ({"about": chosen} if chosen else {}))))


def _made(name: str) -> tuple[Any, dict[str, str]]:
    """The layer, and the quantizers of its slots."""
    arguments = dict(_ARGUMENTS.get(name, {}))
    if name.startswith(("Conv", "SeparableConv")):
        arguments |= {"filters": 3, "kernel_size": 2, "activation": "relu"}
    if name.startswith("AveragePooling"):
        arguments |= {"pool_size": 2}
    if name.startswith("DepthwiseConv"):
        arguments |= {"kernel_size": 2, "activation": "relu"}
    if name == "Bidirectional":
        layer = layers.Bidirectional(layers.LSTM(3), name="about")
    else:
        layer = getattr(layers, name)(**arguments, name="about")
    twin: Any = QUANTIZED_LAYERS.get(name)
    if twin is None:
        return layer, {}
    own = _LOOP if name in _LOOPS else _FUNCTIONS if "activation" in arguments or name == "ReLU" else {}
    texts = {**_SLOTS, **own}
    present = [slot for slot in twin.SLOTS if twin.configured(slot, layer.get_config())]
    return layer, {slot: texts[slot] for slot in present if slot in texts}


def _shape(name: str) -> tuple[int, ...]:
    if name == "Embedding":
        return (4,)
    if name in _SERIES or name.endswith(("1D", "1DTranspose")):
        return (6, 4)
    if name.endswith(("3D", "3DTranspose")):
        return (4, 4, 4, 2)
    if name.endswith(("2D", "2DTranspose")) or name in (
        "CenterCrop",
        "Resizing",
        "Flatten",
        "Rescaling",
        "Normalization",
    ):
        return (6, 6, 2)
    return (6,)


def _kernel_network(spec: QuantizerSpec) -> keras.Model:
    x = layers.Input((6,), name="image")
    model = keras.Model(x, layers.Dense(4, name="about")(x))
    slots = {
        "image": {"activation": parse_quantizer(_GRID)},
        "about": {"kernel": spec, "bias": parse_quantizer(_BIAS)},
    }
    return _randomized(quantize(model, slots))


def _activation_network(spec: QuantizerSpec) -> keras.Model:
    x = layers.Input((6,), name="image")
    y = layers.Activation("linear", name="about")(layers.Dense(6, name="sums")(x))
    slots = _parsed({"image": {"activation": _GRID}, "sums": {"kernel": _KERNEL, "bias": _BIAS}})
    return _randomized(quantize(keras.Model(x, y), {**slots, "about": {"activation": spec}}))


def _zoo_network(name: str) -> keras.Model:
    return _randomized(quantized_throughout(float_model(zoo_config(name))))


def _user_network(name: str) -> keras.Model:
    from tests.models.catalog import ENTRIES

    keras.utils.set_random_seed(3)
    [entry] = (entry for entry in ENTRIES if entry.name == name)
    return _randomized(quantized_throughout(float_model(entry.build().get_config())))


def _parsed(slots: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, QuantizerSpec]]:
    return {name: {slot: parse_quantizer(text) for slot, text in own.items()} for name, own in slots.items()}


def _randomized(model: keras.Model) -> keras.Model:
    """Weights that are not those of a new model."""
    random = np.random.default_rng(2)
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(random.normal(0, 0.3, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.4, 1.8, weight.shape))
        elif weight.name in ("kernel", "alpha"):
            weight.assign(random.normal(0, 0.5, weight.shape))
    return model
