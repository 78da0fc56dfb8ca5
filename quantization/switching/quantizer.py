"""Quantizers whose kind and widths are data, so that one traced program computes any of several.

`SwitchedQuantizer` stands in a slot of a quantized layer and holds branches: every fixed-point grid is one branch whose
step and bounds are numbers in a variable; any other quantizer is a branch of its own, computed by its plain class.
What a branch gives, its gradient and the random numbers it draws are those of the plain quantizer, bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from costmodel.layer_classes import FUNCTION_SLOTS
from quantization.layers.base import effective_spec
from quantization.quantizers import BaseQuantizer, build_quantizer
from quantization.quantizers.backend import keep_within
from quantization.quantizers.base import EVERYWHERE, channels_of
from quantization.quantizers.rounding import straight_within
from quantization.specs.parse import QuantizerSpec
from quantization.switching.switch_case import one_of, traced

Tensor = Any
Function = Callable[[Tensor], Tensor]

#: Numbers of a grid (1 / step, smallest and largest code, step), and between which inputs the gradient passes.
PARAMETERS: Final = 6

_NO_GRID: Final = (0.0,) * 4

#: Kinds that train a number of their own, which other branches would not have.
_TRAINING: Final = frozenset({"trainable_std"})


@dataclass(frozen=True, slots=True)
class Branch:
    """One of the things a switched quantizer can be: a grid, the quantizer of `spec`, or (neither) nothing.

    `after_function`: the layer's own activation function comes first. `is_straight`: the gradient is 1 between the
    inputs that a choice's last two parameters name, and 0 elsewhere.
    """

    spec: QuantizerSpec | None = None
    is_grid: bool = False
    after_function: bool = False
    is_straight: bool = True

    @property
    def is_random(self) -> bool:
        """Whether it draws numbers."""
        return self.spec is not None and _plain(self.spec).is_random


@dataclass(frozen=True, slots=True)
class Choice:
    """What a quantizer becomes: a branch and the numbers of its grid."""

    branch: Branch
    parameters: tuple[float, ...] = (*_NO_GRID, *EVERYWHERE)

    @property
    def passes_all(self) -> bool:
        """Whether the gradient is 1 for every input."""
        return self.branch.is_straight and self.parameters[len(_NO_GRID) :] == EVERYWHERE


def can_switch(spec: QuantizerSpec | None) -> bool:
    """Whether a quantizer can be a branch: it has no variables, and needs no shape that may vary."""
    if spec is None:
        return True
    grouped = getattr(spec, "elements_per_scale", None) is not None
    needs_shape = grouped or bool(channels_of(spec))
    return spec.kind not in _TRAINING and _plain(spec).is_noiseless and not needs_shape


def choice_of(spec: QuantizerSpec | None, slot: str, function: Function | None) -> Choice:
    """What the quantizer of a slot is as a choice; `function` is the one the slot holds, if it holds any."""
    has_function = slot in FUNCTION_SLOTS and function not in (None, keras.activations.linear)
    if spec is None:
        return Choice(Branch(after_function=has_function, is_straight=not has_function))
    spec = effective_spec(slot, spec)
    plain = _plain(spec)
    after = has_function and not plain.is_activation
    grid, passed = _grid(spec, plain), plain.straight_range()
    branch = Branch(
        spec=None if grid else spec,
        is_grid=grid is not None,
        after_function=after,
        is_straight=passed is not None and not after,
    )
    return Choice(branch, (*(grid or _NO_GRID), *(passed or EVERYWHERE)))


@functools.lru_cache(maxsize=1024)
def _plain(spec: QuantizerSpec) -> BaseQuantizer[Any]:
    """The plain quantizer, for its properties and its arithmetic."""
    return build_quantizer(spec)


def _grid(spec: Any, plain: Any) -> tuple[float, ...] | None:
    """The numbers of a quantizer that is clip(round(x / step), low, high) * step, None for others."""
    if getattr(spec, "use_stochastic_rounding", False) or not getattr(spec, "use_ste", True):
        return None
    if spec.kind == "quantized_bits":
        if plain.is_sign or not (spec.alpha is None or isinstance(spec.alpha, int | float)):
            return None
        low, high = plain.code_range
        scale = (1.0 if spec.alpha is None else float(spec.alpha)) * plain.step
        return (1.0 / plain.step, low, high, scale)
    if spec.kind == "quantized_relu":
        if spec.negative_slope or spec.use_sigmoid or not spec.is_quantized_clip:
            return None
        return (1.0 / plain.step, 0.0, plain.count - 1.0, plain.step)
    return None


# --- the quantizer of a slot ---------------------------------------------------------------------------------


@functools.cache
def seed_type() -> str:
    """Type of the numbers in a seed generator's state."""
    return str(keras.random.SeedGenerator(0).state.dtype)


