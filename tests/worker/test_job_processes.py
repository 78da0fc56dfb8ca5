"""Each job has its process: what a trial does to Keras, to memory or to the process itself ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from search.history import AttemptOutcome, JobStatus, TrialStatus
from search.trial_files import MODEL_FILE
from service.processes.limited import Template
from service.processes.limits import Limits, machine_bytes
from service.queue import TaskName
from service.settings import Settings
from service.store import claims, final_reports, jobs, trials
from service.store.models import Trial
from tests.worker.conftest import Bench, write_data
from worker import abandoned
from worker.advance import advance_job
from worker.capacity import limits_of
from worker.job_processes import JobProcesses
from worker.matching import JobWork
from worker.runtime import Runtime

pytestmark = pytest.mark.usefixtures("importable_tests")

NONE = Limits()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all processes of these tests work: the template's environment names it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def template(home: Path) -> Iterator[Template]:
    """Keras is loaded once for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEWBITS_HOME", str(home))
        module_template = Template("tests.worker.job_module")
        module_template.start()
    yield module_template
    module_template.close()


@pytest.fixture(scope="module")
def shared(home: Path) -> Iterator[Bench]:
    """A worker whose queue is a list; its processes send to the files of the embedded broker."""
    bench = Bench(home)
    write_data(bench.settings.data_folder)
    yield bench
    bench.database.dispose()


Working = Callable[[Limits], JobProcesses]


@pytest.fixture
def working(template: Template, shared: Bench) -> Iterator[Working]:
    """Makes the processes of a worker, which end with the test."""
    all_processes = []

    def make(limits: Limits) -> JobProcesses:
        all_processes.append(JobProcesses(template, limits))
        return all_processes[-1]

    yield make
    for processes in all_processes:
        processes.close()
    shared.queue.messages.clear()


def finish(bench: Bench, processes: JobProcesses, job_id: str, rounds: int = 8) -> None:
    """Advance the job until it has ended; what follows within ten seconds, its process does by itself."""
    for _ in range(rounds):
        processes.run(bench.runtime, TaskName.ADVANCE_JOB, job_id)
        processes.run(bench.runtime, TaskName.RUN_TRIAL, 0)
        with bench.database.reading() as session:
            if jobs.get(session, job_id).finished_at is not None:
                return
    raise AssertionError("the job does not end")


def rows(bench: Bench, job_id: str) -> list[Trial]:
    with bench.database.reading() as session:
        return trials.page(session, job_id, limit=100)


def test_what_a_trial_does_to_keras_ends_with_its_job(shared: Bench, working: Working) -> None:
    metrics = {}
    processes = working(NONE)
    for name in ("before", "poison", "after"):
        job_id = shared.submit(name=name)
        finish(shared, processes, job_id)
        metrics[name] = [row.metric for row in rows(shared, job_id)]
    assert metrics["before"] == metrics["after"]
    assert all(metric is not None and metric > 0.5 for metric in metrics["poison"])


def test_the_trials_of_a_job_share_a_process(shared: Bench, working: Working) -> None:
    processes = working(NONE)
    job_ids = [shared.submit(name=name, budget={"trials": 4}) for name in ("one", "two")]
    for job_id in job_ids:
        finish(shared, processes, job_id)
    pids = []
    for job_id in job_ids:
        with shared.database.reading() as session:
            files = [
                file
                for row in trials.page(session, job_id, limit=100)
                for file in trials.artifacts(session, row)
                if file.name == MODEL_FILE
            ]
        contents = {shared.runtime.blobs.path(file.sha256).read_text() for file in files}
        assert len(files) == 4
        pids.append(contents)
    assert [len(contents) for contents in pids] == [1, 1]
    assert pids[0] != pids[1]


@pytest.mark.parametrize(
    ("name", "limits", "reason"),
    [
        ("hoard", Limits(memory_bytes=1000 << 20), "may use 1000 MB (FEWBITS_TRIAL_MEMORY_MB)"),
        ("hang", Limits(wall_s=6), "took longer than 6 s (FEWBITS_TRIAL_TIME)"),
    ],
)
def test_a_trial_past_a_limit_fails_for_that_reason(
    shared: Bench, working: Working, name: str, limits: Limits, reason: str
) -> None:
    processes = working(limits)
    job_id = shared.submit(name=name, budget={"trials": 1})
    finish(shared, processes, job_id)
    (trial,) = rows(shared, job_id)
    assert (trial.status, trial.attempt) == (TrialStatus.FAILED, 1)
    assert reason in (trial.reason or "")
    with shared.database.reading() as session:
        job = jobs.get(session, job_id)
    assert job.status == JobStatus.FAILED
    assert reason in (job.reason or "")


