"""From an assignment to a compiled Keras model. What was chosen is what is built."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import keras
import numpy as np

from costmodel.network import read_network
from quantization.models.convert import quantize
from search.errors import Infeasible
from search.history import Assignment
from search.spec.job import SearchSpec
from search.spec.training import Training
from search.task import Task, task
from search.training.kernel_rescaling import wake
from search.training.losses import keras_loss
from search.training.metrics import keras_metric

OPTIMIZERS: Final[Mapping[str, Callable[..., Any]]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def build(
    spec: SearchSpec, assignment: Assignment, architecture: Mapping[str, Any], seed: int
) -> keras.Model:
    """The quantized network of an assignment, compiled. The same seed gives the same weights.

    Sets the seeds of Python and numpy. Raises `Infeasible` where no such network exists.
    """
    model = assemble(assignment, architecture, seed)
    compile_model(model, spec.training, task(spec, read_network(architecture)), assignment.learning_rate)
    return model


def assemble(assignment: Assignment, architecture: Mapping[str, Any], seed: int) -> keras.Model:
    """The network with its quantizers and widths, not compiled; its weights are new, no kernel is all zeros."""
    seed_everything(seed)
    try:
        model = quantize(architecture, assignment.quantizers, assignment.widths)
    except ValueError as error:  # how Keras and the converter refuse shapes and slots
        raise Infeasible(f"no network can be built: {error}") from error
    wake(model)
    return model


def seed_everything(seed: int) -> None:
    """Seed Python and numpy: from them Keras takes the seeds of its initializers and of its random layers.

    TensorFlow's own seed, which Keras does not draw from, is left alone: setting it drops every compiled function.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # what a custom initializer may use


def compile_model(
    model: keras.Model, training: Training, task: Task, learning_rate: float | None = None
) -> None:
    """Compile with Keras' own losses and metric, so that `evaluate` of the saved model gives what was measured.

    `learning_rate`: the assignment's; None: the job's.
    """
    rate = training.base_rate if learning_rate is None else learning_rate
    losses = [keras_loss(head) for head in task.heads]
    metric = keras_metric(task)
    metrics = [
        [metric] if index == task.judged and metric is not None else [] for index in range(len(losses))
    ]
    alone = len(losses) == 1
    model.compile(
        # One name for all: TensorFlow keeps what it made for each new name of a variable, its memory too.
        optimizer=OPTIMIZERS[training.optimizer](learning_rate=rate, name=training.optimizer),
        loss=losses[0] if alone else losses,
        loss_weights=None if alone else [head.weight for head in task.heads],
        metrics=metrics[0] if alone else metrics,
        jit_compile=False,  # XLA takes seconds to compile what a small network trains in one
    )
