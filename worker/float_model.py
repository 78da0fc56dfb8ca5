"""The float model of a job, uploaded or trained once by the job's recipe; kept as files to start from and compare."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from search.data import Dataset
from search.history import EpochReport
from search.plan import Plan
from search.spec.job import SearchSpec
from search.spec.oracle import FloatBound
from search.spec.training import Training
from search.training.request import FLOAT, Reporter, TrainingRequest
from search.trial_files import MODEL_FILE
from service.store import jobs
from worker import preparation
from worker.runtime import Runtime
from worker.uploads import uploaded_weights, write_uploaded_float

#: Beside the files of a float model: its metric on the validation data.
_METRIC_FILE: Final = "metric.json"


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A trained float model: its file, and its metric on the validation data."""

    path: Path
    metric: float


def is_needed(spec: SearchSpec) -> bool:
    """True if trials start from the float model, or are judged by its metric."""
    judged = isinstance(spec.bound, FloatBound) or spec.constraints.max_metric_drop is not None
    return judged or spec.training.start != "scratch" or spec.training.distill is not None


def float_model(runtime: Runtime, job_id: str, plan: Plan, data: Dataset, recorder: Reporter) -> FloatModel:
    """The job's float model; trained now if no worker of this machine has done so.

    Jobs of one recipe (model, data, training, seed, versions) share it. Two workers that begin at once train it twice,
    with the same result. Raises what training raises, and Cancelled through the recorder.
    """
    folder = runtime.settings.home / "float" / _recipe(plan.spec)
    if not (folder / _METRIC_FILE).exists():
        _write_whole(plan, data, _OnlyCancels(recorder), folder)
    metric = json.loads((folder / _METRIC_FILE).read_text())
    with runtime.database.transaction() as session:
        jobs.note_float_metric(session, job_id, metric)
    return FloatModel(folder / MODEL_FILE, metric)


def write_float(plan: Plan, data: Dataset, reporter: Reporter, folder: Path) -> float:
    """Write the job's float model, uploaded or trained by the job's recipe, with the files of a trial.

    Returns its metric on the validation data. Raises what training raises, and Fatal for uploaded weights that are
    refused.
    """
    weights = uploaded_weights(plan)
    if weights is not None:
        return write_uploaded_float(weights, plan, data, folder)
    from search.training.trial import run_trial  # loads Keras

    return run_trial(plan, TrainingRequest(FLOAT, plan.spec.seed), data, reporter, folder).metric


def _recipe(spec: SearchSpec) -> str:
    parts = [spec.model, spec.data, spec.objective, _float_training(spec)]
    text = json.dumps([*(part.model_dump(mode="json") for part in parts), spec.seed, preparation.versions()])
    return hashlib.sha256(text.encode()).hexdigest()


def _float_training(spec: SearchSpec) -> Training:
    """Without what the float model does not depend on."""
    return spec.training.model_copy(update={"start": "scratch", "distill": None})


def _write_whole(plan: Plan, data: Dataset, reporter: Reporter, folder: Path) -> None:
    """Write into a temporary folder and rename it, so that `folder` exists only with all files in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        metric = write_float(plan, data, reporter, new)
        (new / _METRIC_FILE).write_text(json.dumps(metric))
        if not folder.exists():
            os.rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@dataclass(frozen=True)
class _OnlyCancels:
    """A reporter for a training that is no trial: its epochs are not stored, but the user may end it."""

    recorder: Reporter

    def batch(self) -> None:
        """Raise Cancelled or LeaseLost."""
        self.recorder.batch()

    def epoch(self, report: EpochReport) -> None:
        """Raise Cancelled or LeaseLost."""
        self.recorder.batch()