def test_a_trial_past_the_memory_of_its_job_fails_and_its_process_is_replaced(
    shared: Bench, working: Working
) -> None:
    processes = working(NONE)
    job_id = shared.submit(name="hoard", budget={"trials": 1}, resources={"memory_mb": 1000})
    finish(shared, processes, job_id)
    (trial,) = rows(shared, job_id)
    assert (trial.status, trial.attempt) == (TrialStatus.FAILED, 1)
    assert "may use 1000 MB (resources.memory_mb)" in (trial.reason or "")


def test_a_trial_whose_process_dies_is_tried_again(shared: Bench, working: Working) -> None:
    processes = working(NONE)
    job_id = shared.submit(name="crash once", budget={"trials": 2})
    finish(shared, processes, job_id)
    assert {trial.status for trial in rows(shared, job_id)} == {TrialStatus.DONE}
    assert sum(trial.attempt for trial in rows(shared, job_id)) == 3


def test_a_trial_whose_process_always_dies_fails(shared: Bench, working: Working) -> None:
    processes = working(NONE)
    job_id = shared.submit(name="crash", budget={"trials": 1})
    finish(shared, processes, job_id)
    (trial,) = rows(shared, job_id)
    assert trial.status == TrialStatus.FAILED
    assert "ended by SIGSEGV (3 attempts)" in (trial.reason or "")
    with shared.database.reading() as session:
        outcomes = [attempt.outcome for attempt in trials.attempts(session, trial)]
    assert outcomes == [AttemptOutcome.LOST] * 3


def test_a_process_for_one_job_leaves_those_of_others_and_waits_for_higher_priorities(bench: Bench) -> None:
    ordinary, other = bench.submit(name="ordinary"), bench.submit(name="other")
    for _ in range(2):
        bench.step()

    def claim(job_id: str) -> str | None:
        with bench.database.transaction() as session:
            claimed = claims.claim_next(
                session, 0, worker="host/1/0", lease=timedelta(seconds=60), job_id=job_id
            )
        return None if claimed is None else claimed.job_id

    assert claim(other) == other, "although a trial of the first job is older"
    urgent = bench.submit(name="urgent", priority=5)
    advance_job(bench.runtime, urgent)
    assert claim(ordinary) is None
    with bench.database.reading() as session:
        assert claims.next_job(session, 0) == urgent
    assert claim(urgent) == urgent


class Noting(JobProcesses):
    """Notes what it would have done, and begins the jobs that it advances."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._owes = bench, False
        self.advanced: list[str] = []

    def _run(self, runtime: Runtime, job: JobWork, task: TaskName, *ids: str | int) -> None:
        self.advanced.append(job.id)
        advance_job(self._bench.runtime, job.id)


def test_a_job_of_a_higher_priority_is_begun_before_the_messages_of_others(bench: Bench) -> None:
    ordinary = bench.submit(name="ordinary")
    bench.submit(name="equal")
    urgent, most_urgent = (bench.submit(name=str(priority), priority=priority) for priority in (5, 9))
    processes = Noting(bench)
    for _ in range(3):
        processes.run(bench.runtime, TaskName.ADVANCE_JOB, ordinary)
    assert processes.advanced == [most_urgent, ordinary, urgent, ordinary, ordinary]


def test_a_proposal_whose_process_dies_counts_as_an_error_of_the_search(bench: Bench) -> None:
    job_id = bench.submit()
    for attempt in range(3):
        abandoned.settle(
            bench.runtime, TaskName.ADVANCE_JOB, job_id, f"it died ({attempt})", is_over=attempt == 2
        )
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
    assert job.status == JobStatus.FAILED
    assert "3 times in a row: it died (2)" in (job.reason or "")


def test_a_report_whose_process_exceeds_a_limit_ends_the_job(bench: Bench) -> None:
    job_id = bench.submit(budget={"trials": 1})
    while bench.queue.messages[0][0] is not TaskName.WRITE_REPORT:
        bench.step()
    with bench.database.transaction() as session:
        final_reports.claim(session, job_id, worker=bench.runtime.worker, lease=timedelta(seconds=60))
    abandoned.settle(bench.runtime, TaskName.WRITE_REPORT, job_id, "took too long", is_over=True)
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
    assert (job.status, job.reason) == (
        JobStatus.FAILED,
        "the final report could not be made: took too long",
    )


def test_limits_come_from_the_settings_or_the_machine(tmp_path: Path) -> None:
    stated = Settings(home=tmp_path, trial_memory_mb=900, trial_time=timedelta(minutes=5))
    assert limits_of(stated, 4) == Limits(memory_bytes=900 << 20, wall_s=300)
    by_machine = limits_of(Settings(home=tmp_path), 2)
    assert by_machine == Limits(memory_bytes=max(machine_bytes() // 2, 2 << 30), wall_s=86_400)
