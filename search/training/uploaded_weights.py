"""The float model of a job whose user brings its weights: rebuilt from its description, filled by name and shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import keras
from numpy.typing import NDArray

from search.data import Dataset
from search.history import Assignment
from search.networks import architecture as models
from search.spec.resolved import Resolved
from search.task import Task
from search.training.artifacts import save
from search.training.build import assemble, compile_model
from search.training.trial import evaluate
from search.trial_files import MODEL_FILE

#: What must be there, path by path, to what is there.
ReadWeights = Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, NDArray[Any]]]

_NOTHING: Final = Assignment(values={}, quantizers={})
_TEMPLATE: Final = "template.weights.h5"


def float_from_weights(job: Resolved, task: Task, data: Dataset, read: ReadWeights, folder: Path) -> float:
    """Write the float model with the weights `read` gives, as a trial writes its model; its metric on validation."""
    model = rebuilt(models.architecture(job.model), job.spec.seed, read, folder)
    compile_model(model, job.spec.training, task)
    model.optimizer.build(model.trainable_variables)
    save(model, data, folder)
    return float(evaluate(folder / MODEL_FILE, data.x_validation, data.y_validation, task)["metric"])


def rebuilt(architecture: Mapping[str, Any], seed: int, read: ReadWeights, folder: Path) -> keras.Model:
    """The network of a description with weights of the user's, whose file Keras never sees.

    A file of our own, made from the rebuilt model, names what is needed; `read` finds that in the user's, or raises;
    the values are written into our file, and Keras loads that one.
    """
    model = assemble(_NOTHING, architecture, seed)
    template = folder / _TEMPLATE
    model.save_weights(template)
    found = read(_shapes(template))
    with h5py.File(template, "r+") as file:
        for path, array in found.items():
            file[path][...] = array
    model.load_weights(template)
    template.unlink()
    return model


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Path and shape of every array of a weights file of our own."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset):
            found[name] = tuple(thing.shape)

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return found
