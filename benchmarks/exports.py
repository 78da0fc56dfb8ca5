"""Exports: seconds to write, bytes and equality of each format that is installed, and the time of one inference.

    python -m benchmarks.exports [--quick] [--formats c onnx tflite] [--json] [--check]

Networks have random weights: neither figure depends on training. The inference of `c` is that of its program compiled
by gcc -O3, that of `onnx` an InferenceSession of onnxruntime, that of `tflite` an interpreter of LiteRT, each with one
thread, on the same examples in one run; the two runtimes in this environment, or in those that FEWBITS_ONNX_PYTHON and
FEWBITS_TFLITE_PYTHON name. `--quick` takes the two smallest networks. `--check` fails where a format that promises
equality computes another number and names no layer, or one that took a network refuses it: `TAKEN`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from costmodel.layer import Layer
from costmodel.network import read_network
from quantization.engine import encode
from quantization.export.context import ExportContext
from quantization.export.errors import ExportRefused
from quantization.export.export import export_model
from quantization.export.formats import FORMATS
from quantization.export.proof import prove
from quantization.export.runners.c import compiled
from quantization.export.written import Export
from quantization.models.convert import float_model, plain_description, quantize
from quantization.models.fold import fold
from quantization.specs.parse import parse_quantizer
from quantization.specs.slots import searched_slots
from search.networks.zoo import zoo_config

QUANTIZERS: Final = {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}
FUNCTION: Final = "quantized_relu(4,2)"
_LOOP_SLOTS: Final = {
    "activation": "quantized_tanh(4)",
    "recurrent_activation": "quantized_sigmoid(4)",
    "state": "quantized_bits(8,0,1)",
}
INPUT: Final = "quantized_bits(8,0,0,keep_negative=False)"
EXAMPLES: Final = 200


#: Network -> formats that take it; what a user relies on.
TAKEN: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("jet_mlp", "residual", "depthwise"), frozenset(FORMATS) - {"akida"}),
    **dict.fromkeys(("digits_cnn", "mnist_convblock"), frozenset(FORMATS)),
    "gru": frozenset({"keras", "integers", "c"}),
}


@dataclass(frozen=True)
class ExportFigures:
    """One network in one format. `refused`: why there is none; `inference_us`: microseconds, where it was timed;
    `inexact`: layers whose numbers can differ.
    """

    network: str
    format: str
    write_s: float | None = None
    size_bytes: int | None = None
    equal_classes: float | None = None
    largest_difference: float | None = None
    inference_us: float | None = None
    refused: str = ""
    inexact: tuple[str, ...] = ()


def _residual() -> keras.Model:
    x = keras.Input((16, 16, 3), name="inputs")
    start = y = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="start")(x)
    for index in range(2):
        y = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name=f"conv_{index}")(y)
    y = keras.layers.GlobalMaxPooling2D(name="peak")(keras.layers.Add(name="join")([start, y]))
    return keras.Model(x, keras.layers.Dense(10, activation="softmax", name="scores")(y))


def _depthwise() -> keras.Model:
    x = keras.Input((16, 16, 3), name="inputs")
    y = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="start")(x)
    y = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(y)
    y = keras.layers.Conv2D(16, 1, activation="relu", name="point")(y)
    y = keras.layers.Flatten(name="flat")(keras.layers.MaxPooling2D(4, name="pool")(y))
    return keras.Model(x, keras.layers.Dense(10, activation="softmax", name="scores")(y))


def _gru() -> keras.Model:
    x = keras.Input((8, 4), name="inputs")
    y = keras.layers.GRU(8, name="gru")(x)
    return keras.Model(x, keras.layers.Dense(3, activation="softmax", name="scores")(y))


NETWORKS: Final[Mapping[str, Callable[[], keras.Model]]] = {
    "jet_mlp": lambda: float_model(zoo_config("jet_mlp")),
    "digits_cnn": lambda: float_model(zoo_config("digits_cnn")),
    "residual": _residual,
    "depthwise": _depthwise,
    "gru": _gru,
    "mnist_convblock": lambda: float_model(zoo_config("mnist_convblock")),
}


def quantized(model: keras.Model) -> keras.Model:
    """The model, its normalizations folded, with 4-bit kernels, 8-bit biases and 4-bit functions."""
    folded = fold(model)
    network = read_network(plain_description(folded))
    slots: dict[str, dict[str, Any]] = {
        layer.name: {slot: parse_quantizer(_quantizer(slot, layer.class_name)) for slot in _slots(layer)}
        for layer in network.layers
        if layer.class_name != "BatchNormalization" and searched_slots(layer)
    }
    for name in network.inputs:
        slots[name] = {"activation": parse_quantizer(INPUT)}
    return quantize(folded, slots)


def _slots(layer: Layer) -> tuple[str, ...]:
    return tuple(slot for slot, _ in searched_slots(layer)) + (
        ("state",) if layer.class_name == "GRU" else ()
    )


def _quantizer(slot: str, class_name: str) -> str:
    if class_name == "GRU" and slot in _LOOP_SLOTS:
        return _LOOP_SLOTS[slot]
    group = "kernel" if slot.endswith("kernel") else "bias" if slot.endswith("bias") else ""
    return QUANTIZERS.get(group, FUNCTION)


def measure(name: str, format_name: str, model: keras.Model, folder: Path) -> ExportFigures:
    """The figures of a network in a format."""
    shape = tuple(model.inputs[0].shape[1:])
    x = np.random.default_rng(0).uniform(0, 1, (EXAMPLES, *shape)).astype(np.float32)
    start = time.perf_counter()
    try:
        export = export_model(model, format_name, folder, ExportContext(x[:64]))
    except ExportRefused as error:
        return ExportFigures(name, format_name, refused=str(error.refusals[0]))
    write_s = time.perf_counter() - start
    proof = prove(model, export, x, (True,))
    return ExportFigures(
        name,
        format_name,
        round(write_s, 3),
        sum((folder / file).stat().st_size for file in export.files),
        proof.equal_classes,
        proof.largest_difference,
        _TIMED.get(format_name, lambda *_: None)(export, x),
        inexact=tuple(sorted(proof.inexact)),
    )


def _c_us(export: Export, x: Any) -> float:
    """Microseconds of one inference of the C program; that of its start is taken off."""
    document = json.loads((export.folder / "network.json").read_text())
    codes = encode(document["input"]["encoding"], x).astype(document["input"]["type"])
    many = np.tile(codes, (20, *(1,) * (codes.ndim - 1)))
    with tempfile.TemporaryDirectory() as scratch:
        program = compiled(export.folder, Path(scratch), "-O3")
        times = []
        for sent in (codes[:1], many):
            start = time.perf_counter()
            subprocess.run([str(program), "-"], input=sent.tobytes(), capture_output=True, check=True)
            times.append(time.perf_counter() - start)
    return round((times[1] - times[0]) / (len(many) - 1) * 1e6, 2)


#: Prints the microseconds of an inference, one example at a time.
_ONNX: Final = """
import sys, time
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
run = lambda example: session.run(None, {name: example[None]})
"""
_TFLITE: Final = """
import sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
scale, zero = source["quantization"]
def run(example):
    codes = np.clip(np.rint(example[None] / scale) + zero, -128, 127).astype(source["dtype"])
    interpreter.set_tensor(source["index"], codes)
    interpreter.invoke()
    interpreter.get_tensor(target["index"])
