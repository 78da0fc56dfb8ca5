"""What quantization costs in training: a step of the quantized MNIST ConvBlock net over one of the float net.

    python benchmarks/layers.py [--quick] [--json] [--check]

The same for qkeras-v3 in an environment of its own (made under ~/.cache/fewbits or $FEWBITS_BENCH_CACHE the first
time: some minutes). All four nets step in turn, so that whatever else the machine does falls on each of them alike.
`--check` exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILTERS = (16, 32, 48, 64, 128)
KERNEL = "quantized_bits(4,0,1,alpha=1.0)"
BIAS = "quantized_bits(4,0,1)"
ACTIVATION = "quantized_relu(4,2)"
#: A quantized step at most so many times a float one.
LIMIT = 1.15
PEER = "qkeras-v3"
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True)
class StepTimes:
    """Medians of one run; `ratio` is ours over float in our environment, `peer_ratio` the same in the peer's."""

    float_ms: float
    ours_ms: float
    peer_float_ms: float
    peer_ms: float
    ratio: float
    peer_ratio: float
    batch: int
    rounds: int
    peer: str
    machine: str

    @property
    def missed(self) -> list[str]:
        """The targets that are not met."""
        faults = []
        if self.ratio > LIMIT:
            faults.append(f"a quantized step costs {self.ratio:.3f} of a float one, at most {LIMIT}")
        if self.ours_ms > self.peer_ms:
            faults.append(
                f"our step of {self.ours_ms:.1f} ms is slower than the peer's of {self.peer_ms:.1f} ms"
            )
        return faults


# ---- in the process that trains -------------------------------------------------------------------------------


def network(conv: Callable[..., Any], activation: Callable[..., Any]) -> Any:
    """The notebook's MNIST network: five strided convolutions with normalization, and a 1x1 head."""
    import keras

    inputs = keras.Input((28, 28, 1), name="input")
    x = inputs
    for index, filters in enumerate(FILTERS):
        x = conv(f"conv2d_{index}", filters, 3, 2, False)(x)
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
        x = activation(f"act_{index}")(x)
    x = conv("dense", 10, 1, 1, True)(x)
    x = keras.layers.Flatten(name="flatten")(keras.layers.Activation("softmax", name="softmax")(x))
    return keras.Model(inputs, x)


def float_network() -> Any:
    """The network of Keras' own layers."""
    import keras

    def conv(name: str, filters: int, size: int, strides: int, bias: bool) -> Any:
        return keras.layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=bias, name=name)

    return network(conv, lambda name: keras.layers.Activation("relu", name=name))


def our_network() -> Any:
    """The network of fewbits' layers: what `quantize` makes of the float one."""
    from quantization.models.convert import quantize
    from quantization.specs.parse import parse_quantizer

    assignment = {f"conv2d_{i}": {"kernel": parse_quantizer(KERNEL)} for i in range(len(FILTERS))}
    assignment |= {f"act_{i}": {"activation": parse_quantizer(ACTIVATION)} for i in range(len(FILTERS))}
    assignment["dense"] = {"kernel": parse_quantizer(KERNEL), "bias": parse_quantizer(BIAS)}
    return quantize(float_network(), assignment)


def peer_network() -> Any:
    """The network of qkeras' layers."""
    from qkeras import QActivation, QConv2D  # type: ignore[import-not-found]

    def conv(name: str, filters: int, size: int, strides: int, bias: bool) -> Any:
        quantizers = {"kernel_quantizer": KERNEL, "bias_quantizer": BIAS if bias else None}
        return QConv2D(filters, size, strides=strides, padding="same", use_bias=bias, name=name, **quantizers)

    return network(conv, lambda name: QActivation(ACTIVATION, name=name))


NETWORKS = {"float": float_network, "ours": our_network, "peer": peer_network}


def serve(kinds: list[str], batch: int) -> None:
    """Answer each line "<kind> <steps>" with the seconds of that many training steps, until the input ends."""
    # The folder of this file holds modules named like the packages they measure.
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]
    import numpy as np
    import tensorflow as tf

    draw = np.random.default_rng(0)
    x = tf.constant(draw.normal(size=(batch, 28, 28, 1)).astype(np.float32))
    y = tf.constant(draw.integers(0, 10, batch))
    data = iter(tf.data.Dataset.from_tensors((x, y)).cache().repeat())
    steps = {}
    for kind in kinds:
        model = NETWORKS[kind]()
        # XLA, which Keras would choose, makes strided convolutions ten times slower on a CPU.
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        model.make_train_function()
        steps[kind] = model.train_function
        for _ in range(3):
            steps[kind](data)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, count = line.split()
        start = time.perf_counter()
        for _ in range(int(count)):
            outputs = steps[kind](data)
        float(next(iter(tf.nest.flatten(outputs))))
        print(time.perf_counter() - start, flush=True)


