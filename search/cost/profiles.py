"""Energy profiles for display: the price of each operation and memory access, with its source. Plain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from costmodel.technology import PROFILES, Technology, load_profile

#: Sizes at which curves are shown.
_WIDTHS: Final = (8, 16, 32)
_MEMORIES: Final[Mapping[str, int]] = {"8 KiB": 2**16, "32 KiB": 2**18, "1 MiB": 2**23}


@dataclass(frozen=True, slots=True)
class ProfileFigure:
    """One table of a profile: prices in pJ at a few sizes, and their source.

    `second_hand`: not checked against the cited source itself.
    """

    table: str
    what: str
    prices_pj: Mapping[str, float]
    source: str
    second_hand: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """An energy profile. `accounting`: the default accounting under this profile."""

    name: str
    title: str
    process_nm: float
    accounting: str
    figures: tuple[ProfileFigure, ...]

    @property
    def second_hand(self) -> tuple[str, ...]:
        """Tables that were not checked against their source."""
        return tuple(figure.table for figure in self.figures if figure.second_hand)


def built_in() -> tuple[Profile, ...]:
    """The profiles that come with the product."""
    return tuple(described(load_profile(name)) for name in PROFILES)


def described(technology: Technology) -> Profile:
    """A profile, its curves read off at a few sizes."""
    figures = tuple(
        ProfileFigure(
            table,
            what,
            prices,
            technology.price_source(table).source,
            technology.price_source(table).second_hand,
        )
        for table, (what, prices) in _tables(technology).items()
    )
    return Profile(technology.name, technology.title, technology.process_nm, technology.accounting, figures)


def _tables(technology: Technology) -> dict[str, tuple[str, dict[str, float]]]:
    floats = {
        f"float{price.bits}": (
            f"{price.bits}-bit floating point",
            {"add": price.add_pj, "multiply": price.multiply_pj},
        )
        for price in technology.floats
    }
    access = f"one access of {technology.sram_access_bits} bits to on-chip memory of this size"
    return {
        "fixed_add": ("fixed-point addition", {f"{n} bits": technology.fixed_add(n) for n in _WIDTHS}),
        "fixed_multiply": (
            "fixed-point multiplication",
            {f"{n} bits": technology.fixed_multiply(n) for n in _WIDTHS},
        ),
        **floats,
        "sram": (access, {name: technology.sram(bits) for name, bits in _MEMORIES.items()}),
        "dram": ("one bit from or to DRAM", {"1 bit": technology.dram_pj_per_bit}),
    }
