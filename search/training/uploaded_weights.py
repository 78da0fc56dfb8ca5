"""The float model of a job whose user uploads its weights: rebuilt from its description, filled by name and shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from costmodel.descriptions import numbered
from costmodel.windows import spatial_rank
from search.data import Dataset
from search.networks.architecture import architecture
from search.plan import Plan
from search.spec.resolved import ModelFile
from search.training.artifacts import save
from search.training.build import assemble, compile_model
from search.training.evaluate import evaluate_file
from search.training.request import FLOAT
from search.trial_files import MODEL_FILE

#: Gets path and shape of every array that the model has, returns the arrays of the upload.
ReadWeights = Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, NDArray[Any]]]

_TEMPLATE: Final = "template.weights.h5"
#: Where Keras saves the layer that a TimeDistributed applies.
_WRAPPED: Final = "layer"


def float_from_weights(plan: Plan, data: Dataset, read: ReadWeights, folder: Path) -> float:
    """Write the float model with the weights that `read` returns, with the files of a trial; returns its metric on the
    validation data.
    """
    spec, uploaded = plan.spec, plan.job.model
    saved_names = uploaded.saved_names if isinstance(uploaded, ModelFile) else {}
    model = rebuilt(architecture(uploaded), spec.seed, read, folder, saved_names)
    compile_model(model, spec.training, plan.task)
    model.optimizer.build(model.trainable_variables)
    save(model, data, folder)
    result: dict[str, float] = evaluate_file(
        folder / MODEL_FILE, data.x_validation, data.y_validation, plan.task
    )
    return result["metric"]


def rebuilt(
    config: Mapping[str, Any],
    seed: int,
    read: ReadWeights,
    folder: Path,
    saved_names: Mapping[str, str] = MappingProxyType({}),
) -> keras.Model:
    """The network of a description with the weights of an upload, which Keras never opens.

    Keras saves the rebuilt model to a template; `read` returns the arrays that the template names, or raises; they are
    written into the template, and Keras loads that. `saved_names`: layer -> its path in the upload, where its layers
    stand in other models or in another order.
    """
    model = assemble(FLOAT, config, seed)
    template = folder / _TEMPLATE
    model.save_weights(template)
    sources = _sources(_shapes(template), saved_names, model)
    arrays = read({source.path: source.shape for source in sources.values()})
    with h5py.File(template, "r+") as file:
        for path, source in sources.items():
            file[path][...] = np.reshape(arrays[source.path], file[path].shape)
    model.load_weights(template)
    template.unlink()
    return model


@dataclass(frozen=True, slots=True)
class _Source:
    """An array of an upload: its path in the file, and its shape."""

    path: str
    shape: tuple[int, ...]


def _sources(
    shapes: Mapping[str, tuple[int, ...]], saved: Mapping[str, str], model: keras.Model
) -> dict[str, _Source]:
    """Path in the template -> the array of the upload that belongs there."""
    prefixes = numbered([type(layer).__name__ for layer in model.layers])
    moved = {
        f"layers/{prefix}": layer.name
        for prefix, layer in zip(prefixes, model.layers, strict=True)
        if layer.name in saved
    }
    sources = {}
    for path, shape in shapes.items():
        prefix = "/".join(path.split("/")[:2])
        name = moved.get(prefix)
        if name is None:
            sources[path] = _Source(path, shape)
            continue
        target = saved[name]
        if _WRAPPED in target.split("/") and _has_wider_window(model.get_layer(name), shape):
            shape = shape[1:]
        sources[path] = _Source(f"{target}{path[len(prefix) :]}", shape)
    return sources


def _has_wider_window(layer: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array is the kernel of a window that has got an axis for the steps of a TimeDistributed."""
    rank = spatial_rank(type(layer).__name__)
    return bool(rank) and len(shape) == rank + 2 and shape[0] == 1


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Path and shape of every array of a weights file that Keras wrote."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            shapes[name] = tuple(node.shape)

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return shapes
