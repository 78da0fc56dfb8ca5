"""The energy of one inference: every layer's memory accesses and operations, in pJ.

`prepare` once for an architecture; then `price` an assignment of types, or `price_many`, as often as wanted: a layer's
price depends only on the types it is given and owns, and is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from costmodel.case import Case, Mode, Operation, Work
from costmodel.elementwise import in_layer
from costmodel.errors import InvalidTypes
from costmodel.fold import foldable
from costmodel.layer import Layer, elements
from costmodel.layer_classes import TRAINING_ONLY, lower
from costmodel.layer_energy import LayerEnergy
from costmodel.lowering import Family, Lowering
from costmodel.memory import Access
from costmodel.network import Network, with_widths
from costmodel.operators import work
from costmodel.settings import EnergySettings, check_type
from costmodel.work import DataType, Slots

#: Priced combinations of types kept for each layer before the memory is emptied.
MAX_REMEMBERED: Final = 50_000


@dataclass(frozen=True, slots=True)
class PricedLayer:
    """One layer's energy, and what it was computed from."""

    energy: LayerEnergy
    operation_count: int
    quantized: bool
    input_types: tuple[DataType, ...]
    work: Work
    accesses: tuple[Access, ...]

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.energy.name

    @property
    def class_name(self) -> str:
        """The layer's Keras class."""
        return self.energy.class_name

    @property
    def output_type(self) -> DataType:
        """The type of the layer's output."""
        return self.work.output


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """Energy of a network's layers, in topological order; `energy_pj` is the sum of what is included.

    In QTools' accounting every part is rounded to 0.01 pJ and the sums are cut to whole pJ, as there.
    """

    layers: tuple[PricedLayer, ...]
    energy_pj: float
    total_pj: float
    settings: EnergySettings
    source_types: tuple[DataType, ...]

    def layer(self, name: str) -> PricedLayer:
        """The layer of this name; `KeyError` if it has none or costs nothing at inference."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def shares(self) -> dict[str, float]:
        """Each layer's share of the network's energy, from 0 to 1; they sum to 1 unless everything is free."""
        whole = sum(layer.energy.included_pj for layer in self.layers)
        return {layer.name: layer.energy.included_pj / whole if whole else 0.0 for layer in self.layers}


@dataclass(frozen=True)
class Node:
    """A layer with its place in the network. `sources`: (from the network's inputs?, index) of each input."""

    layer: Layer
    lowering: Lowering
    sources: tuple[tuple[bool, int], ...]
    on_input: bool
    on_output: bool
    leaf: bool
    foldable: bool
    input_elements: tuple[int, ...]
    output_elements: int


_Key = tuple[Any, ...]


@dataclass(frozen=True)
class Prepared:
    """A network ready to be priced many times."""

    network: Network
    nodes: tuple[Node, ...]
    _remembered: dict[_Key, list[dict[_Key, PricedLayer]]] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def resized(self, widths: Mapping[str, int]) -> Prepared:
        """The same network with other widths; itself if there are none. Raises as `with_widths`."""
        return prepare(with_widths(self.network, widths)) if widths else self

    def remembered(self, settings: EnergySettings, reference: bool) -> list[dict[_Key, PricedLayer]]:
        """For each node the prices already worked out under these settings."""
        key = (settings, reference)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= 16:
                self._remembered.clear()
            found = self._remembered[key] = [{} for _ in self.nodes]
        return found


def prepare(network: Network) -> Prepared:
    """Count every layer's work and find where each input comes from, skipping layers that only act in training."""
    sources_of: dict[str, tuple[bool, int]] = {name: (True, i) for i, name in enumerate(network.inputs)}
    read = {name for layer in network.layers for name in layer.inbound}
    behind_dropout = _passed_on(network)
    nodes: list[Node] = []
    for layer in network.layers:
        lowering = lower(layer)
        if lowering is None:
            if layer.inbound:  # it only acts in training
                sources_of[layer.name] = sources_of[layer.inbound[0]]
            continue
        sources = tuple(sources_of[name] for name in layer.inbound)
        sources_of[layer.name] = (False, len(nodes))
        leaf = layer.name not in read or behind_dropout.get(layer.name, False)
        on_output = leaf or layer.name in network.outputs
        on_input = any(is_input for is_input, _ in sources)
        sizes = tuple(elements(shape) for shape in layer.input_shapes)
        folds = foldable(network, layer)
        size = elements(layer.output_shape)
        nodes.append(Node(layer, lowering, sources, on_input, on_output, leaf, folds, sizes, size))
    return Prepared(network, tuple(nodes))


def _passed_on(network: Network) -> dict[str, bool]:
    """Layers whose output is the network's through a layer that only acts in training."""
    read = {name for layer in network.layers for name in layer.inbound}
    found: dict[str, bool] = {}
    for layer in reversed(network.layers):
        last = layer.name not in read or found.get(layer.name, False)
        if layer.class_name in TRAINING_ONLY and last:
            found[layer.inbound[0]] = True
    return found


def price(prepared: Prepared, types: Mapping[str, Slots], settings: EnergySettings) -> EnergyReport:
    """Price a trial: layers of `types` are quantized as given, the others are float layers.

    `types`: layer -> slot -> type; slots are kernel, bias, activation, gamma, beta, mean, variance, pointwise_kernel,
    recurrent_kernel, state, embeddings, average, alpha, and what attention owns (query_kernel, ...). None or a
    missing slot: not quantized. Raises `InvalidTypes` and `InvalidSettings`.
    """
    _check(prepared, types)
    return _report(prepared, settings, types, reference=False)


def price_reference(prepared: Prepared, settings: EnergySettings) -> EnergyReport:
    """Price the network with nothing quantized: the settings' `internal` and `accumulator` types everywhere."""
    return _report(prepared, settings, {}, reference=True)


def price_many(
    prepared: Prepared, assignments: Iterable[Mapping[str, Slots]], settings: EnergySettings
) -> list[float]:
    """The energy in pJ of each assignment of types, as `price` gives it. Meant for hundreds of thousands."""
    sources = settings.sources(len(prepared.network.inputs), False)
    remembered = prepared.remembered(settings, False)
    totals = []
    for types in assignments:
        layers = _layers(prepared, settings, types, sources, remembered, False)
        totals.append(_sum([layer.energy.included_pj for layer in layers], settings))
    return totals


def _check(prepared: Prepared, types: Mapping[str, Slots]) -> None:
    for name, slots in types.items():
        prepared.network.layer(name)
        if not isinstance(slots, Mapping):
            raise InvalidTypes(str(name), "must map slots to types")
        for slot, data_type in slots.items():
            if data_type is not None:
                try:
                    check_type(str(slot), data_type)
                except ValueError as error:
                    raise InvalidTypes(name, str(error)) from error


def _report(
    prepared: Prepared, settings: EnergySettings, types: Mapping[str, Slots], *, reference: bool
) -> EnergyReport:
    sources = settings.sources(len(prepared.network.inputs), reference)
    remembered = prepared.remembered(settings, reference)
    layers = tuple(_layers(prepared, settings, types, sources, remembered, reference))
    energy_pj = _sum([layer.energy.included_pj for layer in layers], settings)
    total_pj = _sum([layer.energy.total_pj for layer in layers], settings)
    return EnergyReport(layers, energy_pj, total_pj, settings, sources)


def _sum(parts: Sequence[float], settings: EnergySettings) -> float:
    whole = sum(parts)
    return float(int(whole)) if settings.qtools else whole


def _layers(
    prepared: Prepared,
    settings: EnergySettings,
    types: Mapping[str, Slots],
    sources: tuple[DataType, ...],
    remembered: list[dict[_Key, PricedLayer]],
    reference: bool,
) -> list[PricedLayer]:
    """Every layer's energy, each worked out once for the types it meets."""
    done: list[PricedLayer] = []
    for node, known in zip(prepared.nodes, remembered, strict=True):
        given = [sources[i] if is_input else done[i].work.output for is_input, i in node.sources]
        slots = None if reference else types.get(node.layer.name)
        key = (None if slots is None else tuple(slots.items()), *given)
        found = known.get(key)
        if found is None:
            if len(known) >= MAX_REMEMBERED:
                known.clear()
            found = known[key] = _layer(node, tuple(given), slots, settings, reference)
        done.append(found)
    return done


def _layer(
    node: Node, given: tuple[DataType, ...], slots: Slots | None, settings: EnergySettings, reference: bool
) -> PricedLayer:
    mode = Mode.REFERENCE if reference else Mode.FLOAT if slots is None else Mode.QUANTIZED
    case = Case(
        layer=node.layer,
        lowering=node.lowering,
        inputs=given,
        slots=slots or {},
        mode=mode,
        internal=settings.internal,
        accumulator=settings.accumulator,
        qtools=settings.qtools,
        inference=settings.inference,
    )
    done = work(case)
    read = _input_accesses(node, given, done, settings)
    owned = _parameter_accesses(node, done, settings)
    written = _output_access(node, done, settings)
    parts = {
        "inputs": sum([access.energy_pj for access in read]),
        "outputs": written.energy_pj,
        "parameters": sum([access.energy_pj for access in owned]),
        "operations": _operations_pj(done.operations, settings),
    }
    if settings.qtools:
        parts = {name: round(value, 2) for name, value in parts.items()}
    energy = LayerEnergy(
        name=node.layer.name,
        class_name=node.layer.class_name,
        inputs_pj=parts["inputs"],
        outputs_pj=parts["outputs"],
        parameters_pj=parts["parameters"],
        operations_pj=parts["operations"],
        included=included_parts(node, settings.qtools),
    )
    return PricedLayer(
        energy=energy,
        operation_count=done.operation_count,
        quantized=slots is not None,
        input_types=given,
        work=done,
        accesses=(*read, *owned, written),
    )


def _operations_pj(operations: tuple[Operation, ...], settings: EnergySettings) -> float:
    """All operations; those done equally often are added before they are counted, as QTools does: to the last digit."""
    each: dict[int, float] = {}
    for operation in operations:
        each[operation.count] = each.get(operation.count, 0.0) + gate_pj(operation, settings)
    return sum(count * energy_pj for count, energy_pj in each.items())


def gate_pj(operation: Operation, settings: EnergySettings) -> float:
    """What one operation of a kind costs."""
    gate = operation.gate
    return gate.factor * settings.technology.operation_pj(gate.op, gate.bits, gate.float_bits)


def _input_accesses(
    node: Node, given: tuple[DataType, ...], done: Work, settings: EnergySettings
) -> list[Access]:
    accesses = []
    for index, (count, data_type) in enumerate(zip(node.input_elements, given, strict=True)):
        read = _reads(node, count, settings) if index == 0 else count
        accesses.append(_access(f"inputs:{index}", count, read, data_type, settings, on_io=node.on_input))
    if node.lowering.family is Family.RECURRENT:  # the state is read and written at every step
        moved = node.lowering.extra["state_elements"]
        held = moved // node.layer.input_shapes[0][0]
        accesses += [
            _access(f"inputs:state {way}", held, moved, done.output, settings) for way in ("read", "write")
        ]
    return accesses


def _parameter_accesses(node: Node, done: Work, settings: EnergySettings) -> list[Access]:
    accesses = []
    for parameter, data_type in done.parameters:
        count = read = parameter.elements
        if node.lowering.family is Family.EMBEDDING:
            read = node.lowering.elements  # only the rows looked up
        elif "kernel" in parameter.slot:
            read = _reads(node, count, settings)
        accesses.append(_access(f"parameters:{parameter.slot}", count, read, data_type, settings))
    return accesses


def _output_access(node: Node, done: Work, settings: EnergySettings) -> Access:
    count = node.output_elements
    on_io = node.leaf if settings.qtools else node.on_output
    if settings.qtools and node.lowering.family is Family.BATCH_NORM and node.sources[0][0]:
        count = 1  # QTools loses the shape of a batch normalization that reads the network's input
    return _access("outputs:0", count, count, done.output, settings, on_io=on_io)


def _reads(node: Node, count: int, settings: EnergySettings) -> int:
    """Numbers fetched of an operand of `count`: each once, or once for every `reuse` products it serves."""
    if settings.reuse is None or not node.lowering.macs:
        return count
    return max(count, -(-node.lowering.macs // settings.reuse))


def _access(
    tensor: str, count: int, read: int, data_type: DataType, settings: EnergySettings, *, on_io: bool = False
) -> Access:
    memory, held = settings.memory, count * data_type.bits
    wanted = settings.parameters_on_memory if tensor[0] == "p" else settings.activations_on_memory
    place = memory.place(wanted, held, on_io)
    bits = read * data_type.bits
    return Access(tensor, read, bits, place, held, memory.move_pj(place, bits, held))


#: Parts that count, for the classes QTools does not count in its default way.
_QTOOLS_INCLUDED: Final[Mapping[str, tuple[str, ...]]] = {
    "Activation": ("outputs",),
    "BatchNormalization": ("parameters",),
    "Add": ("operations",),
    "Subtract": ("operations",),
    "MaxPooling2D": ("operations",),
}
_DEFAULT_INCLUDED: Final = ("inputs", "parameters", "operations")


def included_parts(node: Node, qtools: bool) -> tuple[str, ...]:
    """The parts of a layer's energy that count towards the network's.

    What a layer gives is handed on and read once, by the layer behind it; an activation's output is written. Sums of
    tensors and maximum pooling happen on the way. A batch normalization vanishes into the layer before it, of which
    only its parameters remain; where it cannot, it is computed.
    """
    name, family = node.layer.class_name, node.lowering.family
    if qtools:
        name = "Activation" if family is Family.ACTIVATION else name
        return _QTOOLS_INCLUDED.get(name, _DEFAULT_INCLUDED)
    if family is Family.ACTIVATION:
        return ("parameters", "outputs", "operations")
    if family is Family.BATCH_NORM:
        return ("parameters",) if node.foldable else ("parameters", "operations")
    if name in ("Add", "Subtract") or name.startswith("MaxPooling"):
        return ("operations",)
    if family in (Family.MAC, Family.SEPARABLE) and in_layer(node.layer):
        return (*_DEFAULT_INCLUDED, "outputs")
    return _DEFAULT_INCLUDED
