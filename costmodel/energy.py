"""The energy of one inference: every layer's memory accesses and operations, in pJ.

Call `prepare` once for an architecture, then `price` or `price_many` for assignments of types. The price of a layer
depends only on the types of its inputs and slots, and is cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from costmodel.data_type import DataType, SlotTypes
from costmodel.errors import InvalidTypes
from costmodel.foldable import foldable_pairs
from costmodel.included import included_parts
from costmodel.layer import Layer, elements
from costmodel.layer_classes import OUTPUT_SLOT, TRAINING_ONLY, lower
from costmodel.layer_energy import LayerEnergy
from costmodel.lowering import Family, Lowering
from costmodel.memory import Access
from costmodel.network import Network, with_widths
from costmodel.operators import typed_work
from costmodel.propagation import canonical
from costmodel.settings import EnergySettings, check_type
from costmodel.typed_layer import LayerWork, Mode, Operation, TypedLayer

#: Priced combinations of types cached for each layer before its cache is emptied.
MAX_CACHED: Final = 50_000


@dataclass(frozen=True, slots=True)
class PricedLayer:
    """One layer's energy, and what it was computed from."""

    energy: LayerEnergy
    operation_count: int
    quantized: bool
    input_types: tuple[DataType, ...]
    work: LayerWork
    accesses: tuple[Access, ...]
    folds: bool = False  #: a batch normalization that the layer before takes over

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
    """Energy of a network's layers, in topological order; `energy_pj` is the sum of the included parts.

    In QTools' accounting every part is rounded to 0.01 pJ and sums are truncated to whole pJ, as QTools does.
    """

    layers: tuple[PricedLayer, ...]
    energy_pj: float
    total_pj: float
    settings: EnergySettings
    source_types: tuple[DataType, ...]

    def layer(self, name: str) -> PricedLayer:
        """The layer of this name; `KeyError` if there is none, or if it does nothing at inference."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def shares(self) -> dict[str, float]:
        """Each layer's share of the network's energy, from 0 to 1; they sum to 1 unless the energy is 0."""
        whole = sum(layer.energy.included_pj for layer in self.layers)
        return {layer.name: layer.energy.included_pj / whole if whole else 0.0 for layer in self.layers}


@dataclass(frozen=True)
class Node:
    """A layer and its position in the network.

    `sources`: for each input whether it is the network's, and its index among the network's inputs or the nodes.
    `reads_input_layer`: the first is the network's, with no layer between that only acts in training.
    """

    layer: Layer
    lowering: Lowering
    sources: tuple[tuple[bool, int], ...]
    reads_input_layer: bool
    on_input: bool
    on_output: bool
    leaf: bool
    folds_into: str | None  #: the layer before, where it is a batch normalization that folds
    input_elements: tuple[int, ...]
    output_elements: int


_Key = tuple[Any, ...]


@dataclass(frozen=True)
class Prepared:
    """A network ready to be priced many times."""

    network: Network
    nodes: tuple[Node, ...]
    _caches: dict[_Key, list[dict[_Key, PricedLayer]]] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def resized(self, widths: Mapping[str, int]) -> Prepared:
        """The same network with other widths; itself if there are none. Raises as `with_widths`."""
        return prepare(with_widths(self.network, widths)) if widths else self

    def caches(self, settings: EnergySettings, reference: bool) -> list[dict[_Key, PricedLayer]]:
        """For each node the prices already computed under these settings."""
        key = (settings, reference)
        caches = self._caches.get(key)
        if caches is None:
            if len(self._caches) >= 16:
                self._caches.clear()
            caches = self._caches[key] = [{} for _ in self.nodes]
        return caches


def prepare(network: Network) -> Prepared:
    """Count every layer's work and find where each input comes from, skipping layers that only act in training."""
    sources_of: dict[str, tuple[bool, int]] = {name: (True, i) for i, name in enumerate(network.inputs)}
    read = {name for layer in network.layers for name in layer.inbound}
    behind_dropout = _passed_on(network)
    pairs = foldable_pairs(network)
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
        folds_into, direct = pairs.get(layer.name), layer.inbound[0] in network.inputs
        size = elements(layer.output_shape)
        nodes.append(
            Node(layer, lowering, sources, direct, on_input, on_output, leaf, folds_into, sizes, size)
        )
    return Prepared(network, tuple(nodes))


