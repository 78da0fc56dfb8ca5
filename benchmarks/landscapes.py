"""Synthetic tables: the effect of quantization on the accuracy is random, a different landscape for every seed.

Every layer has a sensitivity (log-normal), neighbouring layers increase each other's damage, training is noisy. None of
it was measured: the tables show whether an oracle works on landscapes by which its constants were not chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.tabular import Table, TableSpace
from search.cost.pricing import Pricer
from search.networks import architecture as models
from search.space.choices import choices
from search.spec.job import SearchSpec

NAME: Final = "made-up"

#: 4 quantizers for each of 6 kernels of the notebook's network for MNIST: 4,096 assignments.
JOB: Final[Mapping[str, Any]] = {
    "model": "mnist_convblock",
    "normalization": "float",  # as when the landscapes were recorded
    "limits": {"by_class": {"Conv2D": 8, "Dense": 8, "Activation": 8}},
    "quantizers": {
        "kernel": [
            "binary(alpha=1.0)",
            "quantized_bits(2,0,1,alpha=1.0)",
            "quantized_bits(4,0,1,alpha=1.0)",
            "quantized_bits(8,0,1,alpha=1.0)",
        ],
        "bias": ["quantized_bits(8,3,1)"],
        "activation": ["quantized_relu(4,2)"],
    },
    "training": {"epochs": 9, "batch_size": 64, "learning_rate": 0.004},
}

#: Error of each kernel quantizer, relative to that of the first.
_ERRORS: Final = np.array([1.0, 0.5, 0.1, 0.01])

_CLASSES: Final = 10


def read(seed: int = 1, oracle: Any = "random", **changes: Any) -> Table:
    """The landscape of a seed, under a job with this seed and oracle."""
    spec = SearchSpec.model_validate({**JOB, "oracle": oracle, "seed": seed} | changes)
    return Table(NAME, spec, space(), accuracies(seed))


@cache
def space() -> TableSpace:
    """The space all landscapes share."""
    spec = SearchSpec.model_validate(JOB)
    network = models.network(spec.model)
    return TableSpace(choices(spec, network), Pricer(spec.goal, network))


def accuracies(seed: int) -> NDArray[np.float64]:
    """(assignments, epochs) of a landscape."""
    rng = np.random.default_rng([1301, seed])
    dimensions = space().choices.dimensions().values()
    sizes = [len(labels) for labels in dimensions if len(labels) > 1]
    rows = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    errors = _ERRORS[rows]
    damage = errors @ rng.lognormal(0, 1, len(sizes))
    damage += (errors[:, 1:] * errors[:, :-1]) @ rng.lognormal(0, 1, len(sizes) - 1)
    damage *= rng.uniform(0.05, 0.5) / np.median(damage)
    top, floor = rng.uniform(0.8, 0.99), 1 / _CLASSES
    trained = floor + (top - floor) * np.exp(-damage) + rng.normal(0, 0.005, len(rows))
    time_constants = rng.uniform(0.5, 2.5, (len(rows), 1))
    progress = 1 - np.exp(-np.arange(1, 10) / time_constants)
    return np.clip(floor + (trained[:, None] - floor) * progress, 0.0, 1.0)
