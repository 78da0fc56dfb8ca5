"""Layers with folded batch normalization against QKeras: outputs, statistics, freezing, gradients, folded weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest
from keras import ops

from quantization.layers import QUANTIZED_LAYERS
from quantization.specs.parse import as_spec, parse_quantizer
from tests.golden.libraries import Case, cases, gradients

_CASES: Final = cases("qkeras_batchnorm_layers")
_RUNS: Final = [case for case in _CASES if "y_infer" in case.outputs]
_SAVED: Final = [case for case in _CASES if case.feature == "save_load"]
#: Class of QKeras -> ours.
_LAYERS: Final = {
    "QDenseBatchnorm": "DenseBatchNormalization",
    "QConv1DBatchnorm": "Conv1DBatchNormalization",
    "QConv2DBatchnorm": "Conv2DBatchNormalization",
    "QDepthwiseConv2DBatchnorm": "DepthwiseConv2DBatchNormalization",
}
_PASSED_ON: Final = (
    "folding_mode",
    "ema_freeze_delay",
    "use_bias",
    "momentum",
    "epsilon",
    "center",
    "scale",
    "strides",
    "padding",
    "depth_multiplier",
    "dilation_rate",
)


def _layer(case: Case) -> Any:
    params = case.params
    name = _LAYERS[params["layer"]]
    arguments = {key: params[key] for key in _PASSED_ON if key in params}
    quantizers = {
        "kernel": _along_the_last_axis(params["kernel_quantizer"]),
        "bias": params["bias_quantizer"],
    }
    if params.get("activation"):
        quantizers["activation"] = params["activation"]
    if name.startswith("Depthwise"):
        size: tuple[Any, ...] = (tuple(params["kernel_size"]),)
    elif name.startswith("Dense"):
        size = (params["units_or_filters"],)
    else:
        size = (params["units_or_filters"], tuple(params["kernel_size"]))
    return QUANTIZED_LAYERS[name](*size, quantizers=quantizers, **arguments)


def _along_the_last_axis(text: str | None) -> Any:
    """A kernel's quantizer with scales along the last axis, as QKeras has them; a depthwise kernel has its own here."""
    if text is None:
        return None
    spec = parse_quantizer(text)
    rules = {"last_axis": True} if "last_axis" in type(spec).model_fields else {}
    return as_spec(spec.model_dump() | rules)


def _built(case: Case) -> Any:
    layer = _layer(case)
    layer.build(case.inputs["x_infer"].shape)
    weights = {
        "kernel": layer.kernel,
        "bias": layer.bias,
        "gamma": layer.batchnorm.gamma,
        "beta": layer.batchnorm.beta,
        "moving_mean": layer.batchnorm.moving_mean,
        "moving_variance": layer.batchnorm.moving_variance,
    }
    for name, weight in weights.items():
        if weight is not None:
            weight.assign(case.inputs[name])
    return layer


def _array(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(value))


def _check(case: Case, key: str, actual: Any, ties: float = 0.0) -> None:
    """Equal within the file's tolerance; at a rounding tie the neighbouring level is as right."""
    expected = case.outputs[key]
    rtol, atol = case.tolerance["rtol"], case.tolerance["atol"]
    wrong = ~np.isclose(_array(actual), expected, rtol=rtol, atol=atol)
    assert wrong.mean() <= ties, (key, _array(actual)[wrong], expected[wrong])


@pytest.mark.parametrize("case", _RUNS, ids=str)
def test_outputs_and_statistics_equal_the_reference_at_every_step(case: Case) -> None:
    layer = _built(case)
    _check(case, "y_infer", layer(case.inputs["x_infer"], training=False))
    for step in range(1, case.params["train_steps"] + 1):
        _check(case, f"y{step}", layer(case.inputs[f"x{step}"], training=True))
        _check(case, f"moving_mean{step}", layer.batchnorm.moving_mean)
        _check(case, f"moving_variance{step}", layer.batchnorm.moving_variance)
        assert int(_array(layer.iteration)) == int(case.outputs[f"iteration{step}"])
    _check(case, "y_infer_end", layer(case.inputs["x_infer"], training=False))


