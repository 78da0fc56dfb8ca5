"""The end of a search: its best trial is measured on the test data, once, and the report is stored.

If the job is extended and ends again, that is a further look, and counted as one.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from search.history import JobStatus
from search.results.kept import kept_numbers
from search.results.report import report_text, with_test
from search.results.test_looks import LookKind
from search.scoring.forgiving_factor import factor_of
from search.spec.job import SearchSpec
from search.trial_files import RECIPE_FILE, REPORT_FILE, TENSORS_FILE
from search.trial_runners import trial_runner
from service.store import final_reports, jobs, test_looks, trials
from service.store.models import Artifact, Job
from service.store.session import is_retryable, keep_trying, reason_of
from worker import preparation
from worker.runtime import Runtime
from worker.scratch import scratch
from worker.tasks import is_able
from worker.tensors import write_tensors

log = logging.getLogger(__name__)


def write_report(runtime: Runtime, job_id: str) -> None:
    """Measure the best trial of a FINALIZING job on the test data and end the job. Does nothing in any other state."""
    if not is_able(runtime):
        return
    with runtime.database.transaction() as session:
        attempt = final_reports.claim(
            session, job_id, worker=runtime.worker, lease=runtime.settings.final_lease
        )
    if attempt is None:
        return
    try:
        with scratch() as folder:
            _report(runtime, job_id, attempt, folder)
    except Exception as error:
        log.exception("the final report of job %s failed", job_id)
        is_outside = is_retryable(error)
        if is_outside:
            runtime.backoff.note_failure()
        give_back = partial(_give_back, runtime, job_id, attempt, reason_of(error), counts=not is_outside)
        keep_trying(give_back, for_s=runtime.settings.patience.total_seconds())


def _give_back(runtime: Runtime, job_id: str, attempt: int, reason: str, *, counts: bool) -> None:
    """Have the report made again, unless it has failed too often."""
    with runtime.database.transaction() as session:
        if counts and attempt >= runtime.settings.max_attempts:
            reason = f"the final report failed {attempt} times: {reason}"
            jobs.end(session, job_id, JobStatus.FAILED, reason)
        else:
            final_reports.release(session, job_id, attempt, counts=counts)


def _report(runtime: Runtime, job_id: str, attempt: int, folder: Path) -> None:
    with runtime.database.reading() as session:
        job = jobs.get(session, job_id)
        assert job.best_trial is not None  # set together with FINALIZING
        trial = trials.get(session, job_id, job.best_trial)
        files = {row.name: row for row in trials.artifacts(session, trial)}
    spec = preparation.specification(job)
    report = json.loads(runtime.blobs.path(files[REPORT_FILE].sha256).read_text())
    test, tensors = _measure_on_test(runtime, job, files, folder)
    path = folder / REPORT_FILE
    blobs = {} if tensors is None else {TENSORS_FILE: runtime.blobs.put(tensors)}

    def store() -> None:
        with runtime.database.transaction() as session:
            if final_reports.is_newest(session, job_id, attempt):
                look = test_looks.add(session, job_id, trial.number, LookKind.REPORT, test)
                path.write_text(report_text(with_test(report, test, look)))
                trials.put_artifacts(session, trial.id, blobs | {REPORT_FILE: runtime.blobs.put(path)})
                if spec.keep == "front":
                    _keep_front(session, job, spec, trial.number)
                jobs.end(session, job_id, JobStatus.DONE, job.reason or "")

    patience_s = runtime.settings.patience.total_seconds()
    keep_trying(store, for_s=patience_s, what=f"the report of job {job_id}")


def _keep_front(session: Session, job: Job, spec: SearchSpec, best: int) -> None:
    """Remove the files of trials that are not on the front."""
    kept = kept_numbers(trials.history(session, job.id), factor_of(spec), best)
    trials.remove_files(session, job.id, kept, (REPORT_FILE, RECIPE_FILE))


def _measure_on_test(
    runtime: Runtime, job: Job, files: Mapping[str, Artifact], folder: Path
) -> tuple[dict[str, Any], Path | None]:
    """Metrics on the test data, and the file that says what quantization does to each tensor."""
    plan = preparation.plan(runtime, job.id, preparation.specification(job))
    data = preparation.dataset(runtime, plan)
    runner = trial_runner(plan.spec)
    path = folder / runner.model_file  # Keras tells the format by the name
    shutil.copyfile(runtime.blobs.path(files[runner.model_file].sha256), path)
    test = runner.evaluate(path, data.x_test, data.y_test, plan.task)
    return test, None if runner.tensors is None else write_tensors(runner.tensors, path, data.x_validation)