"""
_LOOP: Final = """
x = np.load(sys.argv[2])
run(x[0])
times = []
for _ in range(5):
    start = time.perf_counter()
    for example in x:
        run(example)
    times.append((time.perf_counter() - start) / len(x) * 1e6)
print(min(times))
"""


def _runtime_us(script: str, file: str) -> Callable[[Export, Any], float]:
    """The best of five rounds in a process of the format's runtime."""

    def measure_us(export: Export, x: Any) -> float:
        python = os.environ.get(FORMATS[export.format].python_variable, sys.executable)
        with tempfile.TemporaryDirectory() as scratch:
            np.save(Path(scratch) / "x.npy", x)
            command = [python, "-c", script + _LOOP, str(export.folder / file), str(Path(scratch) / "x.npy")]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return round(float(said.splitlines()[-1]), 2)

    return measure_us


_TIMED: Final[dict[str, Callable[[Export, Any], float | None]]] = {
    "c": _c_us,
    "onnx": _runtime_us(_ONNX, "model.onnx"),
    "tflite": _runtime_us(_TFLITE, "model.tflite"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the two smallest networks alone")
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS), metavar="FORMAT")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 if a format breaks its promise")
    arguments = parser.parse_args()
    figures = []
    for name in list(NETWORKS)[: 2 if arguments.quick else None]:
        keras.utils.set_random_seed(1)
        model = quantized(NETWORKS[name]())
        for format_name in arguments.formats:
            if not list(FORMATS[format_name].missing()):
                with tempfile.TemporaryDirectory() as scratch:
                    figures.append(measure(name, format_name, model, Path(scratch)))
    if arguments.json:
        print(json.dumps([asdict(entry) for entry in figures], indent=2))
    else:
        _print(figures)
    if arguments.check and (broken := list(faults(figures))):
        raise SystemExit("\n".join(broken))


def faults(figures: Sequence[ExportFigures]) -> Iterator[str]:
    """What breaks a promise: a refused network of `TAKEN`, or other numbers without a layer that says why."""
    for entry in figures:
        if entry.refused and entry.format in TAKEN[entry.network]:
            yield f"{entry.network}: {entry.format} refuses it: {entry.refused}"
        if FORMATS[entry.format].exact and entry.largest_difference and not entry.inexact:
            yield f"{entry.network}: {entry.format} differs by {entry.largest_difference:g}"


def _print(figures: Sequence[ExportFigures]) -> None:
    print("| network | format | write, s | bytes | equal classes | largest difference | inference, us |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for entry in figures:
        cells = (
            entry.write_s,
            entry.size_bytes,
            entry.equal_classes,
            entry.largest_difference,
            entry.inference_us,
        )
        row = " | ".join("-" if cell is None else f"{cell:g}" for cell in cells)
        print(f"| {entry.network} | {entry.format} | {row} |{' ' + entry.refused if entry.refused else ''}")


if __name__ == "__main__":
    main()
