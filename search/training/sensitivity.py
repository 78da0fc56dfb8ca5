"""Measures the sensitivity of a job: its float model with one choice made at a time, on a few training examples.

Whatever a training finds by itself must not count as damage. Where a network multiplies by a kernel or passes values
through a ReLU, training finds the scale at which a fixed grid has the least error, since later layers can undo any
factor. So such a tensor is quantized at the scale with the least squared error, and the factor undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import ops

import quantization.layers  # noqa: F401 -- Keras finds the quantized layers of a saved model by their names
from costmodel.layer_classes import FUNCTION_SLOTS, LAYER_CLASSES
from quantization.layers.base import QuantizerState, effective_spec
from quantization.models.convert import plain_class
from quantization.models.fold import fold, folded_layers
from quantization.quantizers import build_quantizer
from quantization.quantizers.base import is_auto
from quantization.specs.parse import QuantizerSpec
from search.data import Dataset
from search.data.inputs import example_count, rows
from search.history import Assignment
from search.networks.architecture import architecture
from search.plan import Plan
from search.space.choices import Choices, Slot, Width
from search.space.sensitivity import Sensitivity
from search.task import Head
from search.training.build import assemble, trial_description
from search.training.evaluate import scores_of
from search.training.warm_start import adopt_weights

Floats = np.ndarray[Any, Any]

#: Training examples that outputs are compared on: the first, which are shuffled.
EXAMPLES: Final = 512

#: Binary logarithms of the scales that are tried: first whole ones, then quarters around the best of them.
_COARSE, _FINE = range(-5, 7), (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)

#: Elements of a tensor that errors are computed on.
_ELEMENTS: Final = 20_000

#: Functions that a positive factor passes through.
_HOMOGENEOUS: Final = (None, keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu)

#: Least probability that counts: single precision has none below.
_LEAST: Final = 1e-7


def measure_sensitivity(
    plan: Plan, path: Path, metric: float, data: Dataset, check: Callable[[], None] = lambda: None
) -> Sensitivity:
    """The sensitivity of every quantizer and width of a job.

    `path`: the float model as saved, `metric`: its metric on the validation data. One pass of `EXAMPLES` examples for
    each candidate. `check` is called between passes, and may raise to end the measurement.
    """
    earlier = keras.models.load_model(path)
    description = trial_description(plan.spec, architecture(plan.job.model))
    probed = _probed_model(plan, description, earlier)
    x, y = rows(data.x_train, 0, EXAMPLES), data.y_train
    targets = (y if isinstance(y, tuple) else (y,))[plan.task.judged][:EXAMPLES]
    scores = _Scores(plan.task.head, plan.task.judged, x, targets)
    with probed.recording():
        exact = scores.of(probed.model)
    divergences: dict[str, dict[str, float]] = {}
    for slot in plan.choices.slots:
        divergences[slot.name] = {}
        for spec in slot.candidates:
            check()
            with probed.quantizing(slot, spec):
                divergences[slot.name][str(spec.label)] = scores.divergence(exact, scores.of(probed.model))
    for width in plan.choices.widths:
        divergences[width.name] = {}
        for multiplier in width.multipliers:
            check()
            model = _resized(plan, description, earlier, width, multiplier)
            divergences[width.name][str(multiplier)] = scores.divergence(exact, scores.of(model))
    return Sensitivity(metric, example_count(x), divergences)


# --- outputs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scores:
    """The outputs of a model that the metric is measured at, on the same examples."""

    head: Head
    judged: int
    x: Any
    targets: Any

    def of(self, model: keras.Model) -> Floats:
        """Probabilities of (class, ...) for class numbers, values for numeric targets; float64."""
        outputs = scores_of(model(self.x, training=False))[self.judged]
        scores = np.asarray(ops.convert_to_numpy(outputs), dtype=np.float64)
        if self.head.labels != "classes":
            return scores
        if self.head.output.scores == 1:
            positive = 1 / (1 + np.exp(-scores)) if self.head.output.kind == "linear" else scores
            scores = np.concatenate([1 - positive, positive], axis=-1)
        elif self.head.output.kind == "linear":
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.asarray(scores / np.maximum(scores.sum(axis=-1, keepdims=True), _LEAST))

    def divergence(self, exact: Floats, approximate: Floats) -> float:
        """As `Sensitivity.divergences`; infinite outputs count as the largest divergence there is."""
        if self.head.labels == "classes":
            one, other = np.clip(exact, _LEAST, 1), np.clip(approximate, _LEAST, 1)
            value = float((one * (np.log(one) - np.log(other))).sum(axis=-1).mean())
        else:
            targets = np.asarray(self.targets, dtype=np.float64).reshape(exact.shape)
            residual = float(((targets - exact) ** 2).mean())
            value = float(((approximate - exact) ** 2).mean()) / max(residual, _LEAST)
        return min(max(value, 0.0), 1 / _LEAST) if np.isfinite(value) else 1 / _LEAST


def _resized(
    plan: Plan, description: Mapping[str, Any], earlier: keras.Model, width: Width, multiplier: float
) -> keras.Model:
    """The float model with other widths, and the weights of the channels that it keeps."""
    values = {name: labels[0] for name, labels in plan.choices.dimensions().items()}
    values |= {other.name: 1.0 for other in plan.choices.widths} | {width.name: multiplier}
    widths = plan.choices.assignment(values).widths
    fixed = {name: dict(slots) for name, slots in plan.choices.fixed.items()}
    model = assemble(Assignment({}, fixed, widths), description, plan.spec.seed)
    adopt_weights(_folded_alike(earlier, model), model)
    return model


# --- probes --------------------------------------------------------------------------------------------------------


class _Probe:
    """In place of a slot's quantizer: passes values on, records them, or quantizes them at some scale.

    Applies the slot's function itself, so that a quantizer may take its place.
    """

    is_activation: Final = True
    is_noiseless: Final = False  #: so that no layer keeps its values
    has_state: Final = False

    def __init__(self, layer: Any, slot: str) -> None:
        self.layer, self.slot = layer, slot
        self.function = layer.slot_function(slot)
        self.quantizer: Any = None
        self.scale = 1.0
        self.records = False
        self.values: Floats | None = None

    @property
    def is_scalable(self) -> bool:
        """Whether later layers can undo a factor on what the slot holds."""
        row = LAYER_CLASSES[plain_class(type(self.layer).__name__)]
        if any(entry.in_loop for entry in row.slots):
            return False
        if self.slot in FUNCTION_SLOTS:
            return self.function in _HOMOGENEOUS
        return self.slot.endswith("kernel") or self.slot == "embeddings"

    def __call__(self, x: Any, training: bool | None = False) -> Any:
        """The value of the slot."""
        if self.records and self.is_scalable:
            self.values = np.asarray(ops.convert_to_numpy(x), dtype=np.float32).ravel()
        if self.quantizer is None:
            return x if self.function is None else self.function(x)
        return self._quantized(self.quantizer, x, self.scale)

    def use(self, quantizer: Any) -> None:
        """Quantize by this quantizer from now on, at the scale that has the least squared error."""
        self.scale = 1.0
        if self.values is not None and not quantizer.has_state and not is_auto(quantizer.spec):
            self.scale = self._best_scale(quantizer, self.values)
        self.quantizer = quantizer

    def _quantized(self, quantizer: Any, x: Any, scale: float) -> Any:
        if scale != 1.0:
            x = x * scale
        if not quantizer.is_activation and self.function is not None:
            x = self.function(x)
        value = quantizer(x, False)
        return value / scale if scale != 1.0 else value

    def _best_scale(self, quantizer: Any, values: Floats) -> float:
        sample = ops.convert_to_tensor(values[:: max(len(values) // _ELEMENTS, 1)])
        exact = sample if self.function is None else self.function(sample)
        plain = quantizer.along((-1,)) if hasattr(quantizer, "along") else quantizer

        def error(power: float) -> float:
            return float(ops.mean(ops.square(self._quantized(plain, sample, 2.0**power) - exact)))

        coarse = min(_COARSE, key=error)
        return float(2.0 ** min([coarse, *(coarse + step for step in _FINE)], key=error))


@dataclass(frozen=True)
class _ProbedModel:
    """The float model, with a probe in every slot that a job searches. `probes`: by layer and slot."""

    model: keras.Model
    probes: Mapping[tuple[str, str], _Probe]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within it, the probes record what they see."""
        for probe in self.probes.values():
            probe.records = True
        try:
            yield
        finally:
            for probe in self.probes.values():
                probe.records = False

    @contextmanager
    def quantizing(self, slot: Slot, spec: QuantizerSpec) -> Iterator[None]:
        """Within it, all layers of a choice are quantized by one of its candidates."""
        probes = [self.probes[layer, slot.slot] for layer in slot.layers]
        for probe in probes:
            quantizer = build_quantizer(effective_spec(slot.slot, spec), probe.layer.channel_axes(slot.slot))
            if quantizer.has_state:
                QuantizerState(name="quantizer_state").add(slot.slot, quantizer)
            probe.use(quantizer)
        try:
            yield
        finally:
            for probe in probes:
                probe.quantizer = None


def _probed_model(plan: Plan, description: Mapping[str, Any], earlier: keras.Model) -> _ProbedModel:
    choices = plan.choices
    model = assemble(_narrowest(choices), description, plan.spec.seed)
    adopt_weights(_folded_alike(earlier, model), model)
    probes: dict[tuple[str, str], _Probe] = {}
    for slot in choices.slots:
        for name in slot.layers:
            layer: Any = model.get_layer(name)
            probe = probes[name, slot.slot] = _Probe(layer, slot.slot)
            for owner in layer.slot_owners():
                owner._slot_quantizers = tuple((dict(owner._slot_quantizers) | {slot.slot: probe}).items())
    return _ProbedModel(model, probes)


def _narrowest(choices: Choices) -> Assignment:
    """An assignment with a quantizer in every slot and all widths as they were."""
    values = {name: labels[0] for name, labels in choices.dimensions().items()}
    return Assignment({}, choices.assignment(values).quantizers, {})


def _folded_alike(earlier: keras.Model, model: keras.Model) -> keras.Model:
    """The float model, its normalizations folded where those of the other model are."""
    return fold(earlier) if folded_layers(model) and not folded_layers(earlier) else earlier
