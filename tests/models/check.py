"""A network of a user's on its way through fewbits: uploaded, planned, built with its weights, priced, trained."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from costmodel.layer_classes import OUTPUT_LAYERS, SEARCHED_LAYERS
from costmodel.network import Network
from search.data import Dataset, load_inputs
from search.data.reading import input_reading
from search.networks.architecture import architecture, network
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec, UploadedData, UploadedModel
from search.spec.resolved import DataFile, ModelFile
from search.training.build import assemble, trial_description
from search.training.program.program import Program
from search.training.program.state import DeviceData
from search.training.uploaded_weights import ReadWeights, rebuilt
from search.uploads.models import check_model, read_architecture, write_weights
from tests.models.catalog import Entry
from tests.models.sequences import WORDS
from tests.truth.checks import price_differences
from tests.truth.networks import Drawn, random_assignment

EXAMPLES, BATCH, CLASSES = 16, 8, 3
_ID = "0" * 16


@dataclass(frozen=True)
class Uploads:
    """One uploaded model and one uploaded data set."""

    model: ModelFile
    data: Path

    def find_model(self, model: UploadedModel) -> ModelFile:
        """The model."""
        return self.model

    def find_data(self, data: UploadedData) -> DataFile:
        """The data."""
        return DataFile(**data.model_dump(), file=self.data)


@dataclass(frozen=True)
class Uploaded:
    """A user's model, and what fewbits makes of its file."""

    entry: Entry
    model: keras.Model
    file: ModelFile
    plan: Plan
    data: Dataset


def uploaded(entry: Entry, folder: Path) -> Uploaded:
    """A network saved, checked, planned, with data of its shapes."""
    keras.utils.set_random_seed(7)
    model = entry.build()
    _fill(model)
    path = folder / f"{entry.name}.keras"
    model.save(path)
    check_model(path)
    cleaned, has_weights = read_architecture(path)
    file = ModelFile(
        id=_ID,
        file=path,
        architecture=cleaned.document,
        has_weights=has_weights,
        notes=cleaned.notes,
        saved_names=dict(cleaned.saved_names),
    )
    data_path = folder / f"{entry.name}.npz"
    spec = job(entry, network(file))
    write_data(data_path, network(file), spec)
    planned = plan(spec, folder, Uploads(file, data_path))
    data = load_inputs(planned.job.data, folder, spec.seed, planned.data.inputs, planned.task.heads)
    return Uploaded(entry, model, file, planned, data)


def stored_examples(user: Uploaded) -> Any:
    """The test examples as they are stored, as the user's model takes them."""
    with np.load(user.file.file.with_suffix(".npz")) as arrays:
        names = [name for name in arrays.files if name.startswith("x_test")]
        parts = {name: arrays[name].astype("float32") for name in names}
    if len(parts) == 1:
        return parts["x_test"]
    return [parts[f"x_test_{name}"] for name in user.plan.network.inputs]


def job(entry: Entry, plain: Network) -> SearchSpec:
    """A job that quantizes everything that can be."""
    classes = sorted({layer.class_name for layer in plain.layers} & {*SEARCHED_LAYERS, *OUTPUT_LAYERS})
    document: dict[str, Any] = {
        "model": {"kind": "uploaded", "id": _ID},
        "limits": {"by_class": dict.fromkeys(classes, 8)},
        "budget": {"trials": 2},
        "seed": 5,
        **entry.job,
        "data": {"kind": "uploaded", "id": _ID, **entry.job.get("data", {})},
        "training": {"epochs": 1, "batch_size": BATCH, "start": "float", **entry.job.get("training", {})},
    }
    return SearchSpec.model_validate(document)


def _fill(model: keras.Model) -> None:
    """Weights that are neither zeros nor ones, so that none can be mistaken for another."""
    draw = np.random.default_rng(3)
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(draw.uniform(0.2, 0.9, variable.shape) * draw.choice([1, 1, -1]) ** 2)


