"""The storm of `benchmarks.chaos` in a short form, and its judge, which must see what is broken."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chaos
from benchmarks.disturbances import events, stand
from benchmarks.disturbances.judge import PROMISES, judge
from benchmarks.disturbances.load import job
from search.history import AttemptOutcome, TrialStatus
from service.store.models import Attempt, Event, Job, Trial
from service.store.session import Database
from tests.worker.conftest import Bench, write_data
from tests.worker.lives import made_up_test, made_up_training
from worker import preparation

SHORT = chaos.Plan(events=6, gap_s=0.5, open_jobs=2, trials=3, workers=2, twins=1, patience_s=150)

#: What a worker comes back from at once.
QUICK_KINDS = (
    "kill -9 of a process of the worker",
    "database connections cut",
    "database backends terminated",
    "broker connections cut",
    "immediate restart of the broker",
    "fast restart of the database",
)


@pytest.mark.services
@pytest.mark.usefixtures("importable_tests")
@pytest.mark.skipif(
    stand.postgres_folder() is None or stand.redis_program() is None,
    reason="the programs of PostgreSQL and Redis are not on this machine",
)
@pytest.mark.timeout(400)
def test_nothing_is_lost_in_a_short_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = events.draw
    seen: set[str] = set()

    def quick(*arguments: Any) -> events.Event | None:
        event = draw(*arguments)
        if event is None or event.kind not in QUICK_KINDS or event.kind in seen:
            return None
        seen.add(event.kind)
        return event

    monkeypatch.setattr(chaos, "draw", quick)
    # not pytest's folder: the user that PostgreSQL runs as cannot read it
    with tempfile.TemporaryDirectory(prefix="fewbits-chaos-", ignore_cleanup_errors=True) as folder:
        figures = chaos.run("services", SHORT, 1, Path(folder))
    assert figures["faults"] == {}
    assert figures["kinds"] == dict.fromkeys(sorted(QUICK_KINDS), 1)
    assert figures["compared"] <= SHORT.twins
    assert figures["jobs"] >= SHORT.open_jobs


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The files of a service with a job that has ended well, and what was submitted."""
    import search.training.evaluate
    import search.training.trial

    bench = Bench(tmp_path_factory.mktemp("home"))
    write_data(bench.settings.data_folder)
    preparation.clear()
    body = job(0, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search.training.trial, "run_trial", made_up_training)
        patch.setattr(search.training.evaluate, "evaluate_file", made_up_test)
        job_id = bench.submit(**body)
        bench.work()
    bench.database.dispose()
    return bench.settings.home, {job_id: body}


@pytest.fixture
def done(tmp_path: Path, ended: tuple[Path, dict[str, Any]]) -> Iterator[tuple[Bench, dict[str, Any]]]:
    """A copy of it."""
    home, submitted = ended
    shutil.copytree(home, tmp_path / "home")
    bench = Bench(tmp_path / "home")
    yield bench, dict(submitted)
    bench.database.dispose()


def counts(bench: Bench, submitted: dict[str, Any]) -> dict[str, int]:
    with bench.database.reading() as session:
        return judge(session, submitted, bench.settings.blob_folder).counts


def test_a_job_that_ended_well_breaks_no_promise(done: tuple[Bench, dict[str, Any]]) -> None:
    assert counts(*done) == dict.fromkeys(PROMISES, 0)


def _lose_a_job(database: Database, submitted: dict[str, Any]) -> None:
    submitted["0123456789abcdef"] = job(1, 3)


def _store_a_job_twice(database: Database, submitted: dict[str, Any]) -> None:
    submitted.clear()


def _lose_a_trial(database: Database, _: Any) -> None:
    with database.transaction() as session:
        session.query(Attempt).filter(Attempt.trial_id == 1).delete()
        session.query(Trial).filter(Trial.number == 0).delete()


def _lose_an_event(database: Database, _: Any) -> None:
    with database.transaction() as session:
        session.query(Event).filter(Event.type == "trial.epoch", Event.trial == 1).delete()


def _end_twice(database: Database, _: Any) -> None:
    with database.transaction() as session:
        row = session.query(Trial).filter(Trial.number == 0).one()
        first = session.query(Attempt).filter(Attempt.trial_id == row.id).one()
        row.attempt = 2
        again = {"started_at": first.started_at, "worker": "w", "outcome": AttemptOutcome.DONE}
        session.add(Attempt(trial_id=row.id, attempt=2, **again))


def _fail_a_trial(database: Database, _: Any) -> None:
    with database.transaction() as session:
        session.query(Trial).filter(Trial.number == 0).one().status = TrialStatus.FAILED


def _stop_halfway(database: Database, _: Any) -> None:
    with database.transaction() as session:
        session.query(Job).one().status = "running"


@pytest.mark.parametrize(
    ("breaks", "promise"),
    [
        (_lose_a_job, "lost"),
        (_store_a_job_twice, "doubled"),
        (_lose_a_trial, "lost"),
        (_lose_an_event, "lost"),
        (_end_twice, "doubled"),
        (_fail_a_trial, "failed"),
        (_stop_halfway, "stuck"),
    ],
)
def test_a_broken_promise_is_seen(done: tuple[Bench, dict[str, Any]], breaks: Any, promise: str) -> None:
    bench, submitted = done
    breaks(bench.database, submitted)
    assert counts(bench, submitted)[promise] > 0


def test_a_file_that_is_gone_or_another_is_seen(done: tuple[Bench, dict[str, Any]]) -> None:
    bench, submitted = done
    first, second = [path for path in bench.settings.blob_folder.glob("*/*") if path.is_file()][:2]
    first.unlink()
    second.write_bytes(b"other")
    broken = counts(bench, submitted)
    assert (broken["lost"], broken["changed"]) == (1, 1)
