"""The analysis of a job: how the front grew, and the effect of each choice."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantization.specs.parse import parse_quantizer
from search.results.analysis import AnalysedTrial, Box, analyse, box_of
from search.scoring.pareto import Point, hypervolume
from search.space.choices import Choices, Slot, Width

BITS = (2, 4, 8)
KERNELS = tuple(parse_quantizer(f"quantized_bits({bits},0,1,alpha=1.0)") for bits in BITS)

SPACE = Choices(
    slots=(
        Slot("first.kernel", ("first",), "kernel", "kernel", KERNELS),
        Slot("/rest.*/.kernel", ("rest1", "rest2"), "kernel", "kernel", KERNELS),
    ),
    widths=(Width("first.filters", ("first",), (0.5, 1.0, 2.0)),),
    quantized=("first", "rest1", "rest2"),
    base_widths={"first": 8},
)

numbers = st.floats(-10, 10, allow_nan=False, allow_subnormal=False)


def every_assignment() -> list[dict[str, str | float]]:
    dimensions = SPACE.dimensions()
    return [dict(zip(dimensions, labels, strict=True)) for labels in itertools.product(*dimensions.values())]


def measured(merit: dict[str, float]) -> list[AnalysedTrial]:
    """Every assignment once; `merit`: the gain of one bit, or one doubling, of a choice."""

    def scale(label: str | float) -> float:
        return float(parse_quantizer(label).bits) if isinstance(label, str) else math.log2(label)

    return [
        AnalysedTrial(
            number,
            merit=sum(merit.get(name, 0.0) * scale(label) for name, label in values.items()),
            cost=100.0 * 2 ** math.log2(float(values["first.filters"])),
            values=values,
            at_s=float(number),
        )
        for number, values in enumerate(every_assignment())
    ]


def test_a_choice_without_effect_has_no_importance_and_the_others_sum_to_what_is_explained() -> None:
    analysis = analyse(SPACE, measured({"first.kernel": 0.02}), Box(0, 1, 200))
    first, rest, width = analysis.choices
    assert first.importance == pytest.approx(9 / 10)  # nine trials a label, shrunk as if by one more
    assert rest.importance == pytest.approx(0, abs=1e-12)
    assert analysis.explained == pytest.approx(first.importance + rest.importance + width.importance)
    assert width.cost_importance == pytest.approx(9 / 10)


def test_sensitivity_is_the_gain_of_one_more_bit() -> None:
    analysis = analyse(SPACE, measured({"first.kernel": 0.02, "/rest.*/.kernel": 0.01}), Box(0, 1, 200))
    first, rest, width = analysis.choices
    assert first.sensitivity == pytest.approx(0.02 * 9 / 10)
    assert rest.sensitivity == pytest.approx(0.01 * 9 / 10)
    assert width.cost_sensitivity == pytest.approx(9 / 10)  # a doubling of the width doubles the cost
    assert [label.bits for label in first.labels] == list(BITS)
    assert [label.trials for label in first.labels] == [9, 9, 9]


def test_layers_that_share_a_choice_have_equal_parts_of_it() -> None:
    analysis = analyse(SPACE, measured({"/rest.*/.kernel": 0.01}), Box(0, 1, 200))
    first, rest1, rest2 = analysis.layers
    assert [first.name, rest1.name, rest2.name] == ["first", "rest1", "rest2"]
    assert rest1 == type(rest1)("rest1", rest2.importance, rest2.cost_importance, rest2.sensitivity)
    assert rest1.importance + rest2.importance == pytest.approx(analysis.choices[1].importance)


@settings(deadline=None)  # no timing is asserted
@given(st.lists(st.tuples(numbers, st.floats(0.1, 300)), min_size=1, max_size=40))
def test_the_hypervolume_never_falls_and_ends_at_that_of_all_trials(
    points: list[tuple[float, float]],
) -> None:
    values = every_assignment()
    trials = [
        AnalysedTrial(number, merit, cost, values[number % len(values)], at_s=float(-number))
        for number, (merit, cost) in enumerate(points)
    ]
    box = box_of(trials, reference=200.0, bounds=(-10.0, 10.0))
    steps = analyse(SPACE, trials, box).steps
    volumes = [step.hypervolume for step in steps]
    assert volumes == sorted(volumes)
    everything = [Point(trial.number, trial.merit, trial.cost) for trial in trials]
    whole = hypervolume(everything, metric_floor=box.floor, cost_ceiling=box.ceiling)
    assert volumes[-1] == pytest.approx(whole / (20 * 200))
    assert steps[-1].number == 0  # the one that ended last


@settings(deadline=None)  # no timing is asserted
@given(st.lists(st.tuples(st.integers(0, 26), numbers), min_size=2, max_size=60))
def test_importances_sum_to_what_is_explained_which_is_a_share(points: list[tuple[int, float]]) -> None:
    values = every_assignment()
    trials = [
        AnalysedTrial(number, merit, 1.0, values[place]) for number, (place, merit) in enumerate(points)
    ]
    analysis = analyse(SPACE, trials, box_of(trials, 1.0, None))
    total = sum(choice.importance for choice in analysis.choices)
    assert analysis.cost_explained is None
    if analysis.explained is None:
        assert total == 0
        assert np.var([merit for _, merit in points]) == 0
    else:
        assert total == pytest.approx(analysis.explained, abs=1e-9)
        assert -1e-9 <= analysis.explained <= 1 + 1e-9


def test_without_trials_the_analysis_is_empty() -> None:
    analysis = analyse(SPACE, [], box_of([], 100.0, None))
    assert (analysis.steps, analysis.front, analysis.knee, analysis.explained) == ((), (), None, None)
    assert all(choice.sensitivity is None for choice in analysis.choices)
