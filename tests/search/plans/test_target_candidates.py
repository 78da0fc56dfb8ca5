"""A job for a target needs no list of quantizers: what it leaves out gets candidates that the target takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantization.specs.parse import parse_quantizer
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.spec.quantizers import NOTEBOOK_SPACE, TARGET_SPACES


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
