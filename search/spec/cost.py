"""A cost request: the network, its quantizers, and the accounting. Frozen values, validated when they are created.

Plain Pydantic; nothing loads Keras. What depends on the network (a layer or slot that it does not have) is checked by
`search.cost.answer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, model_validator

from costmodel.bits import BitsSettings
from costmodel.costs import CostSettings
from costmodel.errors import InvalidProfile, InvalidSettings
from costmodel.foldable import UNFOLDED
from costmodel.memory import Storage
from costmodel.propagation import reference_type
from costmodel.settings import EnergySettings
from costmodel.technology import DEFAULT_PROFILE, parse_profile
from quantization.specs.parse import Quantizer
from search.errors import InvalidSpec, Problem
from search.spec.base import MAX_LAYERS, Frozen
from search.spec.goals import BITS_ACCOUNTING, BitsGoal, BitsPart, EnergyGoal, Goal, Memory
from search.spec.job import Model
from search.spec.types import NamedType, Source, TypeName

CostName = Literal[
    "energy",
    "bits",
    "bytes",
    "parameter_bits",
    "activation_bits",
    "macs",
    "bops",
    "ebops",
    "peak_activation_bits",
]
COST_NAMES: Final[tuple[CostName, ...]] = get_args(CostName)

Bits = Annotated[int, Field(ge=1, le=64)]
_Size = Annotated[int, Field(ge=1)]


class BitsOptions(Frozen):
    """How the size in bits is counted."""

    input_bits: Bits = Field(8, description="bits of an element of the input")
    output_bits: Bits = Field(8, description="bits of an element of a softmax or sigmoid output")
    ref_bits: Bits | None = Field(
        None,
        description="bits of an element of everything that is not quantized; null: the bits of `internal`",
    )
    config: dict[str, tuple[BitsPart, ...]] | None = Field(
        None,
        description="parts that count, by layer class; `default` applies to all other classes; null: all parts",
    )
    accounting: Literal["corrected", "qtools"] = Field("corrected", description=BITS_ACCOUNTING)


class CostOptions(Frozen):
    """How a network is priced."""

    profile: str | dict[str, Any] = Field(
        DEFAULT_PROFILE,
        description="name of an energy profile (`GET /v1/profiles` lists them), or a profile as an object",
    )
    accounting: Literal["corrected", "qtools"] | None = Field(
        None,
        description="qtools: count as QTools does, with its known errors; corrected: without them; null: as the"
        " profile says",
    )
    parameters_on_memory: Memory = Field("sram", description="memory that holds the parameters")
    activations_on_memory: Memory = Field("sram", description="memory that holds the activations")
    min_sram_size_bits: int = Field(
        0,
        ge=0,
        description="size in bits of the smallest on-chip memory; smaller ones are priced as this one",
    )
    rd_wr_on_io: bool = Field(False, description="true: the inputs and outputs of the network are in DRAM")
    source: Source | None = Field(
        None,
        description="type of the inputs; null: 8 bits in a quantized network, `internal` in the reference",
    )
    internal: TypeName = Field(
        "fp32", description="type of parameters and activations in layers that are not quantized"
    )
    accumulator: TypeName = Field("fp32", description="type of sums in layers that are not quantized")
    capacity_bits: _Size | None = Field(
        None, description="size in bits of the on-chip memory; larger tensors are in DRAM; null: no limit"
    )
    reuse: _Size | None = Field(
        None,
        description="products per fetch of an operand; null: each operand is fetched once per inference",
    )
    inference: bool = Field(
        False,
        description="true: price power-of-two weights by the distinct values they have after training, which the"
        " `quantizers.json` of a trial states",
    )
    bits: BitsOptions = Field(BitsOptions(), description="how the size in bits is counted")

    def settings(self, pointer: str = "/settings") -> CostSettings:
        """The settings of the cost model. Raises `InvalidSpec`, with pointers below `pointer`, for invalid ones."""
        try:
            return self.cost_settings()
        except InvalidProfile as error:
            path = "".join(f"/{part}" for part in error.field.split(".")) if error.field else ""
            raise InvalidSpec([Problem(f"{pointer}/profile{path}", str(error))]) from error
        except InvalidSettings as error:
            part = "/bits" if error.field.startswith("config") else ""
            raise InvalidSpec([Problem(f"{pointer}{part}/{error.field}", error.reason)]) from error

    def cost_settings(self) -> CostSettings:
        """As `settings`, with the errors of the cost model."""
        return CostSettings(self._energy(), self._bits())

    def _energy(self) -> EnergySettings:
        profile = self.profile if isinstance(self.profile, str) else parse_profile(self.profile)
        return EnergySettings(
            profile=profile,
            source=None if self.source is None else self.source.data_type(),
            parameters_on_memory=Storage(self.parameters_on_memory),
            activations_on_memory=Storage(self.activations_on_memory),
            min_sram_size_bits=self.min_sram_size_bits,
            rd_wr_on_io=self.rd_wr_on_io,
            internal=reference_type(self.internal),
            accumulator=reference_type(self.accumulator),
            inference=self.inference,
            accounting=self.accounting,
            capacity_bits=self.capacity_bits,
            reuse=self.reuse,
        )

    def _bits(self) -> BitsSettings:
        options = self.bits
        unquantized = reference_type(self.internal).bits if options.ref_bits is None else options.ref_bits
        return BitsSettings(
            options.input_bits, options.output_bits, unquantized, options.config, options.accounting
        )


LayerQuantizers = dict[str, Quantizer | None]  #: slot -> quantizer


class CostSpec(Frozen):
    """A network to price: quantized, or as it is (the reference)."""

    model: Model = Field(description="the network")
    quantizers: dict[str, LayerQuantizers] | None = Field(
        None,
        max_length=MAX_LAYERS,
        description="layer -> slot -> quantizer (null: not quantized), or the contents of a trial's `quantizers.json`,"
        " which also states the settings that its job priced it by; null: nothing is quantized",
    )
    widths: dict[str, Annotated[int, Field(ge=1)]] = Field(
        {},
        max_length=MAX_LAYERS,
        description="layer -> filters or units, for layers that differ from the model's",
    )
    distinct: dict[str, dict[str, Annotated[int, Field(ge=1)]]] = Field(
        {},
        max_length=MAX_LAYERS,
        description="layer -> slot -> how many different values a trained power-of-two tensor has, for"
        " `settings.inference`; a trial's `quantizers.json` states it",
    )
    settings: CostOptions = Field(CostOptions(), description="how the network is priced")
    reference: CostOptions | None = Field(
        None, description="how the reference is priced; null: as `settings`"
    )
    normalization: Literal["float", "fold"] = Field(
        "float",
        description="fold: batch normalizations that can be are folded into the layers before them, as the trials and"
        " the reference of a job with `normalization: fold` are; float: they are priced as layers",
    )
    reference_model: Model | None = Field(
        None, description="the network of the reference; null: `model`, with the widths that it states"
    )
    costs: tuple[CostName, ...] = Field(
        COST_NAMES, max_length=100, description="the costs to compute; one named twice is computed once"
    )
    explain: str | None = Field(
        None, description="name of a layer whose price is explained: types, counts, formulas and sources"
    )
    types: bool = Field(
        False, description="true: also return the data type of every tensor, in the format of QTools"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_document(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not is_quantizer_document(value.get("quantizers")):
            return value
        quantizers, widths = from_document(value["quantizers"])
        stated = value.get("widths", {})
        merged = widths | stated if isinstance(stated, dict) else stated
        options = written_options(value["quantizers"])
        distinct = distinct_values(value["quantizers"])
        return {"distinct": distinct, **options, **value, "quantizers": quantizers, "widths": merged}


def is_quantizer_document(value: Any) -> bool:
    """Whether a value has the form of a trial's `quantizers.json`."""
    return isinstance(value, Mapping) and isinstance(value.get("layers"), list)


