"""A job for a target needs no list of quantizers: what it leaves out gets candidates that the target takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from costmodel.errors import InvalidNetwork
from costmodel.fold import unfolded
from quantization.specs.parse import parse_quantizer
from search.errors import InvalidSpec, Problem
from search.plans.kinds import plan
from search.space.choices import choices
from search.space.normalization import trial_network
from search.spec.job import SearchSpec
from search.spec.quantizers import NOTEBOOK_SPACE, TARGET_SPACES
from search.targets import TARGETS
from tests.truth.tools.net import Net, input_codes
from tests.truth.tools.record import CONVERTED, TOOLS, recorded


def network(target: str) -> dict[str, Any]:
    """A network that the target takes: rows for Xylo, images for the others."""
    dense = {"class_name": "Dense", "config": {"units": 8, "name": "scores"}}
    if target == "xylo":
        hidden = {"class_name": "Dense", "config": {"units": 12, "name": "hidden", "activation": "relu"}}
        return _sequential([None, 16], [hidden, dense])
    options = {"filters": 8, "kernel_size": [3, 3], "activation": "relu", "name": "conv"}
    flat = {"class_name": "Flatten", "config": {"name": "flat"}}
    return _sequential([None, 8, 8, 1], [{"class_name": "Conv2D", "config": options}, flat, dense])


def _sequential(shape: list[int | None], layers: list[dict[str, Any]]) -> dict[str, Any]:
    first = {"class_name": "InputLayer", "config": {"batch_shape": shape, "name": "inputs"}}
    return {"class_name": "Sequential", "config": {"name": "net", "layers": [first, *layers]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data for both networks."""
    y = np.arange(64) % 8
    for name, shape in (("rows", (64, 16)), ("images", (64, 8, 8, 1))):
        x = np.random.default_rng(0).random(shape, np.float32)
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return tmp_path


def spec(target: str, **changes: Any) -> SearchSpec:
    """A job that names no quantizers."""
    data = {"kind": "npz", "file": "rows.npz" if target == "xylo" else "images.npz"}
    model = {"kind": "architecture", "config": network(target)}
    return SearchSpec.model_validate({"model": model, "data": data, "target": target, "limits": 8} | changes)


@pytest.mark.parametrize("target", TARGET_SPACES)
@pytest.mark.parametrize("limit", [4, 8])
def test_the_candidates_of_a_target_are_taken_by_it(target: str, limit: int, folder: Path) -> None:
    assert plan(spec(target, limits=limit), folder).choices.size() > 1


@pytest.mark.parametrize("target", TARGET_SPACES)
def test_what_the_job_names_stays(target: str) -> None:
    named = spec(target, quantizers={"kernel": ["quantized_bits(8,0,1)"]})
    assert [str(entry.quantizer) for entry in named.quantizers.kernel] == [
        str(parse_quantizer("quantized_bits(8,0,1)"))
    ]
    assert len(named.quantizers.bias) == len(TARGET_SPACES[target]["bias"])


def test_a_job_without_a_target_has_the_candidates_of_the_notebook() -> None:
    assert len(spec("generic").quantizers.kernel) == len(NOTEBOOK_SPACE["kernel"])


def test_a_stored_job_keeps_its_candidates() -> None:
    stored = spec("hls4ml", quantizers={"bias": ["quantized_bits(8,3,1)"]}).model_dump(mode="json")
    assert SearchSpec.model_validate(stored).quantizers == SearchSpec.model_validate(stored).quantizers
    assert len(SearchSpec.model_validate(stored).quantizers.bias) == 1


#: What each tool was asked about.
RECORDED = [(target, name) for target in TOOLS for name in recorded(target)["verdicts"]]


def problems(target: str, net: Net) -> list[str]:
    """Pointers of what is wrong with a job on a recorded network."""
    model = {"kind": "architecture", "config": net.description()}
    job = SearchSpec.model_validate({"model": model, "data": "digits", "target": target, "limits": 8})
    network = net.network()
    space = choices(job, network, TARGETS[target].legality)
    fixed = {} if net.begins_quantized else input_codes(target, network)
    return [
        problem.pointer
        for problem in TARGETS[target].check(
            unfolded(trial_network(job, network)), replace(space, fixed=fixed)
        )
    ]


@pytest.mark.parametrize(("target", "name"), RECORDED)
def test_a_job_that_lists_no_quantizer_is_refused_for_none(target: str, name: str) -> None:
    faults: list[str]
    try:
        faults = problems(target, TOOLS[target].nets[name])
    except InvalidNetwork:
        pytest.skip("no job can have the network")
    except InvalidSpec as error:
        faults = [problem.message.partition(";")[0] for problem in error.problems]
    if faults == ["no layer of the model is quantized"]:
        return
    assert not [pointer for pointer in faults if pointer.startswith("/quantizers")]
    if recorded(target)["verdicts"][name]["verdict"] == CONVERTED:
        assert faults == []


