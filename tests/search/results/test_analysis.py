"""The analysis of a job: how the front grew, and the effect of each choice."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantization.specs.parse import parse_quantizer
from search.results.analysis import AnalysedTrials, Box, HypervolumeStep, analyse, box_of
from search.scoring.pareto import Point, dominates, front, hypervolume
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


Row = tuple[int, float, float, dict[str, str | float], float | None]


def columns(rows: list[Row]) -> AnalysedTrials:
    """Trials of rows: number, merit, cost, values, end."""
    ends = [np.nan if row[4] is None else row[4] for row in rows]
    return AnalysedTrials(
        number=np.array([row[0] for row in rows], dtype=np.int64),
        merit=np.array([row[1] for row in rows], dtype=np.float64),
        cost=np.array([row[2] for row in rows], dtype=np.float64),
        values=[row[3] for row in rows],
        at_s=np.array(ends, dtype=np.float64),
    )


def measured(merit: dict[str, float]) -> AnalysedTrials:
    """Every assignment once; `merit`: the gain of one bit, or one doubling, of a choice."""

    def scale(label: str | float) -> float:
        return float(parse_quantizer(label).bits) if isinstance(label, str) else math.log2(label)

    return columns(
        [
            (
                number,
                sum(merit.get(name, 0.0) * scale(label) for name, label in values.items()),
                100.0 * 2 ** math.log2(float(values["first.filters"])),
                values,
                float(number),
            )
            for number, values in enumerate(every_assignment())
        ]
    )


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
    trials = columns(
        [
            (number, merit, cost, values[number % len(values)], float(-number))
            for number, (merit, cost) in enumerate(points)
        ]
    )
    box = box_of(trials, reference=200.0, bounds=(-10.0, 10.0))
    steps = analyse(SPACE, trials, box).steps
    volumes = [step.hypervolume for step in steps]
    assert volumes == sorted(volumes)
    everything = [Point(number, merit, cost) for number, (merit, cost) in enumerate(points)]
    whole = hypervolume(everything, metric_floor=box.floor, cost_ceiling=box.ceiling)
    assert volumes[-1] == pytest.approx(whole / (20 * 200))
    assert steps[-1].number == 0  # the one that ended last


@settings(deadline=None)  # no timing is asserted
@given(st.lists(st.tuples(st.integers(0, 26), numbers), min_size=2, max_size=60))
def test_importances_sum_to_what_is_explained_which_is_a_share(points: list[tuple[int, float]]) -> None:
    values = every_assignment()
    trials = columns(
        [(number, merit, 1.0, values[place], None) for number, (place, merit) in enumerate(points)]
    )
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
    analysis = analyse(SPACE, columns([]), box_of(columns([]), 100.0, None))
    assert (analysis.steps, analysis.front, analysis.knee, analysis.explained) == ((), (), None, None)
    assert all(choice.sensitivity is None for choice in analysis.choices)


def plain_steps(rows: list[Row], box: Box) -> tuple[HypervolumeStep, ...]:
    """The steps as they are defined: after each trial, the hypervolume of all that ended so far."""
    area = (box.top - box.floor) * box.ceiling
    ordered = sorted(rows, key=lambda row: (math.inf if row[4] is None else row[4], row[0]))
    members: list[Point] = []
    steps: list[HypervolumeStep] = []
    reached = 0.0
    for row in ordered:
        point = Point(row[0], row[1], row[2])
        if not any(dominates(member, point) for member in members):
            members = front([*members, point])
        share = hypervolume(members, metric_floor=box.floor, cost_ceiling=box.ceiling) / area if area else 0.0
        if share > reached or row is ordered[-1]:
            reached = max(share, reached)
            steps.append(HypervolumeStep(row[0], row[4], reached))
    return tuple(steps)


def plain_gram(rows: list[Row]) -> tuple[list[list[float]], list[float], float]:
    """The table of labels times itself, times the centred merits; and the variance of the merits."""
    labels = [(name, label) for name, choices in SPACE.dimensions().items() for label in choices]
    table = [[float(row[3].get(name) == label) for name, label in labels] for row in rows]
    mean = math.fsum(row[1] for row in rows) / len(rows)
    gram = [
        [math.fsum(line[i] * line[j] for line in table) for j in range(len(labels))]
        for i in range(len(labels))
    ]
    moment = [
        math.fsum(line[i] * (row[1] - mean) for line, row in zip(table, rows, strict=True))
        for i in range(len(labels))
    ]
    return gram, moment, math.fsum((row[1] - mean) ** 2 for row in rows) / len(rows)


few = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0])  # with ties
ends = st.one_of(st.none(), st.sampled_from([1.0, 2.0, 3.0, 4.5]))


@settings(deadline=None)  # no timing is asserted
@given(
    st.lists(
        st.tuples(st.integers(0, 30), numbers | few, st.floats(0.1, 300) | st.just(7.0), ends),
        min_size=1,
        max_size=50,
    )
)
def test_the_analysis_is_that_of_its_formulas(points: list[tuple[int, float, float, float | None]]) -> None:
    assignments: list[dict[str, str | float]] = [*every_assignment(), {}]
    assignments += [{"first.kernel": "unknown()"}, {"first.filters": 2.0}, {"x": 1.0}]
    rows: list[Row] = [
        (number, merit, cost, assignments[place], at_s)
        for number, (place, merit, cost, at_s) in enumerate(points)
    ]
    box = Box(-10.0, 10.0, 200.0)
    analysis = analyse(SPACE, columns(rows), box)
    assert analysis.steps == plain_steps(rows, box)
    best = front(Point(number, merit, cost) for number, merit, cost, _, _ in rows)
    assert analysis.front == tuple(point.number for point in best)
    gram, moment, variance = plain_gram(rows)
    solved = np.linalg.solve(np.array(gram) + np.eye(len(gram)), np.array(moment))
    effects = [label.merit for choice in analysis.choices for label in choice.labels]
    assert effects == pytest.approx(solved.tolist(), abs=1e-9)
    counts = [label.trials for choice in analysis.choices for label in choice.labels]
    assert counts == [gram[index][index] for index in range(len(gram))]
    if variance > 1e-9:
        assert analysis.explained == pytest.approx(float(solved @ moment) / (len(rows) * variance), abs=1e-7)
