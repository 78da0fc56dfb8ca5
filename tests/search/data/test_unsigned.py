"""Preprocessing of jobs whose target reads no negative numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantization.specs.qkeras import QuantizedBits
from search.errors import InvalidSpec
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.targets import TARGETS

_CONVOLUTION: dict[str, Any] = {"filters": 4, "kernel_size": [3, 3], "activation": "relu", "name": "conv"}


def _job(folder: Path, target: str, shape: tuple[int, ...], low: float = 0.0, **data: Any) -> SearchSpec:
    """A job on examples of this shape, of numbers from `low` to 1."""
    generator = np.random.default_rng(0)
    x = generator.uniform(low, 1.0, (64, *shape)).astype(np.float32)
    np.savez(folder / "data.npz", x_train=x, y_train=np.arange(64) % 4, x_test=x, y_test=np.arange(64) % 4)
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, *shape], "name": "inputs"}}
    hidden = {"class_name": "Dense", "config": {"units": 6, "activation": "relu", "name": "hidden"}}
    conv = {"class_name": "Conv2D", "config": _CONVOLUTION}
    flat = {"class_name": "Flatten", "config": {"name": "flat"}}
    end = {"class_name": "Dense", "config": {"units": 4, "name": "scores"}}
    described = [first, *([conv, flat] if len(shape) == 3 else [hidden]), end]
    model = {
        "kind": "architecture",
        "config": {"class_name": "Sequential", "config": {"name": "net", "layers": described}},
    }
    return SearchSpec.model_validate(
        {
            "model": model,
            "data": {"kind": "npz", "file": "data.npz", **data},
            "target": target,
            "limits": 8,
        }
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(8, 8, 1), (6,)])
def test_examples_keep_their_sign_where_the_target_reads_none(
    target: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    if target == "xylo" and len(shape) > 1:
        pytest.skip("Xylo reads rows")
    planned = plan(_job(tmp_path, target, shape), tmp_path)
    unsigned = TARGETS[target].legality.unsigned_inputs
    assert planned.data.preprocessing.method == (
        "unit" if unsigned else "centered" if len(shape) == 3 else "standard"
    )
    quantizer = planned.choices.fixed["inputs"]["activation"]
    assert isinstance(quantizer, QuantizedBits)
    assert quantizer.keep_negative != unsigned
    narrow = target == "xylo" or (target == "akida" and len(shape) == 1)
    assert quantizer.bits == (4 if narrow else 8)
    text = f"{target} reads the input in 4 bits at most"
    assert narrow == any(text in warning for warning in planned.choices.warnings)


@pytest.mark.parametrize("data", [{}, {"preprocessing": "unit"}, {"preprocessing": "none"}])
def test_negative_examples_are_refused_with_the_remedy(data: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec) as refused:
        plan(_job(tmp_path, "akida", (8, 8, 1), low=-1.0, **data), tmp_path)
    assert [problem.pointer for problem in refused.value.problems] == ["/inputs"]
    assert "layer 'inputs'" in refused.value.problems[0].message
    assert "with data.preprocessing unit or none" in refused.value.problems[0].message


def test_a_preprocessing_that_makes_signs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="codes have no sign"):
        plan(_job(tmp_path, "akida", (8, 8, 1), preprocessing="centered"), tmp_path)


def test_columns_of_one_divisor_are_warned_of(tmp_path: Path) -> None:
    warnings = plan(_job(tmp_path, "akida", (6,)), tmp_path).data.preprocessing.warnings
    assert any("divides every feature by the largest number of all features" in text for text in warnings)
    assert plan(_job(tmp_path, "akida", (8, 8, 1)), tmp_path).data.preprocessing.warnings == ()
