"""The circuit of one operation, as a frozen value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogicGate:
    """The circuit of one operation: energy = factor * price of `op` at `bits`.

    `op`: mul, add, mux, shifter, xor, and. `bits` may be fractional: it scales the price, nothing is that wide.
    `float_bits`: width of floating-point arithmetic, 0 for integers.
    """

    op: str
    factor: float
    bits: float
    float_bits: int = 0