@pytest.mark.parametrize("case", _RUNS, ids=str)
def test_folded_weights_equal_the_reference_before_and_after_training(case: Case) -> None:
    layer = _built(case)
    for key in ("0", "_end"):
        kernel, bias = layer.get_folded_weights()
        _check(case, f"folded_kernel{key}", kernel)
        _check(case, f"folded_bias{key}", bias)
        for step in range(1, case.params["train_steps"] + 1):
            layer(case.inputs[f"x{step}"], training=True)


@pytest.mark.parametrize("case", _RUNS, ids=str)
def test_gradients_of_the_first_step_equal_the_reference(case: Case) -> None:
    layer = _built(case)
    weights = {
        "kernel": layer.kernel,
        "bias": layer.bias,
        "gamma": layer.batchnorm.gamma,
        "beta": layer.batchnorm.beta,
    }
    present = {key: weight for key, weight in weights.items() if weight is not None}
    x_and_weights = _weight_gradients(layer, case, list(present.values()))
    _check(case, "grad1_x", x_and_weights[0])
    for key, gradient in zip(present, x_and_weights[1:], strict=True):
        if f"grad1_{key}" in case.outputs:
            _check(case, f"grad1_{key}", gradient)


def _weight_gradients(layer: Any, case: Case, weights: list[Any]) -> list[np.ndarray]:
    """Gradients of sum(y * r), first of x, then of the weights."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.constant(case.inputs["x1"])
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(layer(x, training=True) * case.outputs["r"])
        return [_array(value) for value in tape.gradient(total, [x, *(weight.value for weight in weights)])]
    trainable, others = layer.trainable_variables, layer.non_trainable_variables

    def total_of(x: Any, *values: Any) -> Any:
        values_by_id = {id(weight): value for weight, value in zip(weights, values, strict=True)}
        arguments = [values_by_id.get(id(variable), variable.value) for variable in trainable]
        outputs, _ = layer.stateless_call(
            arguments, [variable.value for variable in others], x, training=True
        )
        return ops.sum(outputs * case.outputs["r"])

    return gradients(total_of, case.inputs["x1"], *(_array(weight) for weight in weights))


_ID: Final = re.compile(r"save_(dense|conv2d|dwconv2d)_(ema_s|batch)_fd(None|-?\d+)_bias([01])_(\w+)")


def _saved_layer(case: Case) -> Any:
    """The layer a case of saving names: by its own run if the file has it, else by what its name says."""
    match = _ID.fullmatch(case.id)
    assert match is not None
    kind, mode, delay, bias, quantizer = match.groups()
    name = {"dense": "Dense", "conv2d": "Conv2D", "dwconv2d": "DepthwiseConv2D"}[kind] + "BatchNormalization"
    size: tuple[Any, ...] = {"dense": (3,), "conv2d": (3, (3, 3)), "dwconv2d": ((3, 3),)}[kind]
    quantized = quantizer.startswith("fixed")
    return QUANTIZED_LAYERS[name](
        *size,
        use_bias=bias == "1",
        ema_freeze_delay=None if delay == "None" else int(delay),
        folding_mode={"ema_s": "ema_stats_folding", "batch": "batch_stats_folding"}[mode],
        quantizers={"kernel": "quantized_bits(4,0,1)", "bias": "quantized_bits(8,3,1)"} if quantized else {},
    )


@pytest.mark.parametrize("case", _SAVED, ids=str)
def test_a_layer_the_reference_cannot_reload_is_saved_and_loaded(case: Case, tmp_path: Path) -> None:
    layer = _saved_layer(case)
    shape = (4,) if "dense" in case.id else (5, 5, 2)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    layer(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(_array(loaded(x, training=False)), _array(model(x, training=False)))
    assert int(_array(loaded.layers[-1].iteration)) == int(_array(layer.iteration)) == 0


def test_the_expressions_of_the_cases_are_readable() -> None:
    texts = {
        case.params.get(key) for case in _RUNS for key in ("kernel_quantizer", "bias_quantizer", "activation")
    }
    assert all(str(parse_quantizer(text)) for text in texts if text)
