"""An integer network as a list of steps on arrays of known shapes: what an engine without Python needs, and no more.

Every tensor is integers; its value is `code * 2**exponent`, with one exponent or one for each channel (last axis). All
exponents, bounds and shifts are known before any input is: a device shifts, adds, multiplies and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantization.engine import OPERATIONS
from quantization.integer.tensor import Integers


@dataclass(frozen=True, eq=False)
class ProgramTensor:
    """A tensor of one example. `low`, `high`: bounds of its codes whatever the input is."""

    name: str
    shape: tuple[int, ...]
    exponent: Integers
    low: int
    high: int

    @property
    def size(self) -> int:
        """Number of codes."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def bits(self) -> int:
        """Width that holds every code, in two's complement where one is negative."""
        width = max(self.high.bit_length(), (-self.low - 1).bit_length() if self.low < 0 else 0)
        return max(1, width + (self.low < 0))


@dataclass(frozen=True, eq=False)
class Step:
    """One operation: what it reads, the tensor it makes, its numbers and its arrays. `layer`: whose it is.

    `peak`: the largest magnitude that occurs inside it: the width of an accumulator.
    """

    op: str
    layer: str
    inputs: tuple[str, ...]
    output: ProgramTensor
    numbers: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Integers] = field(default_factory=dict)
    peak: int = 0


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order. `source`: the input, as codes; `result`: the name of the output tensor, the logits.

    `inexact`: layers whose constants were rounded.
    """

    source: ProgramTensor
    steps: tuple[Step, ...]
    result: str
    inexact: tuple[str, ...] = ()

    @property
    def tensors(self) -> dict[str, ProgramTensor]:
        """Every tensor by its name."""
        return {self.source.name: self.source} | {step.output.name: step.output for step in self.steps}


def run(program: Program, codes: Integers) -> dict[str, Integers]:
    """The codes of every tensor, by name, of input codes (batch, ...)."""
    tensors = {program.source.name: np.asarray(codes, np.int64)}
    for step in program.steps:
        inputs = [tensors[name] for name in step.inputs]
        tensors[step.output.name] = OPERATIONS[step.op](step.numbers, step.arrays, *inputs)
    return tensors
