"""Quantizers whose kind and widths are data, so that one traced program computes any of several.

A `SwitchedQuantizer` in a slot of a quantized layer has branches: all fixed-point grids are one branch, whose step and
bounds are numbers in a variable; every other quantizer is a separate branch, computed by its plain class. The value of
a branch, its gradient and the random numbers it draws are those of the plain quantizer, bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from keras import ops

from costmodel.layer_classes import FUNCTION_SLOTS
from quantization.layers.activation import QuantizedInput
from quantization.layers.base import effective_spec
from quantization.quantizers import BaseQuantizer, build_quantizer
from quantization.quantizers.backend import keep_within
from quantization.quantizers.base import EVERYWHERE, channels_of
from quantization.quantizers.rounding import straight_within
from quantization.specs.parse import QuantizerSpec
from quantization.switching.switch_case import TensorKind, switch_case, traced

Tensor = Any
Function = Callable[[Tensor], Tensor]


class BranchParameters(NamedTuple):
    """The numbers of a branch: those of a fixed-point grid, all 0 for others, and where the gradient is 1."""

    inverse_step: float = 0.0
    low: float = 0.0  #: smallest code
    high: float = 0.0  #: largest code
    scale: float = 0.0  #: what a code of 1 is worth
    gradient_above: float = EVERYWHERE[0]  #: the gradient is 1 where gradient_above < x <= gradient_up_to
    gradient_up_to: float = EVERYWHERE[1]

    @classmethod
    def unstacked(cls, parameters: Tensor) -> BranchParameters:
        """From one tensor that holds them all."""
        return cls(*ops.unstack(parameters, PARAMETERS))

    @property
    def gradient_range(self) -> tuple[float, float]:
        """(gradient_above, gradient_up_to)."""
        return self.gradient_above, self.gradient_up_to


PARAMETERS: Final = len(BranchParameters._fields)

_NO_GRID: Final = BranchParameters()

#: Kinds with a trained number, which other branches would not have.
_TRAINING: Final = frozenset({"trainable_std"})


@dataclass(frozen=True, slots=True)
class Branch:
    """One of the things a switched quantizer can be: a grid, the quantizer of `spec`, or (neither) nothing.

    `channels`: the axes along which scales of that quantizer differ.
    `after_function`: the layer's own activation function comes first. `is_straight`: the gradient is 1 in the
    `gradient_range` of the parameters, and 0 elsewhere.
    """

    spec: QuantizerSpec | None = None
    channels: tuple[int, ...] = (-1,)
    is_grid: bool = False
    after_function: bool = False
    is_straight: bool = True

    @property
    def is_random(self) -> bool:
        """Whether it draws numbers."""
        return self.spec is not None and _plain(self.spec, self.channels).is_random


@dataclass(frozen=True, slots=True)
class Choice:
    """A branch and its numbers, which together stand for one quantizer."""

    branch: Branch
    parameters: BranchParameters = _NO_GRID

    @property
    def passes_all(self) -> bool:
        """Whether the gradient is 1 for every input."""
        return self.branch.is_straight and self.parameters.gradient_range == EVERYWHERE


def can_switch(spec: QuantizerSpec | None) -> bool:
    """Whether a quantizer can be a branch: it has no variables, and needs no shape that may vary."""
    if spec is None:
        return True
    grouped = getattr(spec, "elements_per_scale", None) is not None
    needs_shape = grouped or bool(channels_of(spec))
    return spec.kind not in _TRAINING and _plain(spec).is_noiseless and not needs_shape


def choice_of(
    spec: QuantizerSpec | None, slot: str, function: Function | None, channels: tuple[int, ...] = (-1,)
) -> Choice:
    """The choice that stands for the quantizer of a slot; `function`: the slot's own, if it has one."""
    has_function = slot in FUNCTION_SLOTS and function not in (None, keras.activations.linear)
    if spec is None:
        return Choice(Branch(after_function=has_function, is_straight=not has_function))
    spec = effective_spec(slot, spec)
    plain = _plain(spec, channels)
    after = has_function and not plain.is_activation
    grid, straight_range = _grid(spec, plain), plain.straight_range()
    branch = Branch(
        spec=None if grid else spec,
        channels=(-1,) if grid else plain.channels,
        is_grid=grid is not None,
        after_function=after,
        is_straight=straight_range is not None and not after,
    )
    above, up_to = straight_range or EVERYWHERE
    return Choice(branch, (grid or _NO_GRID)._replace(gradient_above=above, gradient_up_to=up_to))


@functools.lru_cache(maxsize=1024)
def _plain(spec: QuantizerSpec, channels: tuple[int, ...] = (-1,)) -> BaseQuantizer[Any]:
    """The plain quantizer, for its properties and its arithmetic."""
    return build_quantizer(spec, channels)


