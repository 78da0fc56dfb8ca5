"""The life of a job, drawn at random: whatever users, workers and the sweep do, rows and a plain model agree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import delete, select

from search.history import JOB_ENDED, TRIAL_ENDED, JobStatus, TrialStatus
from service.errors import IllegalAction
from service.store import claims, events, final_reports, job_actions, jobs, trials
from service.store.leases import Claim, LeaseStatus
from service.store.lifecycle import CLAIMABLE, OPEN, UNWANTED, JobAction, allowed
from service.store.models import Attempt, Job
from service.store.session import Database
from tests.conftest import drop_schema
from tests.databases import migrate
from tests.service.store.conftest import measurement, new_job, new_trial

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 2
PARALLEL = 2

#: What may happen next, the more often the likelier.
STEPS = (
    *("propose", "claim", "claim", "finish", "fail", "fail", "lose", "lose", "cancelled", "renew", "renew"),
    *("advance", "advance", "pause", "resume", "resume", "stop", "cancel", "retry", "extend", "patch"),
)


@dataclass
class ModelTrial:
    """What is to be true of a trial."""

    status: TrialStatus = TrialStatus.QUEUED
    attempt: int = 0
    attempts_before: int = 0
    metric: float | None = None


@dataclass
class Model:
    """What is to be true of a job."""

    status: JobStatus = JobStatus.QUEUED
    trials: dict[int, ModelTrial] = field(default_factory=dict)
    proposals: int = 0

    def of(self, status: TrialStatus) -> list[ModelTrial]:
        """Trials in this status."""
        return [trial for trial in self.trials.values() if trial.status is status]

    def cancel_queued(self) -> None:
        for trial in self.of(TrialStatus.QUEUED):
            trial.status = TrialStatus.CANCELLED

    @property
    def legal(self) -> tuple[JobAction, ...]:
        return allowed(self.status, failed_trials=bool(self.of(TrialStatus.FAILED)))


class Life(RuleBasedStateMachine):
    """One job. A rule that the model calls illegal must be refused with what is legal, and change nothing."""

    database: ClassVar[Database]

    @initialize(proposed=st.integers(0, 4), claimed=st.integers(0, PARALLEL))
    def submit(self, proposed: int, claimed: int) -> None:
        with self.database.transaction() as session:
            self.job_id = jobs.create(session, new_job()).id
        self.model = Model()
        self.claims: list[Claim] = []  #: every claim ever made, old ones too
        self.ids: dict[int, int] = {}
        if proposed:
            self.propose(proposed)
        for number in range(min(claimed, proposed)):
            self.claim(number)

    def teardown(self) -> None:
        with self.database.transaction() as session:
            session.execute(
                delete(Job)
            )  # a worker claims whichever trial comes first: there is one job at a time

    # --- the worker ---

    def propose(self, count: int) -> None:
        with self.database.transaction() as session:
            saved = jobs.save_proposals(
                session, self.job_id, proposals=self.model.proposals, oracle_state="{}", exhausted=False
            )
            assert saved == (self.model.status in OPEN)
            if saved:
                first = len(self.model.trials)
                numbers = range(first, first + count)
                ids = trials.add(session, self.job_id, [new_trial(number) for number in numbers])
                self.ids |= dict(zip(numbers, ids, strict=True))
                self.model.trials |= {number: ModelTrial() for number in numbers}
                self.model.proposals += 1
                self.model.status = JobStatus.RUNNING

    @rule(step=st.sampled_from(STEPS), data=st.data())
    def perform(self, step: str, data: st.DataObject) -> None:
        """One step of anybody. One rule for all: of many rules Hypothesis leaves some out of each life."""
        queued = [n for n, trial in self.model.trials.items() if trial.status is TrialStatus.QUEUED]
        if step == "propose":
            self.propose(data.draw(st.integers(1, 2)))
        elif step == "claim" and self.ids:
            self.claim(data.draw(st.sampled_from(queued or sorted(self.ids))))
        elif step in ("finish", "fail", "cancelled", "lose", "renew") and self.claims:
            newest = st.sampled_from(self.claims[-PARALLEL:])
            claim = data.draw(newest | newest | st.sampled_from(self.claims))
            getattr(self, step)(claim)
        elif step == "advance":
            self.advance(data.draw(st.sampled_from([JobStatus.DONE, JobStatus.FAILED])))
        elif step in ("pause", "resume", "stop", "cancel"):
            self.move(JobAction(step))
        elif step == "retry":
            self.retry()
        elif step in ("extend", "patch"):
            self.respecify(JobAction(step), data.draw(st.integers(1, 100)))

    def claim(self, number: int) -> None:
        with self.database.transaction() as session:
            claim = claims.claim_next(session, self.ids[number], worker="host/1/0", lease=LEASE)
        queued = [n for n, trial in self.model.trials.items() if trial.status is TrialStatus.QUEUED]
        may = (
            bool(queued)
            and self.model.status in CLAIMABLE
            and len(self.model.of(TrialStatus.RUNNING)) < PARALLEL
        )
        assert (claim is not None) == may
        if claim is not None:
            assert claim.number == (number if number in queued else min(queued))
            trial = self.model.trials[claim.number]
            trial.status, trial.attempt = TrialStatus.RUNNING, trial.attempt + 1
            assert claim.attempt == trial.attempt
            self.claims.append(claim)

    def running_trial(self, claim: Claim) -> ModelTrial | None:
        """The trial, if the claim is its newest and it runs."""
        trial = self.model.trials[claim.number]
        current = trial.status is TrialStatus.RUNNING and trial.attempt == claim.attempt
        return trial if current else None

    def renew(self, claim: Claim) -> None:
        with self.database.transaction() as session:
            lease = claims.renew(session, claim, LEASE)
        if self.running_trial(claim) is None:
            assert lease is LeaseStatus.LOST
        else:
            assert lease is (LeaseStatus.CANCELLED if self.model.status in UNWANTED else LeaseStatus.HELD)

    def finish(self, claim: Claim) -> None:
        metric = claim.attempt / 100 + claim.number
        with self.database.transaction() as session:
            stored = claims.finish(session, claim, measurement(metric), artifacts={}, versions={})
        trial = self.running_trial(claim)
        assert stored == (trial is not None)
        if trial is not None:
            trial.status, trial.metric = TrialStatus.DONE, metric

    def fail(self, claim: Claim) -> None:
        self.end(claim, TrialStatus.FAILED)

    def cancelled(self, claim: Claim) -> None:
        self.end(claim, TrialStatus.CANCELLED)

    def end(self, claim: Claim, status: TrialStatus) -> None:
        with self.database.transaction() as session:
            stored = claims.end(session, claim, status, "because")
        trial = self.running_trial(claim)
        assert stored == (trial is not None)
        if trial is not None:
            trial.status = status

    def lose(self, claim: Claim) -> None:
        with self.database.transaction() as session:
            claims.release(session, claim, "the worker died", max_attempts=MAX_ATTEMPTS)
        trial = self.running_trial(claim)
        if trial is None:
            return
        if self.model.status in UNWANTED:
            trial.status = TrialStatus.CANCELLED
        elif trial.attempt - trial.attempts_before >= MAX_ATTEMPTS:
            trial.status = TrialStatus.FAILED
        else:
            trial.status = TrialStatus.QUEUED

    def advance(self, status: JobStatus) -> None:
        """What follows once no trial is under way; `status` is how the final report ends."""
        under_way = self.model.of(TrialStatus.QUEUED) + self.model.of(TrialStatus.RUNNING)
        with self.database.transaction() as session:
            begun = final_reports.start(session, self.job_id, 0, "the search is over")
        assert begun == (self.model.status in CLAIMABLE and not under_way)
        if begun:
            self.model.status = JobStatus.FINALIZING
        elif self.model.status is JobStatus.FINALIZING:
            self._end(status)
        elif self.model.status is JobStatus.CANCELLING and not under_way:
            self._end(JobStatus.CANCELLED)

    def _end(self, status: JobStatus) -> None:
        with self.database.transaction() as session:
            jobs.end(session, self.job_id, status, "because")
        self.model.status = status

    # --- the user ---

    def ask(self, action: JobAction, act: Callable[..., Any], repeats: tuple[JobStatus, ...] = ()) -> bool:
        """True if the action was carried out and changed something."""
        if action in self.model.legal or self.model.status in repeats:
            with self.database.transaction() as session:
                act(session)
            return action in self.model.legal
        with pytest.raises(IllegalAction) as refused, self.database.transaction() as session:
            act(session)
        assert refused.value.allowed == self.model.legal
        return False

    def move(self, action: JobAction) -> None:
        act, repeats = {
            JobAction.PAUSE: (job_actions.pause, (JobStatus.PAUSED,)),
            JobAction.RESUME: (job_actions.resume, (JobStatus.RUNNING,)),
            JobAction.STOP: (job_actions.stop, (JobStatus.STOPPING,)),
            JobAction.CANCEL: (job_actions.cancel, (JobStatus.CANCELLING, JobStatus.CANCELLED)),
        }[action]
        if not self.ask(action, lambda session: act(session, self.job_id), repeats):
            return
        if action in (JobAction.STOP, JobAction.CANCEL):
            self.model.cancel_queued()
        ends_now = action is JobAction.CANCEL and not self.model.of(TrialStatus.RUNNING)
        self.model.status = {
            JobAction.PAUSE: JobStatus.PAUSED,
            JobAction.RESUME: JobStatus.RUNNING,
            JobAction.STOP: JobStatus.STOPPING,
            JobAction.CANCEL: JobStatus.CANCELLED if ends_now else JobStatus.CANCELLING,
        }[action]

    def retry(self) -> None:
        if self.ask(JobAction.RETRY, lambda session: job_actions.retry(session, self.job_id)):
            for trial in self.model.of(TrialStatus.FAILED):
                trial.status, trial.attempts_before = TrialStatus.QUEUED, trial.attempt
            self._run_again()

    def respecify(self, action: JobAction, number: int) -> None:
        spec = new_job().spec | {
            "budget": {"trials": number},
            "parallel_trials": PARALLEL,
            "priority": number,
        }
        act = job_actions.extend if action is JobAction.EXTEND else job_actions.patch
        if self.ask(action, lambda session: act(session, self.job_id, spec)) and action is JobAction.EXTEND:
            self._run_again()

    def _run_again(self) -> None:
        if self.model.status in JOB_ENDED:
            self.model.status = JobStatus.RUNNING

    # --- what is always true ---

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        if not hasattr(self, "model"):
            return
        with self.database.reading() as session:
            job = jobs.get(session, self.job_id)
            rows = trials.page(session, self.job_id, limit=1000)
            log = events.after(session, self.job_id, 0, 10_000)
            attempts: dict[int, list[Attempt]] = {row.number: [] for row in rows}
            numbers = {row.id: row.number for row in rows}
            tried = select(Attempt).where(Attempt.trial_id.in_(numbers)).order_by(Attempt.attempt)
            for attempt in session.scalars(tried):
                attempts[numbers[attempt.trial_id]].append(attempt)
        assert job.status == self.model.status
        assert {row.number: (row.status, row.attempt, row.metric) for row in rows} == {
            number: (trial.status, trial.attempt, trial.metric) for number, trial in self.model.trials.items()
        }
        assert (job.finished_at is not None) == (job.status in JOB_ENDED)
        assert (job.paused_at is not None) == (job.status == JobStatus.PAUSED)
        assert all((row.finished_at is not None) == (row.status in TRIAL_ENDED) for row in rows)
        self._the_log_retells_it(log)
        for number, trial in self.model.trials.items():
            assert [attempt.attempt for attempt in attempts[number]] == list(range(1, trial.attempt + 1))
            running = trial.status is TrialStatus.RUNNING
            assert [attempt.outcome is None for attempt in attempts[number]][-1:] == (
                [running] * (trial.attempt > 0)
            )
            assert all(attempt.outcome is not None for attempt in attempts[number][:-1])

    def _the_log_retells_it(self, log: list[Any]) -> None:
        """Who reads the events alone knows the status of the job and of every trial."""
        assert [event.id for event in log] == sorted({event.id for event in log})
        job, trials_told = None, {}
        for event in log:
            if event.type in ("job.created", "job.status"):
                job = event.data["status"]
            elif event.type == "trial.queued":
                trials_told[event.trial] = "queued"
            elif event.type == "trial.claimed":
                trials_told[event.trial] = "running"
            elif event.type == "trial.ended":
                trials_told[event.trial] = event.data["status"]
        assert job == self.model.status
        assert trials_told == {number: trial.status for number, trial in self.model.trials.items()}


def run(database: Database, examples: int) -> None:
    class OnDatabase(Life):
        pass

    OnDatabase.database = database
    case = OnDatabase.TestCase()
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case.runTest()


def test_rows_and_model_agree_on_sqlite() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'fewbits.db'}")
        migrate(database.engine)
        run(database, examples=25)
        database.dispose()


@pytest.mark.services
def test_rows_and_model_agree_on_postgresql(make_postgres_schema: Callable[[], str]) -> None:
    url = make_postgres_schema()
    database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
    migrate(database.engine)
    run(database, examples=5)
    database.dispose()
    drop_schema(url)
