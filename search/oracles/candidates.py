"""Assignments as rows of indexes into the labels of each choice, and as features for a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantization.specs.parse import QuantizerSpec
from search.oracles.base import Values
from search.space.choices import Choices, Label
from search.space.sensitivity import Sensitivity

Rows = NDArray[np.intp]  #: (assignments, choices)
Floats = NDArray[np.float64]

#: Weights of the features besides bits and rounding error: the quantizer's kind, and its identity.
_KIND, _TEXT = 0.3, 0.15

#: Weight of the sums over all choices.
_SUM: Final = 1.0

#: Largest span of the logarithms of multiples and rates: that of widths from half to double.
_WIDEST_SPAN: Final = 2.0

#: Harm of half the width, in units of rounding error: a binary weight has 1, a weight of 3 bits 0.25.
_NARROW: Final = 0.25

#: Widest quantizer; its logarithm scales the bits to [0, 1].
_MOST_BITS: Final = 16


class Candidates:
    """The space of a job as rows of indexes. Choices with one label are left out of the rows."""

    def __init__(self, choices: Choices, sensitivity: Sensitivity | None = None) -> None:
        dimensions = choices.dimensions()
        self._fixed = {name: labels[0] for name, labels in dimensions.items() if len(labels) == 1}
        self._free = {name: labels for name, labels in dimensions.items() if len(labels) > 1}
        self._places = {
            name: {label: index for index, label in enumerate(labels)} for name, labels in self._free.items()
        }
        self.sizes: Rows = np.array([len(labels) for labels in self._free.values()], dtype=np.intp)
        self.names = tuple(self._free)
        self._summed = 2 if sensitivity is None else 3
        self._tables = _tables(choices, self._free, sensitivity)
        self._centred = [table - table.mean(axis=0) for table in self._tables]

    @property
    def labels(self) -> Mapping[str, tuple[Label, ...]]:
        """The choices of a row and their labels, in order."""
        return self._free

    def values(self, row: Rows) -> dict[str, Label]:
        """The labels of one row."""
        return self.every_values(row[None])[0]

    def every_values(self, rows: Rows) -> list[dict[str, Label]]:
        """The labels of each row."""
        chosen = [
            [labels[i] for i in column.tolist()]
            for labels, column in zip(self._free.values(), rows.T, strict=True)
        ]
        if not chosen:
            return [dict(self._fixed) for _ in rows]
        return [
            {**self._fixed, **dict(zip(self.names, labels, strict=True))}
            for labels in zip(*chosen, strict=True)
        ]

    def row(self, values: Values) -> Rows:
        """The row of these labels; names that are not choices are ignored."""
        return np.array([places[values[name]] for name, places in self._places.items()], dtype=np.intp)

    def random(self, count: int, rng: np.random.Generator) -> Rows:
        """Rows drawn uniformly."""
        return rng.integers(0, self.sizes, size=(count, len(self.sizes)), dtype=np.intp)

    def neighbours(self, rows: Rows) -> Rows:
        """Every row that differs from one of these in one choice; each once."""
        neighbours = []
        for dimension, size in enumerate(self.sizes):
            for shift in range(1, size):
                other = rows.copy()
                other[:, dimension] = (other[:, dimension] + shift) % size
                neighbours.append(other)
        return np.unique(np.concatenate(neighbours), axis=0)

    def encoded(self, rows: Rows) -> Floats:
        """(assignments, features): per choice its bits on a logarithmic scale, rounding error, kind and text.

        Then the sums of bits and of errors, which carry over from one choice to the others. Where the sensitivity is
        measured, the damage of each choice and the sum of damages besides.
        """
        if not self._tables:
            return np.zeros((len(rows), 1))
        parts = [table[rows[:, i]] for i, table in enumerate(self._centred)]
        summed = self._summed
        sums = sum((part[:, :summed] for part in parts), start=np.zeros((len(rows), summed)))
        return np.concatenate([*parts, _SUM * sums], axis=1)

    def damage(self, rows: Rows) -> Floats:
        """The sum of rounding errors: the expected harm as long as all layers seem equally sensitive."""
        errors = (table[rows[:, i], 1] for i, table in enumerate(self._tables))
        return np.asarray(sum(errors, start=np.zeros(len(rows))))


def _tables(
    choices: Choices, free: Mapping[str, tuple[Label, ...]], sensitivity: Sensitivity | None
) -> list[Floats]:
    specs: dict[str, dict[Label, QuantizerSpec]] = {
        slot.name: {spec.label: spec for spec in slot.candidates} for slot in choices.slots
    }
    widths = {width.name for width in choices.widths}
    tables = [
        _quantizers([specs[name][label] for label in labels])
        if name in specs
        else _others(labels, is_width=name in widths)
        for name, labels in free.items()
    ]
    if sensitivity is None:
        return tables
    damages = [[sensitivity.damage(name, label) for label in labels] for name, labels in free.items()]
    return [np.insert(table, 2, column, axis=1) for table, column in zip(tables, damages, strict=True)]


def _quantizers(specs: list[QuantizerSpec]) -> Floats:
    bits = np.array([spec.bits for spec in specs], dtype=float)
    kinds = sorted({spec.kind for spec in specs})
    parts = [np.log2(bits)[:, None] / math.log2(_MOST_BITS), np.exp2(1 - bits)[:, None]]
    if len(kinds) > 1:
        parts.append(_KIND * np.array([[spec.kind == kind for kind in kinds] for spec in specs], dtype=float))
    parts.append(_TEXT * np.eye(len(specs)))
    return np.concatenate(parts, axis=1)


def _others(labels: tuple[Label, ...], *, is_width: bool) -> Floats:
    """Features of widths, learning rates and words; the second column is their harm, as for quantizers."""
    nothing = np.zeros((len(labels), 1))
    if any(isinstance(label, str) for label in labels):  # words without an order
        return np.concatenate([nothing, nothing, np.eye(len(labels))], axis=1)
    numbers = np.array([float(label) for label in labels])
    scale = np.log2(numbers)
    scale *= min(
        1.0, _WIDEST_SPAN / float(np.ptp(scale))
    )  # learning rates may be factors of a thousand apart
    damage = _NARROW * (1 / numbers - 1)[:, None] if is_width else nothing
    return np.concatenate([scale[:, None], damage, _TEXT * np.eye(len(labels))], axis=1)
