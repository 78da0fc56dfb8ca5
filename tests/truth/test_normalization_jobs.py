"""Batch normalizations in searches: folded or quantized by default, trained so, priced so, exported so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest

from quantization.integer import integer_network
from quantization.models.convert import quantize, read_quantizers
from quantization.models.fold import fold, folded_layers, unfold
from search.autoqkeras import import_run_config
from search.data import Dataset, load
from search.errors import InvalidSpec
from search.history import Assignment, EpochReport
from search.networks.architecture import architecture
from search.networks.architecture import network as network_of
from search.plan import Plan
from search.plans.kinds import plan as make_plan
from search.space.choices import choices
from search.space.extremes import extremes
from search.spec.job import SearchSpec
from search.spec.stored import completed
from search.training.build import trial_description
from search.training.program.cache import program_for
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import program_spec, run_trial
from search.training.warm_start import adopt_weights, calibrate
from tests.truth.checks import price_differences
from tests.truth.networks import Drawn

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 saves TensorFlow's tensors in a way numpy 2 would have otherwise.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

_L: Final = keras.layers


def _common(**second: Any) -> dict[str, Any]:
    """Conv(activation='relu') - BN - MaxPooling - Conv - BN - ReLU, and a classifier."""
    inputs = keras.Input((8, 8, 1))
    x = _L.Conv2D(4, 3, padding="same", activation="relu", name="c1")(inputs)
    x = _L.MaxPooling2D(2)(_L.BatchNormalization(name="n1")(x))
    x = _L.Conv2D(6, 3, padding="same", use_bias=False, name="c2")(x)
    x = _L.Activation("relu", name="relu")(_L.BatchNormalization(name="n2", **second)(x))
    outputs = _L.Dense(10, activation="softmax", name="out")(_L.Flatten()(x))
    config: dict[str, Any] = json.loads(keras.Model(inputs, outputs).to_json())
    return config


def _spec(config: dict[str, Any] | None = None, **fields: Any) -> SearchSpec:
    document = {
        "model": {"kind": "architecture", "config": config or _common()},
        "limits": {"by_class": {"Conv2D": 8, "Dense": 8, "Activation": 8}},
        "training": {"epochs": 1},
        "data": {"kind": "digits", "train_samples": 300},
        **fields,
    }
    return SearchSpec.model_validate(document)


def _plan(config: dict[str, Any] | None = None, **fields: Any) -> Plan:
    return make_plan(_spec(config, **fields), Path("unused"))


def _treatments(plan: Plan) -> dict[str, tuple[str, str | None]]:
    return {choice.layer: (choice.treatment, choice.into) for choice in plan.choices.normalizations}


def _some(plan: Plan, index: int) -> Assignment:
    """An assignment of the space."""
    dimensions = plan.choices.dimensions()
    return plan.choices.assignment({name: labels[index % len(labels)] for name, labels in dimensions.items()})


class _Silent:
    def batch(self) -> None:
        """Nothing to hear."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing to hear."""


@pytest.fixture(scope="module")
def folding() -> Plan:
    return _plan()


@pytest.fixture(scope="module")
def data(folding: Plan) -> Dataset:
    return load(folding.job.data, Path("unused"), 1, folding.data.input_shape, folding.task.heads)