class SwitchedQuantizer:
    """A quantizer that is one of its branches: which one, and the numbers of a grid, are variables.

    Takes the place of a slot's quantizer in a `QuantizedLayer`; it applies the layer's activation function itself
    where the branch asks for it. `seed_generator` is None unless a branch draws numbers. `passes_all`: the gradient is
    1 for every input, whatever is chosen.
    """

    is_activation: Final = True

    def __init__(
        self, specs: Iterable[QuantizerSpec | None], slot: str, function: Function | None = None
    ) -> None:
        choices = [choice_of(spec, slot, function) for spec in specs]
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
        """The number of a choice's branch; ValueError if there is no such branch."""
        if choice.branch not in self.branches:
            raise ValueError(f"{choice.branch} is none of the branches {self.branches}")
        if self.passes_all and not choice.passes_all:
            raise ValueError(f"{choice} keeps gradients back, which no candidate of its slot does")
        return self.branches.index(choice.branch)

    def __call__(self, x: Any, training: bool | None = False) -> Tensor:
        """Quantized x, by the branch chosen."""
        x = ops.convert_to_tensor(x)
        state = None if self.seed_generator is None else self.seed_generator.state
        seed = np.zeros(2, seed_type()) if state is None else state.value
        value, moved = self._apply(x, seed, bool(training))
        if state is not None:
            state.assign(moved)
        return value

    def _apply(self, x: Tensor, seed: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """The value, and the seed after it."""
        operands = (self.parameters.value, seed)
        if keras.backend.backend() == "jax":  # which derives a switch itself, also of many trials at once
            functions = [_applied(each, self.function, training) for each in self.branches]
            if len(functions) == 1:
                return functions[0](x, *operands)  # type: ignore[no-any-return]
            return ops.switch(self.choice.value, functions, x, *operands)  # type: ignore[no-any-return]
        kind = (len(x.shape), keras.backend.standardize_dtype(x.dtype))
        known = [(each, self.function, training and each.is_random, *kind) for each in self.branches]
        return _derived(x, self.choice.value, operands, known, self.passes_all)


def _derived(
    x: Tensor,
    choice: Tensor,
    operands: tuple[Tensor, Tensor],
    branches: Sequence[tuple[Any, ...]],
    passes_all: bool,
) -> tuple[Tensor, Tensor]:
    """What the chosen branch gives, with its gradient; `branches`: the arguments of `_value` for each."""

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def chosen(x: Tensor) -> Any:
        value, moved = one_of(choice, [_value(*each) for each in branches], x, *operands)
        value.set_shape(x.shape)

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Tensor:
            above = args[0] if upstream is None else upstream
            if passes_all:
                return above
            found = one_of(choice, [_derivative(*each) for each in branches], x, above, *operands)
            found.set_shape(x.shape)
            return found

        return (value, moved), gradient

    return chosen(x)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=1024)
def _value(branch: Branch, function: Function | None, training: bool, rank: int, dtype: str) -> Any:
    """(x, parameters, seed) -> (value, seed after it), traced once for all slots and programs."""
    applied = _applied(branch, function, training, BaseQuantizer.value)
    return traced(applied, ([None] * rank, dtype), *_others())


