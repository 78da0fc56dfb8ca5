"""What somebody wants to know the cost of, and how it is to be counted: frozen values, checked when they are made.

Plain pydantic; nothing loads Keras. What the network itself decides (a layer or slot it does not have) is checked by
`search.cost.answer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from costmodel.bits import BitsSettings
from costmodel.costs import CostSettings
from costmodel.data_type import DataType
from costmodel.errors import InvalidProfile, InvalidSettings
from costmodel.memory import Storage
from costmodel.propagation import reference_type
from costmodel.settings import EnergySettings
from costmodel.technology import DEFAULT_PROFILE, parse_profile
from quantization.specs.parse import Quantizer, QuantizerSpec
from search.errors import InvalidSpec, Problem
from search.spec.base import Frozen
from search.spec.job import BitsGoal, BitsPart, EnergyGoal, Goal, Memory, Model

TypeName = Literal["fp32", "fp16", "int8", "int16", "int32"]
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


def _named_source(value: Any) -> Any:
    """A name of a type stays a name; anything else is read as a quantizer."""
    return {"name": value} if isinstance(value, str) and value in get_args(TypeName) else value


class NamedType(Frozen):
    """fp32, fp16, int8 (8 bits, 0 integer), int16 (16, 7) or int32 (32, 10)."""

    name: TypeName

    def data_type(self) -> DataType:
        """The type of this name."""
        return reference_type(self.name)


#: The type of the network's inputs: a name or a quantizer.
Source = Annotated[NamedType | Quantizer, BeforeValidator(_named_source, json_schema_input_type=str)]


class BitsOptions(Frozen):
    """How the size in bits is counted."""

    input_bits: Bits = 8
    output_bits: Bits = Field(8, description="of softmax and sigmoid outputs")
    ref_bits: Bits | None = Field(None, description="of everything unquantized; null: the bits of `internal`")
    config: dict[str, tuple[BitsPart, ...]] | None = Field(
        None, description="what counts, per layer class (`default` for classes not named); null: everything"
    )
    accounting: Literal["corrected", "qtools"] = Field(
        "corrected", description="qtools: count as AutoQKeras does, layers it does not know as nothing"
    )


class CostOptions(Frozen):
    """How a network is priced. Sizes of memories are bits."""

    profile: str | dict[str, Any] = Field(
        DEFAULT_PROFILE,
        description="name of an energy profile (`/v1/profiles` lists them), or a profile's own tables",
    )
    accounting: Literal["corrected", "qtools"] | None = Field(None, description="null: the profile's")
    parameters_on_memory: Memory = "sram"
    activations_on_memory: Memory = "sram"
    min_sram_size_bits: int = Field(0, ge=0, description="no on-chip memory is priced smaller")
    rd_wr_on_io: bool = Field(False, description="the network's inputs and outputs live in DRAM")
    source: Source | None = Field(
        None, description="type of the inputs; null: 8 bits if quantized, `internal` in the reference"
    )
    internal: TypeName = Field(
        "fp32", description="parameters and activations of layers that are not quantized"
    )
    accumulator: TypeName = Field("fp32", description="sums of layers that are not quantized")
    capacity_bits: _Size | None = Field(None, description="tensors larger than this go to DRAM")
    reuse: _Size | None = Field(
        None, description="products an operand serves before it is fetched again; null: fetched once"
    )
    inference: bool = Field(False, description="price powers of two by their distinct trained values")
    bits: BitsOptions = BitsOptions()

    def settings(self, pointer: str = "/settings") -> CostSettings:
        """As the cost model takes them. Raises `InvalidSpec` for what it refuses, pointers below `pointer`."""
        try:
            return CostSettings(self._energy(), self._bits())
        except InvalidProfile as error:
            place = "".join(f"/{part}" for part in error.field.split(".")) if error.field else ""
            raise InvalidSpec([Problem(f"{pointer}/profile{place}", str(error))]) from error
        except InvalidSettings as error:
            part = "/bits" if error.field.startswith("config") else ""
            raise InvalidSpec([Problem(f"{pointer}{part}/{error.field}", error.reason)]) from error

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
        own = self.bits
        unquantized = reference_type(self.internal).bits if own.ref_bits is None else own.ref_bits
        return BitsSettings(own.input_bits, own.output_bits, unquantized, own.config, own.accounting)


Slots = dict[str, Quantizer | None]


class CostSpec(Frozen):
    """A network whose cost is asked for: as it is (the reference), or quantized."""

    model: Model
    quantizers: dict[str, Slots] | None = Field(
        None,
        description="layer -> slot -> quantizer (null: not quantized), or a trial's `quantizers.json`;"
        " without them the network is priced with nothing quantized",
    )
    widths: dict[str, Annotated[int, Field(ge=1)]] = Field(
        {}, description="filters or units of layers that differ from the model's"
    )
    settings: CostOptions = CostOptions()
    reference: CostOptions | None = Field(
        None, description="how the reference is priced; null: as `settings` says"
    )
    costs: tuple[CostName, ...] = COST_NAMES
    explain: str | None = Field(None, description="a layer: types, counts, formulas, sources of its figures")
    types: bool = Field(False, description="also give the data type of every tensor, as QTools writes it")

    @model_validator(mode="before")
    @classmethod
    def _read_document(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not is_quantizer_document(value.get("quantizers")):
            return value
        quantizers, widths = from_document(value["quantizers"])
        own = value.get("widths", {})
        return {**value, "quantizers": quantizers, "widths": widths | own if isinstance(own, dict) else own}


def is_quantizer_document(value: Any) -> bool:
    """Whether this is what a trial's `quantizers.json` holds."""
    return isinstance(value, Mapping) and isinstance(value.get("layers"), list)


