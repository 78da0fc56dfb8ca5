"""A claimed trial, from its row to its files: judged, trained or simulated, measured, told."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from search.data import Dataset
from search.errors import Cancelled
from search.history import Measurement, TrialRecord, Verdict
from search.plans.base import Plan
from search.pruning.bounds import Judge
from search.pruning.early_stopping import stopping_rule
from search.pruning.post_training import judge_untrained
from search.results.recipe import Start, recipe_of
from search.results.report import build_report, report_text
from search.schedules import learning_rate_shares
from search.scoring.forgiving_factor import factor_of
from search.spec.job import SearchSpec
from search.spec.oracle import NoBound, NoPostTraining
from search.spec.spiking import XyloModel
from search.trial_files import MODEL_FILE, RECIPE_FILE, REPORT_FILE
from service.store import claims, jobs, trials
from service.store.leases import Claim
from service.store.lifecycle import UNWANTED
from service.store.models import Job
from worker import preparation
from worker.advance import is_late
from worker.float_model import FloatModel, float_model, is_needed
from worker.recorder import Judged, LeaseLost, Recorder
from worker.runtime import Runtime


@dataclass(frozen=True)
class Trial:
    """What a trial is made of."""

    held: Claim
    job: Job
    spec: SearchSpec
    record: TrialRecord
    seed: int
    plan: Plan
    data: Dataset


@dataclass(frozen=True)
class Beginning:
    """What a training starts from, and which layers learn at a share of the rate."""

    start: Start
    path: Path | None
    initial_epoch: int
    shares: Mapping[str, float]


def measure(
    runtime: Runtime, held: Claim, recorder: Recorder, folder: Path
) -> tuple[Measurement, Verdict | None]:
    """Train and measure a trial, its files in `folder`; and what its metric says about it, if it breaks a constraint.

    Raises Judged where it needs no (further) training, what training raises, and Cancelled where it came too late.
    """
    with runtime.database.reading() as session:
        job = jobs.get(session, held.job_id)
        row = trials.get(session, held.job_id, held.number)
    if job.status in UNWANTED:
        raise Cancelled(f"the job is {job.status}")
    spec = preparation.specification(job)
    if is_late(job, spec):
        raise Cancelled(f"the time budget of {spec.budget.seconds:g} s was used up before the trial began")
    plan = preparation.plan(runtime, job.id, spec)
    data = preparation.dataset(runtime, plan)
    trial = Trial(held, job, spec, trials.record(row), row.seed, plan, data)
    whole = float_model(runtime, job.id, spec, plan, data, recorder) if is_needed(spec) else None
    judge = _judge_of(trial, None if whole is None else whole.metric)
    early = judge.before_training(trial.record.assignment, _looked_back_at(runtime, trial))
    if early is not None:
        raise Judged(early)
    beginning = _beginning(runtime, trial, whole, folder)
    run = _simulated if isinstance(spec.model, XyloModel) else _trained
    measurement = run(runtime, trial, beginning, recorder, folder)
    _tell(runtime, trial, beginning, measurement, folder)
    return measurement, judge.after_training(measurement.metric)


def _looked_back_at(runtime: Runtime, trial: Trial) -> list[TrialRecord]:
    """The job's trials, where a bound compares them; reading all of them takes longer with each."""
    if isinstance(trial.spec.bound, NoBound):
        return []
    with runtime.database.reading() as session:
        return trials.history(session, trial.job.id)


def _judge_of(trial: Trial, float_metric: float | None) -> Judge:
    return Judge(
        bound=trial.spec.bound,
        constraints=trial.spec.constraints,
        pricer=trial.plan.pricer,
        factor=factor_of(trial.spec),
        reference=trial.job.reference_cost,
        float_metric=float_metric,
        best_metric=trial.spec.objective.info.best,
    )


# --- what it starts from -------------------------------------------------------------------------------------------


