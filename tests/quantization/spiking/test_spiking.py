"""Xylo: specification, quantization and the integer simulator."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantization.spiking import METHODS
from quantization.spiking.quantize import global_quantize
from quantization.spiking.simulator import XyloLimits, decay, simulate
from quantization.spiking.specification import SpecificationError, XyloParameters, XyloSpecification


def _arrays(inputs: int = 2, hidden: int = 3, readouts: int = 2, synapses: int = 1) -> dict[str, Any]:
    """A network of zeros that never fires."""
    return {
        "weights_in": np.zeros((inputs, hidden, synapses)),
        "weights_rec": np.zeros((hidden, hidden, synapses)),
        "weights_out": np.zeros((hidden, readouts)),
        "threshold": np.full(hidden, 10),
        "threshold_out": np.full(readouts, 10),
        "dash_mem": np.full(hidden, 15),
        "dash_mem_out": np.full(readouts, 15),
        "dash_syn": np.zeros(hidden),
        "dash_syn_2": np.zeros(hidden),
        "dash_syn_out": np.zeros(readouts),
    }


def _one(**changes: Any) -> XyloParameters:
    """One input, one hidden neuron, one readout; currents vanish within a step, the membrane hardly leaks."""
    return XyloParameters.from_arrays(_arrays(1, 1, 1) | changes)


class TestSpecification:
    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("weights_in", np.zeros(3), "2 or 3 axes"),
            ("weights_in", np.zeros((2, 4, 1)), "feeds 4 neurons"),
            ("weights_in", np.zeros((2, 3, 2)), "synapses"),
            ("weights_rec", np.zeros((3, 3, 3)), "1 or 2"),
            ("weights_rec", np.zeros((3, 2, 1)), "square"),
            ("weights_out", np.zeros((3, 2, 1)), "2 axes"),
            ("weights_out", np.zeros((4, 2)), "reads 4 neurons"),
            ("weights_out", np.zeros((0, 2)), "empty"),
            ("threshold", np.ones(2), r"shape \(3,\)"),
            ("dash_mem_out", np.ones((2, 1)), r"shape \(2,\)"),
            ("bias", np.ones(4), r"shape \(3,\)"),
            ("threshold", [1, np.nan, 1], "finite"),
            ("threshold", ["a", "b", "c"], "finite"),
            ("weights_inn", np.zeros(1), "unknown"),
        ],
    )
    def test_an_array_that_does_not_fit_is_named(self, field: str, value: Any, message: str) -> None:
        with pytest.raises(SpecificationError, match=message):
            XyloSpecification.from_arrays(_arrays() | {field: value})

    def test_a_missing_array_is_named(self) -> None:
        arrays = _arrays()
        del arrays["dash_mem"]
        with pytest.raises(SpecificationError, match="dash_mem: is missing"):
            XyloSpecification.from_arrays(arrays)

    def test_two_synapses_need_two_time_constants(self) -> None:
        arrays = _arrays(synapses=2)
        del arrays["dash_syn_2"]
        with pytest.raises(SpecificationError, match="dash_syn_2"):
            XyloSpecification.from_arrays(arrays)

    def test_integers_are_whole(self) -> None:
        with pytest.raises(SpecificationError, match="whole"):
            _one(bias=[0.5])

    def test_the_value_is_a_copy_that_cannot_be_changed(self) -> None:
        arrays = _arrays()
        network = XyloSpecification.from_arrays(arrays)
        arrays["weights_in"][:] = 5
        assert not network.weights_in.any()
        with pytest.raises(ValueError, match="read-only"):
            network.weights_in[0, 0] = 1


@st.composite
def specifications(draw: st.DrawFn) -> XyloSpecification:
    hidden, readouts, synapses = (draw(st.integers(1, size)) for size in (4, 3, 2))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    arrays = _arrays(2, hidden, readouts, synapses)
    scale = 10.0 ** draw(st.integers(-3, 3))
    for name in ("weights_in", "weights_rec", "weights_out"):
        arrays[name] = random.normal(0, scale, arrays[name].shape)
    arrays["threshold"] = random.uniform(0.1, 500, hidden) * scale
    arrays["threshold_out"] = random.uniform(0.1, 500, readouts) * scale
    if draw(st.booleans()):
        arrays |= {"bias": random.normal(0, scale, hidden), "bias_out": random.normal(0, scale, readouts)}
    return XyloSpecification.from_arrays(arrays)


class TestQuantization:
    @pytest.mark.parametrize("method", list(METHODS))
    @settings(deadline=None)
    @given(specification=specifications(), bits=st.integers(2, 8), threshold_bits=st.integers(8, 16))
    def test_everything_fits_its_width(
        self, method: str, specification: XyloSpecification, bits: int, threshold_bits: int
    ) -> None:
        parameters = METHODS[method](
            specification, bits_per_weight=bits, bits_per_threshold=threshold_bits
        ).arrays()
        for name in ("weights_in", "weights_rec", "weights_out", "bias", "bias_out"):
            assert np.abs(parameters.get(name, [0])).max() < 2 ** (bits - 1)
        for name in ("threshold", "threshold_out"):
            assert np.abs(parameters[name]).max() < 2 ** (threshold_bits - 1)

    @pytest.mark.parametrize("method", list(METHODS))
    @settings(deadline=None)
    @given(specification=specifications(), power=st.integers(-4, 4))
    def test_the_unit_of_the_floats_does_not_matter(
        self, method: str, specification: XyloSpecification, power: int
    ) -> None:
        arrays = specification.arrays()
        scaled = {name: value * (1 if "dash" in name else 2.0**power) for name, value in arrays.items()}
        first = METHODS[method](specification).arrays()
        second = METHODS[method](XyloSpecification.from_arrays(scaled)).arrays()
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name])

    def test_fuzzy_scaling_clips_the_outlier_and_resolves_the_rest(self) -> None:
        arrays = _arrays() | {"weights_rec": np.array([[0.1, 0.1, -0.1]] * 2 + [[0.1, 0.1, 10.0]])[..., None]}
        arrays["threshold"] = np.ones(3)
        specification = XyloSpecification.from_arrays(arrays)
        plain, fuzzy = global_quantize(specification), global_quantize(specification, fuzzy_scaling=True)
        assert fuzzy.weights_rec.max() == 127
        assert fuzzy.weights_rec[0, 0] > plain.weights_rec[0, 0]

    @pytest.mark.parametrize("option", ["bits_per_weight", "bits_per_threshold"])
    @pytest.mark.parametrize("bits", [1, 33])
    def test_a_width_without_integers_is_refused(self, option: str, bits: int) -> None:
        with pytest.raises(SpecificationError, match=option):
            global_quantize(XyloSpecification.from_arrays(_arrays()), **{option: bits})


class TestSimulator:
    def test_a_neuron_fires_when_its_membrane_reaches_the_threshold(self) -> None:
        network = _one(weights_in=[[[4]]], threshold=[10], dash_syn=[0], dash_mem=[15], bias=[5])
        assert simulate(network, np.zeros((6, 1))).hidden[:, 0].tolist() == [0, 0, 1, 0, 1, 0]

    def test_reset_subtracts_the_threshold(self) -> None:
        network = _one(bias=[25], dash_mem=[0])
        activity = simulate(network, np.zeros((1, 1)))
        assert (activity.hidden[0, 0], activity.membrane[0]) == (2, 5)

    def test_a_current_decays_by_its_shift(self) -> None:
        network = _one(weights_in=[[[64]]], dash_syn=[1], dash_mem=[0], threshold=[1000])
        membranes = [simulate(network, [[1]] + [[0]] * steps).membrane[0] for steps in range(8)]
        assert membranes == [32, 16, 8, 4, 2, 1, 0, 0]

    def test_what_a_shift_cannot_lower_falls_by_one(self) -> None:
        state = np.array([3, 1, 0, -1, -3, 100])
        np.testing.assert_array_equal(decay(state, np.full(6, 4)), [2, 0, 0, 0, -2, 94])

    def test_states_saturate_at_their_width(self) -> None:
        network = _one(weights_in=[[[127]]], dash_syn=[15], dash_mem=[15], threshold=[2**15 - 1])
        membrane = simulate(network, np.full((600, 1), 15), XyloLimits(max_hidden_events=0)).membrane
        assert membrane[0] == 2**15 - 1

    def test_events_of_a_step_are_bounded(self) -> None:
        network = _one(bias=[5000], threshold=[1], weights_out=[[5]], threshold_out=[1])
        activity = simulate(network, np.zeros((1, 1)))
        assert activity.hidden.max() == 31
        assert activity.readout.max() <= 1

    def test_recurrent_events_arrive_a_step_later(self) -> None:
        arrays = _arrays(1, 2, 1)
        arrays |= {"weights_in": [[[40]]], "dash_syn": [1, 1], "dash_mem": [0, 0]}
        arrays["weights_rec"] = np.array([[0, 40], [0, 0]])[..., None]
        hidden = simulate(XyloParameters.from_arrays(arrays), [[1], [0], [0]]).hidden
        np.testing.assert_array_equal(hidden, [[2, 0], [1, 4], [0, 4]])

    def test_the_last_hidden_neurons_reach_the_readout_a_step_later(self) -> None:
        arrays = _arrays(1, 2, 1) | {"weights_out": [[40]], "dash_syn_out": [1], "bias": [0, 10]}
        activity = simulate(XyloParameters.from_arrays(arrays), [[0], [0]])
        assert activity.hidden.tolist() == [[0, 1], [0, 1]]
        assert activity.readout.tolist() == [[0], [1]]

    def test_a_current_saturates_after_each_source(self) -> None:
        arrays = _arrays(2, 1, 1) | {"weights_in": [[[127]], [[-100]]], "threshold": [2**15 - 1]}
        arrays |= {"dash_syn": [15], "dash_mem": [0]}
        membranes = [
            simulate(XyloParameters.from_arrays(arrays), [[15, 15]] * 60 + [[15, 0]] * steps + [[15, 15]])
            for steps in (0, 100)
        ]
        # 405 a step of both: 61 steps give 24,705; from 32,767 the positive input adds nothing, 1500 go
        assert [int(activity.membrane[0]) for activity in membranes] == [24644, 31266]

    def test_both_synapses_charge_the_membrane_at_their_own_speed(self) -> None:
        arrays = _arrays(1, 1, 1, synapses=2)
        arrays |= {"weights_in": [[[64, 64]]], "dash_syn": [1], "dash_syn_2": [2]}
        arrays |= {"dash_mem": [0], "threshold": [1000]}
        network = XyloParameters.from_arrays(arrays)
        assert simulate(network, [[1]]).membrane[0] == 32 + 48
        assert simulate(network, [[1], [0]]).membrane[0] == 16 + 36

    def test_counts_add_the_events_of_each_readout(self) -> None:
        network = _one(bias_out=[10])
        assert simulate(network, np.zeros((7, 1))).counts.tolist() == [7]

    @settings(deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 2))
    def test_a_batch_runs_as_its_members_do(self, seed: int, synapses: int) -> None:
        random = np.random.default_rng(seed)
        arrays = {
            name: random.integers(-60, 60, value.shape) if "weights" in name else value
            for name, value in _arrays(2, 3, 2, synapses).items()
        }
        network = XyloParameters.from_arrays(arrays)
        events = random.integers(0, 15, (3, 5, 2))
        together = simulate(network, events)
        for index in range(3):
            alone = simulate(network, events[index])
            np.testing.assert_array_equal(together.hidden[index], alone.hidden)
            np.testing.assert_array_equal(together.counts[index], alone.counts)

    @pytest.mark.parametrize(
        ("events", "message"),
        [
            (np.zeros(3), "shape"),
            (np.zeros((3, 2)), "shape"),
            ([[16]], "0 to 15"),
            ([[-1]], "0 to"),
            ([[0.5]], "whole"),
        ],
    )
    def test_events_that_no_input_can_carry_are_refused(self, events: Any, message: str) -> None:
        with pytest.raises(SpecificationError, match=message):
            simulate(_one(), events)

    @pytest.mark.parametrize(("field", "value"), [("dash_mem", [16]), ("dash_syn", [-1]), ("threshold", [0])])
    def test_parameters_no_neuron_can_have_are_refused(self, field: str, value: Any) -> None:
        with pytest.raises(SpecificationError, match=field):
            simulate(_one(**{field: value}), [[0]])


def test_a_quantized_network_answers_as_the_loudest_input_asks() -> None:
    """Two inputs, each wired to its readout through hidden neurons: the busier one wins the count."""
    arrays = _arrays(2, 2, 2) | {
        "dash_syn": [2, 2],
        "dash_mem": [3, 3],
        "dash_syn_out": [2, 2],
        "dash_mem_out": [3, 3],
    }
    arrays |= {"weights_in": np.eye(2), "weights_rec": np.zeros((2, 2)), "weights_out": np.eye(2)}
    arrays |= {"threshold": np.ones(2), "threshold_out": np.full(2, 2.0)}
    network = global_quantize(XyloSpecification.from_arrays(arrays))
    events = np.zeros((40, 2))
    events[::2, 0] = events[::5, 1] = 1
    counts = simulate(network, events).counts
    assert counts[0] > counts[1] > 0


def test_the_examples_of_the_documentation_hold() -> None:
    page = Path(__file__).parents[3] / "docs" / "xylo.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 3
    assert failed == 0
