"""From an assignment to a compiled Keras model."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import keras
import numpy as np

from quantization.models.convert import quantize
from quantization.models.description import described_layers
from quantization.models.fold import folded_description
from search.errors import Infeasible
from search.history import Assignment
from search.spec.job import SearchSpec
from search.spec.training import Training
from search.task import Task
from search.training.kernel_rescaling import rescale_zero_kernels
from search.training.losses import keras_loss
from search.training.metrics import keras_metric
from search.training.program.options import PLAIN, StepOptions
from search.training.program.updates import keras_options

OPTIMIZERS: Final[Mapping[str, Callable[..., Any]]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def assemble(assignment: Assignment, architecture: Mapping[str, Any], seed: int) -> keras.Model:
    """The network with its quantizers and widths, not compiled; its weights are new, no kernel is all zeros.

    The same seed gives the same weights; sets the seeds of Python and NumPy. Raises `Infeasible` where no such network
    exists.
    """
    seed_everything(seed)
    try:
        model = quantize(architecture, assignment.quantizers, assignment.widths)
    except ValueError as error:  # raised by Keras for shapes, by the converter for slots
        raise Infeasible(f"no network can be built: {error}") from error
    rescale_zero_kernels(model)
    return model


def trial_description(spec: SearchSpec, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The description that trials of a job are built from. `config`: its float network as Keras writes it."""
    layers = described_layers(config.get("config", config))
    normalized = any(layer["class_name"] == "BatchNormalization" for layer in layers)
    return folded_description(config) if normalized and spec.normalization == "fold" else config


def seed_everything(seed: int) -> None:
    """Seed Python and numpy: from them Keras takes the seeds of its initializers and of its random layers.

    TensorFlow's own seed, which Keras does not draw from, is left alone: setting it drops every compiled function.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # what a custom initializer may use


def rate_of(training: Training, searched: float | None = None) -> float:
    """The learning rate of a trial: `searched`, the assignment's, where the job searches it; else the job's."""
    return training.base_rate if searched is None else searched


def compile_model(
    model: keras.Model,
    training: Training,
    task: Task,
    searched_rate: float | None = None,
    options: StepOptions = PLAIN,
) -> None:
    """Compile with Keras' own losses and metric, so that `evaluate` of the saved model gives the trial's metric.

    `searched_rate`: as in `rate_of`. `options`: of the training step, as far as Keras' optimizer has them.
    """
    losses = [keras_loss(head) for head in task.heads]
    metric = keras_metric(task)
    metrics = [
        [metric] if index == task.judged and metric is not None else [] for index in range(len(losses))
    ]
    is_single = len(losses) == 1
    model.compile(
        # One name for all: for each new name of a variable TensorFlow keeps an object, and its memory, for good.
        optimizer=OPTIMIZERS[training.optimizer](
            learning_rate=rate_of(training, searched_rate), name=training.optimizer, **keras_options(options)
        ),
        loss=losses[0] if is_single else losses,
        loss_weights=None if is_single else [head.weight for head in task.heads],
        metrics=metrics[0] if is_single else metrics,
        jit_compile=False,  # XLA takes seconds to compile what a small network trains in one
    )
