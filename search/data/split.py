"""How examples are split into training, validation and test parts. Seeded; the parts are disjoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class SplitFault(ValueError):
    """The requested split leaves a part empty; `field` is the field of the data to change."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Examples per part."""

    train: int
    validation: int


def sizes(
    available: int,
    validation_fraction: float,
    train_samples: int | None,
    stored_validation: int | None = None,
) -> Sizes:
    """The parts `available` training examples are split into. Raises `SplitFault` if one of them is empty.

    `stored_validation`: examples of a validation part of its own; nothing is held out then.
    """
    if stored_validation is None and available < 2:
        raise SplitFault("", f"{available} training examples cannot be split; at least 2 are needed")
    validation = share(available, validation_fraction) if stored_validation is None else stored_validation
    train = available - (validation if stored_validation is None else 0)
    if train_samples is not None and train_samples > train:
        reason = f"{train_samples} examples requested; {train} are left beside the validation part"
        raise SplitFault("train_samples", reason)
    return Sizes(train_samples or train, validation)


def share(available: int, fraction: float) -> int:
    """The number of examples nearest to the fraction, with at least one in each part."""
    return min(max(round(available * fraction), 1), available - 1)


def held_out(available: int, fraction: float) -> int:
    """The number of examples held out for the test. Raises `SplitFault` if a part would be empty."""
    if available < 2:
        raise SplitFault("", f"{available} examples cannot be split; at least 2 are needed")
    return share(available, fraction)


def order(
    count: int, seed: int, purpose: int, labels: NDArray[np.integer[Any]] | None = None
) -> NDArray[np.intp]:
    """A permutation of `count` examples; other purposes get other permutations from one seed.

    With the class number of each example, every beginning of it has each class at its share: the k-th of the n examples
    of a class comes after a share of (k + 1/2) / n of all.
    """
    places = np.random.default_rng([seed, purpose]).permutation(count)
    if labels is None:
        return places
    classes = labels[places]
    grouped = np.argsort(classes, kind="stable")
    _, starts, counts = np.unique(classes[grouped], return_index=True, return_counts=True)
    ranks = np.arange(count) - np.repeat(starts, counts)
    shares = np.empty(count)
    shares[grouped] = (ranks + 0.5) / np.repeat(counts, counts)
    return places[np.argsort(shares, kind="stable")]
