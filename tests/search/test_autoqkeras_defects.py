"""What hurt the users of AutoQKeras and of keras-tuner, and what happens here instead; tests are named by number.

The numbers are those of a list of their reported defects, by how many users they hurt. Not here are

- those that cannot occur: 1 (no Keras 3: this is Keras 3), 17 (a tutorial that breaks on newer versions: the examples
  are run by `make demo` and the acceptance tests), 28 (a chief process that starts, stops and hangs: there is none,
  workers meet in the database);
- those of other parts, tested there: 6 (resuming after a crash: tests/worker/test_kills.py), 11 (checkpoints that fill
  the disk: tests/service and tests/worker/test_quota.py), 13 (accuracy lost by starting from scratch:
  test_start.py), 14 (quantization without training: tests/worker/test_rung_zero.py), 34 (models that are gone:
  artifacts are named by their contents, tests/service/store/test_blobs.py), 38 (classes that another process does not
  find: test_trial.py).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from costmodel.network import read_network
from quantization.models.convert import read_quantizers
from search.cost.pricing import Pricer
from search.data import Dataset
from search.errors import InvalidSpec
from search.history import Assignment, EpochReport, Measurement, TrialStatus
from search.networks.zoo import zoo_config
from search.plan import Plan
from search.plans.kinds import plan
from search.pruning.early_stopping import stopping_rule
from search.schedules import stages
from search.schedules.base import on_top_of
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import factor_of, forgiving_factor
from search.scoring.pareto import Point, dominates, front
from search.space.choices import choices
from search.spec.goals import EnergyGoal
from search.spec.job import SearchSpec
from search.spec.oracle import MedianStopping
from search.training.build import assemble
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from service.settings import Settings
from tests.search.nets import functional, layer
from tests.search.searches import Outcome, Search, bits, diverged, failed, make_choices, make_spec, measured
from tests.worker.conftest import processes_used

LARGE = make_choices(7, 7, 5, 5, 3)

EVERY_ORACLE = ["random", "grid", "bayesian", "hyperband", "evolution", "frugal"]


class Silent:
    """A reporter that listens and says nothing."""

    def batch(self) -> None:
        """Go on."""

    def epoch(self, report: EpochReport) -> None:
        """Go on."""


@pytest.fixture(scope="module")
def trained(
    small_plan: Plan, digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Measurement]:
    """The files and the measurement of a trained trial."""
    folder = tmp_path_factory.mktemp("trial")
    [first] = Search(small_plan.spec, small_plan.choices).propose(1).trials
    request = TrainingRequest(first.assignment, seed=1, epochs=1)
    return folder, run_trial(small_plan, request, digits, Silent(), folder)


def job(**changes: Any) -> SearchSpec:
    limits = {"by_class": {"Conv2D": 8, "Dense": 8, "Activation": 8}}
    return SearchSpec.model_validate({"model": "digits_cnn", "limits": limits} | changes)


def problems(**changes: Any) -> str:
    with pytest.raises(InvalidSpec) as caught:
        plan(job(**changes), Path("/nowhere"))
    return "; ".join(f"{each.pointer} {each.message}" for each in caught.value.problems)


def on(config: dict[str, Any], **limits: Any) -> tuple[Any, Pricer]:
    """The choices and the prices of a network."""
    network = read_network(config)
    model = {"kind": "architecture", "config": config}
    spec = SearchSpec.model_validate({"model": model, "limits": {"by_class": limits}})
    return choices(spec, network), Pricer(spec.goal, network)


def first_price(config: dict[str, Any], **limits: Any) -> Any:
    """What the first assignment of a network's space costs, by layer."""
    found, pricer = on(config, **limits)
    values = {name: labels[0] for name, labels in found.dimensions().items()}
    return {each.name: each for each in pricer.price(found.assignment(values)).layers}


# --- results -------------------------------------------------------------------------------------------------------


def test_defect_02_a_trial_leaves_its_trained_model(
    trained: tuple[Path, Measurement], digits: Dataset
) -> None:
    folder, measurement = trained
    model = keras.models.load_model(folder / "model.keras")
    right = np.argmax(model.predict(digits.x_validation, verbose=0), axis=1) == digits.y_validation
    assert np.mean(right) == pytest.approx(measurement.metric, abs=1e-6)


def test_defect_10_a_search_without_a_measured_trial_has_no_best_and_says_so() -> None:
    search = Search(make_spec(trials=4), LARGE, failed).run()
    assert best_trial(search.history, factor_of(search.spec), 1000.0) is None


