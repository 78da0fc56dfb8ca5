"""The service in both its set-ups: embedded, and on PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.server import Server, running
from tests.conftest import drop_schema, redis_url


@pytest.fixture(scope="module", params=["embedded", pytest.param("servers", marks=pytest.mark.services)])
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_postgres_schema: Callable[[], str],
) -> Iterator[Server]:
    """A service that is ready."""
    home: Path = tmp_path_factory.mktemp("home")
    if request.param == "embedded":
        with running(home, {}) as server:
            yield server
        return
    broker = redis_url()
    if broker is None:
        pytest.skip("no Redis server on loopback or at FEWBITS_TEST_BROKER_URL")
    database = make_postgres_schema()
    with running(home, {"FEWBITS_DATABASE_URL": database, "FEWBITS_BROKER_URL": broker}) as server:
        yield server
    drop_schema(database)


#: A search of convolutions in several widths: three trials of two epochs on the digits.
SEARCH: Final[dict[str, Any]] = {
    "name": "acceptance",
    "model": "digits_cnn",
    "data": {"kind": "digits", "train_samples": 400},
    "limits": {
        "by_class": {
            "Dense": [8, 8, 4],
            "Conv2D": [4, 8, 4],
            "Activation": [4],
            "BatchNormalization": [],
        }
    },
    "filters": {"by": "layer", "exceptions": ["^dense"]},
    "training": {"epochs": 2, "batch_size": 64, "learning_rate": 0.01},
    "budget": {"trials": 3},
    "parallel_trials": 2,
    "seed": 42,
}


@pytest.fixture
def job() -> dict[str, Any]:
    """A search whose network is compiled soon, for what is not about the network."""
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 1], "name": "image"}},
        {"class_name": "Flatten", "config": {"name": "flat"}},
        {"class_name": "Dense", "config": {"units": 8, "activation": "relu", "name": "hidden"}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax", "name": "scores"}},
    ]
    network = {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
    return {
        **SEARCH,
        "model": {"kind": "architecture", "config": network},
        "limits": {"by_class": {"Dense": [8, 8, 4]}},
        "filters": {"by": "none"},
    }
