"""The formats `onnx` and `qonnx`: by their runtimes where installed, and always by onnx' reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from costmodel.layer_classes import INPUT
from quantization.export.context import ExportContext
from quantization.export.errors import ExportRefused
from quantization.export.export import export_model
from quantization.export.formats import FORMATS
from quantization.export.legality.onnx import FUNCTIONS, GRIDS, ONNX, STEPS
from quantization.export.proof import model_outputs
from quantization.export.writers import onnx as onnx_writer
from quantization.export.writers import qonnx as qonnx_writer
from quantization.export.writers.onnx_graph import functions
from quantization.export.writers.onnx_graph.layers import LAYERS
from tests.exports import branches
from tests.exports.contract import ExportContract
from tests.exports.models import BIAS, NETWORKS, WEIGHTS, examples, network, quantized
from tests.exports.models import INPUT as QUANTIZED_INPUT

WRITERS = {"onnx": onnx_writer, "qonnx": qonnx_writer}


class Quant(OpRun):
    """QONNX' definition of `Quant`, rounding half to even."""

    op_domain = "qonnx.custom_op.general"

    def _run(  # type: ignore[override]
        self, x: Any, scale: Any, zero: Any, bits: Any, signed: int, narrow: int, rounding_mode: str
    ) -> tuple[Any]:
        assert rounding_mode == "ROUND"
        half = 2.0 ** (float(bits) - signed)
        low = -half + narrow if signed else 0.0
        return (((np.round(np.clip(x / scale + zero, low, half - 1)) - zero) * scale).astype(np.float32),)


class BipolarQuant(OpRun):
    """QONNX' definition of `BipolarQuant`."""

    op_domain = "qonnx.custom_op.general"

    def _run(self, x: Any, scale: Any) -> tuple[Any]:  # type: ignore[override]
        return (np.where(x >= 0, scale, -scale).astype(np.float32),)


class Trunc(OpRun):
    """QONNX' definition of version 1 of `Trunc`, rounding half to even."""

    op_domain = "qonnx.custom_op.general"

    def _run(  # type: ignore[override]
        self, x: Any, scale: Any, zero: Any, bits: Any, fewer: Any, rounding_mode: str
    ) -> tuple[Any]:
        assert rounding_mode == "ROUND"
        codes = x / scale + zero
        np.testing.assert_array_equal(codes, np.round(codes))
        assert 1 <= fewer < bits
        assert codes.min() >= -(2.0 ** (bits - 1))
        assert codes.max() < 2.0**bits
        return (((np.round(codes / 2.0 ** (bits - fewer)) - zero) * scale).astype(np.float32),)


def written(name: str, model: keras.Model, folder: Path, **options: Any) -> onnx.ModelProto:
    context = ExportContext(examples(model), options=FORMATS[name].checked({"end": "logits", **options}))
    WRITERS[name].write(model, folder, context)
    return onnx.load(folder / "model.onnx")


def evaluated(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model)
    evaluator = ReferenceEvaluator(model, new_ops=[Quant, BipolarQuant, Trunc])
    return np.asarray(evaluator.run(None, {model.graph.input[0].name: x})[0])


def both(name: str, model: keras.Model, x: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    return evaluated(written(name, model, folder), x), model_outputs(model, x, "logits")[0]


class OnnxContract(ExportContract):
    options: ClassVar = {"end": "logits"}
    refuses: ClassVar = {
        "a recurrent layer": (
            lambda: _with(layers.GRU(3, name="memory"), (4, 2)),
            "memory",
            "GRU is not one of",
        ),
        "a quantizer that follows the data": (
            lambda: _quantized_activation("quantized_bits(4,1,alpha='auto')"),
            "fire",
            "depends on the data",
        ),
        "another function": (
            lambda: _with(layers.Activation("mish", name="fire"), (4,)),
            "fire",
            "activation 'mish'",
        ),
    }

    @pytest.mark.parametrize("kind", ["grids", "steps", "weights"])
    def test_every_quantizer_is_computed(self, kind: str, tmp_path: Path) -> None:
        model, x = of_kind(kind)
        self.need_packages()
        export = self.export(model, tmp_path / "out")
        [expected] = model_outputs(model, x, "logits")
        np.testing.assert_array_equal(run(export, x), expected)


def run(export: Any, x: np.ndarray) -> np.ndarray:
    from quantization.export.run import run_export

    return run_export(export.format, export.folder, x).arrays[0]


class TestOnnx(OnnxContract):
    name = "onnx"


class TestQonnx(OnnxContract):
    name = "qonnx"


def _with(layer: Any, shape: tuple[int, ...]) -> keras.Model:
    x = layers.Input(shape, name="image")
    return keras.Model(x, layers.Dense(2, name="scores")(layers.Flatten()(layer(x))))


def _quantized_activation(text: str) -> keras.Model:
    x = layers.Input((4,), name="image")
    model = keras.Model(x, layers.Activation("linear", name="fire")(x))
    return quantized(model, {"fire": {"activation": text}})


def of_kind(kind: str) -> tuple[keras.Model, np.ndarray]:
    if kind == "weights":
        return branches.weights(branches.WEIGHTS), branches.sixteenths()
    texts = branches.GRIDS if kind == "grids" else branches.STEPS
    return branches.activations(texts), branches.numbers()


# ---- without any runtime ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["grids", "steps", "weights"])
def test_every_quantizer_is_written(name: str, kind: str, tmp_path: Path) -> None:
    model, x = of_kind(kind)
    actual, expected = both(name, model, x, tmp_path)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("about", NETWORKS)
def test_every_network_is_written(name: str, about: str, tmp_path: Path) -> None:
    model = network(about)
    actual, expected = both(name, model, examples(model, 4), tmp_path)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", WRITERS)
def test_scales_of_any_numbers_are_written_up_to_the_rounding_of_sums(name: str, tmp_path: Path) -> None:
    model, x = branches.weights(branches.SCALED), branches.sixteenths()
    actual, expected = both(name, model, x, tmp_path)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)
    context = ExportContext(x, options=FORMATS[name].checked({}))
    reasons = WRITERS[name].write(model, tmp_path, context).inexact
    assert set(reasons) == {f"dense_{index}" for index in range(len(branches.SCALED))}
    assert all("no powers of two" in reason for reason in reasons.values())


