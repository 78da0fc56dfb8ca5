"""The checks of `tests/truth` and `benchmarks/truth.py`: what fewbits says of a network, beside the model it builds."""

from __future__ import annotations

import json
import random
from typing import Any

import keras

from costmodel.costs import network_cost
from costmodel.data_type import SlotTypes
from costmodel.energy import prepare, price
from costmodel.network import read_network
from quantization.models.convert import plain_description, quantize, read_quantizers
from quantization.specs.functions import slot_type
from search.cost.answer import price_network
from search.cost.pricing import Pricer, cost_unit
from search.history import Assignment, Cost
from search.networks.architecture import architecture
from search.spec.cost import CostSpec, goal_options, options_document
from search.spec.goals import EnergyGoal
from search.spec.job import SearchSpec
from search.training.artifacts import quantizer_document
from search.training.build import trial_description
from tests.truth.networks import Drawn, random_assignment, random_job


def prices_of_built_models(number: int) -> list[str]:
    """Where the price of a random trial in its job is not that of the model that is built of it."""
    job = random_job(number)
    assignment = random_assignment(job.choices, random.Random(number))
    return price_differences(job, assignment)


def price_differences(job: Drawn, assignment: Assignment) -> list[str]:
    """The job's price of an assignment beside those of the built model, and of the file that is written of it."""
    expected = Pricer(job.spec.goal, job.network).price(assignment)
    config = trial_description(job.spec, architecture(job.spec.model))  # type: ignore[arg-type]
    model = quantize(config, assignment.quantizers, assignment.widths)
    prices = {"built model": model_price(model, job.spec), "quantizers.json": file_price(model, job.spec)}
    return [
        f"{job.spec.goal.kind}: {name} {part} {value!r}, job {_part(expected, part)!r}"
        for name, values in prices.items()
        for part, value in values.items()
        if value != _part(expected, part)
    ]


def _part(cost: Cost, part: str) -> float:
    return float(getattr(cost, part))


def model_price(model: keras.Model, spec: SearchSpec) -> dict[str, float]:
    """The price of a built model, read back from its layers alone."""
    prepared = prepare(read_network(plain_description(model)))
    types: dict[str, SlotTypes] = {
        layer: {
            slot: None if quantizer is None else slot_type(quantizer) for slot, quantizer in slots.items()
        }
        for layer, slots in read_quantizers(model).items()
    }
    settings = goal_options(spec.goal)[1].settings()
    return {
        "value": network_cost(_cost_name(spec), prepared, types, settings),
        "energy_pj": price(prepared, types, settings.energy).energy_pj,
        "bits": network_cost("bits", prepared, types, settings),
    }


def file_price(model: keras.Model, spec: SearchSpec) -> dict[str, float]:
    """The price that `fewbits cost` gives of the file written with a trial."""
    names = read_network(plain_description(model)).inputs
    inputs = not read_quantizers(model).keys().isdisjoint(names)
    options = options_document(spec.goal, quantized_inputs=inputs)
    document: Any = json.loads(json.dumps(quantizer_document(model, options)))
    request = {"model": {"kind": "architecture", "config": document["architecture"]}, "quantizers": document}
    answer = price_network(CostSpec.model_validate(request)).answer()
    return {
        "value": answer.costs[_cost_name(spec)].value,
        "energy_pj": answer.energy_pj,
        "bits": answer.costs["bits"].value,
    }


def _cost_name(spec: SearchSpec) -> str:
    return "energy" if isinstance(spec.goal, EnergyGoal) else cost_unit(spec.goal)
