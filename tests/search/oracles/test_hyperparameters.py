"""Choices as hyperparameters."""

from __future__ import annotations

from keras_tuner.engine.hyperparameters import Choice, Fixed

from search.oracles.hyperparameters import hyperparameters
from tests.search.searches import make_choices

MULTIPLES = (0.5, 1.0, 2.0)


def test_every_dimension_becomes_a_hyperparameter_of_its_labels() -> None:
    choices = make_choices(3, 2, widths=((8, MULTIPLES),))
    space = {parameter.name: tuple(parameter.values) for parameter in hyperparameters(choices).space}
    assert space == choices.dimensions()


def test_a_single_candidate_is_fixed() -> None:
    [first, second] = hyperparameters(make_choices(1, 2)).space
    assert isinstance(first, Fixed)
    assert isinstance(second, Choice)


def test_the_width_of_the_model_is_the_default() -> None:
    [width] = hyperparameters(make_choices(widths=((8, MULTIPLES),))).space
    assert width.default == 1.0


def test_the_first_candidate_is_the_default() -> None:
    [slot] = hyperparameters(make_choices(3)).space
    assert slot.default == "quantized_bits(2,0,1)"
