"""How fast an assignment of quantizers is priced, beside QTools of qkeras-v3 on the same network, in turn.

    python benchmarks/costmodel.py [--quick] [--json] [--check]

Makes an environment of its own for the peer under ~/.cache/fewbits (or $FEWBITS_BENCH_CACHE) the first time: some
minutes. `--check` exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Run as a file, this folder would come first and hide the package `costmodel` behind this very file.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

from costmodel.data_type import DataType, NumberFormat, SlotTypes  # noqa: E402
from costmodel.energy import Prepared, prepare, price, price_many  # noqa: E402
from costmodel.network import Network, read_network  # noqa: E402
from costmodel.propagation import reference_type  # noqa: E402
from costmodel.settings import EnergySettings  # noqa: E402

FILTERS = (16, 32, 48, 64, 128)
#: An assignment at least so many times faster than the peer's.
SPEED_RATIO = 100
#: Layers priced a second by the batch interface.
BATCH_RATE = 100_000
PEER = "qkeras-v3"
FIXED4 = DataType(NumberFormat.FIXED, 4, 0)
SETTINGS = EnergySettings(
    "horowitz-qkeras",
    source=reference_type("int8"),
    internal=reference_type("int8"),
    accumulator=reference_type("int32"),
)
KERNELS = (
    *(DataType(NumberFormat.FIXED, bits, 0) for bits in (2, 4, 8)),
    DataType(NumberFormat.TERNARY, 2),
    DataType(NumberFormat.BINARY, 1),
    DataType(NumberFormat.POWER_OF_TWO, 4, max_value=1),
)
ACTIVATIONS = (
    *(
        DataType(NumberFormat.FIXED, bits, integer, signed=False)
        for bits, integer in ((3, 1), (4, 2), (8, 2), (8, 4), (16, 8))
    ),
    DataType(NumberFormat.TERNARY, 2),
    DataType(NumberFormat.BINARY, 1),
)


@dataclass(frozen=True)
class PricingTimes:
    """What was measured; times are medians of `repeats`, the peer and ours in turn."""

    peer: str
    network: str
    layers: int
    repeats: int
    peer_ms: float
    first_ms: float
    new_ms: float
    again_ms: float
    prepare_ms: float
    ratio: float
    ratio_first: float
    batch: int
    batch_layers_per_s: float
    energy_pj: float
    peer_energy_pj: float
    machine: str

    @property
    def missed(self) -> list[str]:
        """Targets that were not met."""
        faults = []
        if self.ratio < SPEED_RATIO:
            faults.append(f"{self.ratio:.0f} times faster than the peer; target {SPEED_RATIO}")
        if self.batch_layers_per_s < BATCH_RATE:
            faults.append(f"{self.batch_layers_per_s:,.0f} layers/s in a batch; target {BATCH_RATE:,}")
        if abs(self.energy_pj - self.peer_energy_pj) > 1 + 1e-4 * self.peer_energy_pj:
            faults.append(f"{self.energy_pj} pJ, but the peer says {self.peer_energy_pj}")
        return faults


def network() -> Network:
    """The notebook's ConvBlock network for MNIST."""
    layers: list[dict[str, Any]] = []

    def add(class_name: str, name: str, **config: Any) -> None:
        source = [layers[-1]["name"]] if layers else []
        tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [s, 0, 0]}} for s in source]
        nodes = [{"args": tensors, "kwargs": {}}] if tensors else []
        entry = {
            "class_name": class_name,
            "name": name,
            "config": {"name": name, **config},
            "inbound_nodes": nodes,
        }
        layers.append(entry)

    add("InputLayer", "in", batch_shape=[None, 28, 28, 1])
    for index, filters in enumerate(FILTERS):
        add(
            "Conv2D",
            f"conv_{index}",
            filters=filters,
            kernel_size=3,
            strides=2,
            padding="same",
            use_bias=False,
        )
        add("BatchNormalization", f"bn_{index}")
        add("Activation", f"act_{index}", activation="relu")
        add("Dropout", f"drop_{index}", rate=0.2)
    add("Conv2D", "dense", filters=10, kernel_size=1, padding="same")
    add("Activation", "softmax", activation="softmax")
    add("Flatten", "flat")
    return read_network({"layers": layers, "input_layers": [["in", 0, 0]], "output_layers": [["flat", 0, 0]]})


def four_bits() -> dict[str, SlotTypes]:
    """The assignment the peer prices."""
    relu = DataType(NumberFormat.FIXED, 4, 2, signed=False)
    types: dict[str, SlotTypes] = {f"conv_{i}": {"kernel": FIXED4} for i in range(len(FILTERS))}
    types |= {f"act_{i}": {"activation": relu} for i in range(len(FILTERS))}
    return {**types, "dense": {"kernel": FIXED4, "bias": FIXED4}}


def random_types(draw: random.Random) -> dict[str, SlotTypes]:
    """An assignment out of the notebook's quantizers."""
    types: dict[str, SlotTypes] = {f"conv_{i}": {"kernel": draw.choice(KERNELS)} for i in range(len(FILTERS))}
    types |= {f"act_{i}": {"activation": draw.choice(ACTIVATIONS)} for i in range(len(FILTERS))}
    return {**types, "dense": {"kernel": draw.choice(KERNELS), "bias": draw.choice(KERNELS[:3])}}


