"""Which arrays of a `.npz` file are which part of a job's data, checked by their headers. Plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from search.data.files import DataFault, Header, read_array, read_headers, stored_names
from search.data.targets import array_names
from search.spec.job import MnistData, NpzData
from search.spec.resolved import DataFile
from search.task import Head

PartName = Literal["train", "validation", "test"]

#: What a file calls the validation part; the first one that it holds counts.
_VALIDATION_NAMES: Final = ("val", "validation")


@dataclass(frozen=True, slots=True)
class PartArrays:
    """The names of a part's arrays. `y`: by output; empty where the inputs are the targets."""

    x: str
    y: tuple[str, ...]


def stored_parts(
    data: MnistData | NpzData | DataFile, path: Path, heads: Sequence[Head]
) -> dict[PartName, PartArrays]:
    """The parts that a job reads from its file. `DataFault` where it must hold a validation part and does not."""
    names: dict[PartName, str] = {"train": "train", "test": "test"}
    present: tuple[str, ...] = ()
    if not isinstance(data, MnistData) and data.validation != "split":
        present = stored_names(path)
        part = next((name for name in _VALIDATION_NAMES if f"x_{name}" in present), None)
        if part is not None:
            names["validation"] = part
        elif data.validation == "stored":
            raise DataFault("lacks x_val: add it, or set data.validation to split")
    without_targets = data.targets == "inputs"
    parts = {
        part: PartArrays(f"x_{name}", () if without_targets else tuple(array_names(heads, name)))
        for part, name in names.items()
    }
    validation = parts.get("validation", PartArrays("", ()))
    if missing := [name for name in validation.y if name not in present]:
        reason = f"holds {validation.x}, but lacks {', '.join(missing)}"
        raise DataFault(f"{reason}: add it, or set data.validation to split to hold out a share of x_train")
    return parts


def checked_headers(
    path: Path, parts: Mapping[PartName, PartArrays], heads: Sequence[Head]
) -> Mapping[str, Header]:
    """The headers of all arrays of the parts. `DataFault` where they do not fit each other."""
    headers = read_headers(path, names_of(parts))
    for part in parts.values():
        _check_examples(headers[part.x], headers[parts["train"].x])
    for part in parts.values():
        for name, head in zip(part.y, heads, strict=bool(part.y)):
            _check_targets(headers[part.x], headers[name], head)
    return headers


def names_of(parts: Mapping[PartName, PartArrays]) -> list[str]:
    """The names of all arrays of the parts."""
    return [name for part in parts.values() for name in (part.x, *part.y)]


def read_labels(path: Path, name: str) -> NDArray[np.int32]:
    """The class numbers of a part, one per example. Raises `DataFault` if one is negative or too large."""
    labels = read_array(path, name).reshape(-1)
    if labels.size and int(labels.min()) < 0:
        raise DataFault(f"{name} holds the label {labels.min()}; class numbers count from 0")
    if labels.size and int(labels.max()) >= 2**31 - 1:
        raise DataFault(f"{name} holds the label {labels.max()}, which is not a class number")
    return labels.astype(np.int32)


def _check_examples(x: Header, train: Header) -> None:
    if not x.examples:
        raise DataFault(f"{x.name} holds no examples")
    if len(x.shape) < 2:
        raise DataFault(f"{x.name} has the shape {x.shape}; each example needs at least one axis")
    if train.shape[1:] != x.shape[1:]:
        raise DataFault(
            f"examples of {train.name} have the shape {train.shape[1:]}, of {x.name} {x.shape[1:]}"
        )


def _check_targets(x: Header, y: Header, head: Head) -> None:
    if head.labels == "classes" and y.dtype.kind not in "biu":
        hint = "; for targets that are numbers set a metric such as mse in /objective"
        raise DataFault(
            f"{y.name} holds {y.dtype.name}; labels must be class numbers, that is integers{hint}"
        )
    if head.labels == "classes" and (len(y.shape) > 2 or y.shape[1:] not in ((), (1,))):
        raise DataFault(
            f"{y.name} has the shape {y.shape}; it must hold one class number per example, not one-hot rows"
        )
    if x.examples != y.examples:
        raise DataFault(f"{x.name} holds {x.examples} examples and {y.name} {y.examples} labels")