def chain(*layers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """An image network that ends in ten classes."""
    end = [("Flatten", {}), ("Dense", {"units": 10})]
    described = [
        {"class_name": class_name, "config": {"name": f"{class_name.lower()}_{index}", **config}}
        for index, (class_name, config) in enumerate([*layers, *end])
    ]
    return {"kind": "architecture", "config": _sequential([None, 8, 8, 1], described)}


CONV = ("Conv2D", {"filters": 4, "kernel_size": [3, 3]})
POOL = ("MaxPooling2D", {"pool_size": [2, 2]})
RELU = ("Activation", {"activation": "relu"})


def test_what_the_target_never_quantizes_stays_as_it_is(folder: Path) -> None:
    limits = {"by_class": {"*": 8, "MaxPooling2D": 8}}
    planned = plan(spec("akida", model=chain(CONV, POOL, RELU), limits=limits), folder)
    assert "maxpooling2d_1" not in planned.choices.quantized
    assert {slot.layers[0] for slot in planned.choices.slots} == {"conv2d_0", "activation_2", "dense_4"}
    generic = plan(spec("generic", model=chain(CONV, POOL, RELU), limits=limits), folder)
    assert "maxpooling2d_1" in generic.choices.quantized


def test_a_limit_that_the_target_leaves_without_effect_is_told(folder: Path) -> None:
    limits = {"by_class": {"Conv2D": 8, "Dense": 8, "Activation": 8, "MaxPooling2D": {"output": 8}}}
    warnings = plan(spec("akida", model=chain(CONV, POOL, RELU), limits=limits), folder).choices.warnings
    assert [text for text in warnings if "limits.by_class.MaxPooling2D: output has no effect" in text]


def test_candidates_that_the_job_lists_are_refused_with_the_reason(folder: Path) -> None:
    limits, quantizers = {"by_class": {"*": 8, "MaxPooling2D": 8}}, {"output": ["quantized_bits(4,1)"]}
    listed = spec("akida", model=chain(CONV, POOL, RELU), limits=limits, quantizers=quantizers)
    with pytest.raises(InvalidSpec, match=r"maxpooling2d_1.*activations are unsigned"):
        plan(listed, folder)


def test_a_chain_without_an_activation_is_refused_for_that_alone(folder: Path) -> None:
    with pytest.raises(InvalidSpec) as refused:
        plan(spec("akida", model=chain(CONV, POOL, CONV, RELU)), folder)
    assert [(problem.pointer, problem.message) for problem in refused.value.problems] == [
        ("/model", "akida: layer 'conv2d_0': no activation follows before the next layer with weights")
    ]


CONV3D = {"class_name": "Conv3D", "config": {"filters": 8, "kernel_size": [2, 8, 1], "name": "conv"}}
GRU = {"class_name": "GRU", "config": {"units": 8, "name": "gru"}}
FLAT = {"class_name": "Flatten", "config": {"name": "flat"}}


def job(
    target: str, shape: list[int], layers: list[dict[str, Any]], folder: Path, **changes: Any
) -> SearchSpec:
    """On these layers alone, and data for them."""
    x = np.zeros((64, *shape), np.float32)
    np.savez(folder / "own.npz", x_train=x, y_train=np.arange(64) % 8, x_test=x, y_test=np.arange(64) % 8)
    model = {"kind": "architecture", "config": _sequential([None, *shape], layers)}
    return spec(target, model=model, data={"kind": "npz", "file": "own.npz"}, **changes)


def only_problem(named: SearchSpec, folder: Path) -> Problem:
    """What is said of a job."""
    with pytest.raises(InvalidSpec) as refused:
        plan(named, folder)
    [problem] = refused.value.problems
    return problem


@pytest.mark.parametrize("target", TARGET_SPACES)
def test_a_layer_that_the_target_refuses_is_named_though_limits_cover_none(target: str, folder: Path) -> None:
    problem = only_problem(job(target, [2, 8, 1, 1], [CONV3D, FLAT], folder), folder)
    assert problem.pointer == "/model"
    assert problem.message.startswith(f"{target}: layer 'conv': Conv3D is not one of Activation, ")
    assert problem.message.endswith("; replace the layer, or leave target out, which takes every layer")


def test_a_job_of_which_the_target_quantizes_nothing_is_refused(folder: Path) -> None:
    problem = only_problem(job("hls4ml", [4, 4], [GRU], folder), folder)
    assert problem.pointer == "/target"
    assert "hls4ml takes no quantizer in gru: add a layer in which it does" in problem.message


def test_what_can_be_limited_is_said_where_nothing_is(folder: Path) -> None:
    layers = [CONV3D, FLAT]
    problem = only_problem(job("generic", [2, 8, 1, 1], layers, folder), folder)
    assert problem.pointer == "/limits"
    assert "limits.by_name: [{pattern: conv, output: 8}]" in problem.message
    limits = {"by_name": [{"pattern": "conv", "output": 8}]}
    planned = plan(job("generic", [2, 8, 1, 1], layers, folder, limits=limits), folder)
    assert planned.choices.quantized == ("conv",)
