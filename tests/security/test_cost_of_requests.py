"""What a request costs: processor time per kilobyte, and memory, of every operation that takes a body.

hypothesis builds requests that are large in one way each. FEWBITS_TEST_REQUESTS=400 builds as many, of up to 4 MB
(`make fuzz`); otherwise a few of up to 100 kB.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.space.choices import MOST
from service.app import create_app
from service.settings import Settings
from service.store.blobs import BlobStore
from service.store.migrate import upgrade
from service.store.session import Database
from tests.security.costly import FAMILIES, large
from tests.service.conftest import URL, TestClient
from tests.service.filled import JOB, Filler

REQUESTS: Final = int(os.environ.get("FEWBITS_TEST_REQUESTS", "0"))
MAX_KB: Final = 4000 if REQUESTS else 100

#: Seconds of processor time that any request may take, and more for each kilobyte: what is worse than linear takes
#: minutes at 4 MB. Dry runs of networks take the most.
BASE_S: Final = 4.0
PER_KB_S: Final = 0.06
#: Memory by which the process may grow over all requests.
GROWTH_MB: Final = 1500

OPERATIONS: Final = (
    "POST /v1/jobs:validate",
    "POST /v1/jobs",
    "POST /v1/cost",
    "POST JOB:clone",
    "POST JOB:rescore",
    "POST JOB:extend",
    "PATCH JOB",
    "POST JOB/trials/0:finalize",
    "POST /v1/models",
    "POST /v1/datasets",
    "POST /v1/session",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service, which computes in this process, with a job that has a measured trial."""
    home: Path = tmp_path_factory.mktemp("cost")
    own = Settings(home=home, compute_processes=0, requests_per_minute=0)
    database = Database(own.database)
    upgrade(database.engine)
    (home / "files").mkdir()
    filler = Filler(database, BlobStore(own.blob_folder), home / "files")
    stored = filler.job()
    filler.measure(stored, filler.queue(stored, 1)[0])
    database.dispose()
    with TestClient(create_app(own), base_url=URL, raise_server_exceptions=False) as client:
        client.headers["x-job"] = f"/v1/jobs/{stored.job_id}"
        client.post("/v1/jobs:validate", json=JOB)  # what is loaded and cached once
        client.post("/v1/cost", json={"model": "jet_mlp"})
        yield client


sizes = st.sampled_from([kilobytes for kilobytes in (1, 10, 30, 100, 400, 1500, 4000) if kilobytes <= MAX_KB])


@settings(
    max_examples=REQUESTS or 24,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operation=st.sampled_from(OPERATIONS), family=st.sampled_from(sorted(FAMILIES)), kilobytes=sizes)
def test_requests_cost_what_they_are_long(
    served: TestClient, operation: str, family: str, kilobytes: int
) -> None:
    check(served, operation, family, kilobytes)


@pytest.mark.parametrize("family", ["a chain of layers", "a ladder of merges", "a wide merge"])
def test_networks_cost_what_they_are_long(served: TestClient, family: str) -> None:
    check(served, "POST /v1/jobs:validate", family, 60)


def test_a_space_of_very_many_assignments_is_counted_as_many(served: TestClient) -> None:
    """Python writes no number of more than 4,300 digits."""
    body = large("many families in a chain", 420)
    answer = served.post("/v1/jobs:validate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text[:500]
    assert answer.json()["space_size"] == str(MOST)
    check(served, "POST /v1/jobs", "many families in a chain", 420)
    assert served.get("/v1/jobs").json()["items"][0]["progress"]["total"] == 20


def check(served: TestClient, operation: str, family: str, kilobytes: int) -> None:
    """Send one request, and compare what it costs with its length."""
    body = large(family, kilobytes)
    method, path = operation.split(" ")
    growth, began = peak_mb(), time.process_time()
    answer = served.request(
        method,
        path.replace("JOB", served.headers["x-job"]),
        content=body,
        headers={"content-type": "application/json"},
    )
    cpu_s, growth = time.process_time() - began, peak_mb() - growth
    what = f"{operation} with {family}, {len(body) // 1000} kB: {answer.status_code}"
    assert answer.status_code < 500, what
    assert cpu_s < BASE_S + PER_KB_S * len(body) / 1000, f"{what} took {cpu_s:.1f} s of processor time"
    assert growth < GROWTH_MB, f"{what} took {growth:.0f} MB"
    ratio = 8 if answer.is_success else 2  # a dry run lists the layers and candidates
    size = len(answer.content)
    assert size < ratio * len(body) + (1 << 20), f"{what} has {size} bytes"


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
