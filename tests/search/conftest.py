"""What the tests of searches share: a small network, few digits, nothing that takes long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.data import Dataset, load
from search.networks.zoo import conv_block_network
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec


def small_spec(**changes: Any) -> SearchSpec:
    """A job on a network of one convolution and 300 digits: a trial of it takes about a second."""
    job: dict[str, Any] = {
        "model": {
            "kind": "architecture",
            "config": conv_block_network("small", (8, 8, 1), 10, 3, [8], with_maxpooling=False),
        },
        "data": {"kind": "digits", "train_samples": 300},
        "limits": {
            "by_class": {"Dense": [8, 8, 4], "Conv2D": [8, 8, 4], "Activation": [8], "BatchNormalization": []}
        },
        "filters": {"by": "layer"},
        "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01},
        "seed": 3,
    }
    return SearchSpec.model_validate(job | changes)


@pytest.fixture(scope="session")
def small_plan() -> Plan:
    """The small job, ready to run."""
    return plan(small_spec(), Path())


@pytest.fixture(scope="session")
def digits(small_plan: Plan) -> Dataset:
    """The small job's data."""
    return load(small_plan.spec.data, Path(), small_plan.spec.seed, small_plan.data.input_shape)
