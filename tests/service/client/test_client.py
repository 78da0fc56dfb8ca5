"""The clients, synchronous and asynchronous, against the real application in this process and over a socket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.history import JobStatus, TrialStatus
from service.client import (
    NEVER,
    Conflict,
    Damaged,
    Invalid,
    JobNotFound,
    NotFound,
    SearchClient,
    TrialNotFound,
    Unreachable,
)
from service.schemas.jobs import JobView
from tests.service.clients import WAYS, reaching
from tests.service.filled import Filled, Filler


@pytest.fixture(params=WAYS)
def client(request: pytest.FixtureRequest, app: Any, http: Any) -> Iterator[Any]:
    """A client of the application, each way."""
    with reaching(request.param, app, http) as found:
        yield found


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with three measured trials."""
    found = filler.job()
    for trial_id in filler.queue(found, 3):
        filler.measure(found, trial_id)
    return found


def test_a_submitted_job_can_be_read(client: Any, job: dict[str, Any]) -> None:
    assert int(client.validate(job).space_size) > 1
    assert list(client.jobs()) == []
    submitted = client.submit(job)
    assert client.job(submitted.id).id == submitted.id
    assert submitted.status == JobStatus.QUEUED
    assert [found.id for found in client.jobs()] == [submitted.id]


def test_lists_go_over_all_pages_in_the_order_that_is_asked_for(client: Any, filler: Filler) -> None:
    found = filler.job()
    filler.queue(found, 250)  # pages hold 200
    assert [trial.number for trial in client.trials(found.job_id)] == list(range(250))
    backwards = client.trials(found.job_id, sort="-number", filter="number>=10")
    assert [trial.number for trial in backwards] == list(range(249, 9, -1))
    assert list(client.trials(found.job_id, status=TrialStatus.DONE)) == []


def test_best_front_and_points_agree(client: Any, filled: Filled) -> None:
    best = client.best(filled.job_id, 2)
    assert len(best) == 2
    assert best[0].score >= best[1].score
    points = client.points(filled.job_id)
    assert points.count == 3
    assert max(points.score) == pytest.approx(best[0].score, rel=1e-12)
    kept = {number for number, is_kept in zip(points.number, points.front, strict=True) if is_kept}
    assert {point.number for point in client.pareto(filled.job_id).items} == kept


def test_trials_become_a_data_frame(client: Any, filler: Filler, filled: Filled) -> None:
    pytest.importorskip("pandas")
    filler.queue(filled, 1, first=3)
    frame = client.to_dataframe(filled.job_id)
    assert list(frame.index) == [0, 1, 2, 3]
    assert frame["metric"].notna().tolist() == [True, True, True, False]
    assert frame["status"].tolist() == frame["state"].tolist() == ["done"] * 3 + ["queued"]
    assert frame["bits"].isna().tolist() == [False, False, False, True]
    assert frame.attrs["cost_unit"] == "energy_pj"
    assert frame["score"].idxmax() == client.best(filled.job_id, 1)[0].number


def test_a_download_is_saved_under_its_name(client: Any, filled: Filled, tmp_path: Path) -> None:
    path = client.download(filled.job_id, 1, "model.keras", tmp_path / "out")
    assert path == tmp_path / "out" / "model.keras"
    assert path.read_bytes() == b"bytes of trial 1"
    assert [file.name for file in path.parent.iterdir()] == ["model.keras"]


@pytest.mark.parametrize("length", [5, len(b"bytes of trial 1")])
def test_a_broken_download_goes_on_where_it_ended(
    client: Any, filled: Filled, tmp_path: Path, length: int
) -> None:
    content = b"bytes of trial 1"
    part = tmp_path / f".model.keras.{hashlib.sha256(content).hexdigest()}.part"
    part.write_bytes(content[:length])
    inode = part.stat().st_ino
    path = client.download(filled.job_id, 1, "model.keras", tmp_path)
    assert path.read_bytes() == content
    assert path.stat().st_ino == inode
    assert not part.exists()


