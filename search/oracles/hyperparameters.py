"""The choices of a job as keras-tuner's hyperparameters."""

from __future__ import annotations

import keras_tuner

from search.space.choices import Choices, Label

_UNCHANGED = 1.0  #: the multiple that keeps a layer's width


def hyperparameters(choices: Choices) -> keras_tuner.HyperParameters:
    """One `Choice` per dimension over its labels, `Fixed` where there is only one."""
    space = keras_tuner.HyperParameters()
    for name, labels in choices.dimensions().items():
        if len(labels) == 1:
            space.Fixed(name, labels[0])
        else:
            space.Choice(name, list(labels), default=_default(labels))
    return space


def _default(labels: tuple[Label, ...]) -> Label:
    return _UNCHANGED if _UNCHANGED in labels else labels[0]
