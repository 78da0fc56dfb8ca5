"""Tables with a measurement of every assignment of a search, to compare oracles without training.

`digits`: the digits CNN on scikit-learn's digits, 2,000 assignments. `jet`: the jet tagger's network on 16 made-up
features of 5 overlapping classes, 2,187 assignments. `mlp`: another network on the digits, other quantizers, goal bits
instead of energy, 2,187 assignments; it is held out: no constant may be chosen by it. The tables hold the validation
accuracy after every epoch.

They are made by a separate trainer (`benchmarks.table_trainer`), so the accuracies differ slightly from those of
`fewbits` jobs. All oracles are compared on the same tables.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from search.cost.pricing import Pricer
from search.history import Assignment
from search.networks import architecture as models
from search.space.choices import Choices, choices
from search.space.sensitivity import Sensitivity
from search.spec.job import SearchSpec
from search.spec.oracle import Constraints

FOLDER: Final = Path(__file__).parent / "data"

#: The sensitivities of float models on the tables' data: `python -m benchmarks.table_sensitivity`.
SENSITIVITIES: Final = "sensitivities.json"

#: Hidden layers of the held-out network.
MLP_UNITS: Final = (40, 28, 20)

_RELUS: Final = ("quantized_relu(2,1)", "quantized_relu(3,1)", "quantized_relu(4,2)", "quantized_relu(8,2)")
_FIXED: Final = {bits: f"quantized_bits({bits},0,1,alpha=1.0)" for bits in (2, 3, 4, 6, 8)}


def _mlp() -> dict[str, Any]:
    """The held-out network, as a job names it."""
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(name="flat")]
    for index, units in enumerate(MLP_UNITS, start=1):
        layers.append(keras.layers.Dense(units, name=f"fc{index}"))
        layers.append(keras.layers.Activation("relu", name=f"relu{index}"))
    layers += [keras.layers.Dense(10, name="output"), keras.layers.Activation("softmax", name="softmax")]
    return {"kind": "architecture", "config": json.loads(keras.Sequential(layers, name="mlp").to_json())}


JOBS: Final[Mapping[str, Mapping[str, Any]]] = {
    "digits": {
        "model": "digits_cnn",
        "normalization": "float",  # as when the table was recorded
        "limits": {"by_class": {"Conv2D": 8, "Dense": 8, "Activation": 8}},
        "quantizers": {
            "kernel": ["binary(alpha=1.0)", _FIXED[2], _FIXED[4], "quantized_po2(4,1)", _FIXED[8]],
            "bias": ["quantized_bits(8,3,1)"],
            "activation": list(_RELUS),
        },
        "training": {"epochs": 9, "batch_size": 64, "learning_rate": 0.004},
    },
    "jet": {
        "model": "jet_mlp",
        "limits": {"by_class": {"Dense": 8, "Activation": 8}},
        "quantizers": {
            "kernel": [_FIXED[2], _FIXED[4], _FIXED[8]],
            "bias": ["quantized_bits(8,3,1)"],
            "activation": [_RELUS[0], _RELUS[2], _RELUS[3]],
        },
        "training": {"epochs": 9, "batch_size": 128, "learning_rate": 0.004},
    },
    "mlp": {
        "model": _mlp(),
        "limits": {"by_class": {"Dense": 8, "Activation": 8}},
        "quantizers": {
            "kernel": ["ternary(alpha=1.0)", _FIXED[3], _FIXED[6]],
            "bias": ["quantized_bits(8,3,1)"],
            "activation": [_RELUS[0], _RELUS[1], "quantized_relu(6,2)"],
        },
        "goal": {"kind": "bits", "delta_p": 5, "delta_n": 5, "rate": 2},
        "training": {"epochs": 9, "batch_size": 32, "learning_rate": 0.004},
    },
}


@dataclass(frozen=True)
class TableSpace:
    """What the jobs of one table share: all but accuracies, seed and oracle."""

    choices: Choices
    pricer: Pricer

    @cached_property
    def assignments(self) -> list[Assignment]:
        """All assignments, in the order of the table."""
        return [self.choices.assignment(values) for values in every_values(self.choices)]

    @cached_property
    def costs(self) -> NDArray[np.float64]:
        """Cost of every assignment."""
        return np.array(self.pricer.price_many(self.assignments), dtype=float)

    @cached_property
    def reference(self) -> float:
        """Cost of the float network."""
        return self.pricer.reference().value

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.choices.dimensions())

    @cached_property
    def _indexes(self) -> dict[tuple[Any, ...], int]:
        return {
            tuple(assignment.values[name] for name in self._names): index
            for index, assignment in enumerate(self.assignments)
        }

    def index(self, assignment: Assignment) -> int:
        """The row of an assignment."""
        values = assignment.values
        return self._indexes[tuple([values[name] for name in self._names])]

    def price_many(self, assignments: Sequence[Assignment]) -> list[float | None]:
        """The cost of each assignment, from the table."""
        return [float(self.costs[self.index(assignment)]) for assignment in assignments]

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """As the pricer's."""
        return self.pricer.keeps(assignment, constraints)


@dataclass(frozen=True)
class Table:
    """A space with the accuracy of every assignment after every epoch, under a job with a seed and an oracle."""

    name: str
    spec: SearchSpec
    space: TableSpace
    accuracy: NDArray[np.float64]  #: (assignments, epochs)
    sensitivity: Sensitivity | None = (
        None  #: of a float model, for jobs that need it; None where there is no network
    )

    def metric(self, index: int, epochs: int) -> float:
        """The best accuracy of the first `epochs` epochs, as a trial reports it."""
        return float(self.accuracy[index, :epochs].max())


def every_values(space: Choices) -> Iterator[dict[str, Any]]:
    """Labels of every assignment, the last choice varying fastest."""
    dimensions = space.dimensions()
    for labels in itertools.product(*dimensions.values()):
        yield dict(zip(dimensions, labels, strict=True))


def read(name: str, seed: int = 1, oracle: Any = "random", **changes: Any) -> Table:
    """The committed table under a job with this seed and oracle."""
    spec = SearchSpec.model_validate({**JOBS[name], "oracle": oracle, "seed": seed} | changes)
    models_of_table = _sensitivities().get(name, ())
    sensitivity = models_of_table[seed % len(models_of_table)] if models_of_table else None
    return Table(name, spec, space_of(name), _accuracies(name), sensitivity)


@cache
def space_of(name: str) -> TableSpace:
    """The space of a table, without its accuracies."""
    spec = SearchSpec.model_validate(JOBS[name])
    network = models.network(spec.model)
    return TableSpace(choices(spec, network), Pricer(spec.goal, network))


@cache
def _sensitivities() -> dict[str, list[Sensitivity]]:
    """Of every table the sensitivity of a few float models, trained from different seeds."""
    stored = json.loads((FOLDER / SENSITIVITIES).read_text())
    return {name: [Sensitivity.from_json(one) for one in models_] for name, models_ in stored.items()}


@cache
def _accuracies(name: str) -> NDArray[np.float64]:
    with np.load(FOLDER / f"{name}.npz") as stored:
        return np.asarray(stored["correct"] / float(stored["samples"]))
