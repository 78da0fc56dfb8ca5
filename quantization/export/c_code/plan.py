"""Which steps of a program one C function does together, and where each tensor lies in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from quantization.export.c_code.packing import Constant, constant, narrowest
from quantization.integer.program import Program, ProgramTensor, Step
from quantization.integer.tensor import Integers

#: Steps that need nothing but the same element of their input.
ELEMENTWISE: Final = frozenset({"affine", "round", "steps", "bent", "shift"})
#: Bytes to which tensors are aligned in the arena.
_ALIGNED: Final = 8


def ctype(tensor: ProgramTensor) -> str:
    """The C type of a tensor's elements."""
    return narrowest(tensor.low, tensor.high)[0]


def element_bytes(tensor: ProgramTensor) -> int:
    """The bytes of one element."""
    return narrowest(tensor.low, tensor.high)[1]


@dataclass(frozen=True, eq=False)
class Group:
    """Steps done by one function: a head, and what follows it element by element. `inputs`: tensors it reads."""

    steps: tuple[Step, ...]
    inputs: tuple[str, ...]

    @property
    def output(self) -> ProgramTensor:
        """The tensor that it makes."""
        return self.steps[-1].output

    @property
    def is_elementwise(self) -> bool:
        """Whether each element is made of the same one of the one input."""
        return self.steps[0].op in ELEMENTWISE


def groups_of(program: Program) -> tuple[Group, ...]:
    """The groups of a program in order; steps that only rename a tensor are in none."""
    roots = roots_of(program)
    readers: dict[str, int] = {}
    for step in program.steps:
        if not _renames(step):
            for name in step.inputs:
                readers[roots[name]] = readers.get(roots[name], 0) + 1
    groups: list[list[Step]] = []
    by_output: dict[str, list[Step]] = {}
    for step in program.steps:
        if _renames(step):
            continue
        source = step.inputs[0]
        group = by_output.get(source)
        alone = readers[roots[source]] == 1 and roots[program.result] != source
        if group is not None and alone and step.op in ELEMENTWISE:
            group.append(step)
        else:
            group = [step]
            groups.append(group)
        by_output[step.output.name] = group
    return tuple(Group(tuple(group), group[0].inputs) for group in groups)


def roots_of(program: Program) -> dict[str, str]:
    """Tensor -> the tensor whose numbers it has, in the same order: itself, unless it is one renamed."""
    roots = {program.source.name: program.source.name}
    for step in program.steps:
        roots[step.output.name] = roots[step.inputs[0]] if _renames(step) else step.output.name
    return roots