def from_document(document: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """The quantizers and widths of a trial's `quantizers.json`, still as JSON.

    Layers of a plain Keras class, and folded ones without quantizers, are left out: they are not quantized. Raises
    `ValueError` with the invalid entry.
    """
    quantizers: dict[str, dict[str, Any]] = {}
    widths: dict[str, int] = {}
    for index, layer in enumerate(document["layers"]):
        if not isinstance(layer, Mapping) or not isinstance(layer.get("name"), str):
            raise ValueError(f"layers/{index} must be an object with the name of a layer")
        slots = layer.get("quantizers") or {}
        if not isinstance(slots, Mapping):
            raise ValueError(f"layer {layer['name']!r}: quantizers must be an object")
        class_name = str(layer.get("class_name", ""))
        plain = class_name.removeprefix("Quantized")
        if slots or (class_name != plain and plain not in UNFOLDED):
            quantizers[layer["name"]] = {slot: _written(entry) for slot, entry in slots.items()}
        if layer.get("width") is not None:
            widths[layer["name"]] = layer["width"]
    return quantizers, widths


#: What `cost` in a trial's `quantizers.json` may say, as fields of `CostSpec`.
_WRITTEN: Final = ("settings", "reference", "reference_model")


def written_options(document: Mapping[str, Any]) -> dict[str, Any]:
    """How the trial of a `quantizers.json` was priced, as fields of `CostSpec`; empty in files of older versions."""
    options = document.get("cost")
    if not isinstance(options, Mapping):
        return {}
    return {name: options[name] for name in _WRITTEN if isinstance(options.get(name), Mapping)}


def distinct_values(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Layer -> slot -> how many different values the trained tensor has, where a `quantizers.json` says so."""
    stated = {
        layer["name"]: {
            slot: entry["distinct"]
            for slot, entry in (layer.get("quantizers") or {}).items()
            if isinstance(entry, Mapping) and "distinct" in entry
        }
        for layer in document["layers"]
    }
    return {name: slots for name, slots in stated.items() if slots}


def options_document(
    goal: Goal, *, quantized_inputs: bool, reference: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `written_options` reads: how a job with this goal prices a trial and its reference.

    `quantized_inputs`: the trial has input quantizers, which say what its inputs are. `reference`: the architecture of
    the reference; None where the trial's differs from it in its quantizers only.
    """
    of_reference, of_trial = (options.model_dump(mode="json") for options in goal_options(goal))
    if quantized_inputs:
        of_trial["source"] = None
    document: dict[str, Any] = {"settings": of_trial, "reference": of_reference}
    if reference is not None:
        document["reference_model"] = {"kind": "architecture", "config": dict(reference)}
    return document


def _written(entry: Any) -> Any:
    """The quantizer as an object, where an entry states it both as text and as an object."""
    return entry["structured"] if isinstance(entry, Mapping) and "structured" in entry else entry


def goal_options(goal: Goal) -> tuple[CostOptions, CostOptions]:
    """The options by which a job with this goal prices its reference and its trials."""
    return _reference_options(goal), _trial_options(goal)


def unquantized_options(goal: Goal) -> dict[str, CostOptions]:
    """The options by which the reference of a job with this goal would be priced in int8 and in fp32."""
    own, size = _reference_options(goal), _bits_goal(goal)
    return {
        internal: own.model_copy(
            update={
                "source": NamedType(name=internal),
                "internal": internal,
                "accumulator": accumulator,
                "bits": _bits_options(size, reference_type(internal).bits),
            }
        )
        for internal, accumulator in (("int8", "int32"), ("fp32", "fp32"))
    }


def _reference_options(goal: Goal) -> CostOptions:
    energy, size = _energy_goal(goal), _bits_goal(goal)
    return CostOptions(
        **_options(goal, 0),
        source=NamedType(name=energy.reference_internal),
        internal=energy.reference_internal,
        accumulator=energy.reference_accumulator,
        bits=_bits_options(size, size.ref_bits),
    )


def _trial_options(goal: Goal) -> CostOptions:
    """Tensors that stay float count as `unquantized`."""
    energy, size = _energy_goal(goal), _bits_goal(goal)
    internal, accumulator, ref_bits = energy.reference_internal, energy.reference_accumulator, size.ref_bits
    if goal.unquantized != "reference":
        internal = accumulator = goal.unquantized
        ref_bits = reference_type(goal.unquantized).bits
    return CostOptions(
        **_options(goal, 1),
        source=energy.source_quantizers,
        internal=internal,
        accumulator=accumulator,
        bits=_bits_options(size, ref_bits),
    )


def _options(goal: Goal, position: int) -> dict[str, Any]:
    """What a goal states as a pair of reference (0) and trial (1)."""
    energy = _energy_goal(goal)
    return {
        "profile": energy.profile,
        "parameters_on_memory": energy.parameters_on_memory[position],
        "activations_on_memory": energy.activations_on_memory[position],
        "min_sram_size_bits": energy.min_sram_size[position],
        "rd_wr_on_io": energy.rd_wr_on_io[position],
    }


def _energy_goal(goal: Goal) -> EnergyGoal:
    """The goal, or for another kind the defaults: trials of every job have an energy."""
    return goal if isinstance(goal, EnergyGoal) else EnergyGoal()


def _bits_goal(goal: Goal) -> BitsGoal:
    return goal if isinstance(goal, BitsGoal) else BitsGoal()


def _bits_options(goal: BitsGoal, ref_bits: int) -> BitsOptions:
    return BitsOptions(
        input_bits=goal.input_bits,
        output_bits=goal.output_bits,
        ref_bits=ref_bits,
        config=goal.config,
        accounting=goal.accounting,
    )
