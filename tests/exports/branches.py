"""Networks of one branch for each quantizer: all that a format can express, in one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import keras
import numpy as np
from keras import layers

from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer

#: Grids and signs of activations.
GRIDS: Final = (
    *("quantized_bits(4,1)", "quantized_bits(6,2,1)", "quantized_bits(3,0,0,keep_negative=False)"),
    *(
        "quantized_bits(5,1,1,alpha=0.75)",
        "quantized_bits(1,0)",
        "quantized_bits(16,4)",
        "quantized_bits(20,4)",
    ),
    *("quantized_linear(5,2)", "quantized_linear(4,1,0,alpha=1.5)", "quantized_linear(1,1)"),
    *("quantized_relu(4,2)", "quantized_relu(3,1)", "quantized_relu(8,4)", "quantized_relu(1,1)"),
    *("quantized_relu(4,1,negative_slope=0.25)", "quantized_relu(5,2,negative_slope=0.5)"),
    *("quantized_relu(4,2,relu_upper_bound=1.5,is_quantized_clip=0)", "quantized_relu(4,1,use_sigmoid=1)"),
    *(
        "quantized_tanh(4)",
        "quantized_tanh(5,symmetric=1)",
        "quantized_sigmoid(4)",
        "quantized_sigmoid(5,symmetric=1)",
    ),
    *("quantized_hswish(6,2)", "discrete_relu(3)", "discrete_relu(4,threshold=0.25,step=0.5)"),
    *("binary()", "binary(alpha=0.5)", "binary(use_01=1)", "binary(use_01=1,alpha=0.75)"),
    *("stochastic_binary()", "bernoulli()", "bernoulli(alpha=0.5)"),
)
#: Levels in unequal distances.
STEPS: Final = (
    *("ternary()", "ternary(alpha=0.5,threshold=0.25)", "stochastic_ternary()"),
    *("quantized_po2(4)", "quantized_po2(3,1)", "quantized_po2(8)", "quantized_relu_po2(4)"),
    *("quantized_relu_po2(4,2,negative_slope=0.25)", "quantized_ulaw(4,1)"),
)
#: Weights whose scales are powers of two.
WEIGHTS: Final = (
    *("quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(4,0)", "quantized_bits(8,1,0,alpha=0.5)"),
    *(
        "quantized_bits(1,0,alpha=1.0)",
        "quantized_bits(2,1,1,alpha='auto_po2')",
        "quantized_bits(12,2,alpha=1.0)",
    ),
    *("quantized_linear(5,1,alpha=1.0)", "quantized_linear(4,0,alpha='auto_po2')"),
    *(
        "binary(alpha=1.0)",
        "binary(alpha='auto_po2')",
        "binary(use_01=1,alpha=1.0)",
        "stochastic_binary(alpha=1.0)",
    ),
    *("ternary(alpha=1.0)", "ternary(alpha='auto_po2')", "stochastic_ternary(alpha=0.5)"),
    *("quantized_po2(4,1)", "quantized_relu_po2(4,1)", "bernoulli(alpha=1.0)"),
)
#: Weights whose scales are any numbers.
SCALED: Final = (
    *("quantized_bits(4,0,1,alpha='auto')", "quantized_linear(4,0,alpha='auto')", "ternary(alpha='auto')"),
    *("binary(alpha='auto')", "std(4)", "std_per_axis(4)", "max(8)", "max_per_axis(4)", "trainable_std(4)"),
    *("scale_factor(4,scale_factors=3.0)", "quantized_bits(4,0,1,alpha=[0.3,0.7,1.1,0.2])"),
)


def activations(texts: Sequence[str]) -> keras.Model:
    """Every quantizer of the same six numbers, one after the other."""
    x = layers.Input((6,), name="image")
    branches = [layers.Activation("linear", name=f"act_{index}")(x) for index in range(len(texts))]
    model = keras.Model(x, layers.Concatenate(name="all")(branches))
    return quantize(
        model, {f"act_{index}": {"activation": parse_quantizer(text)} for index, text in enumerate(texts)}
    )


def weights(texts: Sequence[str], seed: int = 3) -> keras.Model:
    """A dense layer of four units for every quantizer."""
    x = layers.Input((6,), name="image")
    branches = [layers.Dense(4, name=f"dense_{index}")(x) for index in range(len(texts))]
    model = keras.Model(x, layers.Concatenate(name="all")(branches))
    bias = parse_quantizer("quantized_bits(8,2,1)")
    model = quantize(
        model,
        {
            f"dense_{index}": {"kernel": parse_quantizer(text), "bias": bias}
            for index, text in enumerate(texts)
        },
    )
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("kernel", "bias"):
            weight.assign(random.normal(0, 0.6, weight.shape))
    return model


def numbers(count: int = 40) -> np.ndarray:
    """Ties, zero and the rest, from -4 to 4."""
    random = np.random.default_rng(5)
    ties = random.integers(-64, 65, (count, 6)) / 16
    return np.concatenate([ties, random.normal(0, 1.5, (count, 6))]).astype(np.float32)


def sixteenths(count: int = 40) -> np.ndarray:
    """Numbers whose products with few bits are exact in float32."""
    return (np.random.default_rng(5).integers(0, 65, (count, 6)) / 64).astype(np.float32)
