"""What each output is trained and measured by, and what is said where that cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from search.errors import InvalidSpec
from search.networks import architecture as models
from search.spec.job import SearchSpec
from search.spec.objective import METRICS, Objective
from search.task import Task, task
from tests.search.nets import functional, layer


def two_heads() -> dict[str, Any]:
    return functional(
        (6,),
        [
            layer("Dense", "hidden", ["input"], units=4, activation="relu"),
            layer("Dense", "kind", ["hidden"], units=6, activation="softmax"),
            layer("Dense", "size", ["hidden"], units=2, activation="linear"),
        ],
        outputs=["kind", "size"],
    )


def spec(model: Any = "diabetes_mlp", **changes: Any) -> SearchSpec:
    named = {"kind": "architecture", "config": model} if isinstance(model, dict) else model
    return SearchSpec.model_validate({"model": named, "limits": {"by_class": {"Dense": 8}}} | changes)


def task_of(model: Any = "diabetes_mlp", **changes: Any) -> Task:
    job = spec(model, **changes)
    return task(job, models.network(job.model))


def fault(model: Any = "diabetes_mlp", **changes: Any) -> tuple[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        task_of(model, **changes)
    [problem] = caught.value.problems
    return problem.pointer, problem.message


@pytest.mark.parametrize(
    ("objective", "loss"),
    [("mse", "mse"), ("mae", "mae"), ("r2", "mse"), ("rmse", "mse"), ("log_cosh", "log_cosh")],
)
def test_numbers_as_targets_are_trained_by_their_metric_if_it_is_a_loss(objective: str, loss: str) -> None:
    assert task_of(objective=objective).head.loss == loss


def test_a_loss_that_is_stated_is_taken() -> None:
    assert task_of(objective="mae", training={"loss": "huber"}).head.loss == "huber"


def test_a_classifier_needs_to_state_nothing() -> None:
    job_task = task_of("jet_mlp")
    assert (job_task.metric, job_task.head.loss, job_task.head.output.kind) == (
        "accuracy",
        "crossentropy",
        "softmax",
    )


def test_the_output_that_is_named_is_judged_and_a_softmax_needs_no_loss() -> None:
    job_task = task_of(two_heads(), objective={"metric": "mae", "output": "size"})
    assert (job_task.judged, [head.loss for head in job_task.heads]) == (1, ["crossentropy", "mae"])


def test_losses_and_their_weights_are_stated_by_output() -> None:
    training = {"loss": {"size": "huber"}, "loss_weights": {"size": 0.5}}
    job_task = task_of(two_heads(), objective={"output": "kind"}, training=training)
    assert [(head.loss, head.weight) for head in job_task.heads] == [("crossentropy", 1.0), ("huber", 0.5)]


@pytest.mark.parametrize(
    ("model", "changes", "pointer", "says"),
    [
        (
            "diabetes_mlp",
            {"objective": "mse", "training": {"loss": "crossentropy"}},
            "/objective/metric",
            "accuracy",
        ),
        (
            "jet_mlp",
            {"training": {"loss": "mse"}},
            "/objective/metric",
            "as are the metrics mse, rmse",
        ),
        (
            "jet_mlp",
            {"objective": "auc"},
            "/objective/metric",
            "two classes and a single score; the model has 5 scores",
        ),
        ("jet_mlp", {"objective": "top_5"}, "/objective/metric", "always 1"),
        ("jet_mlp", {"objective": {"output": "fc9"}}, "/objective/output", "its outputs are softmax"),
        ("two", {}, "/objective/output", "name one of kind, size"),
        ("two", {"objective": {"output": "kind"}}, "/training/loss", "output 'size': one of crossentropy"),
        (
            "two",
            {"objective": {"output": "kind"}, "training": {"loss": {"size": "mse", "weight": "mse"}}},
            "/training/loss/weight",
            "no output 'weight'",
        ),
    ],
)
def test_what_does_not_fit_is_told_before_work_starts(
    model: str, changes: dict[str, Any], pointer: str, says: str
) -> None:
    where, what = fault(two_heads() if model == "two" else model, **changes)
    assert where == pointer
    assert says in what


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_alone_has_its_own_direction_and_no_other_is_taken(metric: str) -> None:
    objective = spec(objective=metric).objective
    assert objective == Objective.model_validate({"metric": metric, "direction": objective.direction})
    wrong = "min" if objective.direction == "max" else "max"
    with pytest.raises(ValidationError, match=f"direction must be {objective.direction}"):
        Objective.model_validate({"metric": metric, "direction": wrong})


def test_an_unknown_metric_or_loss_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match=r"'accuracy', 'top_2'.*'r2'"):
        spec(objective="accurracy")
    with pytest.raises(ValidationError, match="'crossentropy', 'binary_crossentropy', 'mse'"):
        spec(training={"loss": "keras.losses.MyLoss"})
