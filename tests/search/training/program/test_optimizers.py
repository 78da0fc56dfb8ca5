"""Optimizers on one flat vector take the steps of Keras' own, bit by bit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from search.training import build
from search.training.program.optimizers import OPTIMIZERS
from search.training.program.options import PLAIN
from search.training.program.updates import Updates

RATE, STEPS = 0.01, 6


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_and_moments_are_keras_own_bit_by_bit(name: str) -> None:
    draw = np.random.default_rng(1)
    start, *gradients = draw.normal(size=(STEPS + 1, 40)).astype(np.float32)
    ours, updates = OPTIMIZERS[name], Updates(name, PLAIN)
    variable = keras.Variable(start, name="weights")
    theirs = build.OPTIMIZERS[name](learning_rate=RATE)
    theirs.build([variable])
    weights, scalar = ops.convert_to_tensor(start), ops.convert_to_tensor(np.float32(1))
    moments = tuple(ops.zeros_like(weights) for _ in ours.moments)
    for count, gradient in enumerate(gradients):
        step = ops.convert_to_tensor(np.int32(count))
        weights, moments, scalar = updates.step(weights, gradient, moments, scalar, step, np.float32(RATE))
        theirs.apply([ops.convert_to_tensor(gradient)], [variable])
    expected = {"weights": variable, **{moment: getattr(theirs, moment)[0] for moment in ours.moments}}
    if ours.scalar is not None:
        expected["scalar"] = getattr(theirs, ours.scalar)
    names = ["weights", *ours.moments, *([] if ours.scalar is None else ["scalar"])]
    for part, numbers in zip(names, (weights, *moments, scalar), strict=False):
        np.testing.assert_array_equal(np.asarray(numbers), np.asarray(expected[part].value), err_msg=part)
