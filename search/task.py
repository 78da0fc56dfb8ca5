"""How the outputs of a network are trained and measured: plain values, derived from a job and its network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from costmodel.layer import Layer
from costmodel.network import Network
from search.errors import InvalidSpec, Problem
from search.spec.job import ArchitectureModel, SearchSpec
from search.spec.objective import LOSSES, METRICS, Labels
from search.spec.training import Training

OutputKind = Literal["softmax", "sigmoid", "linear", "other"]

#: Layers that do not change scores; the activation is applied before them.
_TRANSPARENT: Final = frozenset({"Flatten", "Reshape", "Dropout"})
_ACTIVATION_LAYERS: Final = frozenset({"Softmax", "ReLU", "LeakyReLU", "PReLU", "ELU"})
#: Activations that a classifier may end in, by whether it has a single score.
_KINDS: Final[Mapping[bool, Mapping[str, OutputKind]]] = {
    True: {"sigmoid": "sigmoid", "linear": "linear"},
    False: {"softmax": "softmax", "linear": "linear"},
}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a network: the number of scores per example, and the activation that they come from."""

    kind: OutputKind
    scores: int

    @property
    def classes(self) -> int:
        """Number of classes that it distinguishes; a single score distinguishes two."""
        return max(self.scores, 2)


@dataclass(frozen=True, slots=True)
class Head:
    """An output in training: its layer, the shape of one example's scores, its loss and the weight of that."""

    name: str
    output: Output
    shape: tuple[int, ...]
    loss: str = "crossentropy"
    weight: float = 1.0

    @property
    def labels(self) -> Labels:
        """Whether its targets are class numbers or numeric values."""
        return LOSSES[self.loss]

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of the targets of one example; empty for a single class number."""
        return self.shape[:-1] if self.labels == "classes" else self.shape

    @property
    def places(self) -> int:
        """How many class numbers an example has: one, or one for each place of an image or step of a series."""
        return math.prod(self.target_shape) if self.labels == "classes" else 1


@dataclass(frozen=True, slots=True)
class Task:
    """All outputs, in the network's order, and the metric. `judged`: index of the output that it is measured at."""

    heads: tuple[Head, ...]
    metric: str = "accuracy"
    judged: int = 0

    @property
    def head(self) -> Head:
        """The output that the metric is measured at."""
        return self.heads[self.judged]


def classification(output: Output) -> Task:
    """The task of a classifier with one output, measured by its accuracy."""
    return Task((Head("", output, (output.scores,)),))


def task(spec: SearchSpec, network: Network) -> Task:
    """How the network of a job is trained and measured.

    Raises `InvalidSpec` for unknown outputs, for losses that must be stated and are not, and for outputs, losses and
    metrics that do not fit each other.
    """
    problems = _unknown_outputs(spec, network)
    if problems:
        raise InvalidSpec(problems)
    names = list(network.outputs)
    judged = 0 if spec.objective.output is None else names.index(spec.objective.output)
    heads = []
    for index, name in enumerate(names):
        try:
            heads.append(_head(spec, network, name, is_judged=index == judged))
        except InvalidSpec as error:
            problems += error.problems
    if problems:
        raise InvalidSpec(problems)
    job_task = Task(tuple(heads), spec.objective.metric, judged)
    problems = _unfit_metric(job_task)
    if problems:
        raise InvalidSpec(problems)
    return job_task


def output(plain: Network, pointer: str = "/model", name: str | None = None) -> Output:
    """An output (None: the first) as that of a classifier: a vector of scores, or one for each place or step.

    Raises `InvalidSpec` for others.
    """
    last = plain.layer(plain.outputs[0] if name is None else name)
    if not last.output_shape:
        raise InvalidSpec([Problem(pointer, f"layer {last.name!r} must return scores; it returns a number")])
    if len(last.output_shape) > 1 and (masking := _masking(plain)):
        reason = (
            f"gives classes to every step, also to those that {masking!r} masks, which a metric would count: leave the"
            " mask out, and give the steps that are padding a class of their own"
        )
        raise InvalidSpec([Problem(pointer, f"layer {last.name!r} {reason}")])
    layer = _ending_layer(plain, last)
    scores = last.output_shape[-1]
    kinds = _KINDS[scores == 1]
    activation = _activation(layer)
    if activation not in kinds:
        raise InvalidSpec([Problem(pointer, _ending(layer, activation, scores, kinds))])
    return Output(kinds[activation], scores)


# --- losses --------------------------------------------------------------------------------------------------------


