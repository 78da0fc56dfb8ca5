"""A quantized model as Python source of QKeras' layers, and the arrays that it loads.

Kernels are written as the numbers that the model computes with, each with a quantizer that leaves them as they are; so
nothing depends on how a scale is found. Layers that QKeras lacks are Keras' own, with the quantized numbers as weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from quantization.export.errors import NotExpressible
from quantization.export.legality.qkeras import ACTIVATIONS, activation_fault
from quantization.export.writers.reading import class_of, function_name, passed_float, specs_of
from quantization.graph import Call, ModelGraph, NoGraph
from quantization.layers.base import QuantizedLayer, QuantizerState
from quantization.models.convert import caching_weights
from quantization.models.fold import folded_layers, unfold

_ONE_KERNEL: Final = {"kernel": "kernel_quantizer", "bias": "bias_quantizer"}
_TWO_KERNELS: Final = {
    "kernel": "depthwise_quantizer",
    "pointwise_kernel": "pointwise_quantizer",
    "bias": "bias_quantizer",
}
#: Keras' class -> slot -> the argument of QKeras' layer that quantizes it.
_LAYERS: Final[Mapping[str, Mapping[str, str]]] = {
    "Conv1D": _ONE_KERNEL,
    "Conv2D": _ONE_KERNEL,
    "Dense": _ONE_KERNEL,
    "DepthwiseConv2D": {"kernel": "depthwise_quantizer", "bias": "bias_quantizer"},
    "SeparableConv1D": _TWO_KERNELS,
    "SeparableConv2D": _TWO_KERNELS,
}
#: Arguments of a layer that only matter while training.
_TRAINING: Final = ("_initializer", "_regularizer", "_constraint")
_LEFT_OUT: Final = frozenset({"quantizers", "shiftmax", "trainable", "dtype"})
#: Layers whose configuration holds others: written whole.
_NESTED: Final = frozenset({"Bidirectional", "MultiHeadAttention", "GRU", "LSTM", "SimpleRNN"})
#: Layers whose functions act inside a loop.
_RECURRENT: Final = frozenset({"GRU", "LSTM", "SimpleRNN", "Bidirectional"})
_WIDEST: Final = 24

_HEAD: Final = '''"""{name}, of qkeras' layers: `build()` returns it with the weights of weights.npz beside this file.

Written by fewbits for qkeras-v3. Run as a program it saves model.keras.
"""

from pathlib import Path

import keras
import numpy as np
import qkeras

HERE = Path(__file__).resolve().parent
ARRAYS = np.load(HERE / "weights.npz")


def weights(layer, count):
    """The arrays of a layer, in Keras' order."""
    return [ARRAYS[f"{{layer}}/{{index}}"] for index in range(count)]


def scale(name):
    """The scale of each channel, or of all."""
    return ARRAYS[name]


def build():
    """The model with its weights."""
