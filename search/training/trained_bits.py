"""A training whose bits are trained: what they cost, the assignment they become, and how the training goes on later.

The loss has the penalty `p * log2(cost)`: `p` is the loss that a cost of half as much is worth. The cost is the exact
one of the job's goal; before every epoch its difference quotient for one bit of each tensor is computed, and the
penalty follows it. Where the goal counts trained weights, that is the cost of the weights' last bits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from costmodel.effective import Granularity
from quantization.export.codes import channels_last
from quantization.models.convert import quantize
from quantization.specs.fixed_point import BitsChoice, FixedPoint
from quantization.switching.trained_bits import train_bits
from search.errors import Infeasible
from search.history import Assignment
from search.plan import Plan
from search.space.trained_bits import bits_choices
from search.spec.oracle import GradientOracleSpec
from search.training.program.cache import ProgramSpec, cached_program, mixed_in
from search.training.program.program import Program
from search.training.program.state import Arguments, ProgramState
from search.training.program.trained_bits import BitsGroup, TrainedBitsProgram

#: (layer, slot) -> value.
Weights = Mapping[tuple[str, str], NDArray[Any]]

#: How far bits may go in all stages together: of single weights or channels, and of whole tensors, whose changes
#: disturb a network more. Adam changes a number by at most its rate in a step.
TRAVEL_OF_WEIGHTS: Final = 9.0
TRAVEL_OF_TENSORS: Final = 3.0

_FIELDS: Final = ("weights", "scalar", "steps", "statistics")


@dataclass(frozen=True)
class Learned:
    """What bits were trained to: an assignment of the space, and weights on its grids.

    `own_grids`: (layer, slot) of those whose grids are coarser than their tensor's.
    """

    assignment: Assignment
    weights: Weights
    own_grids: frozenset[tuple[str, str]]

    def write(self, model: keras.Model) -> None:
        """Write the weights that its quantizers alone would not make into a model of the assignment.

        All others stay as they were trained, so that a final training goes on from there.
        """
        for name, slot in self.own_grids:
            model.get_layer(name).set_quantized(slot, self.weights[name, slot])


class BitTraining:
    """The bits of one trial, which starts from the bits of an assignment."""

    def __init__(self, plan: Plan, assignment: Assignment, penalty: float) -> None:
        self._plan, self._start, self._penalty = plan, assignment, penalty
        self._choices = bits_choices(plan.choices)
        spec, effective = plan.spec, plan.spec.goal.effective
        stages = spec.oracle.stages if isinstance(spec.oracle, GradientOracleSpec) else 1
        self._steps = stages * spec.training.epochs * math.ceil(plan.data.train / spec.training.batch_size)
        self._granularity = None if effective is None else Granularity(effective)

    def program(self, spec: ProgramSpec) -> TrainedBitsProgram:
        """The program of the job's trials with trained bits; built if it is not cached."""
        fixed = {
            layer: {slot: str(quantizer) for slot, quantizer in slots.items()}
            for layer, slots in self._start.quantizers.items()
        }
        for choice in self._choices:
            for layer in choice.layers:
                fixed[layer][choice.slot] = str(choice)
        key = json.dumps(
            [
                "trained bits",
                spec.architecture,
                str(spec.task),
                spec.optimizer,
                fixed,
                self._granularity,
                str(spec.options),
            ],
            sort_keys=True,
        )
        program = cached_program(key, lambda: self._build(spec))
        assert isinstance(program, TrainedBitsProgram)
        return program

    def _build(self, spec: ProgramSpec) -> TrainedBitsProgram:
        model = quantize(spec.architecture, self._start.quantizers, self._start.widths)
        trained = train_bits(model, self._choices, self._granularity)
        built: TrainedBitsProgram = mixed_in(TrainedBitsProgram)(
            model, spec.task, spec.optimizer, trained, spec.options
        )
        return built

    # ---- what bits cost ----

    def arguments(self, program: Program, plain: Arguments, state: ProgramState) -> Arguments:
        """With the pressure on the bits of a state, at which an epoch begins."""
        assert isinstance(program, TrainedBitsProgram)
        rates = (travel / self._steps for travel in (TRAVEL_OF_WEIGHTS, TRAVEL_OF_TENSORS))
        return program.with_pressure(plain, self._pressure(program, state), *rates)

    def _pressure(self, program: TrainedBitsProgram, state: ProgramState) -> NDArray[np.float32]:
        prices = _Prices(self._plan, self._choices, program, state, self.learned(program, state))
        cost = prices.cost()
        if not cost or self._penalty == 0:
            return np.zeros(len(program.groups), np.float32)
        slopes = [prices.slope(index, cost) for index in range(len(program.groups))]
        return np.array(slopes, np.float32) * np.float32(self._penalty / (cost * math.log(2.0)))

    # ---- what bits become ----

    def learned(self, program: Program, state: ProgramState) -> Learned:
        """The cheapest assignment that holds every weight exactly, and the weights.

        Where no candidate holds a tensor that single weights share, the one with the least squared error.
        """
        assert isinstance(program, TrainedBitsProgram)
        trained = program.trained(state)
        values, weights = dict(self._start.values), trained.weights
        own_grids: set[tuple[str, str]] = set()
        for choice in self._choices:
            groups = [
                (group, index)
                for group, index in zip(program.groups, trained.candidates, strict=True)
                if group.bits.choice is choice or group.bits.choice == choice
            ]
            whole = [index for group, index in groups if not group.bits.shape]
            keys = [key for group, _ in groups if group.bits.shape for key in group.slots]
            index = _holding(choice, [weights[key] for key in keys], max(whole, default=0))
            values[choice.name] = choice.specs[index].label
            for key in keys:
                weights[key] = _on_grid(weights[key], choice.grids[index])
            own_grids.update(keys)
        return Learned(self._plan.choices.assignment(values), weights, frozenset(own_grids))