@pytest.fixture(scope="module")
def float_file(folding: Plan, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("float")
    run_trial(folding, TrainingRequest(FLOAT, 1), data, _Silent(), folder)
    return folder / "model.keras"


# --- what a job makes of them --------------------------------------------------------------------------------------


def test_by_default_what_folds_is_folded_and_the_rest_quantized(folding: Plan) -> None:
    assert _treatments(folding) == {"n1": ("quantized", None), "n2": ("folded", "c2")}
    slots = {slot.name: slot.field for slot in folding.choices.slots}
    assert {f"n1.{slot}" for slot in ("inverse", "mean", "beta", "linear")} <= slots.keys()
    assert "c2.bias" in slots  # the normalization gives it one


def test_without_limits_of_their_own_they_follow_the_defaults() -> None:
    plan = _plan(limits={"by_class": {"Conv2D": 8}, "default": {"normalization": 4}})
    bits = {c.bits for slot in plan.choices.slots if slot.field == "normalization" for c in slot.candidates}
    assert bits == {4}


@pytest.mark.parametrize(("mode", "expected"), [("quantize", "quantized"), ("float", "float")])
def test_a_job_may_quantize_all_or_none(mode: str, expected: str) -> None:
    plan = _plan(normalization=mode)
    assert _treatments(plan) == {"n1": (expected, None), "n2": (expected, None)}
    assert ("n2" in plan.choices.quantized) == (mode == "quantize")


def test_the_cheapest_trial_of_a_common_net_costs_less_than_the_reference(folding: Plan) -> None:
    ends = extremes(folding.choices, folding.pricer)
    assert ends is not None
    assert ends.cheapest.cost.energy_pj < folding.reference.energy_pj


def test_the_net_whose_every_trial_was_dearer_than_its_reference_has_cheaper_ones() -> None:
    """Conv(activation='relu') - BN - MaxPooling - Conv - BN - ReLU(), with limits for the kernels only."""
    inputs = keras.Input((8, 8, 1))
    x = _L.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = _L.Conv2D(12, 3, padding="same")(_L.MaxPooling2D()(_L.BatchNormalization()(x)))
    x = _L.Flatten()(_L.ReLU()(_L.BatchNormalization()(x)))
    config = json.loads(keras.Model(inputs, _L.Dense(10, activation="softmax")(x)).to_json())
    plan = _plan(config, limits={"by_class": {"Conv2D": 8, "Dense": 8}})
    ends = extremes(plan.choices, plan.pricer)
    assert ends is not None
    assert ends.cheapest.cost.energy_pj < plan.reference.energy_pj


def test_without_folding_the_stream_is_float_and_dear(folding: Plan) -> None:
    ends, floats = (extremes(plan.choices, plan.pricer) for plan in (folding, _plan(normalization="float")))
    assert ends is not None
    assert floats is not None
    assert ends.cheapest.cost.energy_pj < floats.cheapest.cost.energy_pj / 2


def test_limits_of_folded_normalizations_are_said_not_to_act() -> None:
    by_class = {"Conv2D": 8, "Dense": 8, "BatchNormalization": {"kernel": 4}}
    plan = _plan(limits={"by_class": by_class})
    bits = {c.bits for slot in plan.choices.slots if slot.name == "n1.inverse" for c in slot.candidates}
    assert bits == {4}
    assert any("n2 into c2" in warning and "n1" not in warning for warning in plan.warnings)


def test_a_pattern_that_only_matches_a_folded_normalization_is_a_warning() -> None:
    limits = {"by_class": {"Conv2D": 8}, "by_name": [{"pattern": "n2", "kernel": 8}]}
    assert any("n2 into c2" in warning for warning in _plan(limits=limits).warnings)


def test_indexes_count_the_layers_of_the_model_as_it_came() -> None:
    plan = _plan(layers={"indexes": [1, 2, 8]}, limits={"by_class": {"Conv2D": 8, "Dense": 8}})
    assert plan.choices.quantized == ("c1", "n1", "out")


def test_a_normalization_that_no_tool_quantizes_stays_float_and_says_why() -> None:
    plan = _plan(config=_common(renorm=True))
    [_, second] = plan.choices.normalizations
    assert (second.treatment, "renorm" in second.reason) == ("float", True)


def test_jobs_of_earlier_versions_leave_them_float() -> None:
    document = _spec().model_dump(mode="json")
    del document["normalization"]
    assert SearchSpec.model_validate(completed(document)).normalization == "float"


def test_a_run_config_of_autoqkeras_leaves_them_float() -> None:
    assert import_run_config({"limit": {"Dense": [4]}}, "digits_cnn").job["normalization"] == "float"


def test_a_job_that_leaves_no_layer_is_still_refused() -> None:
    with pytest.raises(InvalidSpec, match="no layer of the model is quantized"):
        _plan(limits={"by_class": {"LSTM": 8}}, normalization="float")


# --- priced as built ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["fold", "quantize", "float"])
@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("goal", ["energy", "bits"])
def test_the_price_in_the_job_is_that_of_the_built_model(mode: str, index: int, goal: str) -> None:
    plan = _plan(normalization=mode, filters={"by": "layer"}, goal={"kind": goal})
    drawn = Drawn(plan.spec, plan.network, plan.choices)
    assert price_differences(drawn, _some(plan, index)) == []


def test_a_folded_layer_that_is_not_quantized_is_priced_as_float_everywhere() -> None:
    plan = _plan(limits={"by_class": {"Dense": 8}})
    assert _treatments(plan)["n2"] == ("folded", "c2")
    assert price_differences(Drawn(plan.spec, plan.network, plan.choices), _some(plan, 1)) == []


# --- trained so -----------------------------------------------------------------------------------------------------


def _built(plan: Plan, assignment: Assignment) -> keras.Model:
    config = trial_description(plan.spec, architecture(plan.job.model))
    return quantize(config, assignment.quantizers, assignment.widths)


def test_a_trial_has_the_folded_layers_and_its_files_say_so(
    folding: Plan, data: Dataset, float_file: Path, tmp_path: Path
) -> None:
    assignment = _some(folding, 2)
    run_trial(folding, TrainingRequest(assignment, 1, start_from=float_file), data, _Silent(), tmp_path)
    model = keras.models.load_model(tmp_path / "model.keras")
    written = json.loads((tmp_path / "quantizers.json").read_text())["layers"]

    assert [entry.name for entry in folded_layers(model)] == ["c2"]
    assert read_quantizers(model) == assignment.quantizers
    assert "n2" not in {entry["name"] for entry in written}
    with np.load(tmp_path / "weights.npz") as arrays:
        assert {"c2/kernel/codes", "c2/bias/codes", "n1/inverse/codes"} <= set(arrays.files)


def test_a_trial_continues_where_an_earlier_training_of_it_ended(
    folding: Plan, data: Dataset, tmp_path: Path
) -> None:
    assignment = _some(folding, 1)
    for name in ("whole", "first", "second"):
        (tmp_path / name).mkdir()
    whole = TrainingRequest(assignment, 1, epochs=2)
    first = TrainingRequest(assignment, 1, epochs=1)
    run_trial(folding, whole, data, _Silent(), tmp_path / "whole")
    run_trial(folding, first, data, _Silent(), tmp_path / "first")
    start = tmp_path / "first" / "model.keras"
    second = TrainingRequest(assignment, 1, epochs=2, initial_epoch=1, start_from=start)
    run_trial(folding, second, data, _Silent(), tmp_path / "second")

    one, other = (keras.models.load_model(tmp_path / name / "model.keras") for name in ("whole", "second"))
    moved = np.abs(np.asarray(one.get_layer("c2").batchnorm.moving_mean)).max()
    assert moved > 0
    for a, b in zip(one.get_layer("c2").weights, other.get_layer("c2").weights, strict=True):
        if "float" in str(a.dtype):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0.5, atol=0.5)


