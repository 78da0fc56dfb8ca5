"""A spiking job, checked against its network and its events. Plain; unlike other plans it reads the data, to price."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from quantization.spiking.specification import SpecificationError
from search.data import Dataset, describe, load
from search.data.describe import pointer
from search.errors import Infeasible, InvalidSpec, Problem
from search.plans.base import Plan, assembled
from search.spec.job import SearchSpec
from search.spec.resolved import Resolved
from search.spec.spiking import XyloModel
from search.spiking.network import SpikingPricer, event_shape, specification, spiking_choices, stand_in
from search.task import Head, Output, Task

#: Fields that say nothing about a spiking network, and why.
_REFUSED: Final = {
    "quantizers": "a spiking job searches `spiking`",
    "limits": "a spiking job searches `spiking`",
    "filters": "the size of a spiking network is fixed",
    "layers": "a spiking network has no layers to select",
    "training": "a spiking network is not trained",
    "stopping": "a spiking network is not trained",
    "post_training": "a spiking network is not trained",
    "schedule": "a spiking network has one stage",
}


def spiking_plan(job: Resolved, model: XyloModel, data_dir: Path) -> Plan:
    """Check a spiking job. Raises InvalidSpec with every fault found."""
    spec = job.spec
    problems = spiking_problems(spec)
    if problems:
        raise InvalidSpec(problems)
    weights = specification(model, data_dir)
    shape = event_shape(job.data, data_dir)
    if shape[1] != weights.weights_in.shape[0]:
        reason = f"events of {shape[1]} inputs; the network has {weights.weights_in.shape[0]}"
        raise InvalidSpec([Problem(pointer(spec.data), reason)])
    network = stand_in(weights, shape)
    readouts = weights.weights_out.shape[1]
    own_task = Task((Head("neurons", Output("linear", readouts), (readouts,)),))
    info = describe(job.data, data_dir, network, own_task)
    data = load(job.data, data_dir, spec.seed, shape, own_task.heads)
    pricer = SpikingPricer(spec.goal, weights, data.x_train)
    _check_events(spec, data, pricer)
    return assembled(job, network, own_task, spiking_choices(spec.spiking), info, pricer)


def _check_events(spec: SearchSpec, data: Dataset, pricer: SpikingPricer) -> None:
    """InvalidSpec unless the reference can be simulated on the events."""
    try:
        pricer.check(data.x_train, data.x_validation, data.x_test)
        pricer.reference()
    except SpecificationError as error:
        raise InvalidSpec([Problem(pointer(spec.data), str(error))]) from error
    except Infeasible as error:
        raise InvalidSpec([Problem("/model", f"at 8 bits a weight and 16 a threshold: {error}")]) from error


def spiking_problems(spec: SearchSpec) -> list[Problem]:
    """What a spiking job asks for that it cannot have."""
    defaults = SearchSpec.model_fields
    problems = [
        Problem(f"/{name}", f"{reason}: leave this out")
        for name, reason in _REFUSED.items()
        if name != "limits" and getattr(spec, name) != defaults[name].get_default(call_default_factory=True)
    ]
    if not spec.limits.is_empty:
        problems.append(Problem("/limits", f"{_REFUSED['limits']}: leave this out"))
    if spec.data.preprocessing != "none":
        problems.append(Problem("/data/preprocessing", "events are taken as they are: none"))
    if spec.oracle.kind == "hyperband":
        problems.append(Problem("/oracle/kind", "hyperband shortens trainings; there are none"))
    if spec.bound.kind == "float":
        problems.append(Problem("/bound/kind", "no float model is measured; strict or off"))
    if spec.constraints.max_metric_drop is not None:
        problems.append(Problem("/constraints/max_metric_drop", "no float model is measured"))
    if spec.target not in ("generic", "xylo"):
        problems.append(Problem("/target", "a spiking network runs on xylo"))
    if spec.objective.metric != "accuracy":
        problems.append(Problem("/objective/metric", "a spiking network is measured by its accuracy"))
    return problems
