"""Which steps of a program one C function does together, and where each tensor lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from quantization.export.c_code.packing import Constant, narrowest
from quantization.integer.program import Program, ProgramTensor, Step

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


class Memory:
    """Where tensors lie: the input and the output are the caller's, all others share one arena."""

    def __init__(self, program: Program, groups: Sequence[Group]) -> None:
        self._tensors = program.tensors
        self._roots = roots_of(program)
        self.source = program.source.name
        self.result = self._roots[program.result]
        self.constants: dict[tuple[bool, bytes], Constant] = {}  #: by content
        places = _Places(groups, self._roots, self._tensors, (self.source, self.result))
        self.offsets, self.arena_bytes = places.offsets, places.size_bytes

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

    What is made element by element lies where its input was, if nothing else reads that and no element is wider.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        roots: dict[str, str],
        tensors: dict[str, ProgramTensor],
        outside: tuple[str, str],
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
        self.offsets: dict[str, int] = {}
        for name in sorted(sizes, key=lambda tensor: -sizes[tensor]):
            self.offsets[name] = self._lowest(name, sizes)
        self.size_bytes = max((self.offsets[name] + sizes[name] for name in sizes), default=0)
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
    size = tensor.size * element_bytes(tensor)
    return -(-size // _ALIGNED) * _ALIGNED
