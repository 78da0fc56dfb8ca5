"""C99 of products with a kernel. A packed row of weights is unpacked once, and used at every place of the output."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantization.export.c_code.emitter import GroupEmitter
from quantization.export.c_code.text import index_of
from quantization.integer.program import ProgramTensor, Step


def window_loops(
    self: GroupEmitter, numbers: dict[str, Any], source: ProgramTensor, depth: int
) -> tuple[list[str], list[str], int]:
    """Open loops over a window; the variables in it and the input's indexes; how many loops were opened."""
    inside, places = [], []
    for axis, (size, stride, rate, (before, _), length) in enumerate(
        zip(
            numbers["window"],
            numbers["strides"],
            numbers["dilation"],
            numbers["pads"],
            source.shape,
            strict=False,
        )
    ):
        name, place = f"k{axis}", f"y{axis}"
        at = depth + axis
        self.loop(name, size, at)
        text = f"i{axis} * {stride} + {name} * {rate} - {before}"
        self.line(f"const int32_t {place} = {text};", at + 1)
        padded = sum(numbers["pads"][axis]) > 0
        if padded:
            self.line(f"if ({place} < 0 || {place} >= {length}) {{ continue; }}", at + 1)
        inside.append(name)
        places.append(place)
    return inside, places, len(inside)


def product(self: GroupEmitter, step: Step) -> None:
    """A convolution, or a dense layer at every place: a dot product of a window, whose last axis is in one piece."""
    source, output = self.memory.tensor(step.inputs[0]), step.output
    rows = step.arrays["kernel"].shape[0]
    names, depth = _outputs(self, step, rows)
    place, channels = names[:-1], source.shape[-1]
    self.line(f"{self.type} sum = 0;", depth)
    if "window" not in step.numbers:
        _dot(self, step, index_of([*place, "c"], source.shape), "c", ("0", str(rows)), depth)
    elif step.numbers["dilation"][-1] != 1:
        inside, places, opened = window_loops(self, dict(step.numbers), source, depth)
        row = f"({index_of(inside, step.numbers['window'])}) * {channels} + c"
        base = index_of([*places, "c"], source.shape)
        _dot(self, step, base, row, ("0", str(channels)), depth + opened)
        _close(self, depth, opened)
    else:
        _window(self, step, source, depth)
    self.store(_with_bias(self, step, names[-1]), index_of(names, output.shape), names[-1], depth)
    self.close(depth)


def _window(self: GroupEmitter, step: Step, source: ProgramTensor, depth: int) -> None:
    """Sums a window: the places of its last axis and their channels lie side by side."""
    numbers = dict(step.numbers)
    channels, length = source.shape[-1], source.shape[-2]
    axis = len(numbers["window"]) - 1
    size, stride, (before, after) = numbers["window"][-1], numbers["strides"][-1], numbers["pads"][-1]
    self.line(f"const int32_t start = i{axis} * {stride} - {before};", depth)
    span = ("0", str(size * channels))
    if before + after > 0:
        self.line(f"const int32_t from = start < 0 ? -start * {channels} : 0;", depth)
        end = f"start + {size} > {length} ? ({length} - start) * {channels} : {size * channels}"
        self.line(f"const int32_t to = {end};", depth)
        span = ("from", "to")
    outer = {name: values[:-1] for name, values in numbers.items()}
    inside, places, opened = window_loops(self, outer, source, depth)
    base = f"({index_of([*places, 'start'], source.shape[:-1])}) * {channels} + c"
    row = f"({index_of(inside, outer['window'])}) * {size * channels} + c" if inside else "c"
    _dot(self, step, base, row, span, depth + opened)
    _close(self, depth, opened)


def depthwise(self: GroupEmitter, step: Step) -> None:
    """A convolution of each channel by itself."""
    source, output = self.memory.tensor(step.inputs[0]), step.output
    size, _, multiplier = step.arrays["kernel"].shape
    names, depth = _outputs(self, step, size)
    self.line(f"{self.type} sum = 0;", depth)
    inside, places, opened = window_loops(self, dict(step.numbers), source, depth)
    channel = names[-1] if multiplier == 1 else f"{names[-1]} / {multiplier}"
    value = self.read(source.name, index_of([*places, channel], source.shape))
    weight = _weight(self, step, index_of(inside, step.numbers["window"]))
    self.line(f"sum += {value} * {weight};", depth + opened)
    _close(self, depth, opened)
    self.store(_with_bias(self, step, names[-1]), index_of(names, output.shape), names[-1], depth)
    self.close(depth)


def _outputs(self: GroupEmitter, step: Step, rows: int) -> tuple[list[str], int]:
    """Open the loops over outputs, that of channels outermost, with its row unpacked; their variables and number."""
    shape = step.output.shape
    names = [f"i{axis}" for axis in range(len(shape))]
    self.loop(names[-1], shape[-1], 0)
    row, entry = self.memory.rows.get(self.group), self.weights()
    self.helpers |= {"packed"} if entry.bits else set()
    if row is not None:
        self.loop("r", rows, 1)
        self.line(f"{row.element('r')} = ({row.type}){entry.read(f'{names[-1]} * {rows} + r')};", 2)
        self.line("}", 1)
    for depth, (name, length) in enumerate(zip(names[:-1], shape[:-1], strict=True)):
        self.loop(name, length, depth + 1)
    return names, len(names)


def _weight(self: GroupEmitter, step: Step, row: str) -> str:
    """A number of this output's row of the kernel."""
    unpacked, rows = self.memory.rows.get(self.group), step.arrays["kernel"].shape[0]
    if unpacked is not None:
        return f"({self.type}){unpacked.element(row)}"
    channel = f"i{len(step.output.shape) - 1}"
    return f"({self.type}){self.weights().read(f'{channel} * {rows} + {row}')}"


def _dot(self: GroupEmitter, step: Step, base: str, row: str, span: tuple[str, str], depth: int) -> None:
    start, end = span
    self.line(f"for (int32_t c = {start}; c < {end}; c++) {{", depth)
    self.line(f"sum += {self.read(step.inputs[0], base)} * {_weight(self, step, row)};", depth + 1)
    self.line("}", depth)


def _close(self: GroupEmitter, depth: int, opened: int) -> None:
    """Close the loops of a window."""
    for level in reversed(range(opened)):
        self.line("}", depth + level)


def _with_bias(self: GroupEmitter, step: Step, channel: str) -> str:
    text = "sum"
    if np.any(step.arrays["shift"] != 0):
        text += f" * {self.table('shift', np.int64(1) << step.arrays['shift'], channel)}"
    if np.any(step.arrays["bias"] != 0):
        text += f" + {self.table('bias', step.arrays['bias'], channel)}"
    return text
