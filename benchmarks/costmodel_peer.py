"""Prices the benchmark's network with QTools, one evaluation for each line it is sent.

Runs in the benchmark's own environment, which has qkeras-v3; never imported. Answers each line with a line of JSON:
how long building nothing but the price took, and the price.
"""

import json
import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

FILTERS = (16, 32, 48, 64, 128)


def build():
    """The notebook's ConvBlock network for MNIST, 4 bits everywhere."""
    import keras
    from qkeras import QActivation, QConv2D
    from qkeras.quantizers import quantized_bits

    def kernel():
        return quantized_bits(4, 0, 1, alpha=1.0)

    x = inputs = keras.Input((28, 28, 1), name="in")
    for index, filters in enumerate(FILTERS):
        x = QConv2D(
            filters,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_quantizer=kernel(),
            name=f"conv_{index}",
        )(x)
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
        x = QActivation("quantized_relu(4,2)", name=f"act_{index}")(x)
        x = keras.layers.Dropout(0.2, name=f"drop_{index}")(x)
    head = QConv2D(
        10, 1, padding="same", kernel_quantizer=kernel(), bias_quantizer=quantized_bits(4, 0, 1), name="dense"
    )
    x = keras.layers.Activation("softmax", name="softmax")(head(x))
    return keras.Model(inputs, keras.layers.Flatten(name="flat")(x))


def evaluate(model):
    """What AutoQKeras does to price a trial, and how long it takes in seconds."""
    from qkeras.qtools import run_qtools
    from qkeras.qtools import settings as qtools_settings

    start = time.perf_counter()
    tools = run_qtools.QTools(
        model,
        process="horowitz",
        source_quantizers="int8",
        is_inference=False,
        keras_quantizer="int8",
        keras_accumulator="int32",
        for_reference=False,
    )
    energies = tools.pe(
        weights_on_memory="sram", activations_on_memory="sram", min_sram_size=0, rd_wr_on_io=False
    )
    energy_pj = tools.extract_energy_sum(qtools_settings.cfg.include_energy, energies)
    return time.perf_counter() - start, energy_pj


def main():
    """Answer until the input ends; what QTools itself prints goes nowhere."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    model = build()
    evaluate(model)
    answers.write(json.dumps({"ready": True}) + "\n")
    for _ in sys.stdin:
        duration_s, energy_pj = evaluate(model)
        answers.write(json.dumps({"duration_s": duration_s, "energy_pj": energy_pj}) + "\n")


if __name__ == "__main__":
    main()