def peer_python() -> Path:
    """The interpreter of the peer's environment, made if it is not there. `SystemExit` if it cannot be."""
    cache = Path(os.environ.get("FEWBITS_BENCH_CACHE", Path.home() / ".cache" / "fewbits"))
    folder = cache / f"bench-{PEER}"
    python = folder / "bin" / "python"
    if python.exists() and _runs(python, "import qkeras.qtools"):
        return python
    print(f"making the peer's environment in {folder} ...", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    done = subprocess.run([python, "-m", "pip", "install", "-q", PEER, "tensorflow"], check=False)
    if done.returncode or not _runs(python, "import qkeras.qtools"):
        raise SystemExit(f"{PEER} could not be installed into {folder}")
    return python


def _runs(python: Path, code: str) -> bool:
    return (
        subprocess.run([python, "-c", code], capture_output=True, env=_quiet(), check=False).returncode == 0
    )


def _quiet() -> dict[str, str]:
    return {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


class Peer:
    """The peer's process; it prices once for each question."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("costmodel_peer.py")
        command = [str(peer_python()), str(program)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_quiet()
        )
        self._answer()

    def price(self) -> Mapping[str, float]:
        """One evaluation: its duration_s and energy_pj."""
        assert self._process.stdin is not None
        self._process.stdin.write("price\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _answer(self) -> Mapping[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{PEER} ended without an answer")
        answer: Mapping[str, float] = json.loads(line)
        return answer


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def batch_rate(count: int) -> float:
    """Layers priced a second in one batch of random assignments, nothing remembered before."""
    prepared, draw = prepare(network()), random.Random(1)
    assignments = [random_types(draw) for _ in range(count)]
    return count * len(prepared.nodes) / seconds(lambda: price_many(prepared, assignments, SETTINGS))


def measure(repeats: int, batch: int) -> PricingTimes:
    """Ours and the peer's in turn."""
    described, types, draw = network(), four_bits(), random.Random(0)
    searched: Prepared = prepare(described)
    times: dict[str, list[float]] = {name: [] for name in ("peer", "first", "new", "again", "prepare")}
    peer, answer = Peer(), {}
    for _ in range(repeats):
        answer = dict(peer.price())
        times["peer"].append(answer["duration_s"])
        times["prepare"].append(seconds(lambda: prepare(described)))
        fresh = prepare(described)
        times["first"].append(seconds(lambda fresh=fresh: price(fresh, types, SETTINGS)))  # type: ignore[misc]
        times["again"].append(seconds(lambda fresh=fresh: price(fresh, types, SETTINGS)))  # type: ignore[misc]
        drawn = random_types(draw)
        times["new"].append(seconds(lambda drawn=drawn: price(searched, drawn, SETTINGS)))  # type: ignore[misc]
    peer.close()
    ms = {name: 1000 * statistics.median(values) for name, values in times.items()}
    return PricingTimes(
        peer=PEER,
        network="ConvBlock for MNIST",
        layers=len(described.layers),
        repeats=repeats,
        peer_ms=ms["peer"],
        first_ms=ms["first"],
        new_ms=ms["new"],
        again_ms=ms["again"],
        prepare_ms=ms["prepare"],
        ratio=ms["peer"] / ms["new"],
        ratio_first=ms["peer"] / ms["first"],
        batch=batch,
        batch_layers_per_s=statistics.median(batch_rate(batch) for _ in range(3)),
        energy_pj=price(prepare(described), types, SETTINGS).energy_pj,
        peer_energy_pj=answer["energy_pj"],
        machine=f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
    )


def table(result: PricingTimes) -> str:
    """The result as a Markdown table."""
    rows = [
        (f"QTools ({result.peer})", result.peer_ms, 1.0),
        ("fewbits, a new random assignment", result.new_ms, result.ratio),
        ("fewbits, the first assignment of a network", result.first_ms, result.ratio_first),
        ("fewbits, the same assignment again", result.again_ms, result.peer_ms / result.again_ms),
    ]
    lines = [
        f"{result.network}, {result.layers} layers, medians of {result.repeats}, in turn; {result.machine}",
        "",
    ]
    lines += ["| pricing one assignment | ms | times faster |", "|---|---:|---:|"]
    lines += [f"| {name} | {ms:.3f} | {ratio:,.0f} |" for name, ms, ratio in rows]
    lines += ["", f"Preparing the network, once: {result.prepare_ms:.2f} ms."]
    lines += [
        f"A batch of {result.batch:,} random assignments: {result.batch_layers_per_s:,.0f} layers a second."
    ]
    lines += [f"Both price it at {result.energy_pj:,.0f} pJ (the peer: {result.peer_energy_pj:,.0f})."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and with --check say whether the targets are met."""
    parser = argparse.ArgumentParser(
        description="How fast an assignment of quantizers is priced, beside QTools."
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--quick", action="store_true", help="few repeats: under a minute once the peer is installed"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args(arguments)
    result = measure(repeats=41 if options.quick else 101, batch=2_000 if options.quick else 20_000)
    print(json.dumps(asdict(result), indent=2) if options.json else table(result))
    for missed in result.missed:
        print(f"missed: {missed}", file=sys.stderr)
    return 1 if options.check and result.missed else 0


if __name__ == "__main__":
    sys.exit(main())
