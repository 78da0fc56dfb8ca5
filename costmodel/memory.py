"""What it costs to bring a tensor from memory to where it is computed with, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from costmodel.technology import Technology

#: Prices of tensors kept before they are worked out anew.
MAX_REMEMBERED: Final = 10_000


class Place(StrEnum):
    """Where tensors are kept."""

    SRAM = "sram"  #: on the chip
    DRAM = "dram"  #: beside it
    FIXED = "fixed"  #: wired into the circuit; reading costs nothing


@dataclass(frozen=True, slots=True)
class Access:
    """One tensor moved: how many of its numbers and bits, from or to where, at what price.

    `held_bits`: the whole tensor, which sets the size of the memory.
    """

    tensor: str
    elements: int
    bits: int
    place: Place
    held_bits: int
    energy_pj: float


@dataclass(frozen=True)
class Memory:
    """The memories of one setting; every method returns pJ.

    `min_sram_size_bits`: no on-chip memory is priced smaller. `rd_wr_on_io`: the network's inputs and outputs live in
    DRAM, and what comes from DRAM is first written on the chip. `capacity_bits`: a tensor larger than this cannot be
    kept on the chip.
    """

    technology: Technology
    min_sram_size_bits: int = 0
    rd_wr_on_io: bool = False
    capacity_bits: int | None = None
    _remembered: dict[tuple[int, int], float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def place(self, wanted: Place, bits: int, on_io: bool = False) -> Place:
        """Where a tensor of `bits` bits is kept, given where its kind is meant to be."""
        if on_io:
            wanted = Place.DRAM if self.rd_wr_on_io else Place.SRAM
        too_large = self.capacity_bits is not None and bits > self.capacity_bits
        return Place.DRAM if wanted is Place.SRAM and too_large else wanted

    def move_pj(self, place: Place, bits: int, held_bits: int) -> float:
        """Read or write `bits` bits of a tensor of `held_bits`."""
        if place is Place.FIXED:
            return 0.0
        if place is Place.SRAM:
            return self._sram_pj(bits, held_bits)
        energy_pj = self.technology.dram_pj_per_bit * bits
        return energy_pj + self._sram_pj(bits, held_bits) if self.rd_wr_on_io else energy_pj

    def _sram_pj(self, bits: int, held_bits: int) -> float:
        found = self._remembered.get((bits, held_bits))
        if found is None:
            accesses = math.ceil(bits / self.technology.sram_access_bits)
            found = accesses * self.technology.sram(max(held_bits, self.min_sram_size_bits))
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[bits, held_bits] = found
        return found
