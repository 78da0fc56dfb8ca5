"""What a search that trains bits chooses: the fixed-point candidates of every choice of a quantizer. Plain."""

from __future__ import annotations

from quantization.specs.fixed_point import BitsChoice, fixed_point
from search.errors import Problem
from search.space.choices import Choices, Label, Slot


def bits_choices(choices: Choices) -> tuple[BitsChoice, ...]:
    """The choices whose bits are trained. One with a single candidate is among them: its weights may use fewer."""
    among = (BitsChoice.among(slot.name, slot.layers, slot.slot, slot.candidates) for slot in choices.slots)
    return tuple(choice for choice in among if choice is not None)


def start_first(choices: Choices, bits: int) -> dict[str, tuple[Label, ...]]:
    """Name of each choice -> its labels: of trained bits those nearest to `bits` first, of others in order."""
    labels = dict(choices.dimensions())
    for choice in bits_choices(choices):
        pairs = sorted(
            zip(choice.specs, choice.grids, strict=True),
            key=lambda pair: (abs(pair[1].bits - bits), -pair[1].bits, -pair[1].integer_bits),
        )
        labels[choice.name] = tuple(spec.label for spec, _ in pairs)
    return labels


def bits_problems(choices: Choices) -> list[Problem]:
    """What a job that trains bits cannot choose: widths, learning rates, quantizers without a fixed-point one."""
    problems = []
    if choices.widths:
        problems.append(
            Problem("/filters", "the oracle gradient trains bits, not widths: set filters.by to none")
        )
    if choices.learning_rates:
        problems.append(
            Problem(
                "/training/learning_rate", "the oracle gradient trains at one learning rate: state a number"
            )
        )
    problems += [
        Problem(
            "/quantizers",
            f"{slot.name}: the oracle gradient trains the bits of fixed-point candidates, and there is none among"
            f" {', '.join(map(str, slot.candidates))}: add quantized_bits(8,0,1,alpha=1.0) or the like, or leave one"
            " candidate",
        )
        for slot in choices.slots
        if len(slot.candidates) > 1 and not _grids(slot)
    ]
    return problems


def bits_warnings(choices: Choices) -> list[str]:
    """Candidates that are never chosen."""
    left_out: dict[str, list[str]] = {}
    for slot in choices.slots:
        others = [str(spec) for spec in slot.candidates if fixed_point(spec, slot.slot) is None]
        if others and len(slot.candidates) > 1:
            left_out.setdefault(", ".join(others), []).append(slot.name)
    return [
        f"the oracle gradient trains bits of fixed-point candidates: {', '.join(names)}: never chosen: {others}"
        for others, names in left_out.items()
    ]


def _grids(slot: Slot) -> list[str]:
    return [str(spec) for spec in slot.candidates if fixed_point(spec, slot.slot) is not None]
