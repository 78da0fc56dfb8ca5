"""A job is measured the same to the last digit while another tenant submits all that is hostile here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from search.history import JOB_ENDED
from search.networks.zoo import zoo_config
from service.app import create_app
from service.auth import keys
from service.auth.scopes import KeyScope
from service.processes.limited import Template
from service.processes.limits import Limits
from service.queue import TaskName
from service.store import jobs, trials
from tests.security import test_architecture as corpus
from tests.security import test_hostile_archives as archives
from tests.security import test_hostile_data as data
from tests.security import test_hostile_models as models
from tests.security import test_hostile_weights as weights
from tests.security.models import keras_file
from tests.service.conftest import URL, TestClient
from tests.worker.conftest import Bench, tiny_job, write_data
from worker.job_processes import MODULE, JobProcesses

#: Whether every model with hostile weights is trained on, which takes minutes (`make fuzz`).
EVERYTHING: Final = bool(os.environ.get("FEWBITS_TEST_REQUESTS"))


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Bench]:
    """A service's database and data."""
    bench = Bench(tmp_path)
    write_data(bench.settings.data_folder)
    yield bench
    bench.database.dispose()


@pytest.fixture
def processes(shared: Bench) -> Iterator[JobProcesses]:
    """The processes of a worker; those that train, of the product."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEWBITS_HOME", str(shared.settings.home))
        template = Template(MODULE)
        template.start()
    yield JobProcesses(template, Limits(wall_s=300))
    template.close()


def odd_networks() -> Iterator[dict[str, Any]]:
    """Networks that are taken and fail, or do odd things, when they are trained."""
    for units, activation in ((1, "linear"), (64, "softmax")):
        document = zoo_config("jet_mlp")
        first = next(entry for entry in document["config"]["layers"] if entry["class_name"] == "Dense")
        first["config"] |= {"units": units, "activation": activation}
        yield document


def hostile_jobs() -> Iterator[dict[str, Any]]:
    """Jobs of the first tenant."""
    descriptions = [corpus.smuggled(name, place) for name in corpus.HIDDEN for place in corpus.PLACES]
    for description in [*descriptions, *odd_networks()]:
        yield tiny_job() | {"model": {"kind": "architecture", "config": description}, "budget": {"trials": 1}}
    yield tiny_job() | {"training": {"epochs": 1, "learning_rate": 10}, "budget": {"trials": 1}}


def on_upload(upload_id: str) -> dict[str, Any]:
    """A job that starts from uploaded weights."""
    training = {"epochs": 1, "batch_size": 64, "start": "float"}
    model = {"kind": "uploaded", "id": upload_id}
    return tiny_job() | {"model": model, "training": training, "budget": {"trials": 1}}


def hostile_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that the other tests upload: the resource, and the file."""
    canary = folder / "canary"
    for text, _ in models.TEXTS.values():
        yield "models", keras_file(text)
    for part, _ in models.PARTS.values():
        yield "models", part
    for make, _ in [*archives.NO_MODELS.values(), *archives.ZIPS.values()]:
        yield "models", make(canary)
    for make, _ in data.CORPUS.values():
        yield "datasets", make(canary)


def hostile_weights(folder: Path) -> Iterator[bytes]:
    """Models whose weights only a worker opens: some of them, or all in `make fuzz`."""
    changes = [change for change, _ in weights.CORPUS.values()]
    for number, change in enumerate(changes if EVERYTHING else changes[::6]):
        place = folder / f"weights-{number}"
        place.mkdir()
        yield weights.altered(change, place)


def work(bench: Bench, processes: JobProcesses) -> None:
    """Do everything there is to do."""
    for _ in range(60):
        with bench.database.reading() as session:
            open_ids = [row.id for row in session.query(jobs.Job) if row.status not in JOB_ENDED]
        if not open_ids:
            return
        for job_id in open_ids:
            processes.run(bench.runtime, TaskName.ADVANCE_JOB, job_id)
    raise AssertionError("the jobs do not end")


def measured(bench: Bench, location: str) -> list[tuple[Any, ...]]:
    """What was measured of a job, to the last digit."""
    with bench.database.reading() as session:
        rows = trials.page(session, location.rpartition("/")[2], limit=100)
        return [
            (
                row.number,
                row.status,
                row.metric,
                row.loss,
                row.cost,
                [e.metrics for e in trials.epochs(session, row)],
            )
            for row in rows
        ]


@pytest.mark.timeout(900)
def test_a_tenant_is_undisturbed_by_another(shared: Bench, processes: JobProcesses, tmp_path: Path) -> None:
    app = create_app(shared.settings.model_copy(update={"requests_per_minute": 0}))
    with shared.database.transaction() as session:
        tokens = {
            tenant: keys.create(session, tenant=tenant, name="k", scope=KeyScope.SUBMIT)[1]
            for tenant in ("first", "second")
        }
    heads = {tenant: {"authorization": f"Bearer {token}"} for tenant, token in tokens.items()}
    with TestClient(app, base_url=URL) as http:

        def submit(tenant: str, job: dict[str, Any]) -> Any:
            return http.post("/v1/jobs", json=job, headers=heads[tenant])

        alone = submit("second", tiny_job()).headers["location"]
        work(shared, processes)

        def upload(resource: str, content: bytes) -> Any:
            new = http.post(
                f"/v1/{resource}", json={"name": "f", "size_bytes": len(content)}, headers=heads["first"]
            )
            return http.put(f"{new.headers['location']}/content", content=content, headers=heads["first"])

        refused = [upload(*file) for file in hostile_files(tmp_path)]
        assert {answer.status_code for answer in refused} <= {413, 422}
        taken = [upload("models", content) for content in hostile_weights(tmp_path)]
        ids = [answer.json()["id"] for answer in taken if answer.status_code == 200]
        assert len(ids) >= 5
        answers = [submit("first", job) for job in (*hostile_jobs(), *map(on_upload, ids))]
        assert {answer.status_code for answer in answers} == {202, 422}
        meanwhile = submit("second", tiny_job()).headers["location"]
        work(shared, processes)
        seen = [item["id"] for item in http.get("/v1/jobs", headers=heads["second"]).json()["items"]]
    assert measured(shared, alone) == measured(shared, meanwhile)
    assert all(metric is not None for _, _, metric, *_ in measured(shared, alone))
    assert {f"/v1/jobs/{job_id}" for job_id in seen} == {alone, meanwhile}
    assert not (tmp_path / "canary").exists()