def from_document(document: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Quantizers and widths that a trial's `quantizers.json` states, still as JSON.

    Layers of a Keras class are left out: they are not quantized. Raises `ValueError` naming the entry that is not one.
    """
    quantizers: dict[str, dict[str, Any]] = {}
    widths: dict[str, int] = {}
    for index, layer in enumerate(document["layers"]):
        if not isinstance(layer, Mapping) or not isinstance(layer.get("name"), str):
            raise ValueError(f"layers/{index} must be an object with the name of a layer")
        slots = layer.get("quantizers") or {}
        if not isinstance(slots, Mapping):
            raise ValueError(f"layer {layer['name']!r}: quantizers must be an object")
        if slots or str(layer.get("class_name", "")).startswith("Quantized"):
            quantizers[layer["name"]] = {slot: _written(entry) for slot, entry in slots.items()}
        if layer.get("width") is not None:
            widths[layer["name"]] = layer["width"]
    return quantizers, widths


def _written(entry: Any) -> Any:
    """The quantizer of an entry that says it twice, as text and field by field."""
    return entry["structured"] if isinstance(entry, Mapping) and "structured" in entry else entry


def goal_options(goal: Goal) -> tuple[CostOptions, CostOptions]:
    """How a job with this goal prices its reference and its trials."""
    energy = goal if isinstance(goal, EnergyGoal) else EnergyGoal()
    size = goal if isinstance(goal, BitsGoal) else BitsGoal()
    bits = BitsOptions(
        input_bits=size.input_bits,
        output_bits=size.output_bits,
        ref_bits=size.ref_bits,
        config=size.config,
        accounting=size.accounting,
    )
    reference, trial = (
        CostOptions(
            profile=energy.profile,
            parameters_on_memory=energy.parameters_on_memory[position],
            activations_on_memory=energy.activations_on_memory[position],
            min_sram_size_bits=energy.min_sram_size[position],
            rd_wr_on_io=energy.rd_wr_on_io[position],
            source=source,
            internal=energy.reference_internal,
            accumulator=energy.reference_accumulator,
            inference=energy.trained_model and position == 1,
            bits=bits,
        )
        for position, source in enumerate(_sources(energy))
    )
    return reference, trial


def _sources(goal: EnergyGoal) -> tuple[NamedType | QuantizerSpec, NamedType | QuantizerSpec | None]:
    """Inputs of the reference have its own type, those of trials the one the goal names."""
    return NamedType(name=goal.reference_internal), goal.source_quantizers