def test_the_kinds_of_the_table_are_those_that_are_written() -> None:
    assert set(functions._QUANTIZERS) == GRIDS | STEPS
    assert set(functions.FUNCTIONS) - {"swish"} == FUNCTIONS
    assert ONNX.layers is not None
    assert ONNX.layers | ONNX.left_out | {INPUT} == set(LAYERS)
    listed = {text.partition("(")[0] for text in (*branches.GRIDS, *branches.STEPS)}
    assert listed == GRIDS | STEPS


def test_qonnx_says_how_many_bits_each_number_has(tmp_path: Path) -> None:
    model = written("qonnx", network("cnn"), tmp_path)
    constants = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    quants = {node.name: node for node in model.graph.node if node.op_type == "Quant"}
    bits = {name: int(constants[node.input[3]]) for name, node in quants.items()}
    assert bits == {
        "image/Quant": 8,
        "conv/kernel/Quant": 4,
        "conv/bias/Quant": 8,
        "fire/Quant": 4,
        "scores/kernel/Quant": 4,
        "scores/bias/Quant": 8,
    }
    flags = {name: [a.i for a in node.attribute if a.name == "signed"] for name, node in quants.items()}
    assert flags["fire/Quant"] == [0]
    assert flags["conv/kernel/Quant"] == [1]


def test_onnx_holds_integers_of_four_and_eight_bits(tmp_path: Path) -> None:
    model = written("onnx", network("cnn"), tmp_path)
    types = {entry.name: onnx.TensorProto.DataType.Name(entry.data_type) for entry in model.graph.initializer}
    assert types["conv/kernel/codes"] == types["scores/kernel/codes"] == "INT4"
    assert types["conv/bias/codes"] in ("INT4", "INT8")
    assert "UINT8_0" in types  # the zero point of the activations


@pytest.mark.parametrize("name", WRITERS)
def test_layers_of_every_sort_are_written(name: str, tmp_path: Path) -> None:
    model = _sorts()
    x = examples(model, 3)
    actual, expected = both(name, model, x, tmp_path)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def _sorts() -> keras.Model:
    """A layer of every sort that the networks do not have."""
    x = layers.Input((8, 6, 4), name="image")
    y = layers.Conv2D(4, 3, dilation_rate=2, groups=2, padding="same", name="grouped")(x)
    y = layers.BatchNormalization(name="normal")(y)
    y = layers.Maximum(name="more")([y, layers.PReLU(name="slopes")(x)])
    y = layers.UpSampling2D(2, name="wide")(layers.ZeroPadding2D(((1, 0), (0, 2)), name="padded")(y))
    y = layers.Cropping2D(((1, 2), (0, 1)), name="cropped")(y)
    y = layers.AveragePooling2D(3, strides=2, padding="same", name="means")(layers.ELU(name="elu")(y))
    y = layers.Permute((2, 1, 3), name="turned")(layers.LeakyReLU(0.25, name="leaky")(y))
    z = layers.GlobalAveragePooling2D(name="mean")(layers.Activation("relu6", name="six")(y))
    w = layers.Reshape((-1, 4), name="row")(y)
    w = layers.SeparableConv1D(4, 3, padding="valid", name="separable")(w)
    w = layers.Conv1D(4, 2, padding="causal", dilation_rate=2, activation="tanh", name="causal")(w)
    w = layers.GlobalAveragePooling1D(name="peak")(layers.Subtract(name="less")([w, w]))
    v = layers.Concatenate(name="joined")([z, layers.Average(name="half")([w, z])])
    v = layers.RepeatVector(3, name="again")(layers.Dense(5, activation="softmax", name="shares")(v))
    v = layers.Multiply(name="product")([v, layers.Minimum(name="fewer")([v, v])])
    model = keras.Model(x, layers.Dense(3, activation="sigmoid", name="scores")(layers.Dropout(0.5)(v)))
    return quantized(model, QUANTIZED_INPUT | {"grouped": WEIGHTS, "separable": {"bias": BIAS}})


