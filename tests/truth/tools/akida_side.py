"""Runs in an environment of cnn2snn: what it makes of networks, one JSON line each. Reads a JSON list on stdin.

Every network is converted for Akida 1 and run by Akida's software; its results are compared with those of Keras. A
network that converts is also mapped on a virtual AKD1000.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import akida
import cnn2snn
import numpy as np
import tensorflow as tf
import tf_keras
from cnn2snn import quantization_layers as quantized
from cnn2snn import quantization_ops as weights

#: Share of the outputs' range by which they may differ: Akida rounds thresholds, so that a 4-bit code may be the next.
TOLERANCE = 0.1
_KERNELS = {
    "max": weights.MaxQuantizer,
    "max_per_axis": weights.MaxPerAxisQuantizer,
    "std": weights.StdWeightQuantizer,
    "std_per_axis": weights.StdPerAxisQuantizer,
}


def quantizer(text: str) -> Any:
    kind, bits = re.match(r"(\w+)\((\d+)", text).groups()
    return _KERNELS[kind](bitwidth=int(bits))


def built(net: dict[str, Any]) -> Any:
    """The network of cnn2snn's quantized layers, with random weights."""
    tensors = {net["start"]: tf_keras.Input(net["shape"], name=net["start"])}
    for class_name, name, sources, config in net["layers"]:
        layer = made(class_name, name, dict(config), net["quantizers"].get(name, {}))
        inputs = [tensors[source] for source in sources]
        tensors[name] = layer(inputs if len(inputs) > 1 else inputs[0])
    model = tf_keras.Model(tensors[net["start"]], tensors[net["layers"][-1][1]])
    random = np.random.default_rng(0)
    for weight in model.weights:
        values = random.normal(0, 0.2, weight.shape)
        weight.assign(np.abs(values) + 0.4 if "variance" in weight.name or "gamma" in weight.name else values)
    return model


def made(class_name: str, name: str, config: dict[str, Any], slots: dict[str, str]) -> Any:
    if class_name in ("ReLU", "LeakyReLU") and "negative_slope" in config and class_name == "LeakyReLU":
        config["alpha"] = config.pop("negative_slope")
    if class_name == "Activation" and "activation" in slots:
        bits, integer = map(int, re.findall(r"\d+", slots["activation"])[:2])
        # Levels 0, 1, 2 ... times 2^(integer - bits): the largest is that of the grid.
        return quantized.QuantizedReLU(bits, max_value=(2.0**bits - 1) * 2.0 ** (integer - bits), name=name)
    if "kernel" not in slots:
        return getattr(tf_keras.layers, class_name)(name=name, **config)
    if class_name == "SeparableConv2D":
        config["quantizer_dw"] = quantizer(slots["kernel"])
        return quantized.QuantizedSeparableConv2D(
            quantizer=quantizer(slots["pointwise_kernel"]), name=name, **config
        )
    return getattr(quantized, f"Quantized{class_name}")(
        quantizer=quantizer(slots["kernel"]), name=name, **config
    )


def verdict(net: dict[str, Any]) -> dict[str, Any]:
    """What becomes of a network: refused, other values, or converted; and whether it maps on the chip."""
    try:
        model = built(net)
    except Exception as error:
        return {"verdict": "not in cnn2snn", "why": short(error)}
    try:
        with cnn2snn.set_akida_version(cnn2snn.AkidaVersion.v1):
            converted = cnn2snn.convert(model)
    except BaseException as error:
        return {"verdict": "refused", "why": short(error)}
    is_image = len(net["shape"]) == 3 and net["shape"][-1] in (1, 3)
    x = np.random.default_rng(1).integers(0, 256 if is_image else 16, (8, *net["shape"])).astype(np.uint8)
    end = logits(model)
    expected = np.asarray(end(x.astype(np.float32))).reshape(len(x), -1)
    try:
        x = x if x.ndim == 4 else x[:, None, None, :]
        # A layer that ends in an activation gives codes; all grids here have the step 1.
        compute = (
            converted.predict if type(end.layers[-1]) is not quantized.QuantizedReLU else converted.forward
        )
        actual = compute(x).reshape(expected.shape)
    except BaseException as error:
        return {"verdict": "does not run", "why": short(error)}
    error = float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-6))
    word = "converted" if error <= TOLERANCE else "other values"
    return {"verdict": word, "error": round(error, 4), "AKD1000": mapped(converted)}


def mapped(converted: Any) -> str:
    try:
        converted.map(akida.AKD1000(), hw_only=True)
    except BaseException as error:
        return short(error)
    return "mapped"


def logits(model: Any) -> Any:
    """Without the function at the end, which the conversion takes off."""
    last = model.layers[-1]
    return tf_keras.Model(model.input, last.input) if type(last) is tf_keras.layers.Activation else model


def short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


def main() -> None:
    """A line for every network, the versions first."""
    versions = {"cnn2snn": cnn2snn.__version__, "akida": akida.__version__, "tensorflow": tf.__version__}
    print(json.dumps(versions), flush=True)
    for net in json.load(sys.stdin):
        print(json.dumps({"name": net["name"], **verdict(net)}), flush=True)


if __name__ == "__main__":
    main()
