"""Exports of trials, and what can leave in which format."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from search.results.exports import ExportStatus
from service.schemas.jobs import View


class ExportFileView(View):
    """A file of an export."""

    name: str
    size_bytes: int


class ProofView(View):
    """How an export compares with the quantized model, run by its own runtime in a fresh process."""

    examples: int = Field(description="test inputs that both computed; their labels are not read")
    exact: bool = Field(description="whether every output was the same number")
    equal_classes: float | None = Field(
        description="share of the examples with the same class; None where no output is one of classes"
    )
    largest_difference: float = Field(description="of any output")
    largest_output: float = Field(description="the largest magnitude of the model's outputs")
    inexact: dict[str, str] = Field({}, description="layer -> why its numbers can differ from the model's")
    metric: float | None = Field(None, description="the job's metric of the export, on validation data")
    model_metric: float | None = Field(None, description="that of the model, on the same examples")
    validation_examples: int = 0
    versions: dict[str, str] = Field({}, description="of the runtime")


class FiguresView(View):
    """What an export needs on a device."""

    flash_bytes: int | None = Field(None, description="constants, and code where it was compiled")
    ram_bytes: int | None = Field(None, description="activations at their peak, with buffers used again")
    packed_bytes: int | None = Field(None, description="weights and biases, each in its own number of bits")
    macs: int | None = Field(None, description="multiplications with a weight, per inference")


class ExportView(View):
    """A trial's model in a format of the device or tool that runs it. Its files are one zip."""

    job_id: str
    number: int = Field(description="number of the trial")
    name: str = Field(description="unique in its trial; equal requests have the same")
    format: str
    options: dict[str, Any]
    model: str = Field(description="trial, or final: the model of its final training")
    status: ExportStatus
    reason: str | None
    size_bytes: int | None = None
    sha256: str | None = None
    files: tuple[ExportFileView, ...] = ()
    proof: ProofView | None = Field(None, description="None until the export is done")
    figures: FiguresView | None = None
    notes: tuple[str, ...] = ()
    attempt: int
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def unpacked_bytes(self) -> int:
        """Bytes of its files together."""
        return sum(file.size_bytes for file in self.files)


class ExportList(View):
    """The exports of a trial, oldest first."""

    items: tuple[ExportView, ...]


class RefusalView(View):
    """What a format cannot express: the layer, why, and the remedy."""

    layer: str
    slot: str | None = Field(None, description="whose quantizer is at fault; None: the layer itself")
    reason: str


class OptionView(View):
    """An option of a format."""

    default: str | int | float | bool
    description: str
    allowed: tuple[str | int | float | bool, ...] = Field((), description="empty: any of the default's type")


class FormatView(View):
    """A format, and whether a trial, or every trial of a search, can leave in it."""

    name: str
    title: str
    exact: bool = Field(description="whether it computes exactly what the model does")
    possible: bool
    refusals: tuple[RefusalView, ...] = Field(
        (), description="the layers that it cannot express; of very many, the first 100"
    )
    options: dict[str, OptionView] = Field({}, description="by name")


class FormatList(View):
    """All formats."""

    items: tuple[FormatView, ...]