def _passed_on(network: Network) -> dict[str, bool]:
    """Layers whose output is the network's through a layer that only acts in training."""
    read = {name for layer in network.layers for name in layer.inbound}
    passed_on: dict[str, bool] = {}
    for layer in reversed(network.layers):
        last = layer.name not in read or passed_on.get(layer.name, False)
        if layer.class_name in TRAINING_ONLY and last:
            passed_on[layer.inbound[0]] = True
    return passed_on


def price(prepared: Prepared, types: Mapping[str, SlotTypes], settings: EnergySettings) -> EnergyReport:
    """Price a trial: the layers in `types` are quantized, the others are float layers.

    `types`: layer -> slot -> type; slots are kernel, bias, activation, gamma, beta, mean, variance, pointwise_kernel,
    recurrent_kernel, state, embeddings, average, alpha, and those of attention (query_kernel, ...); an input layer has
    an activation. None or a missing slot: not quantized. Raises `InvalidTypes` and `InvalidSettings`.
    """
    _check(prepared, types)
    return _report(prepared, settings, types, reference=False)


def price_reference(prepared: Prepared, settings: EnergySettings) -> EnergyReport:
    """Price the network with nothing quantized: the settings' `internal` and `accumulator` types everywhere."""
    return _report(prepared, settings, {}, reference=True)


def price_many(
    prepared: Prepared, assignments: Iterable[Mapping[str, SlotTypes]], settings: EnergySettings
) -> list[float]:
    """The energy in pJ of each assignment of types, as `price` computes it; fast enough for hundreds of thousands."""
    plain = settings.sources(len(prepared.network.inputs), False)
    caches = prepared.caches(settings, False)
    totals = []
    for types in assignments:
        sources = _source_types(prepared, types, plain, settings)
        layers = _layers(prepared, settings, types, sources, caches, False)
        totals.append(_sum([layer.energy.included_pj for layer in layers], settings))
    return totals


def _check(prepared: Prepared, types: Mapping[str, SlotTypes]) -> None:
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
    prepared: Prepared, settings: EnergySettings, types: Mapping[str, SlotTypes], *, reference: bool
) -> EnergyReport:
    plain = settings.sources(len(prepared.network.inputs), reference)
    sources = _source_types(prepared, types, plain, settings)
    caches = prepared.caches(settings, reference)
    layers = tuple(_layers(prepared, settings, types, sources, caches, reference))
    energy_pj = _sum([layer.energy.included_pj for layer in layers], settings)
    total_pj = _sum([layer.energy.total_pj for layer in layers], settings)
    return EnergyReport(layers, energy_pj, total_pj, settings, sources)


def _source_types(
    prepared: Prepared,
    types: Mapping[str, SlotTypes],
    plain: tuple[DataType, ...],
    settings: EnergySettings,
) -> tuple[DataType, ...]:
    """The types of the network's inputs: those of their quantizers; `plain` of inputs that have none."""
    quantizers = [types.get(name, {}).get(OUTPUT_SLOT) for name in prepared.network.inputs]
    if not any(quantizers):
        return plain
    return tuple(
        source if quantizer is None else canonical(quantizer, settings.inference)
        for source, quantizer in zip(plain, quantizers, strict=True)
    )


def _sum(parts: Sequence[float], settings: EnergySettings) -> float:
    whole = sum(parts)
    return float(int(whole)) if settings.qtools else whole


def _layers(
    prepared: Prepared,
    settings: EnergySettings,
    types: Mapping[str, SlotTypes],
    sources: tuple[DataType, ...],
    caches: list[dict[_Key, PricedLayer]],
    reference: bool,
) -> list[PricedLayer]:
    """Every layer's energy; each is computed once for each combination of types."""
    done: list[PricedLayer] = []
    for node, cache in zip(prepared.nodes, caches, strict=True):
        inputs = [sources[i] if is_input else done[i].work.output for is_input, i in node.sources]
        slots = None if reference else types.get(node.layer.tensors_of)
        folds = node.folds_into is not None and not (types.get(node.folds_into) or {}).get(OUTPUT_SLOT)
        key = (folds, None if slots is None else tuple(slots.items()), *inputs)
        priced = cache.get(key)
        if priced is None:
            if len(cache) >= MAX_CACHED:
                cache.clear()
            priced = cache[key] = _layer(node, tuple(inputs), slots, settings, reference, folds)
        done.append(priced)
    return done


