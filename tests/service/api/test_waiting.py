"""A job that no worker takes says so, with the remedy: in the API, at the command line, in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from fastapi import FastAPI
from rich.console import Console
from sqlalchemy import update

from fewbits.progress import progress_html
from search.history import JobStatus
from service.cli import live
from service.client import SearchClient
from service.store import capacity, workers
from service.store.capacity import Capacity
from service.store.models import Event, Worker, now
from tests.service.conftest import Run
from tests.service.filled import Filled, Filler


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with a queued trial."""
    filled = filler.job()
    filler.queue(filled, 1)
    return filled


@pytest.fixture
def report(app: FastAPI) -> Callable[[timedelta], None]:
    """Has a worker report, so long ago."""

    def reported(ago: timedelta = timedelta()) -> None:
        with app.state.database.transaction() as session:
            workers.heartbeat(session, "host/1/0")
            session.execute(update(Worker).values(seen_at=now() - ago))

    return reported


def test_without_any_worker_a_job_names_the_commands_that_start_one(
    client: SearchClient, filled: Filled
) -> None:
    waiting = client.job(filled.job_id).waiting
    assert waiting is not None
    assert "`fewbits worker`" in waiting
    assert "--no-worker" in waiting


def test_a_worker_that_fell_silent_is_missed_within_half_a_minute(
    client: SearchClient, filled: Filled, report: Callable[[timedelta], None]
) -> None:
    report(timedelta(seconds=21))
    assert "the last one did at" in (client.job(filled.job_id).waiting or "")


def test_a_job_in_work_waits_for_nothing_until_its_worker_is_dead(
    app: FastAPI,
    client: SearchClient,
    filler: Filler,
    filled: Filled,
    report: Callable[[timedelta], None],
) -> None:
    filler.start(1)
    report(timedelta())
    with app.state.database.transaction() as session:
        session.execute(update(Event).values(created_at=now() - timedelta(hours=1)))
    assert client.job(filled.job_id).waiting is None
    report(timedelta(seconds=21))
    assert "the last one did at" in (client.job(filled.job_id).waiting or "")


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_a_job_that_shall_not_run_waits_for_nothing(
    client: SearchClient, filled: Filled, action: str
) -> None:
    assert getattr(client, action)(filled.job_id).waiting is None
    assert client.job(filled.job_id).waiting is None


def test_live_workers_that_do_not_take_a_job_are_told(
    app: FastAPI, client: SearchClient, filled: Filled, report: Callable[[timedelta], None]
) -> None:
    report(timedelta())
    assert client.job(filled.job_id).waiting is None
    with app.state.database.transaction() as session:
        session.execute(update(Event).values(created_at=now() - timedelta(seconds=40)))
    waiting = client.job(filled.job_id).waiting or ""
    assert "though one is alive" in waiting
    assert "FEWBITS_BROKER_URL" in waiting


def test_a_job_that_fits_no_worker_says_what_is_missing_at_once(
    app: FastAPI, client: SearchClient, job: dict[str, Any], report: Callable[[timedelta], None]
) -> None:
    report(timedelta())
    with app.state.database.transaction() as session:
        capacity.declare(session, "host/1/0", Capacity(cores=2, memory_mb=4000))
    document = job | {"resources": {"accelerators": 2, "extras": ["lab"]}}
    lacking = "no worker that is alive has 2 accelerators (the most is 0), the extra lab"
    assert any(warning.startswith(lacking) for warning in client.validate(document).warnings)
    assert (client.job(client.submit(document).id).waiting or "").startswith(lacking)
    fitting = job | {"resources": {"cores": 2}}
    assert not any("no worker" in warning for warning in client.validate(fitting).warnings)


def test_an_answer_that_waits_is_not_known_once_a_worker_lives(
    client: SearchClient, filled: Filled, report: Callable[[timedelta], None]
) -> None:
    first = client._http.get(f"/v1/jobs/{filled.job_id}")
    report(timedelta())
    second = client._http.get(f"/v1/jobs/{filled.job_id}", headers={"If-None-Match": first.headers["etag"]})
    assert second.status_code == 200
    assert second.json()["waiting"] is None


def test_a_watcher_is_told_once(client: SearchClient, filled: Filled) -> None:
    text = StringIO()
    lines = live._Lines(Console(file=text, width=400))
    for _ in range(3):
        lines.show(client.job(filled.job_id))
    assert text.getvalue().count("waiting: no worker has reported recently") == 1


def test_watch_says_it_where_output_is_a_log(
    run: Run, filler: Filler, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = live._Lines.show

    def show_then_end(lines: live._Lines, job: live.JobView) -> None:
        show(lines, job)
        if job.status == JobStatus.RUNNING:
            filler.end(filled)

    monkeypatch.setattr(live._Lines, "show", show_then_end)
    result = run("watch", filled.job_id)
    assert "waiting: no worker has reported recently" in result.stdout
    assert "`fewbits worker`" in result.stdout


def test_a_notebook_says_it(client: SearchClient, filled: Filled) -> None:
    job = client.job(filled.job_id)
    assert "waiting: no worker has reported recently" in progress_html(job, client.url)
