"""Uploads in the worker: the weights of an uploaded model, and the removal of unfinished uploads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from search.data import Dataset
from search.errors import Fatal
from search.plan import Plan
from search.spec.resolved import ModelFile
from search.uploads import UploadFault
from service.store import uploads
from service.store.session import database_now
from service.store.upload_parts import UploadParts
from worker.runtime import Runtime
from worker.sandbox.weights import read_weights
from worker.scratch import scratch


def uploaded_weights(plan: Plan) -> Path | None:
    """The uploaded file whose weights the float model of a job takes; None if that model is trained here."""
    model = plan.job.model
    return model.file if isinstance(model, ModelFile) and model.gives_weights else None


def write_uploaded_float(file: Path, plan: Plan, data: Dataset, folder: Path) -> float:
    """Write the float model with the weights of an uploaded file into `folder`; returns its metric on validation data.

    Raises `Fatal`, with the reason, if the weights are refused: no trial can start from them.
    """
    from search.training.uploaded_weights import float_from_weights  # loads Keras

    with scratch() as sandbox:

        def read(expected: Mapping[str, tuple[int, ...]]) -> Mapping[str, NDArray[Any]]:
            return read_weights(file, expected, sandbox)

        try:
            return float_from_weights(plan, data, read, folder)
        except UploadFault as error:
            raise Fatal(f"the uploaded weights are refused: {error}") from error


def sweep(runtime: Runtime) -> None:
    """Delete unfinished uploads that have received nothing for `upload_patience`, and their bytes."""
    with runtime.database.transaction() as session:
        before = database_now(session) - runtime.settings.upload_patience
        uploads.remove_stale(session, before)
    UploadParts(runtime.settings.incoming_folder, runtime.blobs).remove_stale(before)
