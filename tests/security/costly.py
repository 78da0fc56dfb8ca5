"""Requests that are large in one way each, for tests and benchmarks of what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tests.service.filled import JOB


def tensor(name: str) -> dict[str, Any]:
    shape = {"in": [None, 8, 8], "flat": [None, 64]}.get(name, [None, 8])
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": shape, "dtype": "float32", "keras_history": [name, 0, 0]},
    }


def entry(class_name: str, name: str, sources: list[str], **config: Any) -> dict[str, Any]:
    merges = class_name in ("Add", "Concatenate")
    arguments: list[Any] = (
        [[tensor(source) for source in sources]] if merges else [tensor(s) for s in sources]
    )
    return {
        "class_name": class_name,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": [{"args": arguments, "kwargs": {}}] if sources else [],
    }


def network(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """A classifier of the digits; the layers begin at "flat"."""
    layers = [
        entry("InputLayer", "in", [], batch_shape=[None, 8, 8]),
        entry("Flatten", "flat", ["in"]),
        *layers,
        entry("Dense", "out", [layers[-1]["name"]], units=10),
        entry("Softmax", "shares", ["out"]),
    ]
    config = {
        "name": "m",
        "layers": layers,
        "input_layers": [["in", 0, 0]],
        "output_layers": [["shares", 0, 0]],
    }
    return {"kind": "architecture", "config": {"class_name": "Functional", "config": config}}


def chain(count: int) -> dict[str, Any]:
    """Layers one after another."""
    names = ["flat", *(f"d{n}" for n in range(count))]
    return network([entry("Dense", names[n + 1], [names[n]], units=8) for n in range(count)])


def ladder(count: int) -> dict[str, Any]:
    """Merges of the two layers before, so that paths double."""
    names = ["d0", "d1", *(f"a{n}" for n in range(count))]
    layers = [entry("Dense", "d0", ["flat"], units=8), entry("Dense", "d1", ["d0"], units=8)]
    layers += [entry("Add", names[n + 2], [names[n + 1], names[n]]) for n in range(count)]
    return network(layers)


def wide(count: int) -> dict[str, Any]:
    """Merges of many branches."""
    layers = [entry("Dense", "d0", ["flat"], units=8)]
    for first in range(0, count, 200):
        branches = [f"b{n}" for n in range(first, min(first + 200, count))]
        layers += [entry("Dense", name, [layers[0]["name"]], units=8) for name in branches]
        layers.append(entry("Add", f"sum{first}", [*branches, "d0"]))
    return network(layers)


def job(**changes: Any) -> dict[str, Any]:
    """A job whose other parts suit any network, so that it is refused for what is large in it alone."""
    plain = {"filters": {"by": "none"}, "limits": {"by_class": {"Dense": [8, 8]}}}
    return {**JOB, **plain, **changes}


def deep(count: int) -> dict[str, Any]:
    """A search of many quantizers of several families in a deep network: more assignments than Python writes digits."""
    kernels = [f"quantized_bits({bits},0,1)" for bits in range(1, 17)]
    kernels += [*(f"quantized_po2({bits})" for bits in range(2, 9)), "binary()", "ternary()", "bernoulli()"]
    outputs = [f"quantized_bits({bits},2,0)" for bits in range(2, 16)]
    quantizers = {"kernel": kernels, "bias": kernels[:16], "output": outputs}
    return job(model=chain(count), quantizers=quantizers)


#: Name -> a document of about as many parts as it is told, and how many bytes a part has.
FAMILIES: Final[dict[str, tuple[Callable[[int], Any], int]]] = {
    "a chain of layers": (lambda n: job(model=chain(n)), 280),
    "many families in a chain": (deep, 280),
    "a ladder of merges": (lambda n: job(model=ladder(n)), 380),
    "a wide merge": (lambda n: job(model=wide(n)), 420),
    "a priced chain": (lambda n: {"model": chain(n)}, 280),
    "unknown fields": (lambda n: job(**{f"field {number}": number for number in range(n)}), 24),
    "unknown costs": (lambda n: {"model": "jet_mlp", "costs": [f"cost {number}" for number in range(n)]}, 14),
    "unknown layers": (
        lambda n: {"model": "jet_mlp", "quantizers": {f"l{m}": {"kernel": "binary"} for m in range(n)}},
        32,
    ),
    "patterns": (
        lambda n: job(
            limits={
                "by_name": [{"pattern": f"(a?){{20}}a{{20}}{m}", "kernel": 8} for m in range(min(n, 500))]
            }
        ),
        90,
    ),
    "a long pattern": (lambda n: job(filters={"by": "layer", "exceptions": ["a?" * n + "a" * n]}), 3),
    "candidates": (
        lambda n: job(quantizers={"kernel": [f"quantized_bits({1 + m % 30})" for m in range(n)]}),
        22,
    ),
    "a long quantizer": (lambda n: job(quantizers={"kernel": ["quantized_bits(" + "1," * n + "1)"]}), 2),
    "nested lists": (lambda n: job(name=nested(n)), 2),
    "many numbers": (lambda n: job(seed=list(range(n))), 7),
    "a long name": (lambda n: job(name="x" * n), 1),
    "escapes": (lambda n: job(name="\u0001" * n), 6),
    "a goal": (
        lambda n: {"goal": {"kind": "energy", "profile": {f"table {m}": [m] for m in range(n)}}, "k": 1},
        22,
    ),
    "changes": (lambda n: {"budget": {f"field {m}": True for m in range(n)}}, 18),
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(min(depth, 900)):
        value = [value]
    return value


def large(family: str, kilobytes: int) -> bytes:
    """A document of a family in about so many kilobytes; 4 MB at most."""
    make, part_bytes = FAMILIES[family]
    return json.dumps(make(max(1, kilobytes * 1000 // part_bytes))).encode()[: 4 << 20]