def test_defects_15_and_16_the_weights_a_model_computes_with_are_there_as_integers_times_a_scale(
    trained: tuple[Path, Measurement],
) -> None:
    stored = np.load(trained[0] / "weights.npz")
    dense = keras.models.load_model(trained[0] / "model.keras").get_layer("dense")
    codes = stored["dense/kernel/codes"]
    assert np.issubdtype(codes.dtype, np.integer)
    used = np.asarray(dense.quantizer("kernel")(dense.kernel))
    np.testing.assert_allclose(codes * stored["dense/kernel/scale"], used, rtol=1e-6)


def test_defect_30_many_objectives_have_a_front_not_a_sum() -> None:
    points = [Point(0, 0.9, 100.0), Point(1, 0.8, 50.0), Point(2, 0.7, 60.0)]
    assert [point.number for point in front(points)] == [1, 0]
    assert dominates(points[1], points[2])


def test_defect_36_what_a_trial_takes_is_measured_step_by_step(trained: tuple[Path, Measurement]) -> None:
    assert {"build", "compile", "train", "evaluate", "save"} <= set(trained[1].durations_s)


# --- what is built -------------------------------------------------------------------------------------------------


def test_defect_03_activations_inside_layers_and_separable_layers_are_quantized_as_sampled() -> None:
    layers = [
        keras.Input((8, 8, 3)),
        keras.layers.SeparableConv2D(4, 3, activation="relu", name="separable"),
        keras.layers.Flatten(),
        keras.layers.Dense(5, activation="relu", name="dense"),
    ]
    config = json.loads(keras.Sequential(layers).to_json())
    found, _ = on(config, SeparableConv2D=4, Dense=4)
    assert found.warnings == ()
    assignment = found.assignment({name: labels[-1] for name, labels in found.dimensions().items()})
    built = read_quantizers(assemble(assignment, config, seed=1))
    for name in ("separable", "dense"):
        sampled = {slot: str(spec) for slot, spec in assignment.quantizers[name].items() if spec}
        assert "activation" in sampled
        assert sampled == {slot: str(built[name][slot]) for slot in sampled}


def test_defect_19_patterns_match_whole_names_classes_are_no_patterns_and_fields_are_no_substrings() -> None:
    names = ["fc1", "fc10", "bias_kernel"]
    layers = [
        layer("Dense", name, [before], units=4)
        for name, before in zip(names, ["input", *names], strict=False)
    ]
    model = {"kind": "architecture", "config": functional((4,), layers)}
    limits = {"by_name": {"fc1": [4, 8, 4]}, "by_class": {"Dense": [8, 8, 4]}}
    spec = SearchSpec.model_validate({"model": model, "limits": limits})
    found = {slot.layers: slot.field for slot in choices(spec, read_network(model["config"])).slots}
    shared = [layers for layers in found if "fc1" in layers]
    assert all(layers == ("fc1",) for layers in shared)
    own = [
        slot for slot in choices(spec, read_network(model["config"])).slots if "bias_kernel" in slot.layers
    ]
    assert sorted(slot.field for slot in own) == ["bias", "kernel"]


@pytest.mark.parametrize("class_name", ["LSTM", "GRU", "SimpleRNN"])
def test_defect_25_recurrent_layers_need_no_more_than_a_number(class_name: str) -> None:
    config = functional(
        (6, 4),
        [layer(class_name, "recurrent", ["input"], units=5), layer("Dense", "out", ["recurrent"], units=2)],
    )
    found, _ = on(config, **{class_name: 8, "Dense": 8})
    fields = {slot.field for slot in found.slots if "recurrent" in slot.layers}
    assert {"kernel", "recurrent_kernel", "bias"} <= fields


def test_defect_37_a_sequential_model_is_a_model_like_any_other() -> None:
    layers = [keras.Input((4,)), keras.layers.Dense(3, name="one"), keras.layers.Dense(2, name="two")]
    config = json.loads(keras.Sequential(layers).to_json())
    assert set(first_price(config, Dense=8)) >= {"one", "two"}


# --- what is refused before work starts ----------------------------------------------------------------------------


def test_defect_04_an_unknown_metric_is_refused_and_an_error_is_searched_downwards() -> None:
    with pytest.raises(ValidationError, match="metric"):
        job(objective="no_such_metric")
    factor = forgiving_factor(EnergyGoal(), job(objective="mse").objective.direction)
    assert factor.score(0.1, 500.0, 1000.0) > factor.score(0.2, 500.0, 1000.0)
    assert factor.score(0.1, 500.0, 1000.0) > factor.score(0.1, 900.0, 1000.0)


def test_defect_09_quantizers_a_target_cannot_run_are_refused_before_the_search() -> None:
    found = problems(target="akida", quantizers={"kernel": ["binary", "max_per_axis(8)"]})
    assert "/quantizers/kernel akida: layer 'conv2d_0': binary() is not one of" in found


