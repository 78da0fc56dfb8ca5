"""Writes C line by line for a group of steps: loops, constants, and what is done to a number before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from quantization.export.c_code.packing import Constant, constant
from quantization.export.c_code.plan import Group, Memory, ctype
from quantization.export.c_code.text import INT32, index_of, literal
from quantization.integer.program import Step


class GroupEmitter:
    """Writes the function of one group. `name`: of the function, and a prefix of its constants."""

    def __init__(self, name: str, group: Group, memory: Memory) -> None:
        self.name, self.group, self.memory = name, group, memory
        self.is_wide = max(step.peak for step in group.steps) > INT32
        self.type = "int64_t" if self.is_wide else "int32_t"
        self.suffix = "64" if self.is_wide else "32"
        self.constants: list[Constant] = []
        self.helpers: set[str] = set()
        self.lines: list[str] = []

    # ---- pieces ----------------------------------------------------------------------------------------------------

    def read(self, tensor: str, index: str) -> str:
        """An element of a tensor, in the type of the sums."""
        return f"({self.type}){self.memory.element(tensor, index)}"

    def line(self, text: str, depth: int = 0) -> None:
        """Append a line."""
        self.lines.append("    " * depth + text)

    def store(
        self, value: str, index: str, channel: str, depth: int, steps: Sequence[Step] | None = None
    ) -> None:
        """Apply the steps behind the head to a value, and write it to the output."""
        chain = self.group.steps[1:] if steps is None else steps
        self.line(f"{self.type} v = {value};", depth)
        for step in chain:
            _CHAIN[step.op](self, step, channel, depth)
        output = self.group.output
        target = self.memory.element(output.name, index)
        self.line(f"{target} = ({ctype(output)})v;", depth)

    def table(self, name: str, values: Any, channel: str) -> str:
        """A constant for each channel, or one number, as C."""
        array = np.atleast_1d(np.asarray(values, np.int64))
        if np.all(array == array[0]):
            return literal(int(array[0]), self.is_wide)
        entry = self.constant(f"{name}_{len(self.constants)}", array)
        return f"({self.type}){entry.name}[{channel}]"

    def constant(self, name: str, values: Any) -> Constant:
        """An array in flash; one that an earlier function has, too, is shared: the steps of a loop have the same."""
        key = (False, np.asarray(values, np.int64).tobytes())
        if key not in self.memory.constants:
            self.memory.constants[key] = constant(f"{self.name}_{name}", values, packed=False)
            self.constants.append(self.memory.constants[key])
        return self.memory.constants[key]

    def weights(self) -> Constant:
        """The kernel of this group's product, a row for each output, in flash."""
        key = (True, self.memory.kernels[self.group].content)
        if key not in self.memory.constants:
            entry = self.memory.kernels[self.group].constant(f"{self.name}_w")
            self.memory.constants[key] = entry
            self.constants.append(entry)
        return self.memory.constants[key]

    def loops(self, shape: Sequence[int]) -> tuple[list[str], str]:
        """Open a loop over every axis; their variables, and the index in a tensor of that shape."""
        names = [f"i{axis}" for axis in range(len(shape))]
        for depth, (name, length) in enumerate(zip(names, shape, strict=True)):
            self.loop(name, length, depth)
        return names, index_of(names, shape)

    def loop(self, name: str, length: int, depth: int) -> None:
        """Open a loop."""
        self.line(f"for (int32_t {name} = 0; {name} < {length}; {name}++) {{", depth)

    def close(self, count: int) -> None:
        """Close loops."""
        for depth in reversed(range(count)):
            self.line("}", depth)

    def elementwise(self, source: str, steps: Sequence[Step]) -> None:
        output = self.group.output
        channels = output.shape[-1] if output.shape else 1
        self.line(f"for (int32_t i = 0; i < {output.size}; i++) {{")
        channel = "0" if channels == 1 else f"i % {channels}"
        self.store(self.read(source, "i"), "i", channel, 1, steps)
        self.line("}")


