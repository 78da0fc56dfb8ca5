"""The plan of a job on a Keras network, whose layers are quantized and trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from costmodel.fold import unfolded
from costmodel.network import Network
from quantization.export.legality.base import Graph
from search.cost.pricing import Pricer
from search.data import describe
from search.errors import InvalidSpec, Problem
from search.networks.architecture import input_steps
from search.networks.architecture import network as network_of
from search.networks.builder import INPUT_NAME
from search.plan import Plan, plan_from, takes_uploaded_weights
from search.plans.inputs import input_quantizers, input_warnings
from search.plans.training_options import training_problems, training_warnings
from search.space.choices import Choices
from search.space.choices import choices as choices_of
from search.space.normalization import trial_network
from search.space.trained_bits import bits_problems, bits_warnings
from search.spec.job import SearchSpec, ZooModel
from search.spec.resolved import Resolved, ResolvedModel
from search.targets import TARGETS
from search.task import task as task_of

T = TypeVar("T")


def layers_plan(job: Resolved, data_dir: Path) -> Plan:
    """Check a job on layers. Reads of the data what `describe` reads.

    Raises `InvalidSpec` with every fault; faults of the model hide those of the rest, which depends on it.
    """
    spec, network = job.spec, network_of(job.model)
    trials = trial_network(spec, network)
    problems: list[Problem] = []
    legality = TARGETS[spec.target].legality
    choices = _choices(problems, spec, network, trials)
    task = _collect(problems, lambda: task_of(spec, network))
    pretrained = takes_uploaded_weights(job)
    steps = input_steps(job.model)
    data = (
        None
        if task is None
        else _collect(
            problems,
            lambda: describe(
                job.data,
                data_dir,
                network,
                task,
                pretrained=pretrained,
                steps=steps,
                unsigned=legality.unsigned_inputs,
            ),
        )
    )
    if task is not None:
        problems += training_problems(spec.training, task, network)
    inputs = (
        None if data is None else _collect(problems, lambda: input_quantizers(spec, network, data, legality))
    )
    pricer = _collect(problems, lambda: Pricer(spec.goal, trials))
    if choices is not None and inputs is not None:
        choices = replace(choices, fixed=inputs)
    if choices is not None:
        named = not _has_old_name(job.model)
        if spec.oracle.kind == "gradient":
            problems += bits_problems(choices)
        if inputs is not None:
            problems += TARGETS[spec.target].check(unfolded(trials), choices, named_by_user=named)
    if problems or choices is None or task is None or data is None or pricer is None or inputs is None:
        raise InvalidSpec(problems)
    warnings = (
        *choices.warnings,
        *input_warnings(spec, data, inputs),
        *_name_warnings(spec, unfolded(trials)),
        *TARGETS[spec.target].warnings(unfolded(trials), choices),
        *training_warnings(spec.training),
        *(bits_warnings(choices) if spec.oracle.kind == "gradient" else ()),
    )
    return plan_from(job, trials, task, replace(choices, warnings=warnings), data, pricer)


#: Where a space is said to be empty.
_EMPTY: Final = ("/limits", "/target")


def _choices(problems: list[Problem], spec: SearchSpec, network: Network, trials: Network) -> Choices | None:
    """The space; where there is none, what the target has against the layers hides that limits cover none of them."""
    faults: list[Problem] = []
    target = TARGETS[spec.target]
    chosen = _collect(faults, lambda: choices_of(spec, network, target.legality))
    refusals = target.class_problems(unfolded(trials)) if chosen is None else []
    problems += [*refusals, *(fault for fault in faults if not refusals or fault.pointer not in _EMPTY)]
    return chosen


def _has_old_name(model: ResolvedModel) -> bool:
    """Whether a bundled network has the name of its input that version 0.1 gave it: jobs that have begun go on."""
    return isinstance(model, ZooModel) and model.input_name != INPUT_NAME


def _name_warnings(spec: SearchSpec, trials: Network) -> tuple[str, ...]:
    """Of names that the target refuses, in a job whose names nobody chose."""
    if not isinstance(spec.model, ZooModel):
        return ()
    return tuple(
        f"{spec.target}: layer {layer!r}: {reason}; leave model.input_name out of the next job"
        for rule in TARGETS[spec.target].legality.names
        for layer, reason in rule(Graph(trials))
    )


def layers_choices(spec: SearchSpec, model: ResolvedModel) -> Choices:
    """The space of a job on layers. Raises `InvalidSpec` for a model or limits that make none."""
    return choices_of(spec, network_of(model), TARGETS[spec.target].legality)


def _collect(problems: list[Problem], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except InvalidSpec as error:
        problems += error.problems
        return None