def test_defect_18_limits_of_none_are_refused_where_they_stand_and_no_limits_take_the_defaults() -> None:
    with pytest.raises(ValidationError, match=r"limits\.by_class\.Dense"):
        job(limits={"by_class": {"Dense": None}})
    found = plan(job(limits={"by_class": {"Dense": []}}), Path("/nowhere")).choices
    assert [slot.name for slot in found.slots] == ["dense.kernel", "dense.bias"]
    assert all(slot.candidates for slot in found.slots)


def test_defect_18_a_slot_without_a_candidate_names_its_layer() -> None:
    quantizers = {"kernel": ["quantized_bits(8,0,1)"]}
    assert "layer 'dense'" in problems(limits={"by_class": {"Dense": 4}}, quantizers=quantizers)


def test_defect_23_an_unknown_process_is_refused() -> None:
    assert "/goal" in problems(goal={"kind": "energy", "profile": "no such process"})


def test_defect_35_a_metric_that_cannot_be_measured_is_refused_before_training() -> None:
    assert "/objective" in problems(objective="auc")


def test_defect_39_the_jobs_in_the_documentation_are_jobs() -> None:
    root = Path(__file__).parents[2]
    [short] = re.findall(r"```yaml\n(model: .*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert SearchSpec.model_validate(yaml.safe_load(short)).budget.trials == 20
    page = (root / "docs/how-to/jobs.md").read_text()
    [text] = re.findall(r"```yaml\n(model: digits_cnn.*?)```", page, re.DOTALL)
    found = plan(SearchSpec.model_validate(yaml.safe_load(text)), Path("/nowhere"))
    assert found.choices.size() > 1


# --- what it costs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pool",
    [
        layer("AveragePooling2D", "pool", ["conv"], pool_size=[2, 2]),
        layer("GlobalAveragePooling2D", "pool", ["conv"], keepdims=True),
        layer("MaxPooling2D", "pool", ["conv"], pool_size=[2, 2]),
    ],
    ids=lambda each: str(each["class_name"]),
)
def test_defect_08_pooling_is_priced(pool: dict[str, Any]) -> None:
    convolution = layer("Conv2D", "conv", ["input"], filters=4, kernel_size=[3, 3])
    dense = [layer("Flatten", "flat", ["pool"]), layer("Dense", "dense", ["flat"], units=2)]
    found = first_price(functional((8, 8, 1), [convolution, pool, *dense]), Conv2D=8, Dense=8)
    assert found["pool"].inputs_pj > 0
    assert found["pool"].operations_pj > 0


def test_defect_20_stress_moves_the_score_of_energy() -> None:
    scores = [forgiving_factor(EnergyGoal(stress=s)).score(0.9, 500.0, 1000.0) for s in (0.5, 1.0)]
    assert scores[0] < scores[1]