def _unknown_outputs(spec: SearchSpec, network: Network) -> list[Problem]:
    training = spec.training
    named = [("/objective/output", spec.objective.output)]
    if isinstance(training.loss, dict):
        named += [(f"/training/loss/{name}", name) for name in training.loss]
    named += [(f"/training/loss_weights/{name}", name) for name in training.loss_weights]
    outputs = ", ".join(network.outputs)
    problems = [
        Problem(pointer, f"the model has no output {name!r}; its outputs are {outputs}")
        for pointer, name in named
        if name is not None and name not in network.outputs
    ]
    if spec.objective.output is None and len(network.outputs) > 1:
        problems.append(Problem("/objective/output", f"the model has several outputs: name one of {outputs}"))
    return problems


def _head(spec: SearchSpec, network: Network, name: str, *, is_judged: bool) -> Head:
    loss = _loss(spec, network, name, is_judged=is_judged)
    base = "/model/config" if isinstance(spec.model, ArchitectureModel) else "/model/name"
    shape = network.layer(name).output_shape
    head_output = (
        output(network, base, name)
        if LOSSES[loss] == "classes"
        else Output(_value_kind(network, name), math.prod(shape))
    )
    return Head(name, head_output, shape, loss, spec.training.loss_weights.get(name, 1.0))


def _loss(spec: SearchSpec, network: Network, name: str, *, is_judged: bool) -> str:
    stated = _stated(spec.training, name, alone=len(network.outputs) == 1)
    if stated is not None:
        return stated
    if is_judged:
        metric = spec.objective.metric
        if METRICS[metric].labels == "classes":
            return "crossentropy"
        return metric if metric in LOSSES else "mse"
    if _activation(_ending_layer(network, network.layer(name))) == "softmax":
        return "crossentropy"
    allowed = ", ".join(LOSSES)
    raise InvalidSpec([Problem("/training/loss", f"state the loss of output {name!r}: one of {allowed}")])


def _stated(training: Training, name: str, *, alone: bool) -> str | None:
    if isinstance(training.loss, dict):
        return training.loss.get(name)
    return training.loss if training.loss != "auto" and alone else None


def _unfit_metric(job_task: Task) -> list[Problem]:
    """The reason why the metric cannot be measured at its output, or would say nothing; empty if there is none."""
    head, metric = job_task.head, job_task.metric
    info = METRICS[metric]
    if info.labels != head.labels:
        fit = ", ".join(name for name, other in METRICS.items() if other.labels == head.labels)
        targets = "class numbers" if head.labels == "classes" else "numeric targets"
        reason = (
            f"{metric} cannot be measured: the loss {head.loss} is for {targets}, as are the metrics {fit}"
        )
        return [Problem("/objective/metric", reason)]
    if info.two_classes and head.output.scores != 1:
        reason = f"{metric} needs two classes and a single score; the model has {head.output.scores} scores"
        return [Problem("/objective/metric", reason)]
    most = _top(metric)
    if most is not None and most >= head.output.classes:
        reason = f"{metric} is always 1: the model distinguishes {head.output.classes} classes"
        return [Problem("/objective/metric", reason)]
    return []


def _top(metric: str) -> int | None:
    return int(metric.removeprefix("top_")) if metric.startswith("top_") else None


def _masking(plain: Network) -> str | None:
    """A layer that masks steps."""
    return next(
        (
            layer.name
            for layer in plain.layers
            if layer.class_name == "Masking"
            or (layer.class_name == "Embedding" and layer.config.get("mask_zero"))
        ),
        None,
    )


# --- endings -------------------------------------------------------------------------------------------------------


def _ending_layer(plain: Network, layer: Layer) -> Layer:
    while layer.class_name in _TRANSPARENT and layer.inbound:
        layer = plain.layer(layer.inbound[0])
    return layer


def _value_kind(network: Network, name: str) -> OutputKind:
    activation = _activation(_ending_layer(network, network.layer(name)))
    kinds: dict[str, OutputKind] = {"linear": "linear", "sigmoid": "sigmoid", "softmax": "softmax"}
    return kinds.get(activation, "other")


def _ending(layer: Layer, activation: str, scores: int, kinds: Mapping[str, OutputKind]) -> str:
    return (
        f"layer {layer.name!r} ends the model in {activation}; a classifier with {scores} "
        f"score{'s' * (scores > 1)} must end in {' or '.join(kinds)} (for numeric targets name a metric such as"
        " mse under /objective)"
    )


def _activation(layer: Layer) -> str:
    """Name of the activation function of a layer."""
    if layer.class_name in _ACTIVATION_LAYERS:
        return layer.class_name.lower()
    activation: Any = layer.config.get("activation", "linear")
    if isinstance(
        activation, Mapping
    ):  # a registered function: {"class_name": "function", "config": "softmax"}
        activation = activation.get("config")
    return activation if isinstance(activation, str) else "a function without a name"
