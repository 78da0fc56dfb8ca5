"""Energy profiles: the prices of operations and memory accesses in one process, as data with the source of each.

A profile is a TOML file; the built-in ones are in `costmodel/profiles`. `docs/cost-model.md` describes the format.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from costmodel.errors import InvalidProfile

#: Built-in profiles.
PROFILES: Final = ("horowitz", "horowitz-qkeras", "7nm")
DEFAULT_PROFILE: Final = "horowitz"
ACCOUNTINGS: Final = ("corrected", "qtools")
MAX_FILE_BYTES: Final = 65536

_FIXED: Final = ("fixed_add", "fixed_multiply")
_FLOATS: Final = {16: "float16", 32: "float32"}
_TABLES: Final = (*_FIXED, *_FLOATS.values(), "sram", "dram")
_PLAIN: Final = ("name", "title", "process_nm", "accounting", "monotone")


@dataclass(frozen=True, slots=True)
class PriceSource:
    """The source of a price; `second_hand`: not checked against the cited source itself."""

    source: str
    second_hand: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """A price as a function of size: a polynomial (highest power first; of log2 of the size if `in_log2`), or points.

    Between points, and beyond the last, the price is a power of the size (a straight line in a log-log plot). Below
    the first point it continues that way, or stays constant if `flat_below`. Never below 0.
    """

    coefficients: tuple[float, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    in_log2: bool = False
    flat_below: bool = False

    def __call__(self, size: float) -> float:
        """The price in pJ at `size` (bits)."""
        if self.points:
            return self._between(size)
        x = math.log2(size) if self.in_log2 else size
        value = 0.0
        for coefficient in self.coefficients:
            value = value * x + coefficient
        return max(value, 0.0)

    def _between(self, size: float) -> float:
        if self.flat_below and size <= self.points[0][0]:
            return self.points[0][1]
        if len(self.points) == 1:
            return self.points[0][1]
        index = next((i for i, (x, _) in enumerate(self.points) if size < x), len(self.points))
        low = min(max(index - 1, 0), len(self.points) - 2)
        (x0, y0), (x1, y1) = self.points[low], self.points[low + 1]
        power = math.log(y1 / y0) / math.log(x1 / x0)
        return y0 * math.pow(size / x0, power)


@dataclass(frozen=True, slots=True)
class FloatPrice:
    """Floating-point operations of one width, pJ each."""

    bits: int
    add_pj: float
    multiply_pj: float


@dataclass(frozen=True)
class Technology:
    """The prices of operations and memory accesses in one process, in pJ; sizes in bits."""

    name: str
    title: str
    process_nm: float
    accounting: str  #: how a network is counted by default: "corrected" or "qtools"
    fixed_add: Curve
    fixed_multiply: Curve
    floats: tuple[FloatPrice, ...]
    sram: Curve  #: one access, by the size of the memory in bits
    sram_access_bits: int
    dram_pj_per_bit: float
    price_sources: tuple[tuple[str, PriceSource], ...]  #: by table

    def price_source(self, table: str) -> PriceSource:
        """The source of a table of prices: fixed_add, fixed_multiply, float16, float32, sram or dram."""
        return dict(self.price_sources)[table]

    def operation_pj(self, op: str, bits: float, float_bits: int = 0) -> float:
        """The price of one operation: "mul", or any other gate, which costs as much as an adder of `bits`.

        `float_bits` > 0: in floating point. Raises `InvalidProfile` if the profile has no such width.
        """
        if not float_bits:
            return (self.fixed_multiply if op == "mul" else self.fixed_add)(bits)
        for price in self.floats:
            if price.bits == float_bits:
                return price.multiply_pj if op == "mul" else price.add_pj
        widths = ", ".join(str(price.bits) for price in self.floats)
        raise InvalidProfile(
            self.name, f"has no price for {float_bits}-bit floating point, only for {widths}"
        )


@lru_cache(maxsize=16)
def load_profile(name: str) -> Technology:
    """The built-in profile of this name; `InvalidProfile` lists them for any other."""
    if name not in PROFILES:
        raise InvalidProfile(str(name)[:40], f"is unknown; known: {', '.join(PROFILES)}")
    return read_profile(
        (Path(__file__).parent / "profiles" / f"{name}.toml").read_text(encoding="utf-8"), name
    )


def profile_file(path: str | Path) -> Technology:
    """The profile in a TOML file. Raises `InvalidProfile` if it cannot be read or is malformed."""
    where = Path(path)
    try:
        if where.stat().st_size > MAX_FILE_BYTES:
            raise InvalidProfile(where.name, f"is larger than {MAX_FILE_BYTES} bytes")
        text = where.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidProfile(where.name, f"cannot be read: {error}") from error
    return read_profile(text, where.name)


def read_profile(text: str, origin: str = "profile") -> Technology:
    """The profile written in this TOML text. Raises `InvalidProfile` naming the table, field and what is allowed."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidProfile(origin, f"is not TOML: {error}") from error
    return parse_profile(data, origin)


def parse_profile(data: Mapping[str, Any], origin: str = "profile") -> Technology:
    """The profile of these tables, named as in the TOML file. Raises `InvalidProfile` as `read_profile`."""
    return _Reader(origin, data).technology()