def _grid(spec: Any, plain: Any) -> BranchParameters | None:
    """The numbers of a quantizer that is clip(round(x / step), low, high) * step, None for others."""
    if getattr(spec, "use_stochastic_rounding", False) or not getattr(spec, "use_ste", True):
        return None
    if spec.kind == "quantized_bits":
        if plain.is_sign or not (spec.alpha is None or isinstance(spec.alpha, int | float)):
            return None
        low, high = plain.code_range
        scale = (1.0 if spec.alpha is None else float(spec.alpha)) * plain.step
        return BranchParameters(1.0 / plain.step, low, high, scale)
    if spec.kind == "quantized_relu":
        if spec.negative_slope or spec.use_sigmoid or not spec.is_quantized_clip:
            return None
        return BranchParameters(1.0 / plain.step, 0.0, plain.count - 1.0, plain.step)
    return None


# --- the quantizer of a slot ---------------------------------------------------------------------------------


@functools.cache
def seed_type() -> str:
    """Data type of a seed generator's state."""
    return str(keras.random.SeedGenerator(0).state.dtype)


class SwitchedQuantizer:
    """A quantizer that is one of its branches: which one, and the numbers of a grid, are variables.

    Takes the place of a slot's quantizer in a `QuantizedLayer`; it applies the layer's activation function itself
    where the branch includes it. `seed_generator` is None unless a branch draws numbers. `passes_all`: the gradient is
    1 for every input, whatever is chosen.
    """

    is_activation: Final = True

    def __init__(
        self,
        specs: Iterable[QuantizerSpec | None],
        slot: str,
        function: Function | None = None,
        channels: tuple[int, ...] = (-1,),
    ) -> None:
        choices = [choice_of(spec, slot, function, channels) for spec in specs]
        self.branches = tuple(dict.fromkeys(choice.branch for choice in choices))
        self.passes_all = all(choice.passes_all for choice in choices)
        self.function = function
        self.choice = keras.Variable(0, shape=(), dtype="int32", trainable=False, name="choice")
        self.parameters = keras.Variable(
            np.zeros(PARAMETERS, np.float32), dtype="float32", trainable=False, name="parameters"
        )
        drawing = any(branch.is_random for branch in self.branches)
        self.seed_generator = keras.random.SeedGenerator(0) if drawing else None

    def index(self, choice: Choice) -> int:
        """The index of a choice's branch. ValueError if there is no such branch."""
        if choice.branch not in self.branches:
            raise ValueError(f"{choice.branch} is not among the branches {self.branches}")
        if self.passes_all and not choice.passes_all:
            raise ValueError(f"{choice} stops gradients, which no candidate of its slot does")
        return self.branches.index(choice.branch)

    def __call__(self, x: Any, training: bool | None = False) -> Tensor:
        """Quantized x, by the chosen branch."""
        x = ops.convert_to_tensor(x)
        state = None if self.seed_generator is None else self.seed_generator.state
        seed = np.zeros(2, seed_type()) if state is None else state.value
        value, next_seed = self._apply(x, seed, bool(training))
        if state is not None:
            state.assign(next_seed)
        return value

    def _apply(self, x: Tensor, seed: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """The value, and the seed after it."""
        operands = (self.parameters.value, seed)
        if (
            keras.backend.backend() == "jax"
        ):  # which differentiates a switch itself, also of many trials at once
            functions = [_applied(branch, self.function, training) for branch in self.branches]
            if len(functions) == 1:
                return functions[0](x, *operands)  # type: ignore[no-any-return]
            return ops.switch(self.choice.value, functions, x, *operands)  # type: ignore[no-any-return]
        rank, dtype = len(x.shape), keras.backend.standardize_dtype(x.dtype)
        branches = [
            _BranchCall(branch, self.function, training and branch.is_random, rank, dtype)
            for branch in self.branches
        ]
        return _switched(x, self.choice.value, operands, branches, self.passes_all)


class _BranchCall(NamedTuple):
    """A branch for tensors of one rank and type. `training` only where the branch draws numbers."""

    branch: Branch
    function: Function | None  #: the layer's own
    training: bool
    rank: int
    dtype: str

    @property
    def tensor(self) -> TensorKind:
        """Shape and type of its inputs."""
        return TensorKind([None] * self.rank, self.dtype)


def _switched(
    x: Tensor,
    choice: Tensor,
    operands: tuple[Tensor, Tensor],
    branches: Sequence[_BranchCall],
    passes_all: bool,
) -> tuple[Tensor, Tensor]:
    """What the chosen branch gives, with its gradient."""

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def chosen(x: Tensor) -> Any:
        value, next_seed = switch_case(choice, [_value(branch) for branch in branches], x, *operands)
        value.set_shape(x.shape)

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            above = args[0] if upstream is None else upstream
            if passes_all:
                return above
            functions = [_derivative(branch) for branch in branches]
            derivative = switch_case(choice, functions, x, above, *operands)
            derivative.set_shape(x.shape)
            return derivative

        return (value, next_seed), gradient

    return chosen(x)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=1024)
def _value(call: _BranchCall) -> Any:
    """(x, parameters, seed) -> (value, seed after it), traced once for all slots and programs."""
    applied = _applied(call.branch, call.function, call.training, BaseQuantizer.value)
    return traced(applied, call.tensor, *_parameters_and_seed())


