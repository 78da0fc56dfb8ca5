"""A quantized chain as Python source of cnn2snn's layers, and the arrays that it loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from costmodel.layer_classes import INPUT, TRAINING_ONLY
from quantization.export.errors import NotExpressible
from quantization.export.writers.reading import class_of, coded, each, is_end, passed_float, specs_of
from quantization.graph import Call, ModelGraph, NoGraph
from quantization.models.convert import caching_weights
from quantization.models.fold import folded_layers, unfold
from quantization.quantizers import build_quantizer

_TIE: Final = "it is compared with thresholds: a tie goes down, and thresholds are whole numbers"
_HEAD: Final = '''"""{name}, of cnn2snn's layers: `build()` returns it with the weights of weights.npz beside this file.

Written by fewbits for cnn2snn 2. Run as a program it saves model.fbz, converted for Akida 1. Inputs are whole
numbers, see input.json.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

from pathlib import Path

import cnn2snn
import numpy as np
import tensorflow as tf
import tf_keras
from cnn2snn import quantization_layers as quantized
from cnn2snn.quantization_ops import LinearWeightQuantizer

HERE = Path(__file__).resolve().parent
ARRAYS = np.load(HERE / "weights.npz")


@tf_keras.saving.register_keras_serializable()
class Fixed(LinearWeightQuantizer):
    """Codes by a scale that is known."""

    def __init__(self, bitwidth, array, **kwargs):
        super().__init__(bitwidth, **kwargs)
        self.array = array

    def scale_factor(self, w):
        return tf.constant(1.0 / ARRAYS[self.array], tf.float32)

    def get_config(self):
        return super().get_config() | {{"array": self.array}}


@tf_keras.saving.register_keras_serializable()
class Steps(quantized.QuantizedActivation):
    """A ReLU of so many bits, with a given step and threshold."""

    def __init__(self, bitwidth, step, threshold, **kwargs):
        super().__init__(bitwidth, **kwargs)
        self.values = {{"step": step, "threshold": threshold}}

    @property
    def threshold(self):
        return tf.constant(self.values["threshold"])

    @property
    def step(self):
        return tf.constant(self.values["step"])

    def get_config(self):
        return super().get_config() | self.values


def weights(layer, count):
    """The arrays of a layer."""
    return [ARRAYS[f"{{layer}}/{{index}}"] for index in range(count)]


def build():
    """The model with its weights."""
