"""A job with the uploads it names looked up. Plain; nothing loads Keras.

A specification names an upload by its id and checksum. A lookup finds the content once and gives a value that has it:
nothing that reads a model or data can meet an upload without its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import Field

from costmodel.descriptions import clean
from costmodel.errors import InvalidDescription
from costmodel.layer_classes import KERAS_LAYERS
from search.errors import InvalidSpec, Problem, pointer_token
from search.spec.job import (
    ArchitectureModel,
    Data,
    DiabetesData,
    DigitsData,
    MnistData,
    Model,
    NpzData,
    SearchSpec,
    SpikingDigitsData,
    UploadedData,
    UploadedModel,
    ZooModel,
)
from search.spec.spiking import XyloModel


class DescribedModel(ArchitectureModel):
    """An architecture, and the same with nothing in it but what is allowed; `notes`: what was changed."""

    architecture: dict[str, Any]
    notes: tuple[str, ...] = ()


class ModelFile(UploadedModel):
    """An uploaded model with its file, and its architecture as the upload check rewrote it."""

    file: Path
    architecture: dict[str, Any]
    has_weights: bool
    notes: tuple[str, ...] = ()
    saved_names: dict[str, str] = Field(default_factory=dict)  #: layer -> its path in the file's weights

    @property
    def gives_weights(self) -> bool:
        """Whether the float model takes its weights from the file."""
        return self.weights and self.has_weights


class DataFile(UploadedData):
    """Uploaded data with their file."""

    file: Path


ResolvedModel = ZooModel | ArchitectureModel | XyloModel | ModelFile
ResolvedData = DigitsData | DiabetesData | MnistData | SpikingDigitsData | NpzData | DataFile


class UploadLookup(Protocol):
    """Finds the content of uploads. Both methods raise `InvalidSpec` for content that is missing."""

    def find_model(self, model: UploadedModel) -> ModelFile:
        """The model with its file."""

    def find_data(self, data: UploadedData) -> DataFile:
        """The data with their file."""


class NoUploads:
    """The lookup of a program without a service: it has no uploads."""

    def find_model(self, model: UploadedModel) -> ModelFile:
        """Raises `InvalidSpec`."""
        raise InvalidSpec([Problem("/model/id", f"there is no uploaded model {model.id} here")])

    def find_data(self, data: UploadedData) -> DataFile:
        """Raises `InvalidSpec`."""
        raise InvalidSpec([Problem("/data/id", f"there is no uploaded data set {data.id} here")])


NO_UPLOADS: Final = NoUploads()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A job, and its model and data ready to be read."""

    spec: SearchSpec
    model: ResolvedModel
    data: ResolvedData


def resolve(spec: SearchSpec, uploads: UploadLookup = NO_UPLOADS) -> Resolved:
    """Look up what a job names, and clean what it describes: the specification has the cleaned description.

    Raises `InvalidSpec` for an upload whose content is missing, and for an architecture that holds what is not allowed.
    """
    model = resolve_model(spec.model, uploads)
    if isinstance(model, DescribedModel):
        cleaned = ArchitectureModel(config=model.architecture)
        spec = spec.model_copy(update={"model": cleaned})
    return Resolved(spec, model, resolve_data(spec.data, uploads))


def resolve_model(
    model: Model, uploads: UploadLookup = NO_UPLOADS, classes: frozenset[str] = KERAS_LAYERS
) -> ResolvedModel:
    """The model, ready to be read; `classes`: the layers that an architecture may hold.

    Raises `InvalidSpec` for an upload whose content is missing, and for an architecture that holds what is not allowed.
    """
    if isinstance(model, UploadedModel):
        return uploads.find_model(model)
    return described(model, classes) if isinstance(model, ArchitectureModel) else model


def described(model: ArchitectureModel, classes: frozenset[str] = KERAS_LAYERS) -> DescribedModel:
    """An architecture with its description cleaned. Raises `InvalidSpec`, pointing to what is not allowed."""
    if isinstance(model, DescribedModel):
        return model
    try:
        cleaned = clean(model.config, classes=classes)
    except InvalidDescription as error:
        pointer = "".join(f"/{pointer_token(step)}" for step in ("model", "config", *error.path))
        raise InvalidSpec([Problem(pointer, str(error))]) from error
    return DescribedModel(config=model.config, architecture=cleaned.document, notes=cleaned.notes)


def resolve_data(data: Data, uploads: UploadLookup = NO_UPLOADS) -> ResolvedData:
    """The data, ready to be read. Raises `InvalidSpec` for an upload whose content is missing."""
    return uploads.find_data(data) if isinstance(data, UploadedData) else data
