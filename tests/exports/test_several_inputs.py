"""Networks of two inputs: exported and proven where a format takes them, refused with the remedy where it does not."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from quantization.export.context import ExportContext, Floats
from quantization.export.errors import ExportRefused
from quantization.export.export import export_model
from quantization.export.formats import FORMATS
from quantization.export.proof import prove
from quantization.models.convert import quantize

TAKE = ("keras", "keras_plain", "onnx", "qonnx", "hls4ml", "qkeras")
_WEIGHTS = {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}
_HIDDEN = _WEIGHTS | {"activation": "quantized_relu(4,2)"}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(4)
    b, a = layers.Input((4, 4, 1), name="b"), layers.Input((3,), name="a")
    x = layers.Flatten(name="flat")(layers.Conv2D(2, 3, activation="relu", name="conv")(b))
    y = layers.Dense(8, activation="relu", name="hidden")(a)
    joined = layers.Add(name="join")([x, y])
    network = keras.Model({"a": a, "b": b}, layers.Dense(3, activation="softmax", name="scores")(joined))
    grid = {"activation": "quantized_bits(8,1,1)"}
    return quantize(network, {"a": grid, "b": grid, "conv": _HIDDEN, "hidden": _HIDDEN, "scores": _WEIGHTS})


def examples(seed: int) -> tuple[Floats, Floats]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(20, 3)).astype("float32"), draw.normal(size=(20, 4, 4, 1)).astype("float32")


@pytest.mark.parametrize("name", TAKE)
def test_what_takes_them_computes_the_same(name: str, model: keras.Model, tmp_path: Path) -> None:
    if missing := list(FORMATS[name].missing()):
        pytest.skip(f"not installed: {', '.join(missing)}")
    export = export_model(model, name, tmp_path, ExportContext(examples(0)))
    proof = prove(model, export, examples(1), (True,))
    assert proof.examples == 20
    assert proof.equal_classes == 1.0
    assert proof.largest_difference <= 1e-6


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {*TAKE}))
def test_what_reads_one_array_names_the_remedy(name: str, model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match=r"a second input; .* keras_plain, onnx, qonnx, hls4ml or qkeras"):
        export_model(model, name, tmp_path / "out", ExportContext(examples(0)))
    assert not (tmp_path / "out").exists()