@functools.lru_cache(maxsize=1024)
def _derivative(branch: Branch, function: Function | None, training: bool, rank: int, dtype: str) -> Any:
    """(x, upstream, parameters, seed) -> gradient of the value, traced once for all slots and programs."""
    if branch.is_straight:
        return _straight_derivative(rank, dtype)
    x: tuple[list[int | None], str] = ([None] * rank, dtype)
    applied = _applied(branch, function, training, BaseQuantizer.differentiable)
    return traced(_gradient(applied), x, x, *_others())


@functools.lru_cache(maxsize=16)
def _straight_derivative(rank: int, dtype: str) -> Any:
    """`_derivative` of all branches whose gradient is 1 in a range and 0 elsewhere."""

    def gradient(x: Tensor, upstream: Tensor, parameters: Tensor, seed: Tensor) -> Tensor:
        *_, low, high = ops.unstack(parameters, PARAMETERS)
        return keep_within(upstream, ops.cast(x, "float32"), low, high)

    x: tuple[list[int | None], str] = ([None] * rank, dtype)
    return traced(gradient, x, x, *_others())


def _others() -> tuple[tuple[list[int | None], str], ...]:
    """Shapes and types of a grid's numbers and of a seed."""
    return ([PARAMETERS], "float32"), ([2], seed_type())


def _applied(
    branch: Branch,
    function: Function | None,
    training: bool,
    part: Callable[[BaseQuantizer[Any], Tensor, bool], Tensor] = BaseQuantizer.quantize,
) -> Callable[..., Any]:
    """(x, parameters, seed) -> (value, seed after it) of one branch, or that `part` of it which is needed."""
    quantizer = None if branch.spec is None else _plain(branch.spec)

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
        drawn = _Seed(seed)
        held, quantizer.seed_generator = quantizer.seed_generator, drawn
        try:
            return quantized(x), drawn.current
        finally:
            quantizer.seed_generator = held

    return apply


def on_grid(x: Tensor, parameters: Tensor) -> Tensor:
    """x on a fixed-point grid of these numbers (`PARAMETERS`), of the type of x; computed in float32."""
    inverse, low, high, step, first, last = ops.unstack(parameters, PARAMETERS)
    wide = ops.cast(x, "float32")
    value = ops.clip(ops.round(wide * inverse), low, high) * step
    return ops.cast(straight_within(value, wide, first, last), x.dtype)


class _Seed(keras.random.SeedGenerator):  # type: ignore[misc]
    """A seed generator whose state is a tensor instead of a variable."""

    def __init__(self, seed: Tensor) -> None:
        self.current = seed

    def next(self, ordered: bool = True) -> Tensor:
        """The seed; the next one counts one more."""
        drawn = self.current
        self.current = drawn + ops.convert_to_tensor(np.array([0, 1]), dtype=drawn.dtype)
        return drawn


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

#: (layer, slot) -> what stands there.
SwitchedSlots = Mapping[tuple[str, str], SwitchedQuantizer]


def switch(
    model: keras.Model, candidates: Mapping[str, Mapping[str, Sequence[QuantizerSpec | None]]]
) -> SwitchedSlots:
    """Put switched quantizers into the slots of a quantized model: layer -> slot -> what may stand there.

    The model's own quantizers must be among the candidates. A slot that is never quantized is left alone.
    """
    found: dict[tuple[str, str], SwitchedQuantizer] = {}
    for name, slots in candidates.items():
        layer: Any = model.get_layer(name)
        placed = dict(layer._slot_quantizers)
        for slot, specs in slots.items():
            if all(spec is None for spec in specs):
                continue
            function = layer._attribute(slot) if slot in FUNCTION_SLOTS else None
            found[name, slot] = placed[slot] = SwitchedQuantizer(specs, slot, function)
        layer._slot_quantizers = tuple(placed.items())
    return found
