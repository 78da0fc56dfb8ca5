"""How a network is priced: profile, memories, and the types of tensors that are not quantized."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from costmodel.data_type import DataType, NumberFormat
from costmodel.errors import InvalidSettings
from costmodel.memory import MemoryModel, Storage
from costmodel.powers_of_two import as_counted
from costmodel.propagation import FIXED8, FLOAT32, canonical, reference_type
from costmodel.technology import ACCOUNTINGS, DEFAULT_PROFILE, Technology, load_profile

MAX_BITS = 2**60
#: Bits of one number; of a power of two, whose exponent takes 2**bits positions as fixed point.
MAX_WIDTH = 1024
MAX_EXPONENT_BITS = 32


@dataclass(frozen=True)
class EnergySettings:
    """Everything a price depends on besides the network and its types.

    `profile`: the name of a built-in profile or a `Technology`. `source`: the type of the network's inputs, one for
    all or one each; None: 8 bits in a trial, `internal` in the reference. `parameters_on_memory` and
    `activations_on_memory`: sram, dram or fixed. `internal`: parameters and activations of unquantized layers;
    `accumulator`: their sums; a `DataType` or fp32, fp16, int8, int16, int32. `accounting`: "qtools" counts as QTools
    does, with its known mistakes, "corrected" without them; None: as the profile says. `capacity_bits`: tensors
    larger than this go to DRAM. `reuse`: products an operand serves before it is fetched again; None: each is
    fetched once. `inference`: trained weights are known, so `DataType.distinct` counts.

    Raises `InvalidSettings` naming the field.
    """

    profile: str | Technology = DEFAULT_PROFILE
    source: DataType | tuple[DataType, ...] | None = None
    parameters_on_memory: Storage = Storage.SRAM
    activations_on_memory: Storage = Storage.SRAM
    min_sram_size_bits: int = 0
    rd_wr_on_io: bool = False
    internal: DataType = FLOAT32
    accumulator: DataType = FLOAT32
    inference: bool = False
    accounting: str | None = None
    capacity_bits: int | None = None
    reuse: int | None = None
    technology: Technology = field(init=False, repr=False)
    memory: MemoryModel = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        technology = self.profile if isinstance(self.profile, Technology) else load_profile(self.profile)
        self._set("technology", technology)
        for name in ("parameters_on_memory", "activations_on_memory"):
            self._set(name, _place(name, getattr(self, name)))
        for name in ("internal", "accumulator"):
            self._set(name, _type(name, getattr(self, name)))
        self._set("source", _source(self.source))
        for name, least in (("min_sram_size_bits", 0), ("capacity_bits", 1), ("reuse", 1)):
            _whole(name, getattr(self, name), least, optional=name != "min_sram_size_bits")
        for name in ("rd_wr_on_io", "inference"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidSettings(name, "must be true or false")
        self._set("accounting", technology.accounting if self.accounting is None else self.accounting)
        if self.accounting not in ACCOUNTINGS:
            raise InvalidSettings("accounting", f"must be one of {', '.join(ACCOUNTINGS)}")
        memory = MemoryModel(technology, self.min_sram_size_bits, self.rd_wr_on_io, self.capacity_bits)
        self._set("memory", memory)
        self._set("_hash", hash((technology.name, self.source, self.parameters_on_memory, self.internal)))

    def __hash__(self) -> int:
        # Settings are looked up in the cache of prices for every assignment: hash them once.
        return self._hash  # type: ignore[attr-defined, no-any-return]

    @property
    def qtools(self) -> bool:
        """Whether energies are counted as QTools counts them."""
        return self.accounting == "qtools"

    def sources(self, count: int, reference: bool) -> tuple[DataType, ...]:
        """One type for each of `count` inputs. Raises `InvalidSettings` if another number is given."""
        if self.source is None:
            return (self.internal if reference else FIXED8,) * count
        if isinstance(self.source, DataType):
            return (as_counted(self.source, self.qtools),) * count
        if len(self.source) != count:
            raise InvalidSettings("source", f"has {len(self.source)} types for {count} inputs")
        return tuple(as_counted(source, self.qtools) for source in self.source)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def check_type(name: str, value: object) -> DataType:
    """The data type, checked and in canonical form. Raises `InvalidSettings` naming the field."""
    if not isinstance(value, DataType):
        raise InvalidSettings(name, "must be a DataType")
    whole = not isinstance(value.bits, bool) and isinstance(value.bits, int)
    most = MAX_EXPONENT_BITS if value.format is NumberFormat.POWER_OF_TWO else MAX_WIDTH
    if not whole or not 1 <= value.bits <= most:
        raise InvalidSettings(name, f"bits must be a whole number of 1 to {most}, is {str(value.bits)[:40]}")
    if not isinstance(value.int_bits, int) or not -MAX_WIDTH <= value.int_bits <= MAX_WIDTH:
        raise InvalidSettings(name, f"int_bits must be a whole number of -{MAX_WIDTH} to {MAX_WIDTH}")
    if value.max_value is not None and not 0 <= value.max_value < 1e30:
        raise InvalidSettings(name, f"max_value must be a number of 0 to 1e30, is {value.max_value!r}")
    return canonical(value)


def _type(name: str, value: object) -> DataType:
    if isinstance(value, str):
        try:
            return reference_type(value)
        except ValueError as error:
            raise InvalidSettings(name, str(error)) from error
    return check_type(name, value)


def _source(value: object) -> DataType | tuple[DataType, ...] | None:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return tuple(_type("source", item) for item in value)
    return _type("source", value)


def _place(name: str, value: str) -> Storage:
    try:
        return Storage(value)
    except ValueError as error:
        raise InvalidSettings(name, f"must be one of {', '.join(Storage)}, is {str(value)[:40]!r}") from error


def _whole(name: str, value: object, least: int, *, optional: bool) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_BITS:
        raise InvalidSettings(name, f"must be a whole number of at least {least}, is {str(value)[:40]}")
