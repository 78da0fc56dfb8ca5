"""Models and data sets: those of the zoo and those that were uploaded."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field

from service.schemas.jobs import DEPRECATED, View

MAX_NAME = 200


class NewUploadBody(BaseModel):
    """A file to upload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00-\x1f\x7f]+$", description="for people"
    )
    size_bytes: int = Field(ge=1, description="size of the file in bytes")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="of the content; it is checked, and content that was uploaded before need not be sent again",
    )


class UploadView(View):
    """An uploaded file. Fields that are unknown before it is complete are None."""

    id: str
    name: str
    status: Literal["incomplete", "complete"]
    size_bytes: int
    received_bytes: int
    sha256: str | None = Field(description="of the content; as declared until it is complete")
    format: str | None
    created_at: datetime
    completed_at: datetime | None


class ModelLayerView(View):
    """A layer of an uploaded model; `output_shape` is without the batch dimension."""

    name: str
    class_name: str
    output_shape: tuple[int, ...]
    parameters: int


class ModelUploadView(UploadView):
    """An uploaded model."""

    keras_version: str | None = None
    has_weights: bool | None = None
    parameters: int | None = Field(None, description="number of weights")
    layers: tuple[ModelLayerView, ...] = ()


class ArrayView(View):
    """An array of an uploaded data set, and the range of its numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    min: float = Field(validation_alias=AliasChoices("min", "least"))
    max: float = Field(validation_alias=AliasChoices("max", "largest"))

    @computed_field(description="as `min`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def least(self) -> float:
        """The name of `min` in 0.1."""
        return self.min

    @computed_field(description="as `max`", json_schema_extra=DEPRECATED)  # type: ignore[prop-decorator]
    @property
    def largest(self) -> float:
        """The name of `max` in 0.1."""
        return self.max


class DatasetView(UploadView):
    """An uploaded data set."""

    arrays: tuple[ArrayView, ...] = ()


class ModelItem(View):
    """A model that jobs can use: `zoo` by its name, `uploaded` by its id. Fields that do not apply are None."""

    kind: Literal["zoo", "uploaded"]
    name: str
    description: str
    id: str | None = None
    status: Literal["incomplete", "complete"] | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    parameters: int | None = None
    created_at: datetime | None = None


class DatasetItem(View):
    """An uploaded data set in a list."""

    id: str
    name: str
    status: Literal["incomplete", "complete"]
    size_bytes: int
    sha256: str | None
    arrays: tuple[ArrayView, ...]
    created_at: datetime