def _renames(step: Step) -> bool:
    """Whether a step changes no number and no order."""
    return step.op == "reshape" or (step.op == "shift" and not step.arrays["left"].any())


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel, a row for each output. `packed`: whether it may be packed to its bits; `places`: outputs of a row."""

    numbers: Integers
    packed: bool
    places: int

    @classmethod
    def of(cls, step: Step, *, packed: bool) -> Kernel | None:
        """That of a step; None where it has none."""
        if step.op not in ("product", "depthwise"):
            return None
        kernel = step.arrays["kernel"]
        rows = kernel.T if step.op == "product" else np.moveaxis(kernel, 0, -1).reshape(-1, len(kernel))
        return cls(rows, packed, step.output.size // step.output.shape[-1])

    @cached_property
    def content(self) -> bytes:
        """Equal for equal kernels."""
        return np.ascontiguousarray(self.numbers).tobytes()

    @cached_property
    def entry(self) -> Constant:
        """The array in flash."""
        return constant("", self.numbers, packed=self.packed)

    def constant(self, name: str) -> Constant:
        """The array in flash, under a name."""
        return replace(self.entry, name=name)

    @property
    def row(self) -> tuple[str, int] | None:
        """Type and bytes of a row that is unpacked first; None where each weight is used once, or not packed."""
        if not self.entry.bits or self.places == 1:
            return None
        kind, size = narrowest(int(self.numbers.min()), int(self.numbers.max()))
        return kind, size * self.numbers.shape[1]


@dataclass(frozen=True)
class Row:
    """Memory of an unpacked row in the arena: its C type, and the place of its first element."""

    type: str
    start: int

    def element(self, index: str) -> str:
        """An element, as C."""
        return f"arena.{self.type.removesuffix('_t')}[{self.start} + {index}]"


class Memory:
    """Where tensors lie: the input and the output are the caller's, all others share one arena, unpacked rows too.

    `kernels`: of groups that have one; `rows`: of those that unpack a row of it. `packed`: see `Kernel`.
    """

    def __init__(self, program: Program, groups: Sequence[Group], *, packed: bool = True) -> None:
        found = {group: Kernel.of(group.steps[0], packed=packed) for group in groups}
        self.kernels = {group: kernel for group, kernel in found.items() if kernel is not None}
        self._tensors = program.tensors
        self._roots = roots_of(program)
        self.source = program.source.name
        self.result = self._roots[program.result]
        self.constants: dict[tuple[bool, bytes], Constant] = {}  #: by content
        rows = {index: self.kernels[group].row for index, group in enumerate(groups) if group in self.kernels}
        sizes = {index: row[1] for index, row in rows.items() if row is not None}
        places = _Places(groups, self._roots, self._tensors, (self.source, self.result), sizes)
        self.offsets, self.arena_bytes = places.offsets, places.size_bytes
        self.rows = {
            groups[index]: Row(
                row[0], places.rows[index] // (row[1] // self.kernels[groups[index]].numbers.shape[1])
            )
            for index, row in rows.items()
            if row is not None
        }

    @property
    def types(self) -> set[str]:
        """C types of what lies in the arena."""
        return {ctype(self._tensors[name]) for name in self.offsets} | {
            row.type for row in self.rows.values()
        }

    def tensor(self, name: str) -> ProgramTensor:
        """A tensor by its name."""
        return self._tensors[name]

    def element(self, name: str, index: str) -> str:
        """An element of a tensor, as C."""
        root = self._roots[name]
        if root == self.source:
            return f"input[{index}]"
        if root == self.result:
            return f"output[{index}]"
        tensor = self._tensors[root]
        start = self.offsets[root] // element_bytes(tensor)
        member = f"arena.{ctype(tensor).removesuffix('_t')}"
        return f"{member}[{index}]" if not start else f"{member}[{start} + {index}]"

    def parameters(self, group: Group) -> str:
        """The parameters of the function of a group."""
        inputs = {self._roots[name] for name in group.inputs}
        texts = [f"const {ctype(self._tensors[self.source])} *input"] if self.source in inputs else []
        if group.output.name == self.result:
            texts.append(f"{ctype(group.output)} *output")
        elif self.result in inputs:
            texts.append(f"const {ctype(self._tensors[self.result])} *output")
        return ", ".join(texts) or "void"

    def arguments(self, group: Group) -> str:
        """The arguments of its call."""
        used = {*(self._roots[name] for name in group.inputs), group.output.name}
        names = ((self.source, "input"), (self.result, "output"))
        return ", ".join(text for name, text in names if name in used)


class _Places:
    """The place of each tensor in the arena, and its size: large tensors first, each as low as it fits.

    `rows`: group -> place of the row that it unpacks, of so many bytes.
    What is made element by element lies where its input was, if nothing else reads that and no element is wider.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        roots: dict[str, str],
        tensors: dict[str, ProgramTensor],
        outside: tuple[str, str],
        rows: Mapping[int, int],
    ) -> None:
        self._lives: dict[str, list[int]] = {}
        self._shared: dict[str, str] = {}
        last = {roots[name]: index for index, group in enumerate(groups) for name in group.inputs}
        for index, group in enumerate(groups):
            name, before = group.output.name, roots[group.inputs[0]]
            if name in outside:
                continue
            self._lives[name] = [index, last.get(name, index)]
            narrower = element_bytes(group.output) <= element_bytes(tensors[before])
            if group.is_elementwise and before in self._lives and last[before] == index and narrower:
                self._shared[name] = self._shared.get(before, before)
                self._lives[self._shared[name]][1] = self._lives[name][1]
        sizes = {name: _bytes(tensors[name]) for name in self._lives if name not in self._shared}
        names = {index: f"row of {groups[index].output.name}" for index in rows}
        self._lives |= {name: [index, index] for index, name in names.items()}
        sizes |= {names[index]: _aligned(size) for index, size in rows.items()}
        self.offsets: dict[str, int] = {}
        for name in sorted(sizes, key=lambda tensor: -sizes[tensor]):
            self.offsets[name] = self._lowest(name, sizes)
        self.size_bytes = max((self.offsets[name] + sizes[name] for name in sizes), default=0)
        self.rows = {index: self.offsets.pop(name) for index, name in names.items()}
        self.offsets |= {name: self.offsets[root] for name, root in self._shared.items()}

    def _lowest(self, name: str, sizes: dict[str, int]) -> int:
        """The lowest offset at which a tensor meets none that is there at the same time."""
        born, dies = self._lives[name]
        taken = sorted(
            (self.offsets[other], self.offsets[other] + sizes[other])
            for other in self.offsets
            if self._lives[other][0] <= dies and born <= self._lives[other][1]
        )
        offset = 0
        for start, end in taken:
            if offset + sizes[name] <= start:
                break
            offset = max(offset, end)
        return offset


def _bytes(tensor: ProgramTensor) -> int:
    return _aligned(tensor.size * element_bytes(tensor))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
