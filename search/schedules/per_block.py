"""Block by block: AutoQKeras' scheduler, with trained weights handed on, one budget, and groups kept together."""

from __future__ import annotations

from collections.abc import Sequence

from search.errors import InvalidSpec, Problem
from search.history import Cost
from search.schedules.base import Stage, shares
from search.space.choices import INPUT_FIELD, Choices
from search.spec.job import SearchSpec
from search.spec.patterns import matches
from search.spec.schedule import PerBlockSchedule


def per_block(spec: SearchSpec, choices: Choices, reference: Cost) -> tuple[Stage, ...]:
    """A stage for every block, in the order of the schedule.

    Raises InvalidSpec if a block has no layer that is quantized, or if there are fewer trials than blocks.
    """
    schedule = spec.schedule
    assert isinstance(schedule, PerBlockSchedule)  # by the table of schedules
    blocks = _blocks(schedule.blocks, choices.quantized)
    problems = [
        Problem(f"/schedule/blocks/{index}", f"the block {pattern!r} has no layer that the limits quantize")
        for index, pattern in enumerate(schedule.blocks)
        if not blocks[pattern]
    ]
    if problems:
        raise InvalidSpec(problems)
    energies = {layer.name: layer.included_pj for layer in reference.layers}
    costs = {name: sum(energies.get(layer, 0.0) for layer in layers) for name, layers in blocks.items()}
    order = list(blocks)
    if schedule.order == "cost":
        order.sort(key=lambda name: -costs[name])
    parts = _parts(choices, [(name, blocks[name]) for name in order])
    try:
        trials = shares(costs, spec.budget.trials, {name: part.size() for name, part in parts.items()})
    except ValueError as error:
        raise InvalidSpec([Problem("/budget/trials", str(error))]) from error
    stages, first = [], 0
    for index, name in enumerate(order):
        stages.append(Stage(index, name, parts[name], first, trials[name]))
        first += trials[name]
    return tuple(stages)


def _blocks(patterns: Sequence[str], layers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Layers of each block; each layer in the first block whose pattern matches its whole name."""
    blocks: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    for layer in layers:
        block = next((pattern for pattern in patterns if matches(pattern, layer)), None)
        if block is not None:
            blocks[block].append(layer)
    return {pattern: tuple(names) for pattern, names in blocks.items()}


def _parts(choices: Choices, blocks: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Choices]:
    """The choices of each block: those of its layers that no earlier block makes."""
    parts: dict[str, Choices] = {}
    settled: set[str] = set()
    searched = {layer for _, layers in blocks for layer in layers}
    inputs = [layer for s in choices.slots if s.field == INPUT_FIELD for layer in s.layers]
    for name, layers in blocks:
        block = {*layers, *inputs}  # no block has the input: the first one chooses its quantizer
        slots = tuple(s for s in choices.slots if s.name not in settled and block.intersection(s.layers))
        widths = tuple(w for w in choices.widths if w.name not in settled and block.intersection(w.layers))
        settled |= {slot.name for slot in slots} | {width.name for width in widths}
        sharing = {layer for slot in slots for layer in slot.layers if layer in searched}
        parts[name] = choices.restricted(
            slots=slots, widths=widths, quantized=[n for n in choices.quantized if n in block | sharing]
        )
    return parts
