"""Analysis of a search, and final trainings: over REST, the client and the command line."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from typer.testing import CliRunner

from search.results.final_training import FinalStatus
from search.spec.distillation import Distillation
from service.cli import app as commands
from service.client import Conflict, Invalid, NotFound, SearchClient
from service.store import final_trainings
from service.store.leases import Watch
from tests.service.filled import LEASE, Filled, Filler


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with eight measured trials and one in the queue."""
    job = filler.job()
    for trial_id in filler.queue(job, 9)[:8]:
        filler.measure(job, trial_id)
    return job


def test_the_analysis_names_every_choice_and_its_layers(client: SearchClient, filled: Filled) -> None:
    analysis = client.analysis(filled.job_id)
    assert [choice.name for choice in analysis.choices] == list(filled.plan.choices.dimensions())
    assert analysis.trials == 8
    assert {layer for choice in analysis.choices for layer in choice.layers} == {
        layer.name for layer in analysis.layers
    }
    assert analysis.explained == pytest.approx(sum(choice.importance for choice in analysis.choices))


def test_the_analysis_s_front_is_the_front_and_has_the_knee(client: SearchClient, filled: Filled) -> None:
    analysis = client.analysis(filled.job_id)
    assert list(analysis.front) == [point.number for point in client.pareto(filled.job_id).items]
    assert analysis.knee in analysis.front
    assert analysis.hypervolume == analysis.steps[-1].hypervolume > 0
    assert all(step.at_s is not None and step.at_s >= 0 for step in analysis.steps)


def test_an_analysis_that_is_known_is_not_sent_again(http: TestClient, filled: Filled) -> None:
    path = f"/v1/jobs/{filled.job_id}/analysis"
    etag = http.get(path).headers["etag"]
    assert http.get(path, headers={"If-None-Match": etag}).status_code == 304


def test_a_final_training_requested_twice_is_done_once(
    client: SearchClient, http: TestClient, filled: Filled
) -> None:
    first, again = (client.finalize(filled.job_id, 0, 5) for _ in range(2))
    assert (first.status, first.epochs) == (FinalStatus.QUEUED, 5)
    assert again == first == client.final(filled.job_id, 0)
    with pytest.raises(Conflict, match="being trained for 5 epochs"):
        client.finalize(filled.job_id, 0, 6)


def test_a_final_training_that_learns_from_the_float_model_is_another_one(
    client: SearchClient, http: TestClient, filled: Filled
) -> None:
    first = client.finalize(filled.job_id, 0, 5, distill={"share": 0.7})
    assert first.distill == Distillation(temperature=4.0, share=0.7)
    assert client.finalize(filled.job_id, 0, 5, distill={"temperature": 4, "share": 0.7}) == first
    with pytest.raises(Conflict, match="5 epochs, learning from the float model"):
        client.finalize(filled.job_id, 0, 5)
    path = f"/v1/jobs/{filled.job_id}/trials/0:finalize"
    answer = http.post(path, json={"epochs": 5, "distill": {"share": 2}})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/distill/share"]


def test_only_a_trial_with_a_trained_model_is_trained_on(client: SearchClient, filled: Filled) -> None:
    with pytest.raises(Conflict, match="no trained model"):
        client.finalize(filled.job_id, 8, 5)
    with pytest.raises(NotFound, match="no final training"):
        client.final(filled.job_id, 8)


def test_epochs_out_of_range_are_refused_with_their_field(http: TestClient, filled: Filled) -> None:
    answer = http.post(f"/v1/jobs/{filled.job_id}/trials/0:finalize", json={"epochs": 0})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/epochs"]


def test_a_final_training_that_failed_may_be_requested_again(
    client: SearchClient, app: FastAPI, filled: Filled
) -> None:
    client.finalize(filled.job_id, 0, 5)
    with app.state.database.transaction() as session:
        row = final_trainings.get(session, filled.job_id, 0)
        claim = final_trainings.claim(session, row.trial_id, worker="host/1/0", lease=LEASE)
        assert claim is not None
        final_trainings.fail(session, claim, "loss became NaN in epoch 2")
    assert client.final(filled.job_id, 0).reason == "loss became NaN in epoch 2"
    again = client.finalize(filled.job_id, 0, 5)
    assert (again.status, again.reason, again.attempt) == (FinalStatus.QUEUED, None, 1)