@dataclass(frozen=True)
class _Reader:
    """Validates one parsed profile."""

    origin: str
    data: Mapping[str, Any]

    def technology(self) -> Technology:
        self._only(self.data, "", (*_PLAIN, *_TABLES))
        for name in _TABLES:
            if not isinstance(self.data.get(name), dict):
                raise self._error(name, "this table is missing")
        accounting = self.data.get("accounting", "corrected")
        if accounting not in ACCOUNTINGS:
            raise self._error("accounting", f"must be one of {', '.join(ACCOUNTINGS)}")
        sram, dram = self.data["sram"], self.data["dram"]
        self._only(dram, "dram", ("pj_per_bit", "source", "second_hand"))
        return Technology(
            name=self._text(self.data, "name"),
            title=self._text(self.data, "title"),
            process_nm=self._number(self.data, "process_nm"),
            accounting=accounting,
            fixed_add=self._curve("fixed_add", "polynomial", 64),
            fixed_multiply=self._curve("fixed_multiply", "polynomial", 64),
            floats=tuple(self._float(bits, name) for bits, name in _FLOATS.items()),
            sram=self._curve("sram", "log2_polynomial", 2**40),
            sram_access_bits=self._whole(sram, "access_bits", "sram"),
            dram_pj_per_bit=self._number(dram, "pj_per_bit", "dram"),
            price_sources=tuple((name, self._price_source(name)) for name in _TABLES),
        )

    def _error(self, field: str, reason: str) -> InvalidProfile:
        return InvalidProfile(self.origin, f"{field}: {reason}", field)

    def _only(self, table: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> None:
        for key in table:
            if key not in allowed:
                raise self._error(_path(name, key), f"is unknown; allowed: {', '.join(allowed)}")

    def _text(self, table: Mapping[str, Any], field: str, name: str = "") -> str:
        value = table.get(field)
        if not isinstance(value, str) or not value.strip():
            raise self._error(_path(name, field), "must be text")
        return value

    def _number(self, table: Mapping[str, Any], field: str, name: str = "") -> float:
        return self._positive(table.get(field), _path(name, field))

    def _positive(self, value: Any, field: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            raise self._error(field, "must be a number above 0 and below 1e12")
        return float(value)

    def _whole(self, table: Mapping[str, Any], field: str, name: str) -> int:
        value = table.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65536:
            raise self._error(_path(name, field), "must be a whole number of 1 to 65536")
        return value

    def _price_source(self, name: str) -> PriceSource:
        table = self.data[name]
        second_hand = table.get("second_hand", False)
        if not isinstance(second_hand, bool):
            raise self._error(f"{name}.second_hand", "must be true or false")
        return PriceSource(self._text(table, "source", name), second_hand)

    def _float(self, bits: int, name: str) -> FloatPrice:
        table = self.data[name]
        self._only(table, name, ("add", "multiply", "source", "second_hand"))
        add_pj, multiply_pj = (self._number(table, field, name) for field in ("add", "multiply"))
        return FloatPrice(bits, add_pj, multiply_pj)

    def _curve(self, name: str, polynomial: str, largest: int) -> Curve:
        table = self.data[name]
        extra = ("access_bits",) if name == "sram" else ()
        self._only(table, name, (polynomial, "points", "source", "second_hand", *extra))
        if (polynomial in table) == ("points" in table):
            raise self._error(name, f"needs either {polynomial} or points")
        if "points" in table:
            return Curve(points=self._points(table["points"], name), flat_below=name == "sram")
        curve = Curve(self._coefficients(table[polynomial], f"{name}.{polynomial}"), in_log2=name == "sram")
        if self.data.get("monotone", True) is not False:
            self._require_rising(curve, name, largest)
        return curve

    def _coefficients(self, value: Any, field: str) -> tuple[float, ...]:
        fine = isinstance(value, list) and 1 <= len(value) <= 8
        if not fine or any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
            raise self._error(field, "must be a list of 1 to 8 numbers, highest power first")
        if not all(abs(v) < 1e12 for v in value):
            raise self._error(field, "must be finite and below 1e12")
        return tuple(float(v) for v in value)

    def _points(self, value: Any, name: str) -> tuple[tuple[float, float], ...]:
        field = f"{name}.points"
        if not isinstance(value, list) or not 1 <= len(value) <= 64:
            raise self._error(field, "must list 1 to 64 pairs of bits and pJ")
        pairs = []
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2:
                raise self._error(field, "every entry must be a pair of bits and pJ")
            pairs.append((self._positive(pair[0], field), self._positive(pair[1], field)))
        for (x0, y0), (x1, y1) in pairwise(pairs):
            if not (x0 < x1 and y0 <= y1):
                raise self._error(field, "bits must rise and pJ must not fall")
        if len(pairs) == 1 and name != "sram":
            raise self._error(field, "needs two points or more")
        return tuple(pairs)

    def _require_rising(self, curve: Curve, name: str, largest: int) -> None:
        steps = [2**exponent for exponent in range(largest.bit_length())] if largest > 64 else range(1, 65)
        prices = [curve(step) for step in steps]
        if prices[-1] <= 0 or any(b < a for a, b in pairwise(prices)):
            raise self._error(name, "the price must never fall as bits rise (monotone = false allows it)")


def _path(table: str, field: str) -> str:
    return f"{table}.{field}" if table else field