@functools.lru_cache(maxsize=1024)
def _derivative(call: _BranchCall) -> Any:
    """(x, upstream, parameters, seed) -> gradient of the value, traced once for all slots and programs."""
    if call.branch.is_straight:
        return _straight_derivative(call.rank, call.dtype)
    applied = _applied(call.branch, call.function, call.training, BaseQuantizer.differentiable)
    return traced(_gradient(applied), call.tensor, call.tensor, *_parameters_and_seed())


@functools.lru_cache(maxsize=16)
def _straight_derivative(rank: int, dtype: str) -> Any:
    """`_derivative` of all branches whose gradient is 1 in a range and 0 elsewhere."""

    def gradient(x: Tensor, upstream: Tensor, parameters: Tensor, seed: Tensor) -> Tensor:
        bounds = BranchParameters.unstacked(parameters).gradient_range
        return keep_within(upstream, ops.cast(x, "float32"), *bounds)

    x = TensorKind([None] * rank, dtype)
    return traced(gradient, x, x, *_parameters_and_seed())


def _parameters_and_seed() -> tuple[TensorKind, TensorKind]:
    """Shapes and types of a branch's parameters and of a seed."""
    return TensorKind([PARAMETERS], "float32"), TensorKind([2], seed_type())


def _applied(
    branch: Branch,
    function: Function | None,
    training: bool,
    part: Callable[[BaseQuantizer[Any], Tensor, bool], Tensor] = BaseQuantizer.quantize,
) -> Callable[..., Any]:
    """(x, parameters, seed) -> (value, seed after it) of one branch; `part`: the method of the quantizer to call."""
    quantizer = None if branch.spec is None else _plain(branch.spec, branch.channels)

    def quantized(x: Tensor) -> Tensor:
        if quantizer is None:
            return ops.copy(x)
        return ops.cast(part(quantizer, ops.cast(x, "float32"), training), x.dtype)

    def apply(x: Tensor, parameters: Tensor, seed: Tensor) -> Any:
        if branch.after_function and function is not None:
            x = function(x)
        if branch.is_grid:
            return on_grid(x, parameters), seed
        if quantizer is None or quantizer.seed_generator is None:
            return quantized(x), seed
        generator, quantizer.seed_generator = quantizer.seed_generator, _TensorSeed(seed)
        try:
            return quantized(x), quantizer.seed_generator.current
        finally:
            quantizer.seed_generator = generator

    return apply


def on_grid(x: Tensor, parameters: Tensor) -> Tensor:
    """x on the fixed-point grid of these `BranchParameters`, of the type of x; computed in float32."""
    grid = BranchParameters.unstacked(parameters)
    wide = ops.cast(x, "float32")
    value = ops.clip(ops.round(wide * grid.inverse_step), grid.low, grid.high) * grid.scale
    return ops.cast(straight_within(value, wide, *grid.gradient_range), x.dtype)


class _TensorSeed(keras.random.SeedGenerator):  # type: ignore[misc]
    """A seed generator whose state is a tensor instead of a variable."""

    def __init__(self, seed: Tensor) -> None:
        self.current = seed

    def next(self, ordered: bool = True) -> Tensor:
        """The seed; the next one is one higher."""
        seed = self.current
        self.current = seed + ops.convert_to_tensor(np.array([0, 1]), dtype=seed.dtype)
        return seed


# --- what differs between backends ---------------------------------------------------------------------------


def _gradient(apply: Callable[..., Any]) -> Callable[..., Any]:
    """(x, upstream, parameters, seed) -> gradient of a branch's value with respect to x, in TensorFlow."""

    def gradient(x: Tensor, upstream: Tensor, parameters: Tensor, seed: Tensor) -> Tensor:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value, _ = apply(x, parameters, seed)
        return tape.gradient(value, x, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return gradient


# --- switched models -----------------------------------------------------------------------------------------

#: (layer, slot) -> its switched quantizer.
SwitchedSlots = Mapping[tuple[str, str], SwitchedQuantizer]


def switch(
    model: keras.Model, candidates: Mapping[str, Mapping[str, Sequence[QuantizerSpec | None]]]
) -> SwitchedSlots:
    """Put switched quantizers into the slots of a quantized model. `candidates`: layer -> slot -> its quantizers.

    The model's own quantizers must be among the candidates. A slot that is never quantized is left alone.
    """
    switched: dict[tuple[str, str], SwitchedQuantizer] = {}
    for name, slots in candidates.items():
        layer: Any = model.get_layer(name)
        if isinstance(layer, QuantizedInput) and all(len(specs) == 1 for specs in slots.values()):
            continue  # the same in all trials: its plain quantizer is faster
        new = {
            slot: SwitchedQuantizer(specs, slot, layer.slot_function(slot), layer.channel_axes(slot))
            for slot, specs in slots.items()
            if any(spec is not None for spec in specs)
        }
        switched |= {(name, slot): quantizer for slot, quantizer in new.items()}
        for owner in layer.slot_owners():
            owner._slot_quantizers = tuple((dict(owner._slot_quantizers) | new).items())
    return switched
