"""Spiking jobs: what they search, what their trials cost, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantization.spiking.simulator import simulate
from search.data import load, spiking_digits
from search.engine import propose
from search.errors import Infeasible, InvalidSpec
from search.history import Assignment, TrialRecord, TrialStatus
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.spec.spiking import XyloModel
from search.spiking.network import SpikingPricer, quantize, specification, works
from search.spiking.trial import load_network, run_trial

JOB: dict[str, Any] = {
    "model": {"kind": "xylo", "name": "spiking_digits"},
    "data": "spiking_digits",
    "budget": {"trials": 6},
    "seed": 3,
}
SHIPPED = XyloModel(name="spiking_digits")


def spec(**changes: Any) -> SearchSpec:
    return SearchSpec.model_validate(JOB | changes)


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(spec(), Path())


def chosen(method: str, weight: int = 8, threshold: int = 16) -> Assignment:
    settings = {"method": method, "bits_per_weight": weight, "bits_per_threshold": threshold}
    return Assignment(values=settings, quantizers={}, settings=settings)


def test_the_space_is_every_method_at_every_width(planned: Plan) -> None:
    assert planned.choices.size() == 3 * 7 * 5
    assert list(planned.choices.dimensions()) == ["method", "bits_per_weight", "bits_per_threshold"]


def test_an_assignment_survives_json_and_its_settings_tell_it_apart() -> None:
    one, other = chosen("global"), chosen("channel")
    assert Assignment.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert one.key != other.key


def test_the_data_are_the_same_every_time_and_no_image_of_the_training_is_among_them() -> None:
    data = spec().data
    one, again = (load(data, Path(), 3, (32, 16)) for _ in range(2))
    np.testing.assert_array_equal(one.x_validation, again.x_validation)
    rates, labels = spiking_digits.unseen()
    assert len(labels) == spiking_digits.COUNT == sum(map(len, (one.y_train, one.y_validation, one.y_test)))
    np.testing.assert_allclose(spiking_digits.events_of(rates, 32).mean(axis=1), rates, atol=1 / 32)


def test_an_operation_is_an_event_that_reaches_a_synapse_with_a_weight(planned: Plan) -> None:
    settings = chosen("global").settings
    network = quantize(specification(SHIPPED, Path()), settings)
    events = load(spec().data, Path(), 3, (32, 16)).x_train[:5]
    hidden, readout = works(network, settings, events)
    activity = simulate(network, events)
    counted = 0
    for example, fired in zip(events, activity.hidden, strict=True):
        for step in range(len(example)):
            for source, count in enumerate(example[step]):
                counted += int(count) * np.count_nonzero(network.weights_in[source])
            for source, count in enumerate(fired[step - 1] if step else []):
                counted += int(count) * np.count_nonzero(network.weights_rec[source])
    assert hidden.synaptic_operations == pytest.approx(counted / 5)
    assert readout.synaptic_operations == pytest.approx(activity.hidden.sum() / 5 * 8, rel=0.05)
    assert hidden.synapses <= 16 * 48


@pytest.mark.parametrize("method", ["global", "channel"])
def test_fewer_bits_cost_less(planned: Plan, method: str) -> None:
    costs = [planned.pricer.price(chosen(method, bits)) for bits in range(2, 9)]
    assert [cost.energy_pj for cost in costs] == sorted(cost.energy_pj for cost in costs)
    assert [cost.bits for cost in costs] == sorted(cost.bits for cost in costs)
    for cost in costs:
        assert cost.value == pytest.approx(sum(layer.included_pj for layer in cost.layers))


def test_the_reference_is_what_rockpool_makes_by_default(planned: Plan) -> None:
    assert planned.reference == planned.pricer.price(chosen("global"))
    assert plan(spec(goal={"kind": "bits"}), Path()).reference.value == planned.reference.bits


def test_a_trial_gives_its_integers_which_measure_as_reported(planned: Plan, tmp_path: Path) -> None:
    data = load(planned.spec.data, Path(), 3, (32, 16))
    float_network = specification(SHIPPED, Path())
    measured = run_trial(float_network, chosen("channel", 4), data, planned.pricer, lambda: None, tmp_path)
    network = load_network(tmp_path / "network.npz")
    counts = simulate(network, data.x_validation).counts
    assert measured.metric == pytest.approx(np.mean(counts.argmax(axis=-1) == data.y_validation))
    assert measured.metric > 0.85
    assert np.abs(network.weights_in).max() <= 7
    assert json.loads((tmp_path / "settings.json").read_text())["method"] == "channel"


def test_integers_that_are_no_network_are_infeasible(tmp_path: Path) -> None:
    arrays = specification(SHIPPED, Path()).arrays()
    arrays["threshold"] = arrays["threshold"] * 1e-6
    weak = type(specification(SHIPPED, Path())).from_arrays(arrays)
    pricer = SpikingPricer(spec().goal, weak, np.zeros((1, 4, 16)))
    with pytest.raises(Infeasible, match="threshold"):
        pricer.price(chosen("global", 2))
    assert pricer.price_many([chosen("global", 2)]) == [None]


@pytest.mark.parametrize("oracle", ["random", "grid", "bayesian", "evolution", "frugal"])
def test_every_oracle_searches_it(planned: Plan, oracle: str) -> None:
    job = spec(oracle=oracle)
    records: list[TrialRecord] = []
    state = None
    for _ in range(6):
        proposal = propose(job, planned.choices, planned.pricer, planned.reference.value, records, state, 1)
        state = proposal.state
        for trial in proposal.trials:
            cost = planned.pricer.price(trial.assignment).value
            records.append(
                TrialRecord(
                    trial.number,
                    trial.assignment,
                    TrialStatus.DONE,
                    0.9,
                    cost,
                    trial.oracle_trial,
                    trial.epochs,
                )
            )
    assert len({record.assignment.key for record in records}) == 6


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"training": {"epochs": 3}}, "/training"),
        ({"limits": {"by_class": {"Dense": 8}}}, "/limits"),
        ({"oracle": "hyperband"}, "/oracle/kind"),
        ({"stopping": "asha"}, "/stopping"),
        ({"bound": "float"}, "/bound/kind"),
        ({"constraints": {"max_metric_drop": 0.1}}, "/constraints/max_metric_drop"),
        ({"objective": "crossentropy"}, "/objective/metric"),
        ({"target": "akida"}, "/target"),
        ({"data": {"kind": "digits", "preprocessing": "none"}}, "/data/kind"),
        ({"goal": {"kind": "macs"}}, "/goal/kind"),
        ({"goal": {"kind": "energy", "profile": "nowhere"}}, "/goal/profile"),
        ({"model": {"kind": "xylo", "file": "missing.npz"}}, "/model/file"),
    ],
)
def test_what_a_spiking_job_cannot_have_is_refused_with_its_field(
    changes: dict[str, Any], pointer: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        plan(spec(**changes), tmp_path)
    assert [problem.pointer for problem in refusal.value.problems] == [pointer]


def write_own(folder: Path, **changes: Any) -> dict[str, Any]:
    """A network of three inputs and two readouts, and events for it."""
    random = np.random.default_rng(0)
    arrays = {
        "weights_in": random.normal(size=(3, 4)),
        "weights_rec": np.zeros((4, 4)),
        "weights_out": random.normal(size=(4, 2)),
        "threshold": np.ones(4),
        "threshold_out": np.ones(2),
        **{name: np.full(4, 2.0) for name in ("dash_mem", "dash_syn")},
        **{name: np.full(2, 2.0) for name in ("dash_mem_out", "dash_syn_out")},
    }
    parts: dict[str, Any] = {}
    for part, count in (("train", 40), ("test", 10)):
        parts[f"x_{part}"] = random.integers(0, 3, size=(count, 12, 3)).astype(np.uint8)
        parts[f"y_{part}"] = np.arange(count) % 2
    np.savez(folder / "own.npz", **arrays)  # type: ignore[arg-type]
    np.savez(folder / "events.npz", **parts | changes)
    data = {"kind": "npz", "file": "events.npz", "preprocessing": "none"}
    return {"model": {"kind": "xylo", "file": "own.npz"}, "data": data}


def test_a_network_and_events_of_one_s_own_are_read_from_files(tmp_path: Path) -> None:
    planned = plan(spec(**write_own(tmp_path)), tmp_path)
    assert planned.data.input_shape == (12, 3)
    assert planned.data.classes == 2
    assert planned.reference.energy_pj > 0


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (np.full((40, 12, 3), 16.0), "whole numbers from 0 to 15"),
        (np.full((40, 12, 3), 0.5), "whole numbers from 0 to 15"),
    ],
)
def test_events_that_no_input_can_fire_are_refused(tmp_path: Path, events: np.ndarray, reason: str) -> None:
    with pytest.raises(InvalidSpec, match=reason):
        plan(spec(**write_own(tmp_path, x_train=events)), tmp_path)


def test_events_of_other_inputs_than_the_network_has_are_refused(tmp_path: Path) -> None:
    document = write_own(tmp_path)
    with pytest.raises(InvalidSpec, match="events of 3 inputs; the network has 16"):
        plan(spec(data=document["data"]), tmp_path)


def test_epochs_and_images_are_no_events(tmp_path: Path) -> None:
    images = {f"x_{part}": np.zeros((count, 12)) for part, count in (("train", 40), ("test", 10))}
    with pytest.raises(InvalidSpec, match=r"\(steps, inputs\)"):
        plan(spec(**write_own(tmp_path, **images)), tmp_path)
