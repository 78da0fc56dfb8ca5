"""What a search that trains bits chooses: the fixed-point candidates of every choice of a quantizer. Plain."""

from __future__ import annotations

from quantization.specs.fixed_point import BitsChoice, fixed_point
from search.errors import Problem
from search.space.choices import Choices, Label


def bits_choices(choices: Choices) -> tuple[BitsChoice, ...]:
    """The choices whose bits are trained. One with a single candidate is among them: its weights may use fewer."""
    among = (BitsChoice.among(slot.name, slot.layers, slot.slot, slot.candidates) for slot in choices.slots)
    return tuple(choice for choice in among if choice is not None)


def start_first(choices: Choices, bits: int) -> dict[str, tuple[Label, ...]]:
    """Name of each choice -> its labels: of trained bits those nearest to `bits` first, of others the most bits."""
    labels = dict(choices.dimensions())
    trained = {choice.name: choice for choice in bits_choices(choices)}
    for slot in choices.slots:
        specs = slot.candidates
        if slot.name in trained:
            grids = trained[slot.name].grids
            pairs = sorted(
                zip(trained[slot.name].specs, grids, strict=True),
                key=lambda pair: (abs(pair[1].bits - bits), -pair[1].bits, -pair[1].integer_bits),
            )
            specs = tuple(spec for spec, _ in pairs)
        else:
            specs = tuple(sorted(specs, key=lambda spec: -spec.data_type().bits))
        labels[slot.name] = tuple(spec.label for spec in specs)
    return labels


def bits_problems(choices: Choices) -> list[Problem]:
    """What a job that trains bits cannot choose: widths and learning rates, and any bits where none is fixed point."""
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
    if choices.slots and not bits_choices(choices):
        problems.append(
            Problem(
                "/quantizers",
                "the oracle gradient trains the bits of fixed-point candidates, and no choice has any: add"
                " quantized_bits(8,0,1,alpha=1.0) or quantized_relu(8,2) or the like",
            )
        )
    return problems


def bits_warnings(choices: Choices) -> list[str]:
    """Candidates that are never chosen, because bits of other kinds are not trained."""
    first = start_first(choices, bits=0)
    trained = {choice.name for choice in bits_choices(choices)}
    left_out: dict[str, list[str]] = {}
    for slot in choices.slots:
        others = [str(spec) for spec in slot.candidates if fixed_point(spec, slot.slot) is None]
        if len(slot.candidates) < 2 or not others:
            continue
        kept = "never chosen: " + ", ".join(others)
        if slot.name not in trained:
            kept = f"none is, so that {first[slot.name][0]} stays in the first training"
        left_out.setdefault(kept, []).append(slot.name)
    return [
        f"the oracle gradient trains bits of fixed-point candidates: {', '.join(names)}: {kept}"
        for kept, names in left_out.items()
    ]
