"""The service in both its set-ups: embedded, and on PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture
def job() -> dict[str, Any]:
    """A small search: three trials of two epochs on the digits."""
    return {
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