'''
_TAIL: Final = """

if __name__ == "__main__":
    with cnn2snn.set_akida_version(cnn2snn.AkidaVersion.v1):
        cnn2snn.convert(build()).save(str(HERE / "model.fbz"))
"""


class NotInAkida(NotExpressible):
    """A layer of the model cannot be written for Akida: `layer`, `reason`."""

    written = "for Akida"


@dataclass
class AkidaSource:
    """The text of the file, its arrays, how inputs become codes, and which layers are close."""

    lines: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    inexact: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def note(self) -> str:
        """What runs it reads."""
        return f"inputs are codes of 0 to {self.inputs['largest']}: the number divided by {self.inputs['step']:g}"


def akida_source(model: keras.Model) -> AkidaSource:
    """The built chain as source. Raises `NotInAkida`, naming the layer."""
    whole = unfold(model) if folded_layers(model) else model
    try:
        calls = ModelGraph(whole)
    except NoGraph as error:
        raise NotInAkida(model.name, str(error)) from error
    source = AkidaSource()
    with caching_weights(whole):
        for call in calls:
            _call(source, call, calls)
    [output] = calls.outputs
    last = calls.call(output)
    spec = specs_of(last.layer).get("activation")
    grid = None if spec is None or last.is_input else build_quantizer(spec).grid
    if grid is not None:
        source.inputs["output_step"] = float(grid[2])
    source.inputs["output_shape"] = [int(size) for size in last.outputs[0].shape[1:]]
    source.lines += ["model = tf_keras.Model(inputs, x)", *source.loads, "return model"]
    body = "".join(f"    {line}\n" for line in source.lines)
    source.text = _HEAD.format(name=model.name) + body + _TAIL
    return source


def _call(source: AkidaSource, call: Call, calls: ModelGraph) -> None:
    layer, name = call.layer, class_of(call.layer)
    if call.is_input:
        _start(source, call, calls)
        return
    slot = passed_float(layer)
    if slot is not None:
        raise NotInAkida(call.name, f"the quantizer of {slot} lets part of the float values pass")
    if name in _LAYERS:
        source.lines.append(f"x = {_LAYERS[name](source, call)}(x)")
    elif name not in (INPUT, "Activation", "ReLU", "Softmax", *TRAINING_ONLY):
        raise NotInAkida(call.name, f"{name} has no form here; there are {', '.join(_LAYERS)}")
    spec = specs_of(layer).get("activation")
    if name != INPUT and spec is not None:
        source.lines.append(f"x = {_activation(call, spec, name)}(x)")
        source.inexact[call.name] = _TIE
    elif spec is None and not is_end(call, calls) and _rectifies(call):
        raise NotInAkida(call.name, "its function has no quantizer, so it stays float")


def _rectifies(call: Call) -> bool:
    name = getattr(getattr(call.layer, "activation", None), "__name__", "linear")
    return class_of(call.layer) == "ReLU" or name not in ("linear",)


def _start(source: AkidaSource, call: Call, calls: ModelGraph) -> None:
    """The input as codes, and their scale."""
    readers = calls.readers(call.name)
    specs = [specs_of(reader.layer).get("activation") for reader in readers]
    grid = build_quantizer(specs[0]).grid if specs and specs[0] is not None else None
    if grid is None or grid[0] != 0:
        raise NotInAkida(call.name, "its numbers are no codes without a sign")
    _, largest, step = grid
    source.inputs |= {"step": float(step), "largest": int(largest)}
    shape = tuple(int(size) for size in call.outputs[0].shape[1:])
    source.lines.append(f"inputs = x = tf_keras.Input({shape!r}, name={call.name!r})")
    source.lines.append(f"x = tf_keras.layers.Rescaling({float(step)!r})(x)")


# ---- layers ----------------------------------------------------------------------------------------------------------


def _weighted(source: AkidaSource, call: Call, slots: tuple[str, ...]) -> str:
    """The arguments of quantizers; the arrays of the layer are kept."""
    layer = call.layer
    arguments = []
    for index, slot in enumerate(slots):
        codes, scale = coded(layer, slot)
        name = f"{layer.name}/{slot}/scale"
        steps = np.where(scale > 0, scale, np.float32(1.0)).astype(np.float32)
        source.arrays[name] = steps.reshape(-1) if steps.ndim else steps
        source.arrays[f"{layer.name}/{index}"] = codes.astype(np.float32) * scale
        argument = "quantizer_dw" if slot == "kernel" and len(slots) == 2 else "quantizer"
        arguments.append(f"{argument}=Fixed({specs_of(layer)[slot].bits}, {name!r})")
    count = len(slots)
    if layer.use_bias:
        source.arrays[f"{layer.name}/{count}"] = _bias(layer)
        count += 1
    source.loads.append(f"model.get_layer({layer.name!r}).set_weights(weights({layer.name!r}, {count}))")
    return ", ".join([*arguments, f"use_bias={bool(layer.use_bias)}", f"name={layer.name!r}"])


def _bias(layer: Any) -> np.ndarray:
    if "bias" in specs_of(layer):
        codes, scale = coded(layer, "bias")
        return np.asarray(codes.astype(np.float32) * scale, np.float32)
    return np.asarray(ops.convert_to_numpy(layer.bias), np.float32)


def _windows(layer: Any) -> str:
    size = tuple(layer.kernel_size)
    return f"{size!r}, strides={each(layer.strides, size)!r}, padding={layer.padding!r}"


def _dense(source: AkidaSource, call: Call) -> str:
    return f"quantized.QuantizedDense({call.layer.units}, {_weighted(source, call, ('kernel',))})"


def _convolution(source: AkidaSource, call: Call) -> str:
    layer = call.layer
    return f"quantized.QuantizedConv2D({layer.filters}, {_windows(layer)}, {_weighted(source, call, ('kernel',))})"


def _separable(source: AkidaSource, call: Call) -> str:
    arguments = _weighted(source, call, ("kernel", "pointwise_kernel"))
    return f"quantized.QuantizedSeparableConv2D({call.layer.filters}, {_windows(call.layer)}, {arguments})"


def _pooling(source: AkidaSource, call: Call) -> str:
    layer = call.layer
    size = tuple(layer.pool_size)
    strides = each(layer.strides, size)
    return f"tf_keras.layers.MaxPooling2D({size!r}, strides={strides!r}, padding={layer.padding!r}, name={call.name!r})"


def _normalization(source: AkidaSource, call: Call) -> str:
    layer = call.layer
    if set(specs_of(layer)) - {"activation"}:
        raise NotInAkida(call.name, "a quantized normalization; fold it")
    for index, variable in enumerate(layer.weights):
        source.arrays[f"{layer.name}/{index}"] = np.asarray(ops.convert_to_numpy(variable), np.float32)
    source.loads.append(
        f"model.get_layer({layer.name!r}).set_weights(weights({layer.name!r}, {len(layer.weights)}))"
    )
    options = f"epsilon={layer.epsilon!r}, center={layer.center!r}, scale={layer.scale!r}"
    return f"tf_keras.layers.BatchNormalization({options}, name={call.name!r})"


def _plain(expression: str) -> Callable[[AkidaSource, Call], str]:
    return lambda source, call: f"tf_keras.layers.{expression}(name={call.name!r})"


def _reshape(source: AkidaSource, call: Call) -> str:
    return f"tf_keras.layers.Reshape({tuple(call.layer.target_shape)!r}, name={call.name!r})"


def _activation(call: Call, spec: Any, class_name: str) -> str:
    """A quantized ReLU by its step; the threshold lies half a step below the first level."""
    quantizer: Any = build_quantizer(spec)
    low, high, step = quantizer.grid
    if low != 0 or high != 2**spec.bits - 1:
        raise NotInAkida(call.name, f"{spec}: its codes must be 0 to {2**spec.bits - 1}")
    threshold = spec.threshold_value if spec.kind == "discrete_relu" else step / 2
    name = call.name if class_name in ("Activation", "ReLU") else f"{call.name}_fires"
    return f"Steps({spec.bits}, {float(step)!r}, {float(threshold)!r}, name={name!r})"


_LAYERS: Final[Mapping[str, Callable[[AkidaSource, Call], str]]] = {
    "BatchNormalization": _normalization,
    "Conv2D": _convolution,
    "Dense": _dense,
    "Flatten": _plain("Flatten"),
    "GlobalAveragePooling2D": _plain("GlobalAveragePooling2D"),
    "MaxPooling2D": _pooling,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
}
