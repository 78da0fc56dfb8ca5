"""The plan of a job on a spiking network. Unlike other plans it reads the examples, to price assignments by them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from quantization.export.legality.xylo import spiking_refusals
from quantization.spiking.specification import SpecificationError, XyloSpecification
from search.data import EVENTS, Dataset, describe, load
from search.data.inputs import only_input
from search.data.sources import pointer
from search.errors import Infeasible, InvalidSpec, Problem
from search.plan import Plan, plan_from
from search.space.choices import Choices
from search.space.sensitivity import needs_sensitivity
from search.spec.job import SearchSpec
from search.spec.resolved import Resolved, ResolvedModel
from search.spec.spiking import XyloModel
from search.spec.stored import usual_values
from search.spiking.network import SpikingPricer, event_shape, network_outline, specification
from search.task import Head, Output, Task

#: Fields that do not apply to a spiking network, and why.
_REFUSED: Final = {
    "quantizers": "a spiking job searches `spiking`",
    "limits": "a spiking job searches `spiking`",
    "inputs": "events are used as they are",
    "filters": "the size of a spiking network is fixed",
    "layers": "a spiking network has no layers to select",
    "training": "a spiking network is not trained",
    "stopping": "a spiking network is not trained",
    "post_training": "a spiking network is not trained",
    "polish": "polish lowers the bits of quantizers, which a spiking network has none of",
    "schedule": "a spiking network has one stage",
    "normalization": "a spiking network has no batch normalizations",
}


@dataclass(frozen=True)
class SpikingPlan(Plan):
    """The plan of a spiking job, and the float network that its trials quantize."""

    float_network: XyloSpecification


def spiking_choices(spec: SearchSpec, _: ResolvedModel) -> Choices:
    """The space of a spiking job: how its weights and thresholds become integers."""
    space = spec.spiking
    return Choices(
        slots=(),
        widths=(),
        quantized=(),
        base_widths={},
        settings={
            "method": space.methods,
            "bits_per_weight": space.bits_per_weight,
            "bits_per_threshold": space.bits_per_threshold,
        },
    )


def spiking_plan(job: Resolved, data_dir: Path) -> SpikingPlan:
    """Check a spiking job. Raises `InvalidSpec` with every fault."""
    assert isinstance(job.model, XyloModel)  # as JOB_KINDS has it
    spec = job.spec
    problems = spiking_problems(spec)
    if problems:
        raise InvalidSpec(problems)
    float_network = specification(job.model, data_dir)
    if spec.target == "xylo":
        _check_sizes(float_network)
    inputs, readouts = float_network.weights_in.shape[0], float_network.weights_out.shape[1]
    shape = event_shape(job.data, data_dir)
    if shape[1] != inputs:
        reason = f"events of {shape[1]} inputs; the network has {inputs}"
        raise InvalidSpec([Problem(pointer(spec.data), reason)])
    network = network_outline(float_network, shape)
    task = Task((Head("neurons", Output("linear", readouts), (readouts,)),))
    info = describe(job.data, data_dir, network, task)
    info = replace(info, inputs=(replace(info.inputs[0], preprocessing=EVENTS),))
    data = load(job.data, data_dir, spec.seed, shape, task.heads, EVENTS)
    pricer = SpikingPricer(spec.goal, float_network, only_input(data.x_train))
    _check_events(spec, data, pricer)
    plan = plan_from(job, network, task, spiking_choices(spec, job.model), info, pricer)
    return SpikingPlan(**vars(plan), float_network=float_network)


def _check_sizes(network: XyloSpecification) -> None:
    """InvalidSpec for a network that does not fit the chip."""
    faults = spiking_refusals(network.weights_in, network.weights_rec, network.weights_out)
    if faults:
        raise InvalidSpec([Problem("/model", f"xylo: {fault.reason}") for fault in faults])


def _check_events(spec: SearchSpec, data: Dataset, pricer: SpikingPricer) -> None:
    """InvalidSpec unless the reference can be simulated on the events."""
    try:
        pricer.check(*map(only_input, (data.x_train, data.x_validation, data.x_test)))
        pricer.reference()
    except SpecificationError as error:
        raise InvalidSpec([Problem(pointer(spec.data), str(error))]) from error
    except Infeasible as error:
        raise InvalidSpec(
            [Problem("/model", f"with 8 bits per weight and 16 per threshold: {error}")]
        ) from error


def spiking_problems(spec: SearchSpec) -> list[Problem]:
    """The fields of a spiking job that do not apply to it."""
    defaults = SearchSpec.model_fields
    problems = [
        Problem(f"/{name}", f"{reason}: leave this out")
        for name, reason in _REFUSED.items()
        if name != "limits"
        and getattr(spec, name)
        not in usual_values(name, defaults[name].get_default(call_default_factory=True))
    ]
    if not spec.limits.is_empty:
        problems.append(Problem("/limits", f"{_REFUSED['limits']}: leave this out"))
    if spec.data.preprocessing not in ("auto", "none"):
        problems.append(Problem("/data/preprocessing", "events are used as they are: set none"))
    if spec.oracle.kind == "hyperband":
        problems.append(
            Problem("/oracle/kind", "hyperband shortens trainings, and a spiking network is not trained")
        )
    if spec.oracle.kind == "gradient":
        problems.append(Problem("/oracle/kind", "gradient trains bits, and a spiking network is not trained"))
    if needs_sensitivity(spec.oracle):
        problems.append(
            Problem("/oracle", "the sensitivity is that of layers, which a spiking network does not have")
        )
    if spec.bound.kind == "float":
        problems.append(Problem("/bound/kind", "no float model is measured: set strict or off"))
    if spec.constraints.max_metric_drop is not None:
        problems.append(Problem("/constraints/max_metric_drop", "no float model is measured: leave this out"))
    problems += [
        Problem(f"/constraints/max_{name}", "a spiking network is priced in energy and bits: leave this out")
        for name in spec.constraints.cost_limits
        if name not in ("energy_pj", "bits")
    ]
    if spec.target not in ("generic", "xylo"):
        problems.append(Problem("/target", "a spiking network needs the target generic or xylo"))
    if spec.objective.metric != "accuracy":
        problems.append(Problem("/objective/metric", "a spiking network is measured by its accuracy"))
    return problems
