"""The answer to a cost request, for the API and the command line. Plain; nothing loads Keras."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from costmodel.costs import UNITS, CostSettings, network_cost
from costmodel.data_type import SlotTypes
from costmodel.energy import EnergyReport, Prepared, PricedLayer, prepare, price, price_reference
from costmodel.errors import CostError, InvalidNetwork, InvalidTypes
from costmodel.explain import Explanation, explain
from costmodel.fold import folded
from costmodel.layer_classes import LAYER_CLASSES, priced_slots, width_field
from costmodel.network import Network
from costmodel.type_map import data_type_map
from quantization.specs.functions import slot_type
from search.errors import InvalidSpec, Problem, pointer_token
from search.networks import architecture as models
from search.spec.cost import CostSpec
from search.spec.job import ZooModel
from search.spec.resolved import NO_UPLOADS, ResolvedModel, UploadLookup, resolve_model

#: Unknown names for which a similar one is looked up; each takes a comparison with every layer.
_MAX_HINTS: Final = 20
_MAX_COMPARED: Final = 200  #: characters of a name that are compared


@dataclass(frozen=True, slots=True)
class LayerPrice:
    """The energy of a layer in pJ. `included_pj`: the sum of the parts in `included`; `share`: of the whole network."""

    name: str
    class_name: str
    output_shape: tuple[int, ...]
    quantizers: Mapping[str, str]
    inputs_pj: float
    parameters_pj: float
    operations_pj: float
    outputs_pj: float
    included: tuple[str, ...]
    included_pj: float
    share: float
    operation_count: int

    def included_part_pj(self, part: str) -> float:
        """The energy of a part ("inputs", ...) if it is included, else 0."""
        return float(getattr(self, f"{part}_pj")) if part in self.included else 0.0


@dataclass(frozen=True, slots=True)
class CostFigure:
    """One cost."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """The cost of one inference. `energy_pj` is the sum of the included parts, `total_pj` that of all parts.

    `reference_pj`: the energy with nothing quantized. `second_hand`: tables of the profile that were not checked
    against their source.
    """

    model: str
    profile: str
    profile_title: str
    accounting: str
    quantized: bool
    energy_pj: float
    total_pj: float
    reference_pj: float
    inputs_pj: float
    parameters_pj: float
    operations_pj: float
    outputs_pj: float
    layers: tuple[LayerPrice, ...]
    costs: Mapping[str, CostFigure]
    second_hand: tuple[str, ...]
    explanation: Mapping[str, Any] | None = None
    types: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Priced:
    """A priced network, from which the answer is read."""

    spec: CostSpec
    model: ResolvedModel
    prepared: Prepared
    settings: CostSettings
    types: Mapping[str, SlotTypes] | None
    report: EnergyReport
    reference: EnergyReport

    def answer(self) -> NetworkCost:
        """Everything that the request asks for. Raises `InvalidSpec` if it explains a layer without a price."""
        report, technology = self.report, self.report.settings.technology
        parts = ("inputs", "parameters", "operations", "outputs")
        layers = tuple(self._layer(layer, share) for layer, share in self._shares())
        sums = {f"{part}_pj": sum(layer.included_part_pj(part) for layer in layers) for part in parts}
        return NetworkCost(
            model=_title(self.model),
            profile=technology.name,
            profile_title=technology.title,
            accounting=str(report.settings.accounting),
            quantized=self.types is not None,
            energy_pj=report.energy_pj,
            total_pj=report.total_pj,
            reference_pj=self.reference.energy_pj,
            layers=layers,
            costs={name: CostFigure(self.cost(name), UNITS[name]) for name in self.spec.costs},
            second_hand=tuple(table for table, source in technology.price_sources if source.second_hand),
            explanation=None if self.spec.explain is None else self.explanation(self.spec.explain).as_dict(),
            types=data_type_map(report, self.prepared) if self.spec.types else None,
            **sums,
        )

    def cost(self, name: str) -> float:
        """One cost by its name."""
        return network_cost(name, self.prepared, self.types, self.settings)

    def explanation(self, layer: str) -> Explanation:
        """How the energy of a layer is derived. Raises `InvalidSpec` for a layer without a price."""
        priced_names = [priced.name for priced in self.report.layers]
        if layer not in priced_names:
            raise InvalidSpec([Problem("/explain", _no_layer(layer, priced_names, " that has a price"))])
        return explain(self.report, layer)

    def _shares(self) -> Iterable[tuple[PricedLayer, float]]:
        shares = self.report.shares()
        return ((layer, shares[layer.name]) for layer in self.report.layers)

    def _layer(self, layer: PricedLayer, share: float) -> LayerPrice:
        slot_quantizers = (self.spec.quantizers or {}).get(layer.name, {})
        return LayerPrice(
            name=layer.name,
            class_name=layer.class_name,
            output_shape=self.prepared.network.layer(layer.name).output_shape,
            quantizers={
                slot: str(quantizer) for slot, quantizer in slot_quantizers.items() if quantizer is not None
            },
            inputs_pj=layer.energy.inputs_pj,
            parameters_pj=layer.energy.parameters_pj,
            operations_pj=layer.energy.operations_pj,
            outputs_pj=layer.energy.outputs_pj,
            included=layer.energy.included,
            included_pj=layer.energy.included_pj,
            share=share,
            operation_count=layer.operation_count,
        )


def price_network(spec: CostSpec, uploads: UploadLookup = NO_UPLOADS) -> Priced:
    """Price a network. Raises `InvalidSpec` with pointers to its faults."""
    # what was built from a job may be priced again, folded layers among it
    model = _named_as_before(resolve_model(spec.model, uploads, frozenset(LAYER_CLASSES)), spec)
    network = models.priceable(model)
    if spec.normalization == "fold":
        network = folded(network)
    settings = spec.settings.settings()
    reference_options = spec.settings if spec.reference is None else spec.reference
    reference_settings = reference_options.settings("/settings" if spec.reference is None else "/reference")
    problems = [*_unknown_widths(spec, network), *_unknown_slots(spec, network), *_two_sources(spec, network)]
    problems += _untrained(spec)
    if problems:
        raise InvalidSpec(problems)
    original = prepare(network)
    prepared = _resized(spec, original)
    unquantized = original if spec.reference_model is None else _reference_network(spec, uploads)
    types = _types(spec)
    try:
        reference = price_reference(unquantized, reference_settings.energy)
        if types is None:
            settings, report = reference_settings, price_reference(prepared, reference_settings.energy)
        else:
            report = price(prepared, types, settings.energy)
    except InvalidTypes as error:
        raise InvalidSpec([Problem(f"/quantizers/{pointer_token(error.layer)}", error.reason)]) from error
    except CostError as error:
        raise InvalidSpec([Problem("/model", str(error))]) from error
    except ArithmeticError as error:  # a curve so steep that interpolation overflows
        raise InvalidSpec([_infinite_price(spec)]) from error
    if not math.isfinite(report.total_pj + reference.total_pj):
        raise InvalidSpec([_infinite_price(spec)])
    return Priced(spec, model, prepared, settings, types, report, reference)


def _named_as_before(model: ResolvedModel, spec: CostSpec) -> ResolvedModel:
    """A bundled network, its input under the name by which the request calls it: files of version 0.1 say `input`."""
    if isinstance(model, ZooModel) and "input" in (spec.quantizers or {}):
        return model.model_copy(update={"input_name": "input"})
    return model


def _reference_network(spec: CostSpec, uploads: UploadLookup) -> Prepared:
    """The network that the reference is of, where that is not the model."""
    assert spec.reference_model is not None
    try:
        return prepare(models.priceable(resolve_model(spec.reference_model, uploads)))
    except InvalidSpec as error:
        problems = [
            replace(p, pointer=p.pointer.replace("/model", "/reference_model", 1)) for p in error.problems
        ]
        raise InvalidSpec(problems) from error


def _infinite_price(spec: CostSpec) -> Problem:
    name = spec.settings.profile if isinstance(spec.settings.profile, str) else "this profile"
    return Problem("/settings/profile", f"{name} gives a price that is not finite")


def _resized(spec: CostSpec, prepared: Prepared) -> Prepared:
    """The network at the requested widths."""
    layer = prepared.network.layer
    changed = {
        name: width
        for name, width in spec.widths.items()
        if layer(name).config[width_field(layer(name).class_name) or ""] != width
    }
    try:
        return prepared.resized(changed)
    except InvalidNetwork as error:
        path = f"/widths/{pointer_token(error.layer)}" if error.layer in changed else "/widths"
        raise InvalidSpec([Problem(path, str(error))]) from error


def _types(spec: CostSpec) -> dict[str, SlotTypes] | None:
    if spec.quantizers is None:
        return None
    return {
        layer: {
            slot: replace(slot_type(quantizer), distinct=spec.distinct.get(layer, {}).get(slot, 0))
            for slot, quantizer in slots.items()
            if quantizer is not None
        }
        for layer, slots in spec.quantizers.items()
    }


def _unknown_slots(spec: CostSpec, network: Network) -> list[Problem]:
    layers = {layer.name: layer for layer in network.layers}
    problems: list[Problem] = []
    for name, slots in (spec.quantizers or {}).items():
        if name not in layers:
            hint = len(problems) < _MAX_HINTS
            problems.append(Problem(f"/quantizers/{pointer_token(name)}", _no_layer(name, layers, hint=hint)))
            continue
        layer, allowed = layers[name], priced_slots(layers[name])
        problems += [
            Problem(
                f"/quantizers/{pointer_token(name)}/{pointer_token(slot)}",
                f"layer {name!r} ({layer.class_name}) has no {slot!r}; it has {', '.join(allowed) or 'none'}",
            )
            for slot, quantizer in slots.items()
            if quantizer is not None and slot not in allowed
        ]
    return problems


def _untrained(spec: CostSpec) -> list[Problem]:
    """A price of trained values without any."""
    if not spec.settings.inference or spec.distinct:
        return []
    reason = (
        "nothing says how many values trained power-of-two weights have: give the quantizers.json of a trial that has"
        " such weights, or `distinct`, or leave this out"
    )
    return [Problem("/settings/inference", reason)]


def _two_sources(spec: CostSpec, network: Network) -> list[Problem]:
    """What an input is, said twice."""
    quantized = [name for name in network.inputs if any((spec.quantizers or {}).get(name, {}).values())]
    if spec.settings.source is None or not quantized:
        return []
    reason = f"the input {quantized[0]!r} has a quantizer, which says its type: leave out one of the two"
    return [Problem("/settings/source", reason)]


def _unknown_widths(spec: CostSpec, network: Network) -> list[Problem]:
    wide = {layer.name: layer for layer in network.layers if width_field(layer.class_name) is not None}
    return [
        Problem(
            f"/widths/{pointer_token(name)}",
            _no_layer(name, wide, " with filters or units", hint=index < _MAX_HINTS),
        )
        for index, name in enumerate(name for name in spec.widths if name not in wide)
    ]


def _no_layer(name: str, candidates: Iterable[str], which: str = "", *, hint: bool = True) -> str:
    if not hint:
        return f"there is no layer {name[:100]!r}{which}"
    names = list(candidates)
    close = difflib.get_close_matches(name[:_MAX_COMPARED], names, n=1)
    names_text = f"; did you mean {close[0]!r}?" if close else f"; the layers are {_listed(names)}"
    return f"there is no layer {name[:100]!r}{which}{names_text}"


def _listed(names: list[str], most: int = 20) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _title(model: ResolvedModel) -> str:
    if isinstance(model, ZooModel):
        return model.name
    config = models.architecture(model)
    body = config.get("config")
    name = body.get("name") if isinstance(body, Mapping) else config.get("name")
    return name if isinstance(name, str) else "a network"