def test_a_worker_that_was_thought_dead_stores_nothing(
    app: FastAPI, client: SearchClient, filled: Filled
) -> None:
    client.finalize(filled.job_id, 0, 5)
    with app.state.database.transaction() as session:
        trial_id = final_trainings.get(session, filled.job_id, 0).trial_id
        old = final_trainings.claim(session, trial_id, worker="host/1/0", lease=-LEASE)
        assert [claim.attempt for claim, _ in final_trainings.expired(session, Watch(lambda _: False))] == [1]
        final_trainings.release(session, old, "the worker died", max_attempts=3)
        new = final_trainings.claim(session, trial_id, worker="host/2/0", lease=LEASE)
        assert new is not None
        assert not final_trainings.renew(session, old, LEASE)
        final_trainings.fail(session, old, "too late")
    assert client.final(filled.job_id, 0).status is FinalStatus.RUNNING


def test_after_three_dead_workers_a_final_training_has_failed(
    app: FastAPI, client: SearchClient, filled: Filled
) -> None:
    client.finalize(filled.job_id, 0, 5)
    for _ in range(3):
        with app.state.database.transaction() as session:
            trial_id = final_trainings.get(session, filled.job_id, 0).trial_id
            claim = final_trainings.claim(session, trial_id, worker="host/1/0", lease=LEASE)
            assert claim is not None
            final_trainings.release(session, claim, "the worker died", max_attempts=3)
    view = client.final(filled.job_id, 0)
    assert (view.status, view.reason) == (FinalStatus.FAILED, "the worker died (3 attempts)")


def test_the_commands_show_what_the_service_says(
    monkeypatch: pytest.MonkeyPatch, client: SearchClient, filled: Filled
) -> None:
    monkeypatch.setattr("service.cli.connection.SearchClient", lambda *_, **__: client)
    monkeypatch.setattr(client, "close", lambda: None)
    shown = CliRunner().invoke(commands, ["analysis", filled.job_id])
    assert shown.exit_code == 0, shown.output
    assert "8 measured trials" in shown.output
    assert "dense.kernel" in shown.output
    requested = CliRunner().invoke(commands, ["finalize", filled.job_id, "0", "--epochs", "5"])
    assert "final training of 5 epochs queued" in requested.output
    missing = CliRunner().invoke(commands, ["rerun", filled.job_id, "0"])
    assert missing.exit_code == 1
    assert "no recipe.json" in missing.output


SPIKING = {"model": {"kind": "xylo", "name": "spiking_digits"}, "data": "spiking_digits"}


def test_a_spiking_job_is_checked_submitted_and_analysed_like_any_other(client: SearchClient) -> None:
    checked = client.validate(SPIKING)
    assert [slot.name for slot in checked.slots] == ["method", "bits_per_weight", "bits_per_threshold"]
    assert checked.slots[0].candidates == ("global", "global_fuzzy", "channel")
    assert (checked.space_size, checked.untouched, checked.data.classes) == ("105", (), 8)
    assert [layer.name for layer in checked.reference.layers] == ["hidden", "readout"]
    assert [(entry.name, entry.possible) for entry in checked.exports] == [("xylo", True)]
    job = client.submit(SPIKING)
    assert (job.model, job.data) == ("spiking_digits", "spiking_digits")
    assert [choice.name for choice in client.analysis(job.id).choices] == [
        slot.name for slot in checked.slots
    ]


def test_a_spiking_job_with_training_is_refused_with_the_field(client: SearchClient) -> None:
    with pytest.raises(Invalid) as refusal:
        client.submit({**SPIKING, "training": {"epochs": 3}})
    assert [error.pointer for error in refusal.value.problem.errors] == ["/training"]
