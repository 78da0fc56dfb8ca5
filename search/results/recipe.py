"""The recipe of a trial: everything its metric depends on, to train it again. Plain; nothing loads Keras."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np

from search.data.stored_rows import ScaledRows
from search.history import Assignment, Measurement, TrialRecord, penalty_of, polish_of
from search.spec.job import SearchSpec
from search.spec.stored import completed

#: Increased when older versions can no longer read a recipe.
FORMAT: Final = 1

#: Largest difference between the metrics of two trainings by one recipe, as a share of the metric or of 1, whichever is
#: larger. With the same machine and versions they are equal; sums in another order may change a few examples.
TOLERANCE: Final = 0.005

#: What a training starts from: new weights, the job's float model, or the model of another trial.
Start = Literal["scratch", "float", "parent"]

_PARTS: Final = ("x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test")


@dataclass(frozen=True)
class Recipe:
    """All that determines a trial, and its result. `data`: SHA-256 of the data it was trained and measured on
    (`fingerprint`).
    """

    spec: SearchSpec
    assignment: Assignment
    trial: int
    seed: int
    epochs: int
    initial_epoch: int
    start: Start
    parent: int | None  #: number of the trial whose training it continued
    shares: Mapping[str, float]  #: layer -> its share of the learning rate, where that is not 1
    versions: Mapping[str, str]
    machine: str
    data: Mapping[str, str]
    metric: float
    loss: float
    best_epoch: int
    penalty: float | None = None  #: on the cost, where bits were trained, from those of `assignment` on
    polish: float | None = None  #: loss of the metric allowed, where the parent's bits were lowered

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "trial": self.trial,
            "spec": self.spec.model_dump(mode="json"),
            "assignment": self.assignment.to_json(),
            "seed": self.seed,
            "epochs": self.epochs,
            "initial_epoch": self.initial_epoch,
            "start": self.start,
            "parent": self.parent,
            "shares": dict(self.shares),
            **({} if self.penalty is None else {"penalty": self.penalty}),
            **({} if self.polish is None else {"polish": self.polish}),
            "versions": dict(sorted(self.versions.items())),
            "machine": self.machine,
            "data_sha256": dict(self.data),
            "measured": {"metric": self.metric, "loss": self.loss, "best_epoch": self.best_epoch},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The recipe that `to_json` wrote. Raises ValueError for a newer format, KeyError for other documents."""
        if document["format"] > FORMAT:
            raise ValueError(f"the recipe has format {document['format']}, this version reads up to {FORMAT}")
        measured = document["measured"]
        return cls(
            spec=SearchSpec.model_validate(completed(document["spec"])),
            assignment=Assignment.from_json(document["assignment"]),
            trial=document["trial"],
            seed=document["seed"],
            epochs=document["epochs"],
            initial_epoch=document["initial_epoch"],
            start=document["start"],
            parent=document["parent"],
            shares=document["shares"],
            versions=document["versions"],
            machine=document["machine"],
            data=document["data_sha256"],
            metric=measured["metric"],
            loss=measured["loss"],
            best_epoch=measured["best_epoch"],
            penalty=document.get("penalty"),
            polish=document.get("polish"),
        )

    def agrees(self, metric: float, tolerance: float = TOLERANCE) -> bool:
        """Whether the metric of another training by this recipe is the same within the tolerance."""
        return abs(metric - self.metric) <= tolerance * max(1.0, abs(self.metric))


def recipe_of(
    spec: SearchSpec,
    record: TrialRecord,
    measurement: Measurement,
    *,
    seed: int,
    start: Start,
    shares: Mapping[str, float],
    versions: Mapping[str, str],
    data: Mapping[str, str],
) -> Recipe:
    """The recipe of a trial that was just measured. If its parent's model was not stored, it started anew."""
    return Recipe(
        spec=spec,
        assignment=record.assignment,
        trial=record.number,
        seed=seed,
        epochs=record.epochs or spec.training.epochs,
        initial_epoch=record.initial_epoch if start == "parent" else 0,
        start=start,
        parent=record.parent if start == "parent" else None,
        shares=shares,
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}",
        data=data,
        metric=measurement.metric,
        loss=measurement.loss,
        best_epoch=measurement.best_epoch,
        penalty=penalty_of(record),
        polish=polish_of(record),
    )


def fingerprint(data: Any) -> dict[str, str]:
    """SHA-256 of each array of a data set: of its type, shape and bytes. Test data are part of what a job is."""
    return {name: _digest(getattr(data, name)) for name in _PARTS}


def _digest(part: Any) -> str:
    digest = hashlib.sha256()
    for array in part if isinstance(part, tuple) else (part,):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        for block in array.blocks() if isinstance(array, ScaledRows) else (np.asarray(array),):
            digest.update(np.ascontiguousarray(block).data if math.prod(block.shape) else b"")
    return digest.hexdigest()
