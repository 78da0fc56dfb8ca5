"""The float model of a job, uploaded or trained once by the job's recipe; kept as files to start from and compare."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from search.data import Dataset
from search.history import Assignment, EpochReport
from search.plans.base import Plan
from search.spec.job import SearchSpec
from search.spec.oracle import FloatBound
from search.trial_files import MODEL_FILE
from service.store import jobs
from worker import preparation
from worker.recorder import Recorder
from worker.runtime import Runtime
from worker.uploads import uploaded_weights, write_uploaded_float

if TYPE_CHECKING:
    from search.training.trial import Reporter  # loads Keras

#: No layer quantized, no width changed: the float model is the trial of this assignment.
NOTHING: Final = Assignment(values={}, quantizers={})


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A trained float model: its file, and its metric on the validation data."""

    path: Path
    metric: float


def is_needed(spec: SearchSpec) -> bool:
    """True if trials start from the float model, or are judged by its metric."""
    judged = isinstance(spec.bound, FloatBound) or spec.constraints.max_metric_drop is not None
    return judged or spec.training.start != "scratch"


def float_model(
    runtime: Runtime, job_id: str, spec: SearchSpec, prepared: Plan, data: Dataset, recorder: Recorder
) -> FloatModel:
    """The job's float model; trained now if no worker of this machine has done so.

    Jobs of one recipe (model, data, training, seed, versions) share it. Two workers that begin at once train it twice
    and find the same. Raises what training raises, and Cancelled through the recorder.
    """
    folder = runtime.settings.home / "float" / _recipe(spec)
    if not (folder / "metric.json").exists():
        _train(folder, prepared, data, recorder)
    found = FloatModel(folder / MODEL_FILE, json.loads((folder / "metric.json").read_text()))
    with runtime.database.transaction() as session:
        jobs.note_float_metric(session, job_id, found.metric)
    return found


def _recipe(spec: SearchSpec) -> str:
    parts = [spec.model, spec.data, spec.objective, spec.training.model_copy(update={"start": "scratch"})]
    text = json.dumps([*(part.model_dump(mode="json") for part in parts), spec.seed, preparation.versions()])
    return hashlib.sha256(text.encode()).hexdigest()


def _train(folder: Path, prepared: Plan, data: Dataset, recorder: Recorder) -> None:
    """Train into a folder of its own and move it into place whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        weights = uploaded_weights(prepared)
        if weights is not None:
            write_uploaded_float(new, weights, prepared, data)
        else:
            train_float(new, prepared, data, _OnlyCancels(recorder))
        if not folder.exists():
            os.rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def train_float(folder: Path, prepared: Plan, data: Dataset, reporter: Reporter) -> FloatModel:
    """Train the float model by the job's recipe, with its own files and its metric in `folder`."""
    from search.training.trial import run_trial  # loads Keras

    folder.mkdir(parents=True, exist_ok=True)
    measured = run_trial(
        prepared.job, NOTHING, data, prepared.pricer, reporter, folder, seed=prepared.spec.seed
    )
    (folder / "metric.json").write_text(json.dumps(measured.metric))
    return FloatModel(folder / MODEL_FILE, measured.metric)


@dataclass(frozen=True)
class _OnlyCancels:
    """A reporter for a training that is no trial: its epochs are nobody's, but the user may end it."""

    recorder: Recorder

    def batch(self) -> None:
        """Raise Cancelled or LeaseLost."""
        self.recorder.batch()

    def epoch(self, report: EpochReport) -> None:
        """Raise Cancelled or LeaseLost."""
        self.recorder.batch()