def test_the_part_of_another_file_is_not_gone_on_with(client: Any, filled: Filled, tmp_path: Path) -> None:
    stale = tmp_path / f".model.keras.{'0' * 64}.part"
    stale.write_bytes(b"old")
    assert client.download(filled.job_id, 1, "model.keras", tmp_path).read_bytes() == b"bytes of trial 1"
    assert not stale.exists()


def test_a_damaged_download_leaves_no_file(client: Any, filled: Filled, app: Any, tmp_path: Path) -> None:
    (artifact,) = [a for a in client.trial(filled.job_id, 1).artifacts if a.name == "model.keras"]
    app.state.blobs.path(artifact.sha256).write_bytes(b"something else")
    with pytest.raises(Damaged):
        client.download(filled.job_id, 1, "model.keras", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_download_that_is_not_there_leaves_no_file(client: Any, filled: Filled, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        client.download(filled.job_id, 1, "nothing.bin", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_all_trials_are_exported_as_one_file(client: Any, filled: Filled, tmp_path: Path) -> None:
    path = client.export(filled.job_id, tmp_path / "all.csv")
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("number,status,reason,score,")
    with pytest.raises(NotFound):
        client.export(filled.job_id, tmp_path / "all.xlsx")
    assert [file.name for file in tmp_path.iterdir() if "all" in file.name] == ["all.csv"]


def test_what_the_service_refuses_is_typed(client: Any, job: dict[str, Any], filled: Filled) -> None:
    with pytest.raises(Invalid) as caught:
        client.submit(job | {"budget": {"trials": 0}, "colour": 1})
    assert {item.pointer for item in caught.value.problem.errors} == {"/budget/trials", "/colour"}
    with pytest.raises(JobNotFound, match="0123456789abcdef"):
        client.job("0123456789abcdef")
    with pytest.raises(TrialNotFound):
        client.trial(filled.job_id, 99)
    with pytest.raises(NotFound):
        client.job("../../healthz")


def test_a_job_that_is_done_raises_conflict(client: Any, filler: Filler, filled: Filled) -> None:
    filler.end(filled)
    with pytest.raises(Conflict):
        client.cancel(filled.job_id)


def test_readiness_is_an_answer_also_when_a_part_is_missing(client: Any) -> None:
    assert client.ready().ready is False


def test_what_ships_is_listed_and_priced(client: Any) -> None:
    assert "digits_cnn" in {model.name for model in client.models()}
    assert "horowitz" in {profile.name for profile in client.profiles()}
    assert client.cost({"model": "jet_mlp"}).energy_pj > 0


def test_waiting_wakes_when_something_happens_and_ends_with_the_job(
    client: Any, filler: Filler, filled: Filled
) -> None:
    seen: list[JobView] = []

    def progress(job: JobView) -> None:
        seen.append(job)
        if len(seen) == 1:
            filler.fail(filler.queue(filled, 1, first=3)[0], "no")
        elif len(seen) == 2:
            filler.end(filled)

    assert client.wait(filled.job_id, progress=progress, interval_s=0).status == JobStatus.DONE
    assert [job.status for job in seen] == ["running", "running", "done"]
    assert [job.trials["failed"] for job in seen] == [0, 1, 1]


def test_events_are_followed_to_the_end_of_the_job(client: Any, filler: Filler, filled: Filled) -> None:
    filler.end(filled)
    events = list(client.events(filled.job_id))
    assert events[0].type == "job.created"
    assert events[-1].data["status"] == "done"
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert list(client.events(filled.job_id, after=events[-2].id)) == events[-1:]


def test_waiting_ends_with_a_timeout(client: Any, filled: Filled) -> None:
    with pytest.raises(TimeoutError):
        client.wait(filled.job_id, interval_s=0, timeout_s=0)


def test_no_answer_is_unreachable() -> None:
    with (
        SearchClient("http://127.0.0.1:1", retry=NEVER) as client,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"),
    ):
        client.job("0123456789abcdef")
