"""Runs in an environment of hls4ml: what it makes of networks, one JSON line each. Reads a JSON list on stdin.

Every network is converted (defaults: Vivado, io_parallel, 32-bit numbers with 16 fraction bits), compiled by g++ and
compared with Keras on random inputs, in a process of its own, because some end it. `--convert` stops after the
conversion.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import hls4ml
import numpy as np
import qkeras
import tensorflow as tf

#: Share of the outputs' range by which they may differ: numbers have 16 fraction bits, so that a code may be the next.
TOLERANCE = 0.1
TIMEOUT = 300
#: A compiler that does not optimize and reads hls4ml's own types once for all networks, which then take seconds.
_COMPILER = """#!/bin/sh
case " $* " in
*" -c "*) exec {real} $(echo "$@" | sed "s/-O3/-O0 -w/g") -include {home}/types.h ;;
*) exec {real} "$@" ;;
esac
"""
_FLAGS_OF_TYPES = ("-O0", "-w", "-fPIC", "-std=c++23", "-fno-gnu-unique")
_TYPES = ("map", "string", "sstream", "fstream", "iostream", "algorithm", "vector", "cmath", "array")
_TYPES += ("ap_fixed.h", "ap_int.h", "hls_stream.h")
_SLOTS = {"kernel": "kernel_quantizer", "bias": "bias_quantizer", "recurrent_kernel": "recurrent_quantizer"}
_SLOTS |= {"pointwise_kernel": "pointwise_quantizer", "activation": "activation"}
_FLAGS = re.compile(r"(use_01|use_real_tanh|use_real_sigmoid|is_quantized_clip|use_sigmoid)=([01])")


def built(net: dict[str, Any]) -> Any:
    """The network as a Keras 2 model, quantized layers from QKeras, with random weights."""
    tensors = {net["start"]: tf.keras.Input(net["shape"], name=net["start"])}
    for class_name, name, sources, config in net["layers"]:
        layer = made(class_name, name, dict(config), net["quantizers"].get(name, {}))
        inputs = [tensors[source] for source in sources]
        tensors[name] = layer(inputs if len(inputs) > 1 else inputs[0])
    model = tf.keras.Model(tensors[net["start"]], tensors[net["layers"][-1][1]])
    random = np.random.default_rng(0)
    for weight in model.weights:
        values = random.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.4 if "variance" in weight.name or "gamma" in weight.name else values)
    return model


def made(class_name: str, name: str, config: dict[str, Any], quantizers: dict[str, str]) -> Any:
    if class_name == "LeakyReLU" and "negative_slope" in config:
        config["alpha"] = config.pop("negative_slope")
    if class_name == "Bidirectional":
        inner = getattr(tf.keras.layers, config.pop("layer"))
        return tf.keras.layers.Bidirectional(inner(**config), name=name)
    if not quantizers:
        return getattr(tf.keras.layers, class_name)(name=name, **config)
    if class_name == "Activation":
        return qkeras.QActivation(qkeras_text(quantizers["activation"]), name=name)
    for slot, text in quantizers.items():
        field = _SLOTS[slot]
        if slot == "kernel" and ("Depthwise" in class_name or "Separable" in class_name):
            field = "depthwise_quantizer"
        config[field] = qkeras_text(text)
    if "recurrent_kernel" in quantizers:  # QKeras' own default is a hard function
        config.setdefault("activation", "tanh")
        if class_name != "SimpleRNN":
            config.setdefault("recurrent_activation", "sigmoid")
    return getattr(qkeras, f"Q{class_name}")(name=name, **config)


def qkeras_text(text: str) -> str:
    """QKeras reads flags as words."""
    return _FLAGS.sub(lambda match: f"{match[1]}={bool(int(match[2]))}", text)


def verdict(net: dict[str, Any], folder: str, only_convert: bool) -> dict[str, Any]:
    """What becomes of a network: refused, no compilation, other values, or converted."""
    try:
        model = built(net)
    except Exception as error:
        return {"verdict": "not in Keras 2 or QKeras", "why": short(error)}
    try:
        options = hls4ml.utils.config_from_keras_model(
            model, granularity="name", default_precision="ap_fixed<32,16>"
        )
        converted = hls4ml.converters.convert_from_keras_model(
            model, hls_config=options, output_dir=folder, project_name="net"
        )
    except BaseException as error:
        return {"verdict": "refused", "why": short(error)}
    if only_convert:
        return {"verdict": "read"}
    try:
        converted.compile()
    except BaseException as error:
        return {"verdict": "does not compile", "why": short(error)}
    x = np.random.default_rng(1).integers(-32, 33, (64, *net["shape"])).astype(np.float32) / 16
    if any(layer[0] == "Embedding" for layer in net["layers"]):
        x = np.random.default_rng(1).integers(0, 9, (64, *net["shape"])).astype(np.float32)
    expected = model.predict(x, verbose=0)
    actual = np.asarray(converted.predict(np.ascontiguousarray(x))).reshape(expected.shape)
    error = float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-6))
    word = "converted" if error <= TOLERANCE else "other values"
    return {"verdict": word, "error": round(error, 4)}


def short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


def isolated(net: dict[str, Any], only_convert: bool) -> dict[str, Any]:
    """The verdict from a process of its own."""
    folder = tempfile.mkdtemp()
    answer = Path(folder) / "answer.json"
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.alarm(TIMEOUT)
        try:
            answer.write_text(json.dumps(verdict(net, f"{folder}/project", only_convert)))
        except BaseException as error:
            answer.write_text(json.dumps({"verdict": "fails", "why": short(error)}))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    try:
        if answer.exists():
            return dict(json.loads(answer.read_text()))
        return {"verdict": "aborts", "why": f"signal {os.WTERMSIG(status)}"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install_compiler(home: Path) -> None:
    """Put the compiler, and the types that it has read before, into a folder in front of all others."""
    real = str(shutil.which("g++"))
    (home / "types.h").write_text("".join(f"#include <{name}>\n" for name in _TYPES))
    types = Path(hls4ml.__file__).parent / "templates/vivado/ap_types"
    command = [real, *_FLAGS_OF_TYPES, f"-I{types}", "-x", "c++-header", "types.h", "-o", "types.h.gch"]
    subprocess.run(command, cwd=home, check=True)
    compiler = home / "g++"
    compiler.write_text(_COMPILER.format(real=real, home=home))
    compiler.chmod(0o755)
    os.environ["PATH"] = f"{home}:{os.environ['PATH']}"


def main() -> None:
    """A line for every network, the versions first."""
    nets = json.load(sys.stdin)
    home = tempfile.mkdtemp()
    if "--convert" not in sys.argv:
        install_compiler(Path(home))
    versions = {
        "hls4ml": hls4ml.__version__,
        "tensorflow": tf.__version__,
        "qkeras": getattr(qkeras, "__version__", "?"),
        "settings": "backend Vivado, io_parallel, default_precision ap_fixed<32,16>, g++ -O0",
    }
    print(json.dumps(versions), flush=True)
    for net in nets:
        print(json.dumps({"name": net["name"], **isolated(net, "--convert" in sys.argv)}), flush=True)
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
