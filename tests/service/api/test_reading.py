"""Jobs and trials over HTTP: scores, fronts, progress, pages, files."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from starlette.testclient import TestClient

from search.history import TrialStatus
from search.scoring.forgiving_factor import forgiving_factor
from search.scoring.pareto import Point, dominates
from tests.service.filled import Filled, Filler


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with six measured trials, a failed one, a running one and one in the queue."""
    job = filler.job()
    ids = filler.queue(job, 9)
    for trial_id in ids[:6]:
        filler.measure(job, trial_id)
    filler.fail(ids[6], "loss became NaN in epoch 2")
    filler.start(ids[7], epochs=2)
    return job


def read(http: TestClient, path: str) -> Any:
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_score_is_the_metric_forgiven_by_the_cost(http: TestClient, filled: Filled) -> None:
    factor = forgiving_factor(filled.plan.spec.goal)
    for trial in read(http, f"/v1/jobs/{filled.job_id}/best")["items"]:
        expected = factor.score(trial["metric"], trial["cost"], filled.plan.reference.value)
        assert trial["score"] == expected


def test_the_best_come_first(http: TestClient, filled: Filled) -> None:
    items = read(http, f"/v1/jobs/{filled.job_id}/best?k=4")["items"]
    scores = [item["score"] for item in items]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert read(http, f"/v1/jobs/{filled.job_id}")["best"] == items[0]


def test_of_equal_scores_the_earlier_trial_is_best(http: TestClient, filler: Filler) -> None:
    job = filler.job()
    first, second = filler.queue(job, 1)[0], filler.queue(job, 1, first=1)[0]
    for trial_id in (second, first):
        filler.measure(job, trial_id, metric=0.0)
    items = read(http, f"/v1/jobs/{job.job_id}/best")["items"]
    assert [item["number"] for item in items] == [0, 1]


def test_no_trial_of_the_front_is_dominated_and_every_other_is(http: TestClient, filled: Filled) -> None:
    front = read(http, f"/v1/jobs/{filled.job_id}/pareto")["items"]
    every = read(http, f"/v1/jobs/{filled.job_id}/best?k=100")["items"]
    points = {item["number"]: Point(item["number"], item["metric"], item["cost"]) for item in every}
    front_numbers = {item["number"] for item in front}
    for number, point in points.items():
        assert any(dominates(other, point) for other in points.values()) == (number not in front_numbers)
    assert [item["cost"] for item in front] == sorted(item["cost"] for item in front)


def test_progress_counts_trials_and_epochs_of_running_ones(http: TestClient, filled: Filled) -> None:
    job = read(http, f"/v1/jobs/{filled.job_id}")
    counts = {status: count for status, count in job["trials"].items() if count}
    assert counts == {"queued": 1, "running": 1, "done": 6, "failed": 1}
    assert set(job["trials"]) == set(TrialStatus)
    assert (job["progress"]["done"], job["progress"]["total"]) == (7, 20)
    assert job["progress"]["fraction"] == pytest.approx((7 + 2 / 4) / 20)
    assert job["progress"]["eta_s"] > 0
    assert job["best_metric"] == max(t["metric"] for t in trials(http, filled) if t["metric"])
    assert job["least_energy_pj"] == min(t["energy_pj"] for t in trials(http, filled) if t["energy_pj"])


def test_trials_ruled_out_without_training_are_not_progress(
    http: TestClient, filled: Filled, filler: Filler
) -> None:
    before = read(http, f"/v1/jobs/{filled.job_id}")
    for trial_id in filler.queue(filled, 2, first=50):
        filler.rule_out(trial_id)
    after = read(http, f"/v1/jobs/{filled.job_id}")
    assert after["trials"]["infeasible"] == before["trials"]["infeasible"] + 2
    assert after["progress"]["done"] == before["progress"]["done"]


def trials(http: TestClient, filled: Filled) -> list[dict[str, Any]]:
    return list(read(http, f"/v1/jobs/{filled.job_id}/trials")["items"])


def test_a_job_that_has_ended_has_no_time_left(http: TestClient, filled: Filled, filler: Filler) -> None:
    filler.end(filled)
    job = read(http, f"/v1/jobs/{filled.job_id}")
    assert job["progress"]["eta_s"] is None
    assert job["progress"]["fraction"] == 1.0
    assert job["finished_at"] is not None


def test_a_trial_that_is_not_measured_has_no_score(http: TestClient, filled: Filled) -> None:
    unmeasured = trials(http, filled)[6:]
    assert [trial["status"] for trial in unmeasured] == ["failed", "running", "queued"]
    assert [trial["score"] for trial in unmeasured] == [None] * 3
    assert unmeasured[0]["reason"] == "loss became NaN in epoch 2"


