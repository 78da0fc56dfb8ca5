"""Models and data sets: those of the zoo and those that were uploaded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field

from service.schemas.jobs import DEPRECATED, View

MAX_NAME = 200


class ConversionBody(BaseModel):
    """How a table or an archive of images is read; left out: as the defaults say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str | None = Field(
        None,
        max_length=MAX_NAME,
        description="column of the targets; null: the one called target, label, class or y",
    )
    ignore: tuple[str, ...] = Field((), max_length=500, description="columns that are left out")
    task: Literal["auto", "classes", "values"] = Field(
        "auto",
        description="auto: texts become class numbers, in alphabetic order, numbers stay as they are; classes: every"
        " distinct value becomes a class number; values: targets are numbers",
    )
    image_size: tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]] | None = (
        Field(
            None, description="height and width that images are resized to; null: they must all have one size"
        )
    )


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
    conversion: ConversionBody | None = Field(
        None, description="of a data set that is CSV, Parquet, or a zip archive of tables or images"
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
    """An uploaded data set. Of a table or images, `size_bytes` and `sha256` are those of the arrays made of them."""

    arrays: tuple[ArrayView, ...] = ()
    columns: tuple[str, ...] = Field(
        (), description="of a table: what each number of an example is; at most 1,000"
    )
    classes: tuple[str, ...] = Field(
        (), description="of texts or class folders: the name of each class number"
    )
    conversion: ConversionBody | None = None


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