def _layer(
    node: Node,
    inputs: tuple[DataType, ...],
    slots: SlotTypes | None,
    settings: EnergySettings,
    reference: bool,
    folds: bool,
) -> PricedLayer:
    mode = Mode.REFERENCE if reference else Mode.FLOAT if slots is None else Mode.QUANTIZED
    typed = TypedLayer(
        layer=node.layer,
        lowering=node.lowering,
        inputs=inputs,
        slots=slots or {},
        mode=mode,
        internal=settings.internal,
        accumulator=settings.accumulator,
        qtools=settings.qtools,
        inference=settings.inference,
    )
    work = typed_work(typed)
    read = _input_accesses(node, inputs, work, settings)
    parameters = _parameter_accesses(node, work, settings)
    written = _output_access(node, work, settings)
    parts = {
        "inputs": sum([access.energy_pj for access in read]),
        "outputs": written.energy_pj,
        "parameters": sum([access.energy_pj for access in parameters]),
        "operations": _operations_pj(work.operations, settings),
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
        included=included_parts(node.layer, node.lowering, settings.qtools, folds),
    )
    return PricedLayer(
        energy=energy,
        operation_count=work.operation_count,
        quantized=slots is not None,
        input_types=inputs,
        work=work,
        accesses=(*read, *parameters, written),
        folds=folds,
    )


def reprice(
    prepared: Prepared, index: int, priced: PricedLayer, slots: SlotTypes, settings: EnergySettings
) -> PricedLayer:
    """A priced layer, the node of this index, with other types in its slots; its inputs stay as they are."""
    return _layer(prepared.nodes[index], priced.input_types, slots, settings, False, priced.folds)


def _operations_pj(operations: tuple[Operation, ...], settings: EnergySettings) -> float:
    """All operations; prices of equal counts are added before they are multiplied, to agree with QTools exactly."""
    prices: dict[int, float] = {}
    for operation in operations:
        prices[operation.count] = prices.get(operation.count, 0.0) + gate_pj(operation, settings)
    return sum(count * energy_pj for count, energy_pj in prices.items())


def gate_pj(operation: Operation, settings: EnergySettings) -> float:
    """The price of doing an operation once."""
    gate = operation.gate
    return gate.factor * settings.technology.operation_pj(gate.op, gate.bits, gate.float_bits)


def _input_accesses(
    node: Node, inputs: tuple[DataType, ...], work: LayerWork, settings: EnergySettings
) -> list[Access]:
    accesses = []
    for index, (count, data_type) in enumerate(zip(node.input_elements, inputs, strict=True)):
        read = _reads(node, count, settings) if index == 0 else count
        accesses.append(_access(f"inputs:{index}", count, read, data_type, settings, on_io=node.on_input))
    if node.lowering.family is Family.RECURRENT:  # the state is read and written at every step
        moved = node.lowering.extra["state_elements"]
        size = moved // node.layer.input_shapes[0][0]
        accesses += [
            _access(f"inputs:state {way}", size, moved, work.output, settings) for way in ("read", "write")
        ]
    return accesses


def _parameter_accesses(node: Node, work: LayerWork, settings: EnergySettings) -> list[Access]:
    accesses: list[Access] = []
    if node.layer.is_repeated:  # they were read at the first call
        return accesses
    for parameter, data_type in work.parameters:
        count = read = parameter.elements
        if node.lowering.family is Family.EMBEDDING:
            read = node.lowering.elements  # only the rows looked up
        elif "kernel" in parameter.slot:
            read = _reads(node, count, settings)
        accesses.append(_access(f"parameters:{parameter.slot}", count, read, data_type, settings))
    return accesses


def _output_access(node: Node, work: LayerWork, settings: EnergySettings) -> Access:
    count = node.output_elements
    on_io = node.leaf if settings.qtools else node.on_output
    if settings.qtools and node.lowering.family is Family.BATCH_NORM and node.reads_input_layer:
        count = 1  # QTools loses the shape of a batch normalization that reads the network's input
    return _access("outputs:0", count, count, work.output, settings, on_io=on_io)


def _reads(node: Node, count: int, settings: EnergySettings) -> int:
    """Numbers fetched of an operand of `count`: each once, or once for every `reuse` products it serves."""
    if settings.reuse is None or not node.lowering.macs:
        return count
    return max(count, -(-node.lowering.macs // settings.reuse))


def _access(
    tensor: str, count: int, read: int, data_type: DataType, settings: EnergySettings, *, on_io: bool = False
) -> Access:
    memory, tensor_bits = settings.memory, data_type.stored_bits(count)
    preferred = settings.parameters_on_memory if tensor[0] == "p" else settings.activations_on_memory
    storage = memory.storage(preferred, tensor_bits, on_io)
    bits = data_type.stored_bits(read)
    return Access(tensor, read, bits, storage, tensor_bits, memory.move_pj(storage, bits, tensor_bits))