def test_pages_of_trials_give_each_once(http: TestClient, filled: Filled) -> None:
    numbers, cursor = [], ""
    while cursor is not None:
        page = read(http, f"/v1/jobs/{filled.job_id}/trials?limit=4{cursor and '&cursor=' + cursor}")
        numbers += [item["number"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert numbers == list(range(9))


def test_trials_can_be_listed_by_status(http: TestClient, filled: Filled) -> None:
    failed = read(http, f"/v1/jobs/{filled.job_id}/trials?status=failed")["items"]
    assert [trial["number"] for trial in failed] == [6]


def test_pages_of_jobs_give_each_once_newest_first(http: TestClient, filler: Filler) -> None:
    created = [filler.job().job_id for _ in range(5)]
    listed, cursor = [], ""
    while cursor is not None:
        page = read(http, f"/v1/jobs?limit=2{cursor and '&cursor=' + cursor}")
        listed += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert listed == created[::-1]


def test_jobs_can_be_listed_by_status(http: TestClient, filler: Filler) -> None:
    filler.end(filler.job())
    running = filler.job()
    listed = read(http, "/v1/jobs?status=running")["items"]
    assert [job["id"] for job in listed] == [running.job_id]


def test_a_measured_trial_shows_all_that_was_stored(http: TestClient, filled: Filled) -> None:
    trial = read(http, f"/v1/jobs/{filled.job_id}/trials/0")
    assert [epoch["epoch"] for epoch in trial["epochs"]] == [0, 1, 2]
    assert set(trial["epochs"][0]["metrics"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    layers = {layer["name"]: layer for layer in trial["layers"]}
    assert layers["dense"]["slots"]["kernel"]["bits"] <= 8
    assert layers["flatten"]["slots"] == {}
    assert layers["inputs"]["slots"]["activation"]["quantizer"] == "quantized_bits(8,0,1)"
    assert layers["inputs"]["included_pj"] == 0.0  # who reads it pays
    energies = [layer["included_pj"] or 0 for layer in trial["layers"]]
    assert sum(energies) == pytest.approx(trial["energy_pj"], abs=20)
    assert trial["versions"] == {"keras": "3.15.1"}
    assert trial["durations_s"] == {"build": 0.3, "train": 1.5}
    assert (trial["seed"], trial["attempt"], trial["best_epoch"]) == (0, 1, 2)


def test_a_running_trial_shows_its_quantizers_before_it_has_energies(
    http: TestClient, filled: Filled
) -> None:
    trial = read(http, f"/v1/jobs/{filled.job_id}/trials/7")
    assert trial["status"] == TrialStatus.RUNNING
    assert trial["epochs_done"] == 2
    assert {layer["included_pj"] for layer in trial["layers"]} == {None}
    assert any(layer["slots"] for layer in trial["layers"])


def test_a_file_is_sent_as_an_attachment_with_its_checksum(http: TestClient, filled: Filled) -> None:
    path = f"/v1/jobs/{filled.job_id}/trials/3/artifacts/model.keras"
    answer = http.get(path)
    assert answer.content == b"bytes of trial 3"
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert http.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/jobs/0123456789abcdef", "job-not-found"),
        ("/v1/jobs/0123456789abcdef/trials", "job-not-found"),
        ("/v1/jobs/0123456789abcdef/best", "job-not-found"),
        ("/v1/jobs/0123456789abcdef/pareto", "job-not-found"),
        ("/v1/jobs/%00", "job-not-found"),
        ("/v1/jobs/{id}/trials/99", "trial-not-found"),
        ("/v1/jobs/{id}/trials/0/artifacts/nothing.bin", "artifact-not-found"),
        ("/v1/jobs/{id}/trials/8/artifacts/model.keras", "artifact-not-found"),
    ],
)
def test_what_is_not_there_is_named(http: TestClient, filled: Filled, path: str, kind: str) -> None:
    answer = http.get(path.replace("{id}", filled.job_id))
    assert answer.status_code == 404
    assert answer.json()["type"] == f"urn:fewbits:problem:{kind}"


def test_a_file_whose_bytes_are_gone_is_not_found(http: TestClient, filled: Filled, app: Any) -> None:
    trial = read(http, f"/v1/jobs/{filled.job_id}/trials/3")
    app.state.blobs.path(trial["artifacts"][0]["sha256"]).unlink()
    answer = http.get(f"/v1/jobs/{filled.job_id}/trials/3/artifacts/model.keras")
    assert answer.status_code == 404


@pytest.mark.parametrize("part", ["", "/trials", "/trials/0", "/best", "/pareto"])
def test_what_has_not_changed_is_not_sent_again(
    http: TestClient, filled: Filled, filler: Filler, part: str
) -> None:
    path = f"/v1/jobs/{filled.job_id}{part}"
    tag = http.get(path).headers["etag"]
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 304
    filler.end(filled)
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_the_list_of_jobs_is_sent_again_once_one_has_changed(http: TestClient, filler: Filler) -> None:
    job = filler.job()
    tag = http.get("/v1/jobs").headers["etag"]
    assert http.get("/v1/jobs", headers={"If-None-Match": tag}).status_code == 304
    filler.queue(job, 1)
    filler.end(job)
    assert http.get("/v1/jobs", headers={"If-None-Match": tag}).status_code == 200


def test_no_path_leads_out_of_the_artifacts(http: TestClient, filled: Filled) -> None:
    answer = http.get(f"/v1/jobs/{filled.job_id}/trials/0/artifacts/..%2F..%2Ffewbits.db")
    assert answer.status_code in (404, 422)
