"""Cases of a quantized-layer library: inputs, expected outputs and gradients, as arrays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tests.golden.files import case_files


@dataclass(frozen=True)
class Case:
    """One case of a vector file."""

    id: str
    feature: str
    params: dict[str, Any]
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    tolerance: dict[str, Any]
    error: dict[str, str] | None
    extra: dict[str, Any]
    notes: str

    def __str__(self) -> str:
        return self.id


def cases(name: str) -> list[Case]:
    """Every case of the library's files, whose arrays lie in the .npz of the same name."""
    return [case for path in case_files(f"libraries/{name}") for case in _read(path)]


def _read(path: Path) -> list[Case]:
    with np.load(path.with_suffix(".npz")) as archive:
        pools = {key: archive[key] for key in archive.files}

    def array(reference: list[Any]) -> np.ndarray:
        kind, offset, shape = reference
        return pools[kind][offset : offset + int(np.prod(shape, dtype=int))].reshape(shape)

    return [
        Case(
            id=case["id"],
            feature=case["feature"],
            params={key: plain(value) for key, value in case["params"].items()},
            inputs={key: array(value) for key, value in case.get("inputs", {}).items()},
            outputs={key: array(value) for key, value in case.get("outputs", {}).items()},
            tolerance=case["tolerance"],
            error=case.get("error"),
            extra=case.get("extra", {}),
            notes=str(case.get("notes", "")),
        )
        for case in json.loads(path.read_text())["cases"]
    ]


def plain(value: Any) -> Any:
    """Arrays written as objects become lists."""
    return value["__array__"] if isinstance(value, dict) and "__array__" in value else value


def gradients(function: Callable[..., Any], *arguments: Any) -> list[np.ndarray]:
    """d function / d each argument, on whichever backend runs; the function returns a number."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(argument) for argument in arguments]
        with tf.GradientTape() as tape:
            for tensor in tensors:
                tape.watch(tensor)
            result = function(*tensors)
        zero = tf.UnconnectedGradients.ZERO
        return [
            np.asarray(gradient) for gradient in tape.gradient(result, tensors, unconnected_gradients=zero)
        ]
    import jax

    value = jax.grad(function, argnums=tuple(range(len(arguments))))(*arguments)
    return [np.asarray(gradient) for gradient in value]
