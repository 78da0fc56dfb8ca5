"""What a format's rules take of an input's quantizer, its writer writes: of the input, or of the function behind it."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from quantization.export.context import ExportContext
from quantization.export.export import network_of
from quantization.export.formats import FORMATS
from quantization.export.writers.akida_source import akida_source
from quantization.export.writers.hls4ml_project.model import hls4ml_project
from quantization.export.writers.programs import written_program
from quantization.export.writers.tflite_model.model import tflite_model
from quantization.specs.parse import KINDS
from tests.exports.models import examples, quantized

_WEIGHTS = {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}
#: Beside every kind with its defaults.
_SPECIAL = (
    *("quantized_bits(8,0,0,keep_negative=0)", "quantized_bits(4,0,0,keep_negative=0)"),
    *("quantized_bits(12,0,1)", "quantized_bits(1,0,1)", "quantized_bits(8,0,1,alpha='auto')"),
    *("quantized_bits(8,0,1,alpha=0.7)", "quantized_bits(8,0,1,qnoise_factor=0.5)"),
    *("quantized_linear(8,0,keep_negative=0)", "quantized_linear(4,0,1,alpha=0.3)"),
    *("quantized_relu(4,0)", "quantized_relu(4,0,negative_slope=0.25)", "quantized_relu(4,0,use_sigmoid=1)"),
    *("quantized_relu(4,0,relu_upper_bound=0.4)", "quantized_tanh(6,use_real_tanh=1)", "binary(use_01=1)"),
)
_OF_ONE_WIDTH = ("bernoulli", "binary", "stochastic_binary", "stochastic_ternary", "ternary")
_SPECS = (None, *_SPECIAL, *(f"{kind}({'' if kind in _OF_ONE_WIDTH else 4})" for kind in sorted(KINDS)))
#: Formats of integers, which need codes.
_WRITTEN = ("akida", "hls4ml", "integers", "tflite")


def _model(spec: str | None, place: str) -> keras.Model:
    """A small chain that Akida takes, too."""
    x = layers.Input((8, 8, 1), name="image")
    y = layers.Activation("linear", name="pixels")(x) if place == "pixels" else x
    y = layers.Conv2D(4, 3, padding="same", name="conv")(y)
    y = layers.Activation("relu", name="fire")(y)
    y = layers.Dense(3, name="scores")(layers.Flatten(name="flat")(y))
    slots = {"conv": _WEIGHTS, "fire": {"activation": "quantized_relu(4,2)"}, "scores": _WEIGHTS}
    return quantized(keras.Model(x, y), slots | ({} if spec is None else {place: {"activation": spec}}))


def _write(name: str, model: keras.Model) -> None:
    """Without the format's own tool, and without files."""
    x = examples(model)
    if name == "hls4ml":
        hls4ml_project(model, (x,))
    elif name == "akida":
        akida_source(model)
    elif name == "tflite":
        tflite_model(model, x)
    else:
        written_program(name, model, ExportContext(x))


@pytest.mark.parametrize("place", ["image", "pixels"])
@pytest.mark.parametrize("spec", _SPECS)
def test_an_input_that_is_taken_is_written(spec: str | None, place: str) -> None:
    try:
        model = _model(spec, place)
    except ValueError:  # no quantizer with defaults, or none of an activation
        pytest.skip(f"{spec} is no quantizer of an input")
    network = network_of(model)
    for name in _WRITTEN:
        if not FORMATS[name].refusals(*network):
            _write(name, model)


def test_the_rules_are_no_wall() -> None:
    taken = {
        name: sum(not entry.refusals(*network_of(_model(spec, "image"))) for spec in _SPECIAL)
        for name, entry in FORMATS.items()
        if name in _WRITTEN
    }
    assert all(count >= 3 for count in taken.values()), taken
    assert taken["akida"] < len(_SPECIAL)