def write_data(path: Path, plain: Network, spec: SearchSpec) -> None:
    """Examples and targets of the shapes of a network."""
    draw = np.random.default_rng(1)
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("train", "test"):
        for name in plain.inputs:
            shape = plain.layer(name).output_shape
            suffix = f"_{name}" if len(plain.inputs) > 1 else ""
            tokens = bool(input_reading(plain, name).tokens)
            size = (EXAMPLES, *shape)
            if tokens:
                x: NDArray[Any] = draw.integers(0, WORDS, size)
                x[:, 0] = 1 + x[:, 0] % (WORDS - 1)
            elif len(shape) >= 3:
                x = draw.integers(0, 256, size).astype("uint8")
            else:
                x = draw.normal(size=size).astype("float32")
            arrays[f"x_{part}{suffix}"] = x
        for name in plain.outputs:
            suffix = f"_{name}" if len(plain.outputs) > 1 else ""
            arrays[f"y_{part}{suffix}"] = _targets(spec, plain, name, draw)
    np.savez(path, **arrays)


def _targets(spec: SearchSpec, plain: Network, name: str, draw: np.random.Generator) -> NDArray[Any]:
    shape = plain.layer(name).output_shape
    loss = spec.training.loss[name] if isinstance(spec.training.loss, dict) else None
    if loss == "mse" or spec.objective.metric == "mse":
        return draw.normal(size=(EXAMPLES, *shape)).astype("float32")
    classes = max(shape[-1], 2)
    labels = draw.integers(0, classes, (EXAMPLES, *shape[:-1]))
    labels.flat[:classes] = np.arange(classes)
    return labels


def faults(user: Uploaded, folder: Path) -> list[str]:
    """What is not as it was promised: the float model's outputs, the price of an assignment, one step of training."""
    model = float_model(user, folder)
    return [*_different_outputs(user, model), *_different_prices(user), *_failed_step(user)]


def float_model(user: Uploaded, folder: Path) -> keras.Model:
    """The model of the upload with its weights, as a worker rebuilds it."""
    read = read_weights_of(user, folder)
    return rebuilt(architecture(user.file), 3, read, folder, user.file.saved_names)


def read_weights_of(user: Uploaded, folder: Path) -> ReadWeights:
    """Reads the upload's weights, without the sandbox."""
    weights = folder / f"{user.entry.name}.h5"
    write_weights(user.file.file, weights)

    def read(expected: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
        with h5py.File(weights) as file:
            arrays = {path: np.asarray(file[path]) for path in expected}
        for path, shape in expected.items():
            assert arrays[path].shape == shape, path
        return arrays

    return read


def _different_outputs(user: Uploaded, model: keras.Model) -> list[str]:
    """Where the rebuilt model computes something else than its user's, on what it would be given."""
    if not user.entry.exact:
        return []
    stored = stored_examples(user)
    theirs = keras.tree.flatten(user.model(_as_taken(user.model, stored), training=False))
    ours = keras.tree.flatten(model(user.data.x_test, training=False))
    return [
        f"output {index} differs by {difference:g}"
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True))
        if (difference := _difference(np.asarray(one), np.asarray(other))) > user.entry.tolerance
    ]


def _as_taken(model: keras.Model, stored: Any) -> Any:
    """Examples in the structure that a model takes: of named inputs a mapping."""
    if isinstance(model, keras.Sequential) or not isinstance(model.input, dict):
        return stored
    arrays = stored if isinstance(stored, list) else [stored]
    return dict(zip(sorted(model.input), arrays, strict=True))


def _difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference, as a share of the largest number."""
    return float(np.max(np.abs(one - other)) / max(float(np.max(np.abs(other))), 1.0))


def _different_prices(user: Uploaded) -> list[str]:
    """Where the job's price of an assignment is not that of the model that is built of it."""
    spec = user.plan.spec.model_copy(update={"model": user.file})
    job = Drawn(spec, user.plan.network, user.plan.choices)
    return price_differences(job, random_assignment(user.plan.choices, random.Random(2)))


def _failed_step(user: Uploaded) -> list[str]:
    """Why one step of training cannot be computed, without a trace."""
    assignment = random_assignment(user.plan.choices, random.Random(3))
    config = trial_description(user.plan.spec, architecture(user.file))
    model = assemble(assignment, config, 1)
    program = Program(model, user.plan.task, "adam")
    train = DeviceData.from_arrays(user.data.x_train, user.data.y_train)
    arguments = program.arguments(model, 0.01, BATCH)
    step = program.train_batch(arguments, program.state(model), *train.part(0, BATCH))
    return [] if np.isfinite(float(step.loss)) else ["the loss of the first step is not finite"]
