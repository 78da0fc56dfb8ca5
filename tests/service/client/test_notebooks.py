"""What a notebook shows of jobs, trials and fronts that a client read, and of a job that runs."""

from __future__ import annotations

import html
import json
import pickle
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

import fewbits
from fewbits.notebooks import SearchClient
from fewbits.progress import Widget, front_svg
from search.history import JobStatus
from service.client import AsyncSearchClient, Unreachable
from service.schemas.jobs import JobView, ParetoView, TrialView
from service.schemas.notebooks import remember
from service.store.models import Job
from tests.service.filled import JOB, Filled, Filler

MARKUP = "</script><b>bold</b>"


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with five measured trials and one that runs; its name tries to be markup."""
    job = filler.job(JOB | {"name": MARKUP})
    ids = filler.queue(job, 6)
    for trial_id in ids[:5]:
        filler.measure(job, trial_id)
    filler.start(ids[5], epochs=1)
    return job


def data_of(shown: str) -> Any:
    """The numbers in the frame of a cell."""
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])  # type: ignore[index]
    return json.loads(re.search(r'id="data">(.*?)</script>', page)[1])  # type: ignore[index]


def test_a_job_is_shown_with_its_progress_and_front(client: SearchClient, filled: Filled) -> None:
    job = client.job(filled.job_id)
    shown = job._repr_html_()
    assert shown is not None
    assert "5 of 20 trials" in shown
    front = client.pareto(filled.job_id)
    assert data_of(shown)["points"]["number"] == sorted(point.number for point in front.items)
    assert data_of(front._repr_html_() or "")["points"] == data_of(shown)["points"]
    assert MARKUP not in shown
    assert "<b>" not in shown


def test_a_trial_is_shown_with_its_layers(client: SearchClient, filled: Filled) -> None:
    trial = client.trial(filled.job_id, 2)
    shown = trial._repr_html_()
    assert shown is not None
    data = data_of(shown)
    assert data["shows"] == "trial"
    assert [layer["name"] for layer in data["trials"][0]["layers"]] == [layer.name for layer in trial.layers]
    assert f"/#/jobs/{filled.job_id}?trial=2" in shown
    running = client.trial(filled.job_id, 5)._repr_html_()
    assert running is not None
    assert "Trial 5</b>" in running
    assert "running" in running


def test_views_stay_values(client: SearchClient, filled: Filled) -> None:
    for view in (client.job(filled.job_id), client.trial(filled.job_id, 1), client.pareto(filled.job_id)):
        alike = type(view).model_validate_json(view.model_dump_json())
        assert alike == view
        assert pickle.loads(pickle.dumps(view)) == view  # noqa: S301 -- our own bytes
        assert view.model_copy() == view
        assert alike._repr_html_() is None  # no client read it: its text is shown


def test_without_an_answer_the_text_is_shown(filled: Filled, http: TestClient) -> None:
    client = SearchClient("http://127.0.0.1:8765", http=http)
    job, trial, front = (
        client.job(filled.job_id),
        client.trial(filled.job_id, 1),
        client.pareto(filled.job_id),
    )

    def gone(_: str) -> JobView:
        raise Unreachable("no service")

    client.job = client.pareto = gone  # type: ignore[method-assign, assignment]
    assert trial._repr_html_() is None
    assert front._repr_html_() is None
    shown = job._repr_html_()
    assert shown is not None
    assert "<iframe" not in shown
    del client
    assert trial._repr_html_() is None


def test_what_an_asynchronous_client_read_is_shown_as_text(client: SearchClient, filled: Filled) -> None:
    trial = client.trial(filled.job_id, 1)
    other = AsyncSearchClient("http://127.0.0.1:8765")
    remember(trial, other, f"/v1/jobs/{filled.job_id}/trials/1")
    assert trial._repr_html_() is None


class Cell:
    """An output that is updated in place."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, content: Any) -> None:
        self.shown.append(content._repr_html_())


def test_the_front_of_a_cell_is_read_again_only_when_trials_were_measured(
    client: SearchClient, filler: Filler, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    read = client.pareto
    monkeypatch.setattr(client, "pareto", lambda job_id: (asked.append(job_id), read(job_id))[1])
    cell = Cell()
    widget = Widget(client, cell)
    empty = filler.job()
    widget.show(client.job(empty.job_id))
    assert asked == []
    assert "<svg" not in cell.shown[-1]
    for _ in range(3):
        widget.show(client.job(filled.job_id))
    assert asked == [filled.job_id]
    for trial_id in filler.queue(filled, 2, first=6):
        filler.measure(filled, trial_id)
    widget.show(client.job(filled.job_id))
    assert asked == [filled.job_id] * 2
    job, front = client.job(filled.job_id), read(filled.job_id)
    assert cell.shown[-1].endswith(front_svg(job, front.items))
    assert "<b>" not in cell.shown[-1]


def test_a_cell_goes_on_where_the_front_is_not_answered(
    client: SearchClient, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> ParetoView:
        raise Unreachable("no service")

    cell = Cell()
    widget = Widget(client, cell)
    read = client.pareto
    monkeypatch.setattr(client, "pareto", gone)
    widget.show(client.job(filled.job_id))
    assert "5 of 20 trials" in cell.shown[-1]
    monkeypatch.setattr(client, "pareto", read)
    widget.show(client.job(filled.job_id))
    assert "<svg" in cell.shown[-1]


def test_the_small_front_is_steps_from_cheap_to_good(client: SearchClient, filled: Filled) -> None:
    job, front = client.job(filled.job_id), client.pareto(filled.job_id).items
    assert front_svg(job, ()) == ""
    assert job.best is not None
    svg = front_svg(job, front)
    places = [float(text) for text in re.findall(r'<circle cx="([\d.]+)"', svg)]
    heights = [float(text) for text in re.findall(r' cy="([\d.]+)"', svg)]
    assert places == sorted(places)
    assert heights == sorted(heights, reverse=True)
    assert svg.count('r="5"') == (job.best.number in [point.number for point in front])
    path = re.search(r'<path d="M[\d.]+ [\d.]+((?:H[\d.]+V[\d.]+)*)"', svg)
    assert path is not None
    assert path[1].count("H") == len(front) - 1
    assert front_svg(job, front[:1]).count("<circle") == 1


def test_a_job_is_shown_live_where_it_runs(
    client: SearchClient,
    filler: Filler,
    filled: Filled,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with filler.database.transaction() as session:
        session.execute(update(Job).values(status=JobStatus.CANCELLED))
    ended = fewbits.live(filled.job_id, client)
    assert ended.status == JobStatus.CANCELLED
    assert "5/20 trials" in capsys.readouterr().out  # no notebook: lines
    cell = Cell()
    module = ModuleType("IPython")
    vars(module)["get_ipython"] = lambda: SimpleNamespace(kernel=object())
    display = ModuleType("IPython.display")
    vars(display)["display"] = lambda *_, **__: cell
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert fewbits.live(client.job(filled.job_id), client).status == JobStatus.CANCELLED
    assert "cancelled" in cell.shown[-1]
    assert "<svg" in cell.shown[-1]


def test_drawn_views_are_those_of_the_client() -> None:
    assert fewbits.SearchClient is SearchClient
    assert all(hasattr(kind, "_repr_html_") for kind in (JobView, TrialView, ParetoView))
