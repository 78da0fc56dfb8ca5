"""C99 of the steps of an integer program: one function for each group of steps that make a tensor together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from quantization.export.c_code.emitter import GroupEmitter
from quantization.export.c_code.packing import Constant
from quantization.export.c_code.plan import Group, Memory
from quantization.export.c_code.products import depthwise, product, window_loops
from quantization.export.c_code.text import comment as comment_of
from quantization.export.c_code.text import index_of, literal
from quantization.integer.program import Step


@dataclass
class Emitted:
    """The function of a group, the constants it reads, and the calls that it needs of the helpers."""

    code: str
    constants: list[Constant]
    helpers: set[str]
    is_wide: bool


def emitted(name: str, group: Group, memory: Memory) -> Emitted:
    """The function of one group. `name`: of the function, and a prefix of its constants."""
    writer, head = GroupEmitter(name, group, memory), group.steps[0]
    body = _HEADS.get(head.op)
    if body is None:
        writer.elementwise(head.inputs[0], group.steps)
    else:
        body(writer, head)
    lines = "\n".join(f"    {line}" if line else "" for line in writer.lines)
    signature = f"static void {name}({memory.parameters(group)})"
    comment = ", ".join(dict.fromkeys(step.layer for step in group.steps))
    code = f"/* {comment_of(comment)}: {' '.join(step.op for step in group.steps)} */\n"
    code += signature + "\n{\n" + lines + "\n}\n"
    return Emitted(code, writer.constants, writer.helpers, writer.is_wide)


# ---- heads ---------------------------------------------------------------------------------------------------------


def _pool(self: GroupEmitter, step: Step) -> None:
    source, output = self.memory.tensor(step.inputs[0]), step.output
    names, index = self.loops(output.shape)
    depth = len(names)
    largest = step.op == "max_pool"
    start = literal(source.low, self.is_wide) if largest else "0"
    self.line(f"{self.type} sum = {start};", depth)
    if "window" in step.numbers:
        _, places, opened = window_loops(self, dict(step.numbers), source, depth)
        base = index_of([*places, names[-1]], source.shape)
    else:
        opened, count = 1, source.size // source.shape[-1]
        self.line(f"for (int32_t p = 0; p < {count}; p++) {{", depth)
        base = f"p * {source.shape[-1]} + {names[-1]}"
    value = self.read(source.name, base)
    if largest:
        self.line(f"const {self.type} x = {value};", depth + opened)
        self.line("sum = x > sum ? x : sum;", depth + opened)
    else:
        self.line(f"sum += {value};", depth + opened)
    for level in reversed(range(opened)):
        self.line("}", depth + level)
    self.store("sum", index, names[-1], depth)
    self.close(depth)


_SIGNS: Final = {"add": "+", "subtract": "-", "multiply": "*"}


def _merge(self: GroupEmitter, step: Step) -> None:
    names, index = self.loops(step.output.shape)
    depth = len(names)
    values = []
    for source in map(self.memory.tensor, step.inputs):
        aligned = names[len(names) - len(source.shape) :]
        places = ["0" if length == 1 else name for name, length in zip(aligned, source.shape, strict=True)]
        values.append(self.read(source.name, index_of(places, source.shape)))
    if step.op in _SIGNS:
        text = f" {_SIGNS[step.op]} ".join(values)
    else:
        sign = ">" if step.op == "maximum" else "<"
        self.line(f"{self.type} best = {values[0]};", depth)
        for number, value in enumerate(values[1:]):
            self.line(f"const {self.type} other{number} = {value};", depth)
            self.line(f"best = other{number} {sign} best ? other{number} : best;", depth)
        text = "best"
    self.store(text, index, names[-1] if names else "0", depth)
    self.close(depth)


def _concatenate(self: GroupEmitter, step: Step) -> None:
    shape, axis = step.output.shape, step.numbers["axis"] - 1
    start = 0
    for source in map(self.memory.tensor, step.inputs):
        names, inside = self.loops(source.shape)
        places = [f"({name} + {start})" if place == axis else name for place, name in enumerate(names)]
        self.store(self.read(source.name, inside), index_of(places, shape), places[-1], len(names))
        self.close(len(names))
        start += source.shape[axis]


def _moved(self: GroupEmitter, step: Step) -> None:
    """Numbers from another place: transpose, pad, crop, repeat, tile."""
    source = self.memory.tensor(step.inputs[0])
    names, index = self.loops(step.output.shape)
    depth, numbers = len(names), step.numbers
    value, inside = "", list(names)
    if step.op == "transpose":
        inside = [names[numbers["dims"].index(axis + 1)] for axis in range(len(names))]
    elif step.op == "crop":
        inside = [
            f"({name} + {low})" for name, (low, _) in zip(names, numbers["cuts"], strict=False)
        ] + names[-1:]
    elif step.op == "repeat":
        inside = [
            f"({name} / {times})" for name, times in zip(names, numbers["times"], strict=False)
        ] + names[-1:]
    elif step.op == "tile":
        inside = names[1:]
    else:
        inside = [
            f"({name} - {low})" for name, (low, _) in zip(names, numbers["pads"], strict=False)
        ] + names[-1:]
        checks = [
            f"{name} >= {low} && {name} < {low + length}"
            for name, (low, _), length in zip(names, numbers["pads"], source.shape, strict=False)
        ]
        value = f"{' && '.join(checks)} ? "
    element = self.read(source.name, index_of(inside, source.shape))
    self.store(f"({value}{element} : 0)" if value else element, index, names[-1], depth)
    self.close(depth)


_HEADS: Final[dict[str, Any]] = {
    "product": product,
    "depthwise": depthwise,
    "max_pool": _pool,
    "sum_pool": _pool,
    **dict.fromkeys(("add", "subtract", "multiply", "maximum", "minimum"), _merge),
    "concatenate": _concatenate,
    **dict.fromkeys(("transpose", "pad", "crop", "repeat", "tile"), _moved),
}