# ---- what follows a head, number by number -------------------------------------------------------------------------


def _affine(self: GroupEmitter, step: Step, channel: str, depth: int) -> None:
    factor = step.arrays["factor"] << step.arrays["shift"]
    _times_plus(self, factor, step.arrays["offset"], channel, depth)


def _shift(self: GroupEmitter, step: Step, channel: str, depth: int) -> None:
    _times_plus(self, np.int64(1) << step.arrays["left"], 0, channel, depth)


def _times_plus(self: GroupEmitter, factor: Any, offset: Any, channel: str, depth: int) -> None:
    text = "v"
    if np.any(np.asarray(factor) != 1):
        text += f" * {self.table('factor', factor, channel)}"
    if np.any(np.asarray(offset) != 0):
        text += f" + {self.table('offset', offset, channel)}"
    if text != "v":
        self.line(f"v = {text};", depth)


def _round(self: GroupEmitter, step: Step, channel: str, depth: int) -> None:
    numbers, arrays = step.numbers, step.arrays
    _times_plus(self, np.int64(1) << arrays["left"], 0, channel, depth)
    if np.any(arrays["right"] != 0):
        self.helpers.add(f"half_even{self.suffix}")
        self.line(f"v = half_even{self.suffix}(v, {self.table('right', arrays['right'], channel)});", depth)
    self.line(f"v = v < {literal(numbers['low'])} ? {literal(numbers['low'])} : v;", depth)
    self.line(f"v = v > {literal(numbers['high'])} ? {literal(numbers['high'])} : v;", depth)
    if numbers["scale"] != 1:
        self.line(f"v *= {literal(numbers['scale'], self.is_wide)};", depth)


def _steps(self: GroupEmitter, step: Step, channel: str, depth: int) -> None:
    most = (1 << 63) - 1 if self.is_wide else INT32
    thresholds = step.arrays["thresholds"].clip(-most, most)
    rows, count = thresholds.shape
    if not count:
        self.line(f"v = {literal(int(step.arrays['levels'][0]), self.is_wide)};", depth)
        return
    table = self.constant(f"thresholds_{len(self.constants)}", thresholds.ravel())
    levels = self.constant(f"levels_{len(self.constants)}", step.arrays["levels"])
    row = f"({channel}) * {count}" if rows > 1 else "0"
    self.line("{", depth)
    self.line(f"int32_t from = 0, to = {count};", depth + 1)
    self.line("while (from < to) {", depth + 1)
    self.line("int32_t middle = (from + to) / 2;", depth + 2)
    self.line(
        f"if (v >= ({self.type}){table.name}[{row} + middle]) {{ from = middle + 1; }} else {{ to = middle; }}",
        depth + 2,
    )
    self.line("}", depth + 1)
    self.line(f"v = ({self.type}){levels.name}[from];", depth + 1)
    self.line("}", depth)


def _bent(self: GroupEmitter, step: Step, channel: str, depth: int) -> None:
    numbers, arrays = step.numbers, step.arrays
    border = literal(int(arrays["border"]), self.is_wide)
    above = "v"
    if "top" in arrays:
        top = literal(int(arrays["top"]), self.is_wide)
        above = f"(v < 0 ? 0 : v > {top} ? {top} : v)"
    up, down = (literal(1 << numbers[name], self.is_wide) for name in ("shift_above", "shift_below"))
    above = above if up == "1" else f"{above} * {up}"
    below = (
        "0"
        if not numbers["slope"]
        else f"({border} - v) * {literal(numbers['slope'], self.is_wide)} * {down}"
    )
    self.line(f"v = v > {border} ? {above} : {below};", depth)


_CHAIN: Final[dict[str, Any]] = {
    "affine": _affine,
    "shift": _shift,
    "round": _round,
    "steps": _steps,
    "bent": _bent,
}
