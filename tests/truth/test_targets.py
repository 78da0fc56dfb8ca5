"""Targets refuse what their tool refuses, and nothing else: rules beside the recorded verdicts of the tools.

`tests/truth/verdicts` is what hls4ml, cnn2snn and Rockpool made of the networks, written by
`python -m tests.truth.tools.record`. Where a variable (FEWBITS_HLS4ML_PYTHON ...) names the Python of a tool's
environment, the tool itself is asked again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from costmodel.errors import InvalidNetwork
from quantization.export.legality.base import Graph
from quantization.export.legality.xylo import population_refusals
from search.networks.architecture import network
from search.networks.zoo import ZOO
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec, ZooModel
from search.spec.stored import completed
from search.targets import TARGETS
from tests.truth.tools.record import CONVERTED, TOOLS, interpreter, recorded

_RECORDED: dict[str, dict[str, Any]] = {target: recorded(target) for target in TOOLS}
#: Networks that a tool happens to compute well on random inputs, and that are refused all the same.
_STRICTER = {("hls4ml", "activation in quantized_bits(4,1,alpha='auto')"): "depends on the data"}
_CASES = [(target, name) for target in TOOLS for name in _RECORDED[target]["verdicts"]]
#: Networks whose project is compiled when hls4ml itself is at hand.
_COMPILED = ("Dense", "layer called 'a-b'", "ReLU max_value")


def _problems(target: str, name: str) -> list[str]:
    try:
        return TOOLS[target].nets[name].problems(target)
    except InvalidNetwork as error:  # no job can have the network
        return [str(error)]


@pytest.mark.parametrize(("target", "name"), _CASES)
def test_a_network_is_accepted_if_its_tool_converts_it(target: str, name: str) -> None:
    verdict = _RECORDED[target]["verdicts"][name]
    problems = _problems(target, name)
    if (target, name) in _STRICTER:
        assert verdict["verdict"] == CONVERTED
        assert _STRICTER[target, name] in problems[0]
        return
    assert (problems == []) == (verdict["verdict"] == CONVERTED), (verdict, problems)


_MAPPED = {name: entry for name, entry in _RECORDED["akida"]["verdicts"].items() if "AKD1000" in entry}


@pytest.mark.parametrize("name", _MAPPED)
def test_what_the_chip_does_not_map_is_warned_of(name: str) -> None:
    warnings = TOOLS["akida"].nets[name].chip_warnings("akida")
    assert (warnings == []) == (_MAPPED[name]["AKD1000"] == "mapped"), (_MAPPED[name], warnings)
    assert all("AKD1000: " in warning for warning in warnings)


@pytest.mark.parametrize("target", TOOLS)
def test_a_recorded_verdict_is_that_of_a_network(target: str) -> None:
    assert set(_RECORDED[target]["verdicts"]) <= set(TOOLS[target].nets)


def test_most_verdicts_are_those_of_converted_networks_but_many_are_not() -> None:
    words = [verdict["verdict"] for entry in _RECORDED.values() for verdict in entry["verdicts"].values()]
    assert len(words) >= 60
    assert words.count(CONVERTED) > 30
    assert len(words) - words.count(CONVERTED) > 30


@pytest.mark.parametrize("target", TOOLS)
def test_the_tool_itself_still_says_so(target: str) -> None:
    python = interpreter(target)
    if python is None:
        pytest.skip(f"FEWBITS_{target.upper()}_PYTHON names no environment of {target}'s tool")
    tool, verdicts = TOOLS[target], _RECORDED[target]["verdicts"]
    quick = list(tool.verdicts(python, target, list(tool.nets.values()), *tool.quick))[1:]
    for answer in quick:
        expected = verdicts.get(answer["name"], answer)["verdict"]
        if answer["verdict"] == "read":  # not compiled
            assert expected not in ("refused", "not in Keras 2 or QKeras"), answer
        else:
            assert answer["verdict"] == expected, answer
    if tool.quick:
        compiled = list(tool.verdicts(python, target, [tool.nets[name] for name in _COMPILED]))[1:]
        assert [answer["verdict"] for answer in compiled] == [verdicts[name]["verdict"] for name in _COMPILED]


@pytest.mark.parametrize(
    ("sizes", "faults"),
    [
        ((16, 1000, 8, 64), []),
        ((17, 1200, 9, 0), ["17 inputs", "1200 hidden neurons", "9 readouts"]),
        ((4, 100, 3, 65), ["reaches 65 others"]),
    ],
)
def test_a_spiking_network_fits_the_chip(sizes: tuple[int, int, int, int], faults: list[str]) -> None:
    reasons = [refusal.reason for refusal in population_refusals(*sizes)]
    assert len(reasons) == len(faults)
    assert all(part in fault for part, fault in zip(faults, reasons, strict=True))


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("target", TARGETS)
def test_no_name_in_a_bundled_network_is_refused(target: str, name: str) -> None:
    graph = Graph(network(ZooModel(name=name)))
    assert [fault for rule in TARGETS[target].legality.names for fault in rule(graph)] == []


def _planned(**model: Any) -> Plan:
    document = {"model": {"kind": "zoo", "name": "digits_cnn", **model}, "data": "digits", "target": "hls4ml"}
    grid = {"quantizer": "quantized_bits(4,0,1,alpha=1.0)"}
    relu = {"quantizer": "quantized_relu(4,2)"}
    quantizers = {"kernel": [grid], "bias": [grid], "activation": [relu]}
    limits = {"by_class": {name: {} for name in ("Conv2D", "Dense", "Activation")}}
    return plan(SearchSpec.model_validate({**document, "quantizers": quantizers, "limits": limits}), Path())


def test_a_job_on_a_bundled_network_may_be_for_hls4ml() -> None:
    planned = _planned()
    assert planned.network.inputs == ("inputs",)
    assert not any("hls4ml" in warning for warning in planned.warnings)


def test_a_stored_job_on_a_bundled_network_goes_on_under_its_names() -> None:
    stored = completed({"model": {"kind": "zoo", "name": "digits_cnn"}})["model"]
    planned = _planned(**stored)
    assert planned.network.inputs == ("input",)
    assert any("layer 'input': hls4ml keeps this name" in warning for warning in planned.warnings)
