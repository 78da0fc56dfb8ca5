"""A claimed trial, from its row to its files: judged, trained or simulated, measured, reported."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from search.data import Dataset
from search.errors import Cancelled, Fatal
from search.history import Measurement, TrialRecord, Verdict, penalty_of, polish_of
from search.plan import Plan
from search.pruning.bounds import Judge
from search.pruning.early_stopping import stopping_rule
from search.pruning.post_training import judge_untrained
from search.results.polish import unpolished
from search.results.recipe import Start, recipe_of
from search.results.report import build_report, report_text
from search.schedules import learning_rate_shares
from search.scoring.forgiving_factor import factor_of
from search.spec.oracle import NoBound, NoPostTraining
from search.training.request import TrainingRequest
from search.trial_files import BITS_FILE, MODEL_FILE, RECIPE_FILE, REPORT_FILE
from search.trial_runners import trial_runner
from service.store import claims, jobs, trials
from service.store.leases import Claim
from service.store.lifecycle import UNWANTED
from service.store.models import Job
from service.store.session import database_now
from worker import preparation
from worker.advance import is_late
from worker.float_model import FloatModel, float_model, is_needed
from worker.recorder import Judged, LeaseLost, TrialRecorder
from worker.runtime import Runtime


@dataclass(frozen=True)
class _Run:
    """A worker's attempt at a trial: its claim, what the rows say, and what the trials of its job share."""

    runtime: Runtime
    claim: Claim
    job: Job
    record: TrialRecord
    seed: int
    plan: Plan
    data: Dataset


def measure(
    runtime: Runtime, claim: Claim, recorder: TrialRecorder, folder: Path
) -> tuple[Measurement, Verdict | None]:
    """Train and measure a trial, its files in `folder`; the verdict if its metric breaks a constraint, else None.

    Raises Judged where it needs no (further) training, what training raises, and Cancelled where it came too late.
    """
    run = _prepare(runtime, claim)
    plan, record = run.plan, run.record
    whole = float_model(runtime, run.job.id, plan, run.data, recorder) if is_needed(plan.spec) else None
    judge = _judge(run, whole)
    penalty = penalty_of(record)
    polish = polish_of(record)
    is_fixed = penalty is None and polish is None  # else its assignment is what it starts from
    verdict = judge.before_training(record.assignment, _compared(run)) if is_fixed else None
    if verdict is not None:
        raise Judged(verdict)
    start, path = _start(run, whole, folder)
    if polish is not None and start != "parent":
        raise Fatal(f"the model of trial {record.parent}, whose bits are to be lowered, is not stored")
    request = TrainingRequest(
        record.assignment,
        run.seed,
        epochs=record.epochs,
        initial_epoch=record.initial_epoch if start == "parent" else 0,
        start_from=path,
        penalty=penalty,
        start_bits=_parent_file(run, BITS_FILE, folder)
        if penalty is not None and start == "parent"
        else None,
        rate_shares=learning_rate_shares(plan.spec, plan.stages, record),
        teacher=None if whole is None or plan.spec.training.distill is None else whole.path,
        polish=polish,
    )
    measurement = _run_trial(run, request, start, recorder, folder)
    unchanged = unpolished(record, measurement)
    if unchanged is not None:
        raise Judged(unchanged)
    _write_documents(run, request, start, measurement, folder)
    return measurement, judge.after_training(measurement.metric, measurement.assignment)


def _prepare(runtime: Runtime, claim: Claim) -> _Run:
    """Cancelled where the job is not to go on."""
    with runtime.database.reading() as session:
        job = jobs.get(session, claim.job_id)
        row = trials.get(session, claim.job_id, claim.number)
        moment = database_now(session)
    if job.status in UNWANTED:
        raise Cancelled(f"the job is {job.status}")
    spec = preparation.specification(job)
    if is_late(job, spec, moment):
        raise Cancelled(f"the time budget of {spec.budget.seconds:g} s was used up before the trial began")
    plan = preparation.plan(runtime, job.id, spec)
    data = preparation.dataset(runtime, plan)
    return _Run(runtime, claim, job, trials.record(row), row.seed, plan, data)