def test_the_float_model_is_carried_into_the_folded_layers(folding: Plan, float_file: Path) -> None:
    exact = keras.models.load_model(float_file)
    model = _built(folding, Assignment({}, {}))
    adopted = adopt_weights(fold(exact), model)
    x = np.random.default_rng(1).normal(size=(5, 8, 8, 1)).astype(np.float32)

    assert {"c1", "n1", "c2", "out"} <= set(adopted)
    np.testing.assert_allclose(model(x), exact(x), atol=1e-5)


@pytest.mark.parametrize("widths", [{"c1": 2, "c2": 3}, {"c1": 8, "c2": 9}])
def test_the_float_model_is_carried_into_other_widths(
    folding: Plan, float_file: Path, widths: dict[str, int]
) -> None:
    exact = keras.models.load_model(float_file)
    model = _built(folding, Assignment({}, {}, widths))
    adopt_weights(fold(exact), model)
    kernel, statistics = (np.asarray(v) for v in (model.get_layer("c2").kernel, _mean_of(model)))
    old_kernel, old_statistics = (np.asarray(v) for v in (exact.get_layer("c2").kernel, _mean_of(exact)))

    shared = min(widths["c2"], 6)
    channels = [
        int(np.flatnonzero(np.isclose(old_statistics, value))[0])
        for value in statistics
        if np.isclose(old_statistics, value).any()
    ]
    assert len(channels) == shared
    assert np.isclose(kernel[:, :, : min(widths["c1"], 4), :], 0).mean() < 0.5
    assert {old_kernel.shape, kernel.shape} == {(3, 3, 4, 6), (3, 3, widths["c1"], widths["c2"])}