# ---- in the process that measures -----------------------------------------------------------------------------


class Trainer:
    """A process that trains networks on request."""

    def __init__(self, python: Path, kinds: list[str], batch: int) -> None:
        command = [
            str(python),
            str(Path(__file__).resolve()),
            "--serve",
            ",".join(kinds),
            "--batch",
            str(batch),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT
        )
        while self._line() != "ready":
            pass

    def step_ms(self, kind: str, count: int) -> float:
        """Milliseconds of a training step, the mean of `count` in a row."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {count}\n")
        self._process.stdin.flush()
        return 1e3 * float(self._line()) / count

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a training process ended without an answer")
        return line.strip()


def peer_python() -> Path:
    """The interpreter of the peer's environment, made if it is not there. `SystemExit` if it cannot be."""
    cache = Path(os.environ.get("FEWBITS_BENCH_CACHE", Path.home() / ".cache" / "fewbits"))
    folder = cache / f"bench-{PEER}"
    python = folder / "bin" / "python"
    if python.exists() and _imports(python):
        return python
    print(f"making the peer's environment in {folder} ...", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    done = subprocess.run([python, "-m", "pip", "install", "-q", PEER, "tensorflow"], check=False)
    if done.returncode or not _imports(python):
        raise SystemExit(f"{PEER} could not be installed into {folder}")
    return python


def _imports(python: Path) -> bool:
    check = [python, "-c", "import qkeras"]
    return (
        subprocess.run(check, capture_output=True, env=os.environ | ENVIRONMENT, check=False).returncode == 0
    )


def measure(rounds: int, batch: int) -> StepTimes:
    """Every network in turn, `rounds` times."""
    ours = Trainer(Path(sys.executable), ["float", "ours"], batch)
    peer = Trainer(peer_python(), ["float", "peer"], batch)
    turns = {
        "float": (ours, "float"),
        "ours": (ours, "ours"),
        "peer_float": (peer, "float"),
        "peer": (peer, "peer"),
    }
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, (trainer, kind) in turns.items():
            times[name].append(trainer.step_ms(kind, 3))
    ours.close()
    peer.close()
    medians = {name: statistics.median(values) for name, values in times.items()}
    return StepTimes(
        float_ms=medians["float"],
        ours_ms=medians["ours"],
        peer_float_ms=medians["peer_float"],
        peer_ms=medians["peer"],
        ratio=_paired(times["ours"], times["float"]),
        peer_ratio=_paired(times["peer"], times["peer_float"]),
        batch=batch,
        rounds=rounds,
        peer=PEER,
        machine=f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
    )


def _paired(times: list[float], others: list[float]) -> float:
    """Median of the ratios within a round: the two were measured one after the other."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def table(result: StepTimes) -> str:
    """The result as a Markdown table."""
    rows = [
        ("Keras, float", result.float_ms, 1.0),
        ("fewbits, quantized", result.ours_ms, result.ratio),
        (f"Keras, float, in the environment of {result.peer}", result.peer_float_ms, 1.0),
        (f"{result.peer}, quantized", result.peer_ms, result.peer_ratio),
    ]
    lines = [
        f"MNIST ConvBlock net, batch {result.batch}, {result.rounds} rounds in turn; {result.machine}",
        "",
    ]
    lines += ["| training step | ms (median) | over float |", "|---|---:|---:|"]
    lines += [f"| {name} | {ms:.1f} | {ratio:.3f} |" for name, ms, ratio in rows]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and with --check say whether the targets are met."""
    parser = argparse.ArgumentParser(
        description="What quantization costs in a training step, beside qkeras-v3."
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--batch", type=int, default=256, help="images a step")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.serve.split(","), options.batch)
        return 0
    result = measure(rounds=9 if options.quick else 41, batch=options.batch)
    print(json.dumps(asdict(result), indent=2) if options.json else table(result))
    for missed in result.missed:
        print(f"missed: {missed}", file=sys.stderr)
    return 1 if options.check and result.missed else 0


if __name__ == "__main__":
    sys.exit(main())
