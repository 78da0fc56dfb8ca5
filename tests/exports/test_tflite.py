"""The format `tflite`: by LiteRT where it is installed, and always by TensorFlow's interpreter and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from keras import layers
from tensorflow.lite.python import schema_py_generated as schema

from costmodel.layer_classes import INPUT as INPUT_LAYER
from quantization.export.comparison import classes_of
from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused
from quantization.export.export import export_model
from quantization.export.legality.tflite import TFLITE
from quantization.export.proof import model_outputs
from quantization.export.writers.tflite import write
from quantization.export.writers.tflite_model.layers import LAYERS
from quantization.export.written import Export
from tests.exports.contract import PREPROCESSING, ExportContract
from tests.exports.models import BIAS, INPUT, KERNEL, RELU, WEIGHTS, examples, network, quantized

TAKES = ("mlp", "cnn", "residual", "sequential")


class TestTflite(ExportContract):
    name = "tflite"
    takes = TAKES
    tolerance = 0.35
    inexact: ClassVar = {
        "mlp": ("hidden", "scores"),
        "cnn": ("conv", "scores"),
        "residual": ("branch", "scores", "start"),
        "sequential": ("conv", "scores"),
    }

    refuses: ClassVar = {
        "a separable convolution": (
            lambda: network("depthwise"),
            "separable",
            "SeparableConv2D is not one of",
        ),
        "sixteen bits": (
            lambda: _dense(KERNEL, "quantized_relu(16,2)"),
            "hidden",
            "activations have at most 8 bits",
        ),
        "the code -128": (
            lambda: _dense("quantized_bits(8,0,0,alpha=1.0)", RELU),
            "hidden",
            "symmetric=True",
        ),
        "a float kernel": (lambda: _dense(None, RELU), "hidden", "its kernel has no quantizer"),
    }

    @classmethod
    def export(cls, model: keras.Model, folder: Path) -> Export:
        cls.need_packages()
        context = ExportContext(examples(model, 256), PREPROCESSING)
        return export_model(model, cls.name, folder, context)


def _dense(kernel: str | None, activation: str) -> keras.Model:
    x = layers.Input((6,), name="image")
    y = layers.Dense(8, activation="relu", name="hidden")(x)
    model = keras.Model(x, layers.Dense(3, name="scores")(y))
    slots = {"activation": activation} | ({} if kernel is None else {"kernel": kernel})
    return quantized(model, INPUT | {"hidden": slots, "scores": WEIGHTS})


def written(model: keras.Model, folder: Path, **options: Any) -> tuple[Written, bytes]:
    result = write(model, folder, ExportContext(examples(model, 256), options={"int4": True, **options}))
    return result, (folder / "model.tflite").read_bytes()


def graph_of(data: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0)).subgraphs[0]


# ---- without LiteRT --------------------------------------------------------------------------------------------------


def computed(data: bytes, x: np.ndarray) -> np.ndarray:
    """By the interpreter of TensorFlow, without delegates."""
    module = pytest.importorskip("tensorflow.lite.python.interpreter")
    resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(
        model_content=data, experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = source["quantization"]
    step, middle = target["quantization"]
    rows = []
    for example in np.clip(np.round(x / np.float32(scale)) + zero, -128, 127).astype(np.int8):
        interpreter.set_tensor(source["index"], example[None])
        interpreter.invoke()
        rows.append(
            (interpreter.get_tensor(target["index"])[0].astype(np.float32) - middle) * np.float32(step)
        )
    return np.stack(rows)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("taken", TAKES)
def test_the_integers_give_the_classes_of_the_model(taken: str, tmp_path: Path) -> None:
    model = network(taken)
    result, data = written(model, tmp_path)
    x = examples(model, seed=1)
    [expected] = model_outputs(model, x, "logits")
    actual = computed(data, x)
    assert "scores" in result.inexact
    assert np.abs(actual - expected).mean() <= 0.05 * np.abs(expected).max()
    assert np.mean(classes_of(actual, "logits") == classes_of(expected, "logits")) >= 0.9


def test_no_tensor_holds_floats(tmp_path: Path) -> None:
    for taken in TAKES:
        _, data = written(network(taken), tmp_path)
        kinds = {tensor.type for tensor in graph_of(data).tensors}
        assert kinds <= {schema.TensorType.INT4, schema.TensorType.INT8, schema.TensorType.INT32}
        assert data[4:8] == b"TFL3"


def test_weights_are_packed_to_four_bits_with_a_scale_a_channel(tmp_path: Path) -> None:
    model = network("cnn")
    _, data = written(model, tmp_path)
    flat = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    kernel = next(tensor for tensor in flat.subgraphs[0].tensors if tensor.name == b"conv/kernel")
    codes, scale = model.get_layer("conv").quantized_weights()["kernel"]
    packed = np.asarray(flat.buffers[kernel.buffer].data, np.uint8)
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1).ravel()[: codes.size].astype(np.int8)
    nibbles = np.where(nibbles > 7, nibbles - 16, nibbles)
    assert kernel.type == schema.TensorType.INT4
    np.testing.assert_array_equal(nibbles.reshape(kernel.shape), np.moveaxis(codes, -1, 0))
    np.testing.assert_array_equal(kernel.quantization.scale, np.broadcast_to(scale, (4,)))
    _, plain = written(model, tmp_path, int4=False)
    assert schema.TensorType.INT4 not in {tensor.type for tensor in graph_of(plain).tensors}
    assert len(plain) > len(data)


def test_a_bias_that_its_sums_cannot_hold_is_named(tmp_path: Path) -> None:
    x = layers.Input((6,), name="image")
    model = keras.Model(x, layers.Dense(3, name="scores")(x))
    coarse = {"image": {"activation": "quantized_bits(2,1,0,keep_negative=False)"}}
    slots = {"kernel": "quantized_bits(2,1,1,alpha=1.0)", "bias": BIAS, "activation": "quantized_bits(6,3,1)"}
    result, _ = written(quantized(model, coarse | {"scores": slots}), tmp_path)
    assert "bias is rounded" in result.inexact["scores"]


def test_the_table_lists_what_is_written() -> None:
    assert TFLITE.layers is not None
    assert TFLITE.layers | TFLITE.left_out | {INPUT_LAYER} == set(LAYERS)


def test_what_no_description_shows_is_refused(tmp_path: Path) -> None:
    model = quantized(network("mlp"), {"hidden": {"kernel": "quantized_bits(4,0,1,qnoise_factor=0.5)"}})
    with pytest.raises(ExportRefused, match="part of the float values"):
        written(model, tmp_path)
