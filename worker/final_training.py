"""The final training of a chosen trial: continues from the trial's weights; measured on validation and test data."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from search.errors import Cancelled, Diverged, Fatal, Infeasible, InvalidSpec, OutOfMemory
from search.history import EpochReport, Measurement
from search.results.report import build_report, report_text, with_test
from search.schedules import learning_rate_shares
from search.spec.distillation import Distillation
from search.spec.job import SearchSpec
from search.training.request import TrainingRequest
from search.trial_files import FINAL_PREFIX, MODEL_FILE, REPORT_FILE
from service.queue import TaskName
from service.store import final_trainings, jobs, trials, workers
from service.store.final_trainings import FinalTrainingClaim
from service.store.leases import Watch
from service.store.session import database_now, is_retryable, keep_trying, reason_of
from worker import preparation
from worker.claimed import Claimed
from worker.float_model import float_model
from worker.heartbeat import Heartbeat
from worker.recorder import LeaseLost
from worker.runtime import Runtime
from worker.scratch import scratch
from worker.tasks import is_able
from worker.tensors import write_tensors

log = logging.getLogger(__name__)


def run_final_training(runtime: Runtime, trial_id: int) -> None:
    """Claim a final training, run it, store the outcome. Does nothing if it is not queued."""
    if not is_able(runtime):
        return
    with runtime.database.transaction() as session:
        claim = final_trainings.claim(session, trial_id, worker=runtime.worker, lease=runtime.settings.lease)
        workers.heartbeat(session, runtime.worker)
    if claim is None:
        return
    with scratch() as folder:
        _attempt(runtime, claim, folder)


def sweep(runtime: Runtime, watch: Watch) -> None:
    """Requeue the claims of dead workers, and resend the messages that may have been lost."""
    settings = runtime.settings
    with runtime.database.transaction() as session:
        for claim, counts in final_trainings.expired(session, watch):
            final_trainings.release(
                session, claim, "the worker died", max_attempts=settings.max_attempts, counts=counts
            )
            runtime.queue.enqueue(TaskName.RUN_FINAL_TRAINING, claim.trial_id)
        for trial_id in final_trainings.resend(session, database_now(session) - settings.resend):
            runtime.queue.enqueue(TaskName.RUN_FINAL_TRAINING, trial_id)


def _attempt(runtime: Runtime, claim: FinalTrainingClaim, folder: Path) -> None:
    work = Claimed(
        runtime,
        final_trainings,
        claim,
        TaskName.RUN_FINAL_TRAINING,
        claim.trial_id,
        f"final training of trial {claim.trial_id}",
    )
    try:
        with _FinalReporter(runtime, claim) as reporter:
            _train(runtime, claim, reporter, folder)
    except (LeaseLost, Cancelled):
        log.warning("final training of trial %s: another worker has it, nothing is stored", claim.trial_id)
    except (Diverged, Fatal, Infeasible, InvalidSpec, OutOfMemory) as error:
        work.fail(str(error))
    except Exception as error:
        work.after_error(error)
    else:
        runtime.backoff.note_success()


def _train(runtime: Runtime, claim: FinalTrainingClaim, reporter: _FinalReporter, folder: Path) -> None:
    from search.training.evaluate import evaluate_file, tensors_of_file
    from search.training.trial import run_trial  # both load Keras

    with runtime.database.reading() as session:
        row = trials.get(session, claim.job_id, claim.number)
        files = {artifact.name: artifact.sha256 for artifact in trials.artifacts(session, row)}
        job = jobs.get(session, claim.job_id)
    spec, record = final_spec(preparation.specification(job), claim.distill), trials.record(row)
    plan = preparation.plan(runtime, job.id, spec)
    data = preparation.dataset(runtime, plan)
    start = folder / "start" / MODEL_FILE
    start.parent.mkdir()
    shutil.copyfile(runtime.blobs.path(files[MODEL_FILE]), start)
    distill = spec.training.distill
    done = record.epochs or spec.training.epochs
    request = TrainingRequest(
        record.assignment,
        row.seed,
        epochs=done + claim.epochs,
        initial_epoch=done,
        start_from=start,
        rate_shares=learning_rate_shares(spec, plan.stages, record),
        teacher=None if distill is None else float_model(runtime, job.id, plan, data, reporter).path,
    )
    measurement = run_trial(plan, request, data, reporter, folder)
    test = evaluate_file(folder / MODEL_FILE, data.x_test, data.y_test, plan.task)
    write_tensors(tensors_of_file, folder / MODEL_FILE, data.x_validation)
    report = build_report(
        spec,
        replace(record, epochs=request.epochs, initial_epoch=done),
        measurement,
        plan.reference,
        seed=row.seed,
        versions=preparation.versions(),
    )
    _save(runtime, claim, measurement, test, report, folder)


def final_spec(spec: SearchSpec, distill: Mapping[str, Any] | None = None) -> SearchSpec:
    """The job as a final training runs it: once, however often its trials were trained.

    `distill`: how it learns from the float model; None: as the job's trials.
    """
    changes: dict[str, Any] = {"executions": 1}
    if distill is not None:
        changes["distill"] = Distillation.model_validate(distill)
    return spec.model_copy(update={"training": spec.training.model_copy(update=changes)})


def _save(
    runtime: Runtime,
    claim: FinalTrainingClaim,
    measurement: Measurement,
    test: dict[str, Any],
    report: dict[str, Any],
    folder: Path,
) -> None:
    """Stores the files first, then the row that names them, then the report, which counts the look at the test data.

    Where a disk is full or the database away, the result waits.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]

    def store() -> None:
        blobs = {FINAL_PREFIX + path.name: runtime.blobs.put(path) for path in paths}
        with runtime.database.transaction() as session:
            versions = preparation.versions()
            look = final_trainings.finish(
                session, claim, measurement, test, artifacts=blobs, versions=versions
            )
            if look is None:
                raise LeaseLost
            path = folder / REPORT_FILE
            path.write_text(report_text(with_test(report, test, look)))
            blob = runtime.blobs.put(path)
            trials.put_artifacts(session, claim.trial_id, {FINAL_PREFIX + REPORT_FILE: blob})

    what = f"the final training of trial {claim.trial_id}"
    keep_trying(store, for_s=runtime.settings.patience.total_seconds(), what=what)


class _FinalReporter:
    """The `Reporter` of a final training; inside its `with` block a thread renews the lease."""

    def __init__(self, runtime: Runtime, claim: FinalTrainingClaim) -> None:
        self._runtime, self._claim = runtime, claim
        self._lost = False
        every_s = runtime.settings.heartbeat.total_seconds()
        self._heartbeat = Heartbeat(self._renew, every_s, f"the final training of trial {claim.trial_id}")

    def __enter__(self) -> Self:
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.__exit__(kind, error, trace)

    def batch(self) -> None:
        """LeaseLost when another worker has the training, or its job is gone."""
        if self._lost:
            raise LeaseLost(f"the final training of trial {self._claim.trial_id} has a newer attempt")

    def epoch(self, report: EpochReport) -> None:
        """Store how far the training is; it goes on where the database does not respond."""
        try:
            self._renew(epochs_done=report.epoch + 1)
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning(
                "an epoch of the final training of trial %s is not noted: %s",
                self._claim.trial_id,
                reason_of(error),
            )
        self.batch()

    def _renew(self, **progress: int) -> None:
        with self._runtime.database.transaction() as session:
            is_held = final_trainings.renew(session, self._claim, self._runtime.settings.lease, **progress)
            workers.heartbeat(session, self._runtime.worker)
        self._lost = self._lost or not is_held
