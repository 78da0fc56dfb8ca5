"""The cost of assignments, computed without building a model. Plain; used by dry runs, bounds and oracles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from threading import Lock
from typing import Final

from cachetools import LRUCache, cachedmethod

from costmodel.bits import BitsReport, model_bits, reference_bits
from costmodel.costs import CostSettings, network_cost
from costmodel.data_type import DataType, SlotTypes
from costmodel.effective import (
    Granularity,
    LayerCodes,
    effective_costs,
    effective_document,
    effective_value,
)
from costmodel.energy import EnergyReport, Prepared, prepare, price, price_many, price_reference
from costmodel.errors import CostError, InvalidNetwork, InvalidTypes
from costmodel.network import Network
from costmodel.wide import wide_outputs
from quantization.specs.functions import slot_type
from quantization.specs.parse import QuantizerSpec
from search.errors import Infeasible, InvalidSpec, Problem
from search.history import Assignment, Cost
from search.scoring.forgiving_factor import QKERAS_PROFILE
from search.spec.cost import goal_options, unquantized_options
from search.spec.goals import BitsGoal, CountGoal, EnergyGoal, Goal
from search.spec.oracle import Constraints

#: Networks of other widths that are kept; a random search rarely proposes the same widths twice.
_CACHED_NETWORKS: Final = 64

#: The widths that differ from the network's own: layer and width, in order.
_Widths = tuple[tuple[str, int], ...]


class Pricer:
    """Prices assignments of one network under one goal.

    Every cost has energy and bits; `Cost.value` is the one that the goal names. Raises `InvalidSpec` for a goal that
    cannot be priced (an unknown profile, a setting out of range).
    """

    def __init__(self, goal: Goal, network: Network) -> None:
        self._goal = goal
        try:
            self.reference_settings, self.trial_settings = (
                options.cost_settings() for options in goal_options(goal)
            )
            self._prepared = prepare(network)
        except CostError as error:
            raise InvalidSpec([Problem(_pointer(error), str(error))]) from error
        self._resized: LRUCache[_Widths, Prepared] = LRUCache(_CACHED_NETWORKS)
        self._lock = Lock()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the goal."""
        goal = self._goal
        if isinstance(goal, EnergyGoal) and goal.profile == QKERAS_PROFILE and goal.stress != 1:
            return (f"the profile {QKERAS_PROFILE} ignores goal.stress for energy, as QKeras does",)
        return ()

    def reference(self) -> Cost:
        """The cost of the float network. Raises `InvalidSpec` if it is 0: no trial could cost less."""
        cost = self._unquantized(self.reference_settings)
        if cost.value <= 0:
            reason = "counts nothing of this network: its reference costs 0, so no trial can cost less"
            raise InvalidSpec([Problem("/goal", reason)])
        return cost

    def reference_values(self) -> dict[str, float]:
        """`Cost.value` of the float network in int8 and in fp32, whatever types the goal's reference has."""
        return {
            name: self._unquantized(options.cost_settings()).value
            for name, options in unquantized_options(self._goal).items()
        }

    def _unquantized(self, settings: CostSettings) -> Cost:
        report = price_reference(self._prepared, settings.energy)
        bits = reference_bits(self._prepared.network, settings.bits)
        return self._cost(report, bits, self._count(self._prepared, None, settings))

    def price(self, assignment: Assignment) -> Cost:
        """The cost of a trial. Raises `Infeasible` if no network has its widths or types."""
        types = data_types(assignment)
        try:
            prepared = self._with_widths(assignment)
            report = price(prepared, types, self.trial_settings.energy)
            bits = model_bits(prepared.network, types, self.trial_settings.bits)
            return self._cost(report, bits, self._count(prepared, types, self.trial_settings))
        except (InvalidNetwork, InvalidTypes) as error:
            raise Infeasible(str(error)) from error

    def effective(
        self, assignment: Assignment, codes: LayerCodes, cost: Cost
    ) -> tuple[Cost, dict[str, dict[str, float]]]:
        """The cost of a trained trial, and what it costs with its weights, by granularity (`costmodel.effective`).

        `cost` is what its types cost; its value is replaced where the goal counts trained weights.
        """
        goal = self._goal
        costs = effective_costs(
            self._with_widths(assignment),
            data_types(assignment),
            codes,
            self.trial_settings,
            zero_skipping=isinstance(goal, EnergyGoal) and goal.zero_skipping,
        )
        document = effective_document(costs)
        if goal.effective is None:
            return cost, document
        return replace(cost, value=document[goal.effective][cost_unit(goal)]), document

    def value(self, assignment: Assignment, codes: LayerCodes) -> float:
        """`Cost.value` of a network with these trained weights, where the goal counts them; else of its types.

        Raises `Infeasible` as `price`.
        """
        goal = self._goal
        if goal.effective is None:
            value = self.price_many([assignment])[0]
            if value is None:
                raise Infeasible("no network can be built")
            return value
        try:
            return effective_value(
                self._with_widths(assignment),
                data_types(assignment),
                codes,
                self.trial_settings,
                Granularity(goal.effective),
                cost_unit(goal),
                zero_skipping=isinstance(goal, EnergyGoal) and goal.zero_skipping,
            )
        except (InvalidNetwork, InvalidTypes) as error:
            raise Infeasible(str(error)) from error

    def wide_outputs(self, assignment: Assignment) -> dict[str, str]:
        """Layers whose outputs no quantizer keeps narrow -> how wide they are. Raises `Infeasible` as `price`."""
        try:
            prepared = self._with_widths(assignment)
            return wide_outputs(price(prepared, data_types(assignment), self.trial_settings.energy))
        except (InvalidNetwork, InvalidTypes) as error:
            raise Infeasible(str(error)) from error

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the network's inputs."""
        return self._prepared.network.inputs

    def prepared(self, assignment: Assignment) -> Prepared:
        """The network at the widths of an assignment. Raises `InvalidNetwork` where there is none."""
        return self._with_widths(assignment)

    def price_many(self, assignments: Sequence[Assignment]) -> list[float | None]:
        """`price(...).value` of each, ten times as fast; None where `price` raises Infeasible."""
        costs: list[float | None] = [None] * len(assignments)
        alike: dict[_Widths, list[int]] = {}
        for index, assignment in enumerate(assignments):
            alike.setdefault(_widths_key(assignment), []).append(index)
        for indexes in alike.values():
            for index, value in zip(indexes, self._values([assignments[i] for i in indexes]), strict=True):
                costs[index] = value
        return costs

    def _values(self, assignments: Sequence[Assignment]) -> list[float | None]:
        """The values of assignments with the same widths."""
        try:
            prepared = self._with_widths(assignments[0])
        except (InvalidNetwork, InvalidTypes):
            return [None] * len(assignments)
        if isinstance(self._goal, CountGoal):
            return [self._value(assignment) for assignment in assignments]
        if isinstance(self._goal, BitsGoal):
            return [self._bits_of(prepared, assignment) for assignment in assignments]
        try:
            return [*price_many(prepared, many_data_types(assignments), self.trial_settings.energy)]
        except (InvalidNetwork, InvalidTypes):
            return [self._value(assignment) for assignment in assignments]

    def _bits_of(self, prepared: Prepared, assignment: Assignment) -> float | None:
        try:
            return float(model_bits(prepared.network, data_types(assignment), self.trial_settings.bits).total)
        except (InvalidNetwork, InvalidTypes):
            return None

    def _value(self, assignment: Assignment) -> float | None:
        try:
            return self.price(assignment).value
        except Infeasible:
            return None

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """Whether the assignment forms a network whose cost satisfies the constraints."""
        if not constraints.limits_cost:
            return True
        try:
            return self.broken_constraint(assignment, self.price(assignment), constraints) is None
        except Infeasible:
            return False

    def broken_constraint(
        self, assignment: Assignment, cost: Cost, constraints: Constraints
    ) -> dict[str, str | float] | None:
        """The first limit that an assignment of this cost exceeds: its name, the limit and the value; None if none.

        Raises `Infeasible` as `price`.
        """
        for name, limit in constraints.cost_limits.items():
            value = self.part(name, assignment, cost)
            if value > limit:
                return {"constraint": f"max_{name}", "limit": limit, "value": value}
        return None

    def part(self, name: str, assignment: Assignment, cost: Cost) -> float:
        """A cost by its name in `Constraints.cost_limits`, of an assignment whose cost under the goal is `cost`."""
        if name == "energy_pj":
            return cost.energy_pj
        if name == "bits":
            return cost.bits
        if name == self._goal.kind:
            return cost.value
        try:
            prepared = self._with_widths(assignment)
            return network_cost(name, prepared, data_types(assignment), self.trial_settings)
        except (InvalidNetwork, InvalidTypes) as error:
            raise Infeasible(str(error)) from error

    @cachedmethod(
        attrgetter("_resized"), key=lambda _, assignment: _widths_key(assignment), lock=attrgetter("_lock")
    )
    def _with_widths(self, assignment: Assignment) -> Prepared:
        return self._prepared.resized(assignment.widths)

    def _count(
        self, prepared: Prepared, types: Mapping[str, SlotTypes] | None, settings: CostSettings
    ) -> float | None:
        """The count of a `CountGoal`; None under other goals. `types` None: of the reference."""
        if not isinstance(self._goal, CountGoal):
            return None
        return network_cost(self._goal.kind, prepared, types, settings)

    def _cost(self, report: EnergyReport, bits: BitsReport, count: float | None) -> Cost:
        layers = tuple(layer.energy for layer in report.layers)
        value = report.energy_pj if isinstance(self._goal, EnergyGoal) else float(bits.total)
        value = value if count is None else count
        return Cost(value=value, energy_pj=report.energy_pj, bits=bits.total, layers=layers)