def _holding(choice: BitsChoice, tensors: Sequence[NDArray[Any]], least: int) -> int:
    """The index of the candidate with the fewest bits, from `least` on, on whose grid all numbers are."""
    errors = [
        sum(float(np.square(_on_grid(tensor, grid) - tensor).sum()) for tensor in tensors)
        for grid in choice.grids[least:]
    ]
    return least + errors.index(min(errors))


def _on_grid(values: NDArray[Any], grid: FixedPoint) -> NDArray[np.float32]:
    return (_codes(values, grid) * 2.0**-grid.fraction_bits).astype(np.float32)


def _codes(values: NDArray[Any], grid: FixedPoint) -> NDArray[np.int64]:
    codes = np.clip(np.rint(values * 2.0**grid.fraction_bits), grid.low, grid.high)
    return codes.astype(np.int64)


class _Prices:
    """The costs of a network with trained bits, and of those with a bit less."""

    def __init__(
        self,
        plan: Plan,
        choices: Sequence[BitsChoice],
        program: TrainedBitsProgram,
        state: ProgramState,
        learned: Learned,
    ) -> None:
        self._plan, self._program, self._learned = plan, program, learned
        self._effective = plan.spec.goal.effective is not None
        self._codes: dict[tuple[str, str], NDArray[np.int64]] = {}
        for choice in choices:
            grid = choice.grids[self._index(choice)]
            for layer in choice.layers:
                key = layer, choice.slot
                if key in learned.weights:
                    self._codes[key] = _codes(learned.weights[key], grid)

    def _index(self, choice: BitsChoice) -> int:
        label = self._learned.assignment.values[choice.name]
        return [str(spec.label) for spec in choice.specs].index(str(label))

    def cost(self) -> float:
        """Of the network as it is."""
        return self._price(self._learned.assignment, self._codes)

    def slope(self, index: int, cost: float) -> float:
        """What a bit of a group adds to the cost; 0 where it has none to lose."""
        group = self._program.groups[index]
        keys = [key for key in group.slots if key in self._codes]
        if self._effective and keys:
            return self._slope_of_weights(group, keys, cost)
        return self._slope_of_type(group.bits.choice, cost)

    def _slope_of_weights(self, group: BitsGroup, keys: Sequence[tuple[str, str]], cost: float) -> float:
        """Per bit of all groups of weights with one width."""
        changed, count = dict(self._codes), 0
        for key in keys:
            changed[key], with_bits = without_last_bit(self._codes[key], group.bits.shape)
            count += with_bits
        if not count:
            return 0.0
        saved = cost - self._price(self._learned.assignment, changed)
        return max(saved, 0.0) / (count if group.bits.shape else 1)

    def _slope_of_type(self, choice: BitsChoice, cost: float) -> float:
        now = self._index(choice)
        fewer = [index for index in range(now) if choice.grids[index].bits < choice.grids[now].bits]
        if not fewer:
            return 0.0
        values = {**self._learned.assignment.values, choice.name: choice.specs[fewer[-1]].label}
        saved = cost - self._price(self._plan.choices.assignment(values), self._codes)
        return max(saved, 0.0) / (choice.grids[now].bits - choice.grids[fewer[-1]].bits)

    def _price(self, assignment: Assignment, codes: Mapping[tuple[str, str], NDArray[np.int64]]) -> float:
        by_layer: dict[str, dict[str, NDArray[np.int64]]] = {}
        for (name, slot), values in codes.items() if self._effective else ():
            layer: Any = self._program.layer(name)
            by_layer.setdefault(name, {})[slot] = channels_last(values, layer.channel_axes(slot))
        try:
            return self._plan.pricer.value(assignment, by_layer)
        except Infeasible:
            return 0.0


def without_last_bit(codes: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], int]:
    """Codes rounded to where every group of one width needs a bit less, and how many groups have a bit.

    `shape` broadcasts to that of `codes`: axes of length 1 are within a group; () is one group.
    """
    axes = tuple(
        axis for axis, size in enumerate(codes.shape) if not shape or (shape[axis] == 1 and size != 1)
    )
    magnitudes = np.abs(codes)
    together = np.bitwise_or.reduce(magnitudes, axis=axes, keepdims=True) if axes else magnitudes
    unit = 2 * np.maximum(together & -together, 1)
    return np.sign(codes) * (magnitudes // unit) * unit, int(np.count_nonzero(together))


# --- a training that goes on -----------------------------------------------------------------------------------------


def save_state(state: ProgramState, path: Path) -> None:
    """Write everything that the next stage continues."""
    arrays = {name: keras.ops.convert_to_numpy(getattr(state, name)) for name in _FIELDS}
    for name in ("moments", "integers"):
        for index, tensor in enumerate(getattr(state, name)):
            arrays[f"{name}_{index}"] = keras.ops.convert_to_numpy(tensor)
    np.savez(path, **arrays)


def load_state(path: Path, new: ProgramState) -> ProgramState:
    """What `save_state` wrote; `new`: a state of the same program. ValueError for that of another network."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)

    def read(name: str, like: Any) -> Any:
        array = arrays.get(name)
        if array is None or array.shape != tuple(like.shape):
            raise ValueError(f"{path.name} is not a state of this training: {name} differs")
        return keras.ops.convert_to_tensor(array)

    return ProgramState(
        weights=read("weights", new.weights),
        moments=tuple(read(f"moments_{index}", like) for index, like in enumerate(new.moments)),
        scalar=read("scalar", new.scalar),
        steps=read("steps", new.steps),
        statistics=read("statistics", new.statistics),
        integers=tuple(read(f"integers_{index}", like) for index, like in enumerate(new.integers)),
    )
