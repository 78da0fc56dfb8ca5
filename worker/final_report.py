"""The end of a search: its best trial is measured on the test data, once, and the report is stored.

If the job is extended and ends again, that is a further look, and counted as one.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.history import JobStatus
from search.results.report import report_text, with_test
from search.results.test_looks import LookKind
from search.trial_files import REPORT_FILE
from search.trial_runners import trial_runner
from service.store import final_reports, jobs, test_looks, trials
from service.store.models import Artifact, Job
from worker import preparation
from worker.runtime import Runtime
from worker.scratch import scratch

log = logging.getLogger(__name__)


def write_report(runtime: Runtime, job_id: str) -> None:
    """Measure the best trial of a FINALIZING job on the test data and end the job. Does nothing in any other state."""
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
        with runtime.database.transaction() as session:
            if attempt >= runtime.settings.max_attempts:
                reason = f"the final report failed {attempt} times: {type(error).__name__}: {error}"
                jobs.end(session, job_id, JobStatus.FAILED, reason)
            else:
                final_reports.release(session, job_id, attempt)


def _report(runtime: Runtime, job_id: str, attempt: int, folder: Path) -> None:
    with runtime.database.reading() as session:
        job = jobs.get(session, job_id)
        assert job.best_trial is not None  # set together with FINALIZING
        trial = trials.get(session, job_id, job.best_trial)
        files = {row.name: row for row in trials.artifacts(session, trial)}
    report = json.loads(runtime.blobs.path(files[REPORT_FILE].sha256).read_text())
    test = _measure_on_test(runtime, job, files, folder)
    path = folder / REPORT_FILE
    with runtime.database.transaction() as session:
        if final_reports.is_newest(session, job_id, attempt):
            look = test_looks.add(session, job_id, trial.number, LookKind.REPORT, test)
            path.write_text(report_text(with_test(report, test, look)))
            blob = runtime.blobs.put(path)
            trials.put_artifacts(session, trial.id, {REPORT_FILE: blob})
            jobs.end(session, job_id, JobStatus.DONE, job.reason or "")


def _measure_on_test(
    runtime: Runtime, job: Job, files: Mapping[str, Artifact], folder: Path
) -> dict[str, Any]:
    plan = preparation.plan(runtime, job.id, preparation.specification(job))
    data = preparation.dataset(runtime, plan)
    runner = trial_runner(plan.spec)
    path = folder / runner.model_file  # Keras tells the format by the name
    shutil.copyfile(runtime.blobs.path(files[runner.model_file].sha256), path)
    return runner.evaluate(path, data.x_test, data.y_test, plan.task)
