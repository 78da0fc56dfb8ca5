"""Which input an output gives back, where the examples are the targets (autoencoders)."""

from __future__ import annotations

from collections.abc import Sequence

from search.data.files import DataFault
from search.data.targets import fits
from search.task import Head


def rebuilt_inputs(
    heads: Sequence[Head], inputs: Sequence[str], shapes: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    """For each head the index of the input that it gives back.

    The only input; of several the one whose examples (of `shapes`) fit the output, and of several that do, the one
    whose name is a word of the output's (`image` of `rebuilt_image`).

    Raises `DataFault` where none fits, or several do and the names do not tell which.
    """
    if len(inputs) == 1:
        return (0,) * len(heads)
    return tuple(_rebuilt(head, inputs, shapes) for head in heads)


def _rebuilt(head: Head, inputs: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> int:
    output = f"the output {head.name!r}" if head.name else "the output"
    fitting = [index for index, shape in enumerate(shapes) if fits(shape, head.shape)]
    if not fitting:
        stored = ", ".join(f"{name} {shape}" for name, shape in zip(inputs, shapes, strict=True))
        reason = f"{output} of the shape {head.shape} gives back no input; their examples: {stored}"
        raise DataFault(f"{reason}. Store its targets as y_train, with targets: stored", "targets")
    named = [index for index in fitting if _has_word(head.name, inputs[index])]
    chosen = fitting if len(fitting) == 1 else named
    if len(chosen) != 1:
        names = " and ".join(inputs[index] for index in fitting)
        reason = f"{output} has the shape of the inputs {names}"
        raise DataFault(
            f"{reason}: name it after the one that it gives back, such as rebuilt_{inputs[fitting[0]]}",
            "targets",
        )
    return chosen[0]


def _has_word(name: str, word: str) -> bool:
    """Whether a word stands in a name, between underscores or its ends."""
    return f"_{word}_" in f"_{name}_"