def _judge(run: _Run, whole: FloatModel | None) -> Judge:
    spec = run.plan.spec
    return Judge(
        bound=spec.bound,
        constraints=spec.constraints,
        pricer=run.plan.pricer,
        factor=factor_of(spec),
        reference=run.job.reference_cost,
        float_metric=None if whole is None else whole.metric,
        best_metric=spec.objective.info.best,
    )


def _compared(run: _Run) -> list[TrialRecord]:
    """The job's trials, where a bound compares them; reading all of them takes longer with each."""
    return [] if isinstance(run.plan.spec.bound, NoBound) else _history(run)


def _history(run: _Run) -> list[TrialRecord]:
    with run.runtime.database.reading() as session:
        return trials.history(session, run.job.id)


# --- what it starts from -------------------------------------------------------------------------------------------


def _start(run: _Run, whole: FloatModel | None, folder: Path) -> tuple[Start, Path | None]:
    """What a training starts from, and the model that it loads."""
    parent = _parent_file(run, MODEL_FILE, folder)
    if parent is not None:
        return "parent", parent
    if whole is not None and run.plan.spec.training.start != "scratch":
        return "float", whole.path
    return "scratch", None


def _parent_file(run: _Run, name: str, folder: Path) -> Path | None:
    """A file of the trial that a trial continues; None if it starts anew, or if the file was not stored."""
    if run.record.parent is None:
        return None
    with run.runtime.database.reading() as session:
        parent = trials.get(session, run.job.id, run.record.parent)
        files = {row.name: row.sha256 for row in trials.artifacts(session, parent)}
    if name not in files:
        return None
    path = folder / "parent" / name  # Keras tells the format by the name
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(run.runtime.blobs.path(files[name]), path)
    return path


# --- what is done --------------------------------------------------------------------------------------------------


def _run_trial(
    run: _Run, request: TrainingRequest, start: Start, recorder: TrialRecorder, folder: Path
) -> Measurement:
    spec = run.plan.spec
    rule = stopping_rule(spec.stopping, spec.objective.direction)
    recorder.stop_by(spec.objective, rule, (request.epochs or spec.training.epochs) - 1)
    is_checked = start == "float" and not isinstance(spec.post_training, NoPostTraining)
    on_untrained = partial(_check_untrained, run) if is_checked else None
    runner = trial_runner(spec)
    return runner.run(run.plan, request, run.data, recorder, folder, on_untrained=on_untrained)


def _check_untrained(run: _Run, metric: float) -> None:
    """Store the metric before training; Judged if it is too far below what the other trials measured before theirs."""
    with run.runtime.database.transaction() as session:
        if not claims.note_post_training(session, run.claim, metric):
            raise LeaseLost(f"trial {run.claim.trial_id} has a newer attempt than {run.claim.attempt}")
    spec = run.plan.spec
    verdict = judge_untrained(
        spec.post_training,
        run.record,
        metric,
        _history(run),
        run.plan.pricer,
        factor_of(spec),
        run.job.reference_cost,
    )
    if verdict is not None:
        raise Judged(verdict)


# --- what is reported ----------------------------------------------------------------------------------------------


def _write_documents(
    run: _Run, request: TrainingRequest, start: Start, measurement: Measurement, folder: Path
) -> None:
    """Write the report and the recipe."""
    plan, versions = run.plan, preparation.versions()
    report = build_report(
        plan.spec, run.record, measurement, plan.reference, seed=run.seed, versions=versions
    )
    recipe = recipe_of(
        plan.spec,
        run.record,
        measurement,
        seed=run.seed,
        start=start,
        shares=request.rate_shares,
        versions=versions,
        data=preparation.fingerprint(run.runtime, plan),
    )
    for name, document in ((REPORT_FILE, report), (RECIPE_FILE, recipe.to_json())):
        (folder / name).write_text(report_text(document))
