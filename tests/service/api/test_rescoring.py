"""Measured trials under another goal, over REST, the client and the command line; nothing stored changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from search.cost.pricing import Pricer
from search.results.rescoring import UnscoredTrial, rescore
from search.scoring.forgiving_factor import forgiving_factor
from search.spec.goals import BitsGoal, CountGoal, EnergyGoal, Goal
from service.client import Invalid, NotFound, SearchClient
from tests.service.conftest import Run
from tests.service.filled import Filled, Filler

TRIALS = 8


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with eight measured trials and one in the queue."""
    job = filler.job()
    for trial_id in filler.queue(job, TRIALS + 1)[:TRIALS]:
        filler.measure(job, trial_id)
    return job


def test_a_goal_in_bits_ranks_by_bits(client: SearchClient, filled: Filled) -> None:
    before = client.job(filled.job_id)
    ranking = client.rescore(filled.job_id, {"kind": "bits", "delta_p": 20, "rate": 4}, k=TRIALS)
    goal = BitsGoal(delta_p=20, rate=4)
    reference, factor = Pricer(goal, filled.plan.network).reference().value, forgiving_factor(goal)
    assert (ranking.cost_unit, ranking.reference_cost) == ("bits", reference)
    assert [point.score for point in ranking.items] == sorted((p.score for p in ranking.items), reverse=True)
    for point in ranking.items:
        assert point.cost == point.bits
        assert point.score == factor.score(point.metric, point.cost, reference)
    after = client.job(filled.job_id)
    assert (after.version, after.best, after.spec) == (before.version, before.best, before.spec)


def test_the_job_s_own_goal_gives_the_job_s_own_ranking(client: SearchClient, filled: Filled) -> None:
    ranking = client.rescore(filled.job_id, client.job(filled.job_id).spec["goal"], k=TRIALS)
    assert ranking.items == client.best(filled.job_id, TRIALS)


def test_other_numbers_in_the_goal_rank_by_the_stored_costs(client: SearchClient, filled: Filled) -> None:
    plain = client.best(filled.job_id, TRIALS, delta_p=0, delta_n=0)
    assert [point.score for point in plain] == [point.metric for point in plain]
    goal = filled.plan.spec.goal.model_copy(update={"delta_p": 50.0, "rate": 3.0})
    factor, reference = forgiving_factor(goal), filled.plan.reference.value
    for point in client.best(filled.job_id, TRIALS, delta_p=50, rate=3):
        assert point.score == factor.score(point.metric, point.cost, reference)


def test_only_k_trials_are_returned(client: SearchClient, filled: Filled) -> None:
    assert len(client.rescore(filled.job_id, {"kind": "macs"}, k=3).items) == 3


@pytest.mark.parametrize(
    ("goal", "pointer"),
    [
        ({"kind": "energy", "profile": "unobtainium"}, "/goal/profile"),
        ({"kind": "joy"}, "/goal"),
        ({"kind": "bits", "rate": 1}, "/goal/rate"),
    ],
)
def test_a_goal_that_cannot_be_computed_is_refused_with_its_field(
    client: SearchClient, filled: Filled, goal: dict[str, object], pointer: str
) -> None:
    with pytest.raises(Invalid) as caught:
        client.rescore(filled.job_id, goal)
    assert pointer in [fault.pointer for fault in caught.value.problem.errors]


@pytest.mark.parametrize("query", ["delta_p=-1", "rate=1", "stress=0", "delta_n=much"])
def test_numbers_out_of_range_are_refused(http: TestClient, filled: Filled, query: str) -> None:
    answer = http.get(f"/v1/jobs/{filled.job_id}/best?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_there_must_be_such_a_job(client: SearchClient) -> None:
    with pytest.raises(NotFound):
        client.rescore("0" * 12, {"kind": "bits"})


def test_the_command_reads_a_goal_or_a_job_with_one(run: Run, filled: Filled, tmp_path: Path) -> None:
    outputs = []
    for text in ("kind: bits\ndelta_p: 20\n", "goal: {kind: bits, delta_p: 20}\nname: other\n"):
        (tmp_path / "goal.yaml").write_text(text)
        result = run("rescore", filled.job_id, "--goal", str(tmp_path / "goal.yaml"))
        assert result.exit_code == 0, result.output
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    assert "Best by bits" in outputs[0]


@pytest.mark.parametrize(
    "goal", [EnergyGoal(), EnergyGoal(profile="7nm"), BitsGoal(), CountGoal(kind="bops")]
)
def test_every_goal_prices_as_a_search_under_it_would(filled: Filled, goal: Goal) -> None:
    plan = filled.plan
    chosen = plan.choices.assignment({name: labels[0] for name, labels in plan.choices.dimensions().items()})
    ranking = rescore(goal, plan.network, "max", [UnscoredTrial(0, chosen, 0.9)], 1)
    pricer = Pricer(goal, plan.network)
    assert ranking.trials[0].cost == pricer.price(chosen).value
    assert ranking.reference == pricer.reference().value