def _widths_key(assignment: Assignment) -> _Widths:
    return tuple(sorted(assignment.widths.items()))


def data_types(assignment: Assignment) -> dict[str, SlotTypes]:
    """The data type of every slot, as the cost model reads them."""
    return next(many_data_types([assignment]))


def many_data_types(assignments: Sequence[Assignment]) -> Iterator[dict[str, SlotTypes]]:
    """`data_types` of each; of a quantizer that many of them have, the type is read once."""
    # By identity, which is that of one quantizer while the assignments have it: to hash one costs more than its type.
    types: dict[int, DataType] = {}

    def type_of(spec: QuantizerSpec) -> DataType:
        known = types.get(id(spec))
        if known is None:
            known = types[id(spec)] = slot_type(spec)
        return known

    for assignment in assignments:
        yield {
            layer: {slot: None if spec is None else type_of(spec) for slot, spec in slots.items()}
            for layer, slots in assignment.quantizers.items()
        }


def _pointer(error: CostError) -> str:
    field = getattr(error, "field", None)
    if isinstance(error, InvalidNetwork):
        return "/model"
    return f"/goal/{field.replace('.', '/', 1)}" if field else "/goal/profile"


def cost_unit(goal: Goal) -> str:
    """The unit of `Cost.value` under a goal: "energy_pj", "bits", "bytes", "macs", "bops", ..."""
    return "energy_pj" if isinstance(goal, EnergyGoal) else goal.kind
