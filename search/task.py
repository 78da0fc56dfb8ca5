"""What the outputs of a network are trained and measured by: plain values, worked out from the job and its network."""

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

#: Layers that pass scores on as they are; the activation stands before them.
_TRANSPARENT: Final = frozenset({"Flatten", "Reshape", "Dropout"})
_ACTIVATION_LAYERS: Final = frozenset({"Softmax", "ReLU", "LeakyReLU", "PReLU", "ELU"})
#: What a classifier may end in, by whether it gives a single score.
_KINDS: Final[Mapping[bool, Mapping[str, OutputKind]]] = {
    True: {"sigmoid": "sigmoid", "linear": "linear"},
    False: {"softmax": "softmax", "linear": "linear"},
}


@dataclass(frozen=True, slots=True)
class Output:
    """What a network ends in: how many scores per example, and what they passed through last."""

    kind: OutputKind
    scores: int

    @property
    def classes(self) -> int:
        """Classes it can tell apart: one score tells two."""
        return max(self.scores, 2)


@dataclass(frozen=True, slots=True)
class Head:
    """One output: its layer, the shape of one example's scores, and the loss it is trained by."""

    name: str
    output: Output
    shape: tuple[int, ...]
    loss: str = "crossentropy"
    weight: float = 1.0

    @property
    def labels(self) -> Labels:
        """What its targets are."""
        return LOSSES[self.loss]

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of the targets of one example: none for a class number."""
        return () if self.labels == "classes" else self.shape


@dataclass(frozen=True, slots=True)
class Task:
    """All outputs, in the network's order, and the metric of the one that is judged."""

    heads: tuple[Head, ...]
    metric: str = "accuracy"
    judged: int = 0

    @property
    def head(self) -> Head:
        """The output whose metric counts."""
        return self.heads[self.judged]


def classification(output: Output) -> Task:
    """One output of class scores, judged by its accuracy."""
    return Task((Head("", output, (output.scores,)),))


def task(spec: SearchSpec, network: Network) -> Task:
    """How the network of a job is trained and measured.

    Raises `InvalidSpec` for an output that the job names and the network has not, for losses that are not stated where
    they have to be, and for outputs, losses and metrics that do not fit each other.
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
    found = Task(tuple(heads), spec.objective.metric, judged)
    problems = _unfit_metric(found)
    if problems:
        raise InvalidSpec(problems)
    return found


def output(plain: Network, pointer: str = "/model", name: str | None = None) -> Output:
    """How an output (None: the first) gives classes. Raises `InvalidSpec` unless it is one vector of scores."""
    last = plain.layer(plain.outputs[0] if name is None else name)
    if len(last.output_shape) != 1:
        reason = f"must give one vector of scores; the shape of its output is {last.output_shape}"
        raise InvalidSpec([Problem(pointer, f"layer {last.name!r} {reason}")])
    layer = _ending_layer(plain, last)
    scores = last.output_shape[0]
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
    known = ", ".join(network.outputs)
    problems = [
        Problem(pointer, f"the model has no output {name!r}; its outputs are {known}")
        for pointer, name in named
        if name is not None and name not in network.outputs
    ]
    if spec.objective.output is None and len(network.outputs) > 1:
        problems.append(Problem("/objective/output", f"the model has several outputs: name one of {known}"))
    return problems


def _head(spec: SearchSpec, network: Network, name: str, *, is_judged: bool) -> Head:
    loss = _loss(spec, network, name, is_judged=is_judged)
    base = "/model/config" if isinstance(spec.model, ArchitectureModel) else "/model/name"
    shape = network.layer(name).output_shape
    found = (
        output(network, base, name)
        if LOSSES[loss] == "classes"
        else Output(_value_kind(network, name), math.prod(shape))
    )
    return Head(name, found, shape, loss, spec.training.loss_weights.get(name, 1.0))


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


def _unfit_metric(found: Task) -> list[Problem]:
    """What the judged output's labels or scores make of the metric."""
    head, info = found.head, METRICS[found.metric]
    if info.labels != head.labels:
        fit = ", ".join(name for name, each in METRICS.items() if each.labels == head.labels)
        what = "class numbers" if head.labels == "classes" else "numbers as targets"
        reason = (
            f"{found.metric} cannot be measured: the loss {head.loss} is for {what}, as are the metrics {fit}"
        )
        return [Problem("/objective/metric", reason)]
    if info.two_classes and head.output.scores != 1:
        reason = f"{found.metric} is for two classes, told by one score; the model gives {head.output.scores}"
        return [Problem("/objective/metric", reason)]
    most = _top(found.metric)
    if most is not None and most >= head.output.classes:
        reason = f"{found.metric} is always 1: the model tells {head.output.classes} classes apart"
        return [Problem("/objective/metric", reason)]
    return []


def _top(metric: str) -> int | None:
    return int(metric.removeprefix("top_")) if metric.startswith("top_") else None


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
        f"score{'s' * (scores > 1)} must end in {' or '.join(kinds)} (for numbers as targets name a metric like mse"
        " under /objective)"
    )


def _activation(layer: Layer) -> str:
    """Name of the function a layer's output passed through."""
    if layer.class_name in _ACTIVATION_LAYERS:
        return layer.class_name.lower()
    activation: Any = layer.config.get("activation", "linear")
    if isinstance(
        activation, Mapping
    ):  # a registered function: {"class_name": "function", "config": "softmax"}
        activation = activation.get("config")
    return activation if isinstance(activation, str) else "an unnamed function"