def _mean_of(model: keras.Model) -> Any:
    names = {entry.name for entry in model.layers}
    return model.get_layer("n2").moving_mean if "n2" in names else model.get_layer("c2").batchnorm.moving_mean


def test_calibration_takes_the_shift_off_the_folded_bias(
    folding: Plan, float_file: Path, data: Dataset
) -> None:
    exact = fold(keras.models.load_model(float_file))
    model = _built(folding, _some(folding, 2))
    adopt_weights(exact, model)
    before = np.asarray(model.get_layer("c2").weight_of("bias"))
    calibrate(model, data.x_train[:64])

    assert not np.allclose(before, np.asarray(model.get_layer("c2").weight_of("bias")))


def test_filters_block_by_block_and_hyperband_plan_on_folded_networks() -> None:
    blocks = {"kind": "per_block", "blocks": ["c1|n1", "c2|out"]}
    plan = _plan(schedule=blocks, filters={"by": "layer"}, budget={"trials": 6})
    names = [set(stage.choices.quantized) for stage in plan.stages]
    assert names == [{"c1", "n1"}, {"c2", "out"}]
    assert {width.layers for width in plan.choices.widths} == {("c1",), ("c2",)}


def test_all_trials_of_a_job_share_one_program(folding: Plan) -> None:
    config = trial_description(folding.spec, architecture(folding.job.model))
    programs = {id(program_for(program_spec(folding, config), _some(folding, index))) for index in range(3)}
    assert len(programs) == 1


# --- exported so ----------------------------------------------------------------------------------------------------


def test_a_folded_trial_runs_in_integers_and_unfolds() -> None:
    inputs = keras.Input((6, 6, 1))
    x = _L.Conv2D(3, 3, name="c1")(_L.Activation("linear", name="in_q")(inputs))
    x = _L.Activation("relu", name="a1")(_L.BatchNormalization(name="n1")(x))
    x = _L.BatchNormalization(name="n2")(_L.MaxPooling2D(2)(x))
    outputs = _L.Dense(4, name="out")(_L.Flatten()(x))
    network = json.loads(keras.Model(inputs, outputs).to_json())
    limits = {"by_class": {"Conv2D": 8, "Dense": 8, "Activation": 8}}
    quantizers = {
        "kernel": ["quantized_bits(4,0,1,alpha=1.0)"],
        "bias": ["quantized_bits(8,3,1)"],
        "activation": ["quantized_relu(8,2)"],
        "linear": ["quantized_bits(8,2)"],
    }
    spec = _spec(network, limits=limits, quantizers=quantizers, data={"kind": "npz", "file": "none.npz"})
    space = choices(spec, network_of(spec.model))  # type: ignore[arg-type]
    assignment = space.assignment({name: labels[-1] for name, labels in space.dimensions().items()})
    model = quantize(trial_description(spec, network), assignment.quantizers)
    rng = np.random.default_rng(2)
    model.set_weights([rng.uniform(0.2, 0.9, w.shape).astype(w.dtype) for w in model.weights])
    x = rng.normal(size=(4, 6, 6, 1)).astype(np.float32)
    logits = integer_network(model).logits(x)

    assert [entry.name for entry in folded_layers(model)] == ["c1"]
    np.testing.assert_allclose(
        logits.codes * 2.0**logits.exponent, np.asarray(model(x)), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(np.asarray(unfold(model)(x)), np.asarray(model(x)), rtol=1e-5, atol=1e-5)
