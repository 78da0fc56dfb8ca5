"""What a job's user has uploaded, as the worker uses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from search.data import Dataset
from search.errors import Fatal
from search.plans.base import Plan
from search.spec.job import SearchSpec, UploadedModel
from search.uploads import UploadFault
from service.store import uploads
from service.store.models import Job, now
from service.store.references import opened
from service.store.upload_parts import Incoming
from worker import preparation
from worker.runtime import Runtime
from worker.sandbox.weights import read_weights
from worker.scratch import scratch


def spec_of(runtime: Runtime, job: Job) -> SearchSpec:
    """The job's specification, with the uploads it names at hand. InvalidSpec if they are gone."""
    return opened(preparation.specification(job), runtime.blobs)


def gives_weights(spec: SearchSpec) -> bool:
    """True if the float model of the job is the one that was uploaded, and is not trained here."""
    return isinstance(spec.model, UploadedModel) and spec.model.gives_weights


def write_given_float(folder: Path, spec: SearchSpec, prepared: Plan, data: Dataset) -> None:
    """Write the float model with the uploaded weights, and its metric, into `folder`.

    Fatal, with the reason, if the weights are refused: no trial can start from them.
    """
    from search.training.uploaded_weights import float_from_weights  # loads Keras

    assert isinstance(spec.model, UploadedModel)
    file = spec.model.given.file
    with scratch() as sandbox:

        def read(expected: Mapping[str, tuple[int, ...]]) -> Mapping[str, NDArray[Any]]:
            return read_weights(file, expected, sandbox)

        try:
            metric = float_from_weights(spec, prepared.task, data, read, folder)
        except UploadFault as error:
            raise Fatal(f"the uploaded weights are refused: {error}") from error
    (folder / "metric.json").write_text(json.dumps(metric))


def sweep(runtime: Runtime) -> None:
    """Forget the uploads that nothing came in for, and remove their bytes."""
    before = now() - runtime.settings.upload_patience
    with runtime.database.transaction() as session:
        uploads.remove_stale(session, before)
    Incoming(runtime.settings.incoming_folder, runtime.blobs).drop_stale(before)