@pytest.mark.parametrize(
    ("class_name", "shape", "options"),
    [
        ("LSTM", (6, 4), {"units": 5}),
        ("Conv2DTranspose", (4, 4, 2), {"filters": 3, "kernel_size": [3, 3]}),
        ("SeparableConv2D", (8, 8, 3), {"filters": 4, "kernel_size": [3, 3]}),
    ],
)
def test_defect_22_no_layer_that_computes_is_free(
    class_name: str, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    found = first_price(functional(shape, [layer(class_name, "it", ["input"], **options)]), **{class_name: 8})
    assert found["it"].operations_pj > 0


def test_defect_23_every_merge_is_priced() -> None:
    for merge in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        ones = [layer("Dense", name, ["input"], units=3) for name in ("one", "two")]
        found = first_price(functional((4,), [*ones, layer(merge, "merge", ["one", "two"])]), Dense=8)
        assert (found["merge"].inputs_pj, found["merge"].operations_pj > 0) == (20.0, merge != "Concatenate")


def test_defect_24_more_bits_are_never_cheaper() -> None:
    network = read_network(zoo_config("digits_cnn"))
    kernels = [f"quantized_bits({width},0,1)" for width in range(2, 9)]
    spec = job(quantizers={"kernel": kernels}, limits={"by_class": {"Conv2D": 8, "Dense": 8}})
    space, pricer = choices(spec, network), Pricer(spec.goal, network)
    names = [name for name, labels in space.dimensions().items() if name.endswith("kernel")]
    values = {name: labels[0] for name, labels in space.dimensions().items()}
    prices = [
        pricer.price(space.assignment(values | {name: space.dimensions()[name][i] for name in names})).value
        for i in range(len(kernels))
    ]
    assert prices == sorted(prices)


# --- how it is searched --------------------------------------------------------------------------------------------


def test_defect_05_a_process_is_replaced_after_some_trials_or_when_it_has_grown(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, trials_per_process=3, memory_per_process_mb=600)
    assert processes_used(settings, messages=7, megabytes=500) == 3
    assert processes_used(settings, messages=7, megabytes=700) == 7


def test_defect_07_a_bayesian_search_asks_for_nothing_twice_and_soon_looks_where_it_is_good() -> None:
    search = Search(make_spec(oracle="bayesian", trials=16), make_choices(*[3] * 10)).run()
    assert len(set(search.keys())) == 16
    assert json.loads(search.state or "")["skipped"] == []
    random = Search(make_spec(trials=16), make_choices(*[3] * 10)).run()
    assert search.works()[:10] == random.works()[:10], "10 random trials come first, not 30"
    assert search.works()[10:] != random.works()[10:]


@pytest.mark.parametrize("kind", EVERY_ORACLE)
def test_defect_12_failures_in_a_row_do_not_end_a_search(kind: str) -> None:
    found = Search(make_spec(kind, trials=9), LARGE, failed).run()
    assert [trial.status for trial in found.history] == [TrialStatus.FAILED] * 9


def test_defect_21_blocks_conserve_the_budget_keep_groups_together_and_stand_on_the_trained_best() -> None:
    spec = job(
        schedule={
            "kind": "per_block",
            "blocks": ["conv2d_0|act_0", "conv2d_1|act_1", "dense"],
            "order": "cost",
        },
        limits={"by_name": {"conv2d_.*": 8}, "by_class": {"Dense": 8, "Activation": 8}},
        budget={"trials": 31},
    )
    made = plan(spec, Path("/nowhere"))
    found = stages(spec, made.choices, made.reference)
    assert sum(stage.trials for stage in found) == 31
    made_in = [stage.index for stage in found for slot in stage.choices.slots if "conv2d_" in slot.name]
    assert len(made_in) == len({slot.name for slot in made.choices.slots if "conv2d_" in slot.name})
    below = Assignment({"a": 1}, {"first": {"kernel": None}})
    assert set(on_top_of(below, Assignment({"b": 1}, {"second": {}})).quantizers) == {"first", "second"}


@pytest.mark.parametrize("kind", EVERY_ORACLE)
def test_defect_26_a_small_space_is_tried_completely_and_then_the_search_ends(kind: str) -> None:
    small = make_choices(4, 5)
    assert len(set(Search(make_spec(kind, trials=100), small).run().keys())) == small.size()


@pytest.mark.parametrize("budget", [{"trials": 13}, {"trials": 1000, "epochs": 40}])
@pytest.mark.parametrize("parallel", [1, 5])
def test_defect_27_hyperband_keeps_a_hard_budget(budget: dict[str, int], parallel: int) -> None:
    spec = make_spec("hyperband", budget=budget, training={"epochs": 9})
    history = Search(spec, LARGE).run(parallel).history
    assert len(history) <= budget["trials"]
    assert sum((trial.epochs or 0) - trial.initial_epoch for trial in history) <= budget.get("epochs", 1000)


@pytest.mark.parametrize("kind", EVERY_ORACLE)
def test_defect_29_numbers_that_are_not_finite_neither_stop_a_search_nor_win_it(kind: str) -> None:
    def sometimes(assignment: Assignment) -> Outcome:
        return diverged(assignment) if bits(assignment) % 2 else measured(assignment)

    found = Search(make_spec(kind, trials=12), LARGE, sometimes).run()
    assert len(found.history) == 12
    told = [trial for trial in found.history if trial.metric is not None and np.isfinite(trial.metric)]
    assert told


@pytest.mark.parametrize("kind", EVERY_ORACLE)
def test_defect_31_a_finished_search_goes_on_under_a_larger_budget(kind: str) -> None:
    short = Search(make_spec(kind, trials=6), LARGE).run()
    longer = replace(short, spec=make_spec(kind, trials=9), history=list(short.history)).run()
    assert longer.works()[:6] == short.works()
    assert len(longer.history) == 9


def test_defect_32_trials_are_compared_epoch_by_epoch_across_a_search() -> None:
    rule = stopping_rule(MedianStopping(grace_epochs=2, min_trials=3))
    good = [[0.5, 0.6, 0.7]] * 3
    assert rule.judge([0.1, 0.2], lambda: good) is not None
    assert rule.judge([0.6, 0.7], lambda: good) is None


@pytest.mark.parametrize("kind", EVERY_ORACLE)
def test_defect_33_one_seed_is_one_search(kind: str) -> None:
    first, second = (Search(make_spec(kind, trials=9, seed=4), LARGE).run().works() for _ in range(2))
    assert first == second
