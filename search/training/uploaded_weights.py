"""The float model of a job whose user uploads its weights: rebuilt from its description, filled by name and shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import keras
from numpy.typing import NDArray

from search.data import Dataset
from search.networks.architecture import architecture
from search.plan import Plan
from search.training.artifacts import save
from search.training.build import assemble, compile_model
from search.training.evaluate import evaluate_file
from search.training.request import FLOAT
from search.trial_files import MODEL_FILE

#: Gets path and shape of every array that the model has, returns the arrays of the upload.
ReadWeights = Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, NDArray[Any]]]

_TEMPLATE: Final = "template.weights.h5"


def float_from_weights(plan: Plan, data: Dataset, read: ReadWeights, folder: Path) -> float:
    """Write the float model with the weights that `read` returns, with the files of a trial; returns its metric on the
    validation data.
    """
    spec = plan.spec
    model = rebuilt(architecture(plan.job.model), spec.seed, read, folder)
    compile_model(model, spec.training, plan.task)
    model.optimizer.build(model.trainable_variables)
    save(model, data, folder)
    result = evaluate_file(folder / MODEL_FILE, data.x_validation, data.y_validation, plan.task)
    return result["metric"]


def rebuilt(config: Mapping[str, Any], seed: int, read: ReadWeights, folder: Path) -> keras.Model:
    """The network of a description with the weights of an upload, which Keras never opens.

    Keras saves the rebuilt model to a template; `read` returns the arrays that the template names, or raises; they are
    written into the template, and Keras loads that.
    """
    model = assemble(FLOAT, config, seed)
    template = folder / _TEMPLATE
    model.save_weights(template)
    arrays = read(_shapes(template))
    with h5py.File(template, "r+") as file:
        for path, array in arrays.items():
            file[path][...] = array
    model.load_weights(template)
    template.unlink()
    return model


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Path and shape of every array of a weights file that Keras wrote."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            shapes[name] = tuple(node.shape)

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return shapes
