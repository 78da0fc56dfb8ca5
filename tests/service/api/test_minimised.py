"""A job with a minimized metric: best, front, points and sorting agree; the largest score is the best."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from search.scoring.forgiving_factor import factor_of
from service.client import SearchClient
from tests.service.filled import Filled, Filler

ERRORS = (0.9, 0.3, 0.5, 0.31, 0.7)


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A regression with five measured trials."""
    job = filler.job(
        {
            "model": "diabetes_mlp",
            "data": "diabetes",
            "objective": "mae",
            "limits": {"by_class": {"Dense": 8, "Activation": 8}},
            "seed": 1,
        }
    )
    for trial_id, error in zip(filler.queue(job, len(ERRORS)), ERRORS, strict=True):
        filler.measure(job, trial_id, metric=error)
    return job


def test_the_job_says_what_its_metric_is_and_names_the_least_error(
    client: SearchClient, filled: Filled
) -> None:
    job = client.job(filled.job_id)
    assert (job.metric_name, job.metric_direction, job.metric_is_share) == ("mae", "min", False)
    assert job.best_metric == min(ERRORS)


def test_scores_are_those_of_the_formula_everywhere(
    client: SearchClient, http: TestClient, filled: Filled
) -> None:
    factor, reference = factor_of(filled.plan.spec), filled.plan.reference.value
    best = client.best(filled.job_id, len(ERRORS))
    expected = {point.number: factor.score(point.metric, point.cost, reference) for point in best}
    assert [point.score for point in best] == sorted(expected.values(), reverse=True)
    listed = http.get(f"/v1/jobs/{filled.job_id}/trials?sort=-score").json()["items"]
    assert [trial["number"] for trial in listed] == [point.number for point in best]
    assert [trial["score"] for trial in listed] == pytest.approx([point.score for point in best])
    columns = http.get(f"/v1/jobs/{filled.job_id}/points").json()
    assert columns["score"] == pytest.approx([expected[number] for number in columns["number"]])


def test_no_trial_of_the_front_has_a_larger_error_and_cost(
    client: SearchClient, http: TestClient, filled: Filled
) -> None:
    everything = client.best(filled.job_id, len(ERRORS))
    front_numbers = {point.number for point in client.pareto(filled.job_id).items}
    for point in everything:
        beaten = any(
            other.metric <= point.metric
            and other.cost <= point.cost
            and (other.metric < point.metric or other.cost < point.cost)
            for other in everything
        )
        assert (point.number not in front_numbers) == beaten
    columns = http.get(f"/v1/jobs/{filled.job_id}/points").json()
    on_it = {number for number, on in zip(columns["number"], columns["front"], strict=True) if on}
    assert on_it == front_numbers
