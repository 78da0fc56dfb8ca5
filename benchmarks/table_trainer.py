"""Trains every assignment of a tabular benchmark: `python -m benchmarks.search_quality --generate`.

About a hundred assignments are trained at once, as one network with an additional axis. Layers and quantizers are those
of `fewbits`; Adam, batches and seeds are this trainer's.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.tabular import FOLDER, JOBS, MLP_UNITS, every_values
from search.data import load
from search.history import Assignment
from search.networks import architecture as models
from search.space.choices import Choices, choices
from search.spec.job import SearchSpec

Floats = NDArray[np.float32]

#: By table, the seed of weights and batches.
SEEDS: Final = {"digits": 7, "jet": 7, "mlp": 1301}


@dataclass(frozen=True)
class _Examples:
    x: Floats
    y: NDArray[Any]
    x_validation: Floats
    y_validation: NDArray[Any]


def generate(name: str, progress: Callable[[str], None]) -> Path:
    """Train every assignment of a job and store the table; resumes after an interruption."""
    spec = SearchSpec.model_validate(JOBS[name])
    space = choices(spec, models.network(spec.model))
    assignments = [space.assignment(values) for values in every_values(space)]
    data = _jets() if name == "jet" else _digits(spec, SEEDS[name])
    parts = FOLDER / f".{name}-parts"
    parts.mkdir(parents=True, exist_ok=True)
    correct = np.zeros((len(assignments), spec.training.epochs), dtype=np.int64)
    groups = _groups(space, assignments)
    for number, group in enumerate(groups):
        path = parts / f"{number:06d}.npy"
        if not path.exists():
            np.save(path, _trained(name, spec, [assignments[i] for i in group], data, SEEDS[name] + number))
        correct[group] = np.load(path)
        progress(f"{name}: {number + 1} of {len(groups)} groups of {len(group)}")
    return _store(name, correct, len(data.y_validation), parts)


def _groups(space: Choices, assignments: Sequence[Assignment]) -> list[list[int]]:
    """Assignments by their activations: the networks of a group share the activation quantizers."""
    names = [slot.name for slot in space.slots if slot.field == "activation"]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, assignment in enumerate(assignments):
        groups.setdefault(tuple(assignment.values[name] for name in names), []).append(index)
    return list(groups.values())


def _store(name: str, correct: NDArray[Any], samples: int, parts: Path) -> Path:
    path = FOLDER / f"{name}.npz"
    job = np.frombuffer(json.dumps(JOBS[name]).encode(), dtype=np.uint8)
    np.savez_compressed(path, correct=correct.astype(np.uint16), samples=np.uint32(samples), job=job)
    for part in parts.iterdir():
        part.unlink()
    parts.rmdir()
    return path


def _digits(spec: SearchSpec, seed: int) -> _Examples:
    data = load(spec.data, Path(), seed, (8, 8, 1))
    return _Examples(data.x_train, data.y_train, data.x_validation, data.y_validation)


def _jets(samples: int = 4000) -> _Examples:
    """Five classes of six overlapping clusters each; about as difficult as jet tagging."""
    chance = np.random.default_rng(SEEDS["jet"])
    centres = chance.normal(size=(5, 6, 16))
    y = np.arange(samples) % 5
    x = centres[y, chance.integers(0, 6, samples)] + 0.85 * chance.normal(size=(samples, 16))
    x = (x / 4).astype(np.float32)
    cut = samples * 3 // 4
    return _Examples(x[:cut], y[:cut], x[cut:], y[cut:])


# --- the trainer ---------------------------------------------------------------------------------------------------


@dataclass
class _Stack:
    """Networks of one architecture and different quantizers, trained together. Tensors have them as first axis."""

    assignments: Sequence[Assignment]
    chance: np.random.Generator
    weights: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)

    def variable(self, name: str, shape: tuple[int, ...], deviation: float, mean: float = 0.0) -> Any:
        """The weight of this name, created at the first call."""
        import tensorflow as tf

        if name not in self.weights:
            start = self.chance.normal(mean, deviation, (len(self.assignments), *shape))
            self.weights[name] = tf.Variable(start.astype(np.float32))
        return self.weights[name]

    def quantized(self, x: Any, layer: str, slot: str) -> Any:
        """Each network's part of `x` by that network's quantizer."""
        import tensorflow as tf

        from quantization.quantizers import build_quantizer

        specs = [assignment.quantizers[layer][slot] for assignment in self.assignments]
        if len(set(specs)) == 1:
            return build_quantizer(specs[0])(x)
        parts, order = [], []
        for spec in dict.fromkeys(specs):
            indexes = [index for index, other in enumerate(specs) if other == spec]
            parts.append(build_quantizer(spec)(tf.gather(x, indexes)))
            order += indexes
        return tf.gather(tf.concat(parts, axis=0), np.argsort(order))

    def dense(self, x: Any, layer: str, inputs: int, outputs: int, *, bias: bool = True) -> Any:
        """A layer on (network, sample, input)."""
        scale = math.sqrt(2 / inputs) if layer != "output" else math.sqrt(1 / inputs)
        kernel = self.variable(f"{layer}.kernel", (inputs, outputs), scale)
        y = x @ self.quantized(kernel, layer, "kernel")
        if bias:
            y += self.quantized(self.variable(f"{layer}.bias", (1, outputs), 0.0), layer, "bias")
        return y

    def normalized(self, x: Any, layer: str, width: int, training: bool) -> Any:
        """Batch normalization over all but the first and the last axis, momentum 0.9."""
        import tensorflow as tf

        gamma = self.variable(f"{layer}.gamma", (1, width), 0.0, mean=1.0)
        beta = self.variable(f"{layer}.beta", (1, width), 0.0)
        count = len(self.assignments)
        if layer not in self.statistics:
            self.statistics[layer] = (
                tf.Variable(tf.zeros((count, 1, width))),
                tf.Variable(tf.ones((count, 1, width))),
            )
        moving = self.statistics[layer]
        if training:
            mean, variance = tf.nn.moments(x, axes=[1], keepdims=True)
            for statistic, new in zip(moving, (mean, variance), strict=True):
                statistic.assign(0.9 * statistic + 0.1 * new)
        else:
            mean, variance = moving
        return (x - mean) * tf.math.rsqrt(variance + 1e-3) * gamma + beta


def _jet_logits(stack: _Stack, x: Any, training: bool) -> Any:
    return _perceptron(stack, x[None], (16, 64, 32, 32, 5))


def _mlp_logits(stack: _Stack, x: Any, training: bool) -> Any:
    import tensorflow as tf

    return _perceptron(stack, tf.reshape(x, (1, x.shape[0], 64)), (64, *MLP_UNITS, 10))


def _perceptron(stack: _Stack, y: Any, units: Sequence[int]) -> Any:
    *hidden, last = itertools.pairwise(units)
    for index, (inputs, outputs) in enumerate(hidden, start=1):
        y = stack.dense(y, f"fc{index}", inputs, outputs)
        y = stack.quantized(y, f"relu{index}", "activation")
    return stack.dense(y, "output", *last)


def _digits_logits(stack: _Stack, x: Any, training: bool) -> Any:
    import tensorflow as tf

    count, samples = len(stack.assignments), x.shape[0]
    y = x[None]
    for index, (side, channels, filters) in enumerate(((8, 1, 16), (4, 16, 32))):
        half = side // 2
        y = tf.reshape(_patches(y, half), (y.shape[0], samples * half * half, 9 * channels))
        y = stack.dense(y, f"conv2d_{index}", 9 * channels, filters, bias=False)
        y = stack.normalized(y, f"bn_{index}", filters, training)
        y = stack.quantized(y, f"act_{index}", "activation")
        y = tf.reshape(y, (count, samples, half, half, filters))
    return stack.dense(tf.reshape(y, (count, samples, 128)), "dense", 128, 10)


def _patches(x: Any, half: int) -> Any:
    """The inputs of a 3x3 convolution of stride 2 and padding `same` at each position."""
    import tensorflow as tf

    padded = tf.pad(x, [[0, 0], [0, 0], [0, 1], [0, 1], [0, 0]])
    shifted = [
        padded[:, :, row : row + 2 * half : 2, column : column + 2 * half : 2]
        for row in range(3)
        for column in range(3)
    ]
    return tf.concat(shifted, axis=-1)


#: By table: its networks' logits, of (the stack, a batch, whether it trains).
LOGITS: Final[Mapping[str, Callable[[_Stack, Any, bool], Any]]] = {
    "digits": _digits_logits,
    "jet": _jet_logits,
    "mlp": _mlp_logits,
}


def _trained(
    name: str, spec: SearchSpec, assignments: Sequence[Assignment], data: _Examples, seed: int
) -> NDArray[np.int64]:
    """Correct answers on the validation data, of shape (assignments, epochs)."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    stack = _Stack(assignments, np.random.default_rng(seed))
    logits = LOGITS[name]
    logits(stack, tf.constant(data.x[:2]), False)  # makes the weights
    weights = list(stack.weights.values())
    optimizer = _Adam(weights, spec.training.learning_rate)

    @tf.function(autograph=False)
    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.broadcast_to(y, (len(assignments), y.shape[0])), logits(stack, x, True)
            )
            loss = tf.reduce_sum(tf.reduce_mean(losses, axis=1))
        optimizer.apply([tf.convert_to_tensor(part) for part in tape.gradient(loss, weights)])

    @tf.function(autograph=False)
    def right(x: Any, y: Any) -> Any:
        hits = tf.argmax(logits(stack, x, False), axis=-1) == y
        return tf.reduce_sum(tf.cast(hits, tf.int64), axis=1)

    size, correct = spec.training.batch_size, []
    for _ in range(spec.training.epochs):
        order = stack.chance.permutation(len(data.y) // size * size).reshape(-1, size)
        for batch in order:
            step(tf.constant(data.x[batch]), tf.constant(data.y[batch].astype(np.int32)))
        hits = right(tf.constant(data.x_validation), tf.constant(data.y_validation.astype(np.int64)))
        correct.append(hits.numpy())
    return np.stack(correct, axis=1)


class _Adam:
    """Adam (Kingma and Ba, 2015). The networks share no weights, so one step updates all of them."""

    def __init__(self, weights: Sequence[Any], rate: float) -> None:
        import tensorflow as tf

        self._weights, self._rate = weights, rate
        self._moments = [(tf.Variable(tf.zeros_like(w)), tf.Variable(tf.zeros_like(w))) for w in weights]
        self._count = tf.Variable(0.0)

    def apply(self, gradients: Sequence[Any]) -> None:
        """One step."""
        import tensorflow as tf

        self._count.assign_add(1.0)
        rate = self._rate * tf.sqrt(1 - 0.999**self._count) / (1 - 0.9**self._count)
        for weight, gradient, (first, second) in zip(self._weights, gradients, self._moments, strict=True):
            first.assign(0.9 * first + 0.1 * gradient)
            second.assign(0.999 * second + 0.001 * gradient**2)
            weight.assign_sub(rate * first / (tf.sqrt(second) + 1e-7))
