"""Trials measured before they are trained: calibrated, compared with the others, given up if hopeless."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from search.history import Assignment, TrialRecord, TrialStatus, paid
from search.pruning.post_training import judge_untrained, needed_score
from search.scoring.forgiving_factor import ForgivingFactor
from search.spec.job import SearchSpec
from search.spec.oracle import NoPostTraining, PostTrainingMedian
from service.store import trials
from service.store.models import Trial
from tests.worker.conftest import Bench, tiny_job


class Prices:
    """Every assignment costs what its value says."""

    def price_many(self, assignments: list[Assignment]) -> list[float | None]:
        return [
            float(assignment.values["cost"]) if assignment.values["cost"] else None
            for assignment in assignments
        ]


def measured(number: int, metric: float | None, cost: float = 100.0, **more: Any) -> TrialRecord:
    assignment = Assignment({"cost": cost}, {})
    status = more.pop("status", TrialStatus.DONE)
    return TrialRecord(number, assignment, status, post_training_metric=metric, **more)


def judged(record: TrialRecord, metric: float, others: list[TrialRecord], **rule: Any) -> Any:
    spec = PostTrainingMedian(**{"margin": 0.1, "min_trials": 3, **rule})
    prices: Any = Prices()
    return judge_untrained(spec, record, metric, others, prices, ForgivingFactor(8, 8, 2), reference=100.0)


OTHERS = [measured(number, metric) for number, metric in enumerate((0.4, 0.5, 0.6))]


def test_a_trial_far_below_the_median_of_the_others_is_pruned_with_the_numbers() -> None:
    verdict = judged(measured(9, None), 0.44, OTHERS)
    assert verdict.status is TrialStatus.PRUNED
    assert verdict.proof["median_score"] == pytest.approx(0.5)
    assert verdict.proof["score_needed"] == pytest.approx(0.45)
    assert verdict.proof["compared_with"] == 3
    assert judged(measured(9, None), 0.46, OTHERS) is None


def test_a_cheap_trial_is_forgiven_as_much_as_its_goal_says() -> None:
    assert judged(measured(9, None, cost=100.0), 0.42, OTHERS) is not None
    assert judged(measured(9, None, cost=25.0), 0.42, OTHERS) is None  # 0.42 * 1.16 is above 0.45


def test_nothing_is_judged_before_enough_others_were_measured_nor_by_the_trial_itself() -> None:
    assert judged(measured(9, None), 0.1, OTHERS[:2]) is None
    assert judged(measured(2, None), 0.1, OTHERS) is None
    assert judged(measured(9, None), 0.1, [*OTHERS[:2], measured(3, None)]) is None


def test_without_the_rule_nothing_is_judged() -> None:
    prices: Any = Prices()
    off = NoPostTraining()
    factor = ForgivingFactor(8, 8, 2)
    assert judge_untrained(off, measured(9, None), 0.0, OTHERS, prices, factor, 100.0) is None


def test_the_margin_widens_downwards_also_for_scores_below_zero() -> None:
    assert needed_score([-0.5, -0.5], 0.1) == pytest.approx(-0.55)
    assert needed_score([0.5, 0.5], 0.1) == pytest.approx(0.45)


def test_weights_to_look_at_are_asked_for() -> None:
    with pytest.raises(ValidationError, match=r"set training\.start to float or calibrated"):
        SearchSpec.model_validate(tiny_job() | {"post_training": "median"})


# --- through the worker --------------------------------------------------------------------------------------------

TRAINING = {"epochs": 4, "batch_size": 16, "learning_rate": 0.01, "start": "calibrated"}
MANY_BITS = {"Dense": [8, 8, 8], "Activation": [8]}


def done(bench: Bench, **changes: Any) -> list[Trial]:
    job_id = bench.submit(**{"training": TRAINING, "parallel_trials": 1, **changes})
    bench.work()
    with bench.database.reading() as session:
        return trials.page(session, job_id, limit=1000)


def test_hopeless_trials_cost_one_evaluation_and_neither_epochs_nor_trials_of_the_budget(
    bench: Bench,
) -> None:
    rule = {"kind": "median", "margin": 0.02, "min_trials": 2}
    rows = done(bench, post_training=rule, budget={"trials": 4, "epochs": 16}, limits={"by_class": MANY_BITS})
    assert [trial.reason for trial in rows if trial.status == TrialStatus.FAILED] == []
    pruned = [trial for trial in rows if trial.status == TrialStatus.PRUNED]
    assert pruned
    for trial in pruned:
        proof = trial.proof or {}
        assert (trial.epochs_done, trial.metric) == (0, None)
        assert proof["score"] < proof["score_needed"]
        assert proof["post_training_metric"] == trial.post_training_metric
    assert sum(trial.status == TrialStatus.DONE for trial in rows) == 4
    assert all(trial.post_training_metric is not None for trial in rows)
    assert len(paid([trials.record(trial) for trial in rows])) == 4


def test_a_calibrated_start_measures_better_before_training_and_keeps_the_quantizers(bench: Bench) -> None:
    limits = {"by_class": {"Dense": {"kernel": ["quantized_bits(2,1,1,alpha=1.0)"], "bias": 8}}}
    rule = {"kind": "median", "min_trials": 100}
    floats, calibrated = (
        done(
            bench,
            data={"kind": "npz", "file": "tiny.npz", "preprocessing": "none", "split": "random"},
            limits=limits,
            post_training=rule,
            budget={"trials": 3},
            training={**TRAINING, "start": start},
        )
        for start in ("float", "calibrated")
    )
    assert [trial.assignment for trial in floats] == [trial.assignment for trial in calibrated]
    before, after = ([trial.post_training_metric or 0.0 for trial in rows] for rows in (floats, calibrated))
    assert sum(after) > sum(before)