def _beginning(runtime: Runtime, trial: Trial, whole: FloatModel | None, folder: Path) -> Beginning:
    shares = learning_rate_shares(trial.spec, trial.plan.stages, trial.record)
    parent = _parent_model(runtime, trial.job.id, trial.record, folder)
    if parent is not None:
        return Beginning("parent", parent, trial.record.initial_epoch, shares)
    if whole is not None and trial.spec.training.start != "scratch":
        return Beginning("float", whole.path, 0, shares)
    return Beginning("scratch", None, 0, shares)


def _parent_model(runtime: Runtime, job_id: str, record: TrialRecord, folder: Path) -> Path | None:
    """The model, with its optimizer, that a trial goes on with; None if it starts anew, or if it is not kept."""
    if record.parent is None:
        return None
    with runtime.database.reading() as session:
        parent = trials.get(session, job_id, record.parent)
        files = {row.name: row.sha256 for row in trials.artifacts(session, parent)}
    if MODEL_FILE not in files:
        return None
    path = folder / "parent" / MODEL_FILE  # Keras tells the format by the name
    path.parent.mkdir()
    shutil.copyfile(runtime.blobs.path(files[MODEL_FILE]), path)
    return path


# --- what is done --------------------------------------------------------------------------------------------------


def _trained(
    runtime: Runtime, trial: Trial, beginning: Beginning, recorder: Recorder, folder: Path
) -> Measurement:
    from search.training.trial import run_trial  # loads Keras

    spec, record = trial.spec, trial.record
    rule = stopping_rule(spec.stopping, spec.objective.direction)
    recorder.stop_by(spec.objective, rule, (record.epochs or spec.training.epochs) - 1)
    looks = beginning.start == "float" and not isinstance(spec.post_training, NoPostTraining)
    return run_trial(
        trial.plan.job,
        record.assignment,
        trial.data,
        trial.plan.pricer,
        recorder,
        folder,
        seed=trial.seed,
        epochs=record.epochs,
        initial_epoch=beginning.initial_epoch,
        start_from=beginning.path,
        shares=beginning.shares,
        look=partial(_look, runtime, trial) if looks else None,
    )


def _look(runtime: Runtime, trial: Trial, metric: float) -> None:
    """Keep what a trial measures before training; Judged if that is hopeless beside what the others measured so."""
    with runtime.database.transaction() as session:
        if not claims.note_post_training(session, trial.held, metric):
            raise LeaseLost(f"trial {trial.held.trial_id} has a newer attempt than {trial.held.attempt}")
    with runtime.database.reading() as session:
        history = trials.history(session, trial.job.id)
    verdict = judge_untrained(
        trial.spec.post_training,
        trial.record,
        metric,
        history,
        trial.plan.pricer,
        factor_of(trial.spec),
        trial.job.reference_cost,
    )
    if verdict is not None:
        raise Judged(verdict)


def _simulated(runtime: Runtime, trial: Trial, _: Beginning, recorder: Recorder, folder: Path) -> Measurement:
    """A trial of a spiking job: nothing is trained."""
    from search.spiking.network import specification
    from search.spiking.trial import run_trial

    model: Any = trial.spec.model
    given = specification(model, runtime.settings.data_folder)
    return run_trial(given, trial.record.assignment, trial.data, trial.plan.pricer, recorder.batch, folder)


# --- what is told --------------------------------------------------------------------------------------------------


def _tell(
    runtime: Runtime, trial: Trial, beginning: Beginning, measurement: Measurement, folder: Path
) -> None:
    """Write the report and the recipe."""
    versions = preparation.versions()
    report = build_report(
        trial.spec, trial.record, measurement, trial.plan.reference, seed=trial.seed, versions=versions
    )
    recipe = recipe_of(
        trial.spec,
        trial.record,
        measurement,
        seed=trial.seed,
        start=beginning.start,
        shares=beginning.shares,
        versions=versions,
        data=preparation.fingerprint(runtime, trial.plan),
    )
    for name, document in ((REPORT_FILE, report), (RECIPE_FILE, recipe.to_json())):
        (folder / name).write_text(report_text(document))
