"""The cost of moving a tensor between memory and arithmetic units."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from costmodel.technology import Technology

#: Prices cached before the cache is emptied.
MAX_CACHED: Final = 10_000


class Storage(StrEnum):
    """Where a tensor is stored."""

    SRAM = "sram"  #: on the chip
    DRAM = "dram"  #: off the chip
    FIXED = "fixed"  #: wired into the circuit; reading costs nothing


@dataclass(frozen=True, slots=True)
class Access:
    """One tensor moved: how many of its numbers and bits, from or to which storage, at what price.

    `tensor_bits`: the whole tensor, which sets the size of the memory.
    """

    tensor: str
    elements: int
    bits: int
    storage: Storage
    tensor_bits: int
    energy_pj: float


@dataclass(frozen=True)
class MemoryModel:
    """The memories of one setting; energies are in pJ.

    `min_sram_size_bits`: no on-chip memory is priced smaller. `rd_wr_on_io`: the network's inputs and outputs live in
    DRAM, and what comes from DRAM is first written on the chip. `capacity_bits`: a tensor larger than this cannot be
    kept on the chip.
    """

    technology: Technology
    min_sram_size_bits: int = 0
    rd_wr_on_io: bool = False
    capacity_bits: int | None = None
    _prices: dict[tuple[int, int], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def storage(self, preferred: Storage, bits: int, on_io: bool = False) -> Storage:
        """Where a tensor of `bits` bits is stored: as preferred, unless it is too large or an input or output."""
        if on_io:
            preferred = Storage.DRAM if self.rd_wr_on_io else Storage.SRAM
        too_large = self.capacity_bits is not None and bits > self.capacity_bits
        return Storage.DRAM if preferred is Storage.SRAM and too_large else preferred

    def move_pj(self, storage: Storage, bits: int, tensor_bits: int) -> float:
        """Read or write `bits` bits of a tensor of `tensor_bits`."""
        if storage is Storage.FIXED or not bits:
            return 0.0
        if storage is Storage.SRAM:
            return self._sram_pj(bits, tensor_bits)
        energy_pj = self.technology.dram_pj_per_bit * bits
        return energy_pj + self._sram_pj(bits, tensor_bits) if self.rd_wr_on_io else energy_pj

    def _sram_pj(self, bits: int, tensor_bits: int) -> float:
        energy_pj = self._prices.get((bits, tensor_bits))
        if energy_pj is None:
            accesses = math.ceil(bits / self.technology.sram_access_bits)
            energy_pj = accesses * self.technology.sram(max(tensor_bits, self.min_sram_size_bits))
            if len(self._prices) >= MAX_CACHED:
                self._prices.clear()
            self._prices[bits, tensor_bits] = energy_pj
        return energy_pj