_EVEN = frozenset({"windows", "strided", "all"})
#: Quantizer of a mean -> poolings whose sums it cuts.
MEANS = {
    "quantized_relu(4,2)": _EVEN,
    "quantized_bits(6,2,1)": _EVEN,
    "quantized_bits(5,3,1)": _EVEN,
    "quantized_bits(8,2,1)": frozenset({"all"}),  # as fine as the sum of four
    "quantized_bits(4,1,1)": frozenset(),  # clips
    "quantized_bits(4,2,1,alpha=1.5)": frozenset(),
    "quantized_linear(4,2,1,alpha=0.75)": frozenset(),
}


def _means(quantizer: str, pooling: str) -> keras.Model:
    """Codes of four bits, a mean of several, and the quantizer of that."""
    pool = {
        "windows": lambda: layers.AveragePooling2D(2, name="means"),
        "strided": lambda: layers.AveragePooling2D((1, 4), strides=1, name="means"),
        "same": lambda: layers.AveragePooling2D(2, strides=1, padding="same", name="means"),
        "of three": lambda: layers.AveragePooling2D((1, 3), name="means"),
        "all": lambda: layers.GlobalAveragePooling2D(name="means"),
    }[pooling]()
    x = layers.Input((8, 8, 3), name="image")
    y = layers.Conv2D(4, 1, name="conv")(x)
    y = layers.MaxPooling2D(1, name="most")(layers.Activation("relu", name="fire")(y))
    y = layers.Flatten(name="flat")(pool(y))
    slots = {"conv": WEIGHTS, "fire": {"activation": "quantized_relu(4,2)"}, "scores": WEIGHTS}
    model = keras.Model(x, layers.Dense(3, name="scores")(y))
    return quantized(model, QUANTIZED_INPUT | slots | {"means": {"activation": quantizer}})


@pytest.mark.parametrize("pooling", ["windows", "strided", "same", "of three", "all"])
def test_the_last_bits_of_a_mean_are_cut(pooling: str, tmp_path: Path) -> None:
    for quantizer, cut in MEANS.items():
        model = _means(quantizer, pooling)
        x = examples(model, 4, seed=1)
        document = written("qonnx", model, tmp_path, cuts="trunc")
        nodes = [node.op_type for node in document.graph.node if node.name.startswith("means/")]
        assert ("Trunc" in nodes, "Quant" in nodes) == (pooling in cut, pooling not in cut), quantizer
        expected = model_outputs(model, x, "logits")[0]
        # three quarters of a step are rounded by every runtime in its own way
        tolerance = 0.5 if pooling not in _EVEN else 0.0
        np.testing.assert_allclose(
            evaluated(document, x), expected, rtol=0, atol=tolerance, err_msg=quantizer
        )


def test_means_are_quantized_by_default(tmp_path: Path) -> None:
    document = written("qonnx", _means("quantized_relu(4,2)", "windows"), tmp_path)
    assert "Trunc" not in {node.op_type for node in document.graph.node}


def test_qonnx_cuts_bits_as_the_model_does(tmp_path: Path) -> None:
    missing = list(FORMATS["qonnx"].missing())
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    model = _means("quantized_relu(4,2)", "windows")
    x = examples(model, seed=1)
    export = export_model(model, "qonnx", tmp_path, ExportContext(x), {"cuts": "trunc"})
    operators = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operators.count("Trunc") == 1
    np.testing.assert_array_equal(run(export, x), model_outputs(model, x, "logits")[0])


def test_an_integer_of_qonnx_is_not_cut_by_float32(tmp_path: Path) -> None:
    model = branches.weights(("quantized_bits(28,2,alpha=1.0)",))
    document = written("qonnx", model, tmp_path)
    assert [node.op_type for node in document.graph.node if "kernel" in node.name] == []
    actual, expected = both("qonnx", model, branches.sixteenths(), tmp_path)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_what_no_description_shows_is_refused_when_it_is_written(tmp_path: Path) -> None:
    model = quantized(network("mlp"), {"hidden": {"kernel": "quantized_bits(4,0,1,qnoise_factor=0.5)"}})
    with pytest.raises(ExportRefused, match="part of the float values"):
        written("onnx", model, tmp_path)