'''


class NotInQKeras(NotExpressible):
    """A layer of the model cannot be written for qkeras: `layer`, `reason`."""

    written = "for qkeras"


@dataclass
class Source:
    """The text of the file, its arrays, and what is to be said of it."""

    lines: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    plain: list[str] = field(default_factory=list)
    inexact: dict[str, str] = field(default_factory=dict)
    name: str = ""
    text: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Which layers are Keras' own."""
        if not self.plain:
            return ()
        return (f"Keras' own layers, with the quantized numbers as weights: {', '.join(self.plain)}",)


def qkeras_source(model: keras.Model) -> Source:
    """The built model as source. Raises `NotInQKeras`, naming the layer."""
    whole = unfold(model) if folded_layers(model) else model
    try:
        calls = ModelGraph(whole)
    except NoGraph as error:
        raise NotInQKeras(model.name, str(error)) from error
    source = Source(name=model.name)
    variables: dict[str, str] = {}
    written: dict[str, str] = {}
    with caching_weights(whole):
        for index, call in enumerate(calls):
            variables[call.name] = f"x{index}"
            _call(source, call, variables, written)
    inputs = ", ".join(variables[name] for name in calls.inputs)
    outputs = ", ".join(variables[name] for name in calls.outputs)
    many = (len(calls.inputs) > 1, len(calls.outputs) > 1)
    ends = [
        f"[{names}]" if several else names for names, several in zip((inputs, outputs), many, strict=True)
    ]
    source.lines += [
        f"model = keras.Model({ends[0]}, {ends[1]}, name={model.name!r})",
        *source.loads,
        "return model",
    ]
    body = "".join(f"    {line}\n" for line in source.lines)
    tail = '\n\nif __name__ == "__main__":\n    build().save(HERE / "model.keras")\n'
    source.text = _HEAD.format(name=model.name) + body + tail
    return source


def _call(source: Source, call: Call, variables: dict[str, str], written: dict[str, str]) -> None:
    """The lines of a call: its layer, where it is the first one, then its function and quantizer."""
    target = variables[call.name]
    if call.is_input:
        shape = tuple(call.outputs[0].shape[1:])
        dtype = str(call.outputs[0].dtype)
        source.lines.append(f"{target} = keras.Input({shape!r}, name={call.name!r}, dtype={dtype!r})")
        return
    slot = passed_float(call.layer)
    if slot is not None:
        raise NotInQKeras(call.name, f"the quantizer of {slot} lets part of the float values pass")
    inputs = [variables[name] for name in call.sources]
    listed = inputs[0] if len(inputs) == 1 else f"[{', '.join(inputs)}]"
    if class_of(call.layer) == "MultiHeadAttention":
        listed = ", ".join(inputs)
    after = _after(call)
    only_quantizer = class_of(call.layer) in ("InputLayer", "Activation") and after
    if only_quantizer:
        source.lines.append(f"{target} = {listed}")
    else:
        layer = written.get(call.layer.name)
        if layer is None:
            layer = written[call.layer.name] = f"layer_{len(written)}"
            source.lines.append(f"{layer} = {_layer(source, call)}")
            source.loads += _loads(source, call)
        source.lines.append(f"{target} = {layer}({listed})")
    for index, (expression, suffix) in enumerate(after):
        name = call.name if only_quantizer and index == len(after) - 1 else f"{call.name}_{suffix}"
        source.lines.append(f"{target} = {expression.format(name=name.replace('#', '_call_'))}({target})")


def _after(call: Call) -> list[tuple[str, str]]:
    """Layers that follow: the function, then the quantizer of its values, as expressions with a place for a name."""
    layer, spec = call.layer, specs_of(call.layer).get("activation")
    if class_of(layer) in _RECURRENT or spec is None:
        return []
    steps = []
    function = function_name(call)
    replaced = layer.quantizer("activation").is_activation
    if function != "linear" and not replaced:
        steps.append((f"keras.layers.Activation({function!r}, name='{{name}}')", "function"))
    steps.append((f"qkeras.QActivation({_quantizer(call, spec)}, name='{{name}}')", "quantizer"))
    return steps


# ---- layers ----------------------------------------------------------------------------------------------------------


def _layer(source: Source, call: Call) -> str:
    """The expression of a layer without its function, which comes behind where it is quantized."""
    layer, name = call.layer, class_of(call.layer)
    config = {
        key: value
        for key, value in layer.get_config().items()
        if key not in _LEFT_OUT and not key.endswith(_TRAINING) and (value is not None or name in _NESTED)
    }
    specs = specs_of(layer)
    if specs.get("activation") is not None and "activation" in config and name not in _RECURRENT:
        config["activation"] = "linear"
    if name in ("ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax") and _is_replaced(layer):
        return f"keras.layers.Activation('linear', name={layer.name!r})"
    if name in _NESTED:
        return _nested(source, call, config)
    slots = _LAYERS.get(name)
    quantized = {slot for slot in specs if slot != "activation"}
    if slots is None or not quantized <= set(slots):
        if quantized:
            source.plain.append(call.name)
        return f"keras.layers.{name}({_arguments(config)})"
    for slot in quantized:
        config[slots[slot]] = _Raw(_weight_quantizer(source, call, slot))
    return (
        f"qkeras.Q{name}({_arguments(config)})" if quantized else f"keras.layers.{name}({_arguments(config)})"
    )


def _is_replaced(layer: Any) -> bool:
    quantizer = layer.quantizer("activation") if isinstance(layer, QuantizedLayer) else None
    return quantizer is not None and bool(quantizer.is_activation)


def _nested(source: Source, call: Call, config: Mapping[str, Any]) -> str:
    specs = specs_of(call.layer)
    functions = [
        slot for slot in ("activation", "recurrent_activation", "state") if specs.get(slot) is not None
    ]
    if functions and class_of(call.layer) in _RECURRENT:
        raise NotInQKeras(
            call.name, f"its {functions[0]} is quantized inside the loop over time; leave that slot out"
        )
    if specs:
        source.plain.append(call.name)
    return f"keras.layers.{class_of(call.layer)}.from_config({_literal(config)})"


class _Raw(str):
    """Source that stands as it is."""


def _arguments(config: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}={value if isinstance(value, _Raw) else _literal(value)}" for key, value in config.items()
    )


def _literal(value: Any) -> str:
    """A configuration as Python source: what JSON has, and tuples."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_literal(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_literal, value))
        return f"({inner}{',' * (len(value) == 1)})" if isinstance(value, tuple) else f"[{inner}]"
    if isinstance(value, np.generic):
        return repr(value.item())
    return repr(value)


# ---- weights ---------------------------------------------------------------------------------------------------------


def _loads(source: Source, call: Call) -> list[str]:
    """The line that loads a layer's weights, each as the numbers that the model computes with."""
    layer = call.layer
    values = [_numbers(layer, variable) for variable in _own(layer)]
    name = layer.name
    for index, value in enumerate(values):
        source.arrays[f"{name}/{index}"] = value
    if class_of(layer) == "BatchNormalization" and set(specs_of(layer)) - {"activation"}:
        _affine_normalization(source, layer, len(values))
    return [f"model.get_layer({name!r}).set_weights(weights({name!r}, {len(values)}))"] if values else []


def _own(layer: Any) -> list[Any]:
    """The variables that Keras' own layer has, in its order."""
    state = getattr(layer, "quantizer_state", None)
    states = {id(variable) for variable in state.weights} if isinstance(state, QuantizerState) else set()
    return [
        variable for variable in layer.weights if id(variable) not in states and "seed" not in variable.path
    ]


def _numbers(layer: Any, variable: Any) -> np.ndarray:
    """A variable, quantized where its slot is."""
    for owner, slot in _slots(layer):
        if owner._attribute(slot) is variable and owner.quantizer(slot) is not None:
            codes, scale = owner.quantized_weights()[slot]
            return np.asarray(codes.astype(np.float32) * scale, np.float32)
    return np.asarray(ops.convert_to_numpy(variable))


def _slots(layer: Any) -> list[tuple[Any, str]]:
    owners = layer.slot_owners() if isinstance(layer, QuantizedLayer) else ()
    return [(owner, slot) for owner in owners for slot in owner.slots if owner._is_weight(slot)]


def _affine_normalization(source: Source, layer: Any, count: int) -> None:
    """inverse in the place of gamma, and a variance that makes the rest of it 1."""
    if "inverse" not in specs_of(layer):
        return
    numbers = {
        slot: np.asarray(codes * scale, np.float32)
        for slot, (codes, scale) in layer.quantized_weights().items()
    }
    if not layer.scale:
        raise NotInQKeras(layer.name, "scale=False with a quantized inverse; use scale=True")
    center = [numbers.get("beta", np.asarray(ops.convert_to_numpy(layer.beta)))] if layer.center else []
    mean = numbers.get("mean", np.asarray(ops.convert_to_numpy(layer.moving_mean)))
    variance = np.full_like(mean, np.float32(1.0) - np.float32(layer.epsilon))
    values = [numbers["inverse"], *center, mean, variance]
    assert len(values) == count
    source.arrays |= {f"{layer.name}/{index}": value for index, value in enumerate(values)}
    source.inexact[layer.name] = (
        "a normalization of quantized numbers, which Keras multiplies in another order"
    )


def _weight_quantizer(source: Source, call: Call, slot: str) -> str:
    """A quantizer of qkeras that leaves the numbers of a slot as they are."""
    layer = call.layer
    spec = specs_of(layer)[slot]
    codes, scale = layer.quantized_weights()[slot]
    if spec.kind == "quantized_po2":
        bound = f", {spec.max_value!r}" if spec.max_value is not None else ""
        return f"qkeras.quantized_po2({spec.bits}{bound})"
    top = max(int(np.abs(codes).max(initial=0)), 1)
    if top.bit_length() > _WIDEST:
        raise NotInQKeras(
            call.name, f"{slot} has codes of {top.bit_length()} bits, which float32 does not hold"
        )
    bits = max(int(spec.bits), top.bit_length() + 1)
    name = f"{layer.name}/{slot}/scale"
    step = np.asarray(scale, np.float32) * np.float32(
        2.0 ** (bits - 1)
    )  # of qkeras: a scale of the numbers in [-1, 1]
    source.arrays[name] = np.where(step > 0, step, np.float32(1.0))
    return f"qkeras.quantized_bits({bits}, 0, 1, alpha='auto', post_training_scale=scale({name!r}))"


def _quantizer(call: Call, spec: Any) -> str:
    """An activation quantizer as qkeras' expression."""
    fault = activation_fault(spec) if spec.kind in ACTIVATIONS else "qkeras has no such quantizer"
    if fault is not None:
        raise NotInQKeras(call.name, f"{spec}: {fault}")
    kind = ACTIVATIONS[spec.kind]
    values = {name: getattr(spec, name) for name in spec.argument_names() if name in _KEPT.get(kind, ())}
    defaults = type(spec).model_fields
    written = {
        name: value for name, value in values.items() if name == "bits" or value != defaults[name].default
    }
    if kind in ("binary", "ternary"):
        written["alpha"] = 1.0 if spec.alpha is None else spec.alpha
        if spec.kind == "bernoulli":
            written["use_01"] = True
    return f"qkeras.{kind}({_arguments(written)})"


_FIXED: Final = ("bits", "integer", "symmetric", "keep_negative", "alpha")
#: Arguments that count at inference.
_KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "quantized_bits": _FIXED,
    "quantized_linear": _FIXED,
    "quantized_relu": (
        "bits",
        "integer",
        "use_sigmoid",
        "negative_slope",
        "relu_upper_bound",
        "is_quantized_clip",
    ),
    "quantized_tanh": ("bits", "symmetric", "use_real_tanh"),
    "quantized_sigmoid": ("bits", "symmetric", "use_real_sigmoid"),
    "quantized_ulaw": ("bits", "integer", "symmetric", "u"),
    "quantized_po2": ("bits", "max_value", "quadratic_approximation", "log2_rounding"),
    "binary": ("use_01", "alpha"),
    "ternary": ("alpha", "threshold"),
}
