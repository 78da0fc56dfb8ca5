"""Uploaded models and data sets: created, sent in parts, used by jobs, listed, deleted."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from search.history import JobStatus
from service.app import create_app
from service.settings import Settings
from service.store import jobs, uploads
from service.store.blobs import BlobStore
from service.store.models import now
from service.store.upload_parts import UploadParts
from tests.security.models import architecture, keras_file
from tests.security.test_hostile_data import npz
from tests.service.conftest import URL

MODEL = keras_file()
DATA = npz()


def declare(http: TestClient, data: bytes, resource: str = "models", **fields: Any) -> str:
    """The place of a new upload."""
    answer = http.post(f"/v1/{resource}", json={"name": "mine", "size_bytes": len(data)} | fields)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def upload(http: TestClient, data: bytes = MODEL, resource: str = "models", **fields: Any) -> dict[str, Any]:
    """A complete upload."""
    answer = http.put(f"{declare(http, data, resource, **fields)}/content", content=data)
    assert answer.status_code == 200, answer.text
    created: dict[str, Any] = answer.json()
    return created


def stored(settings: Settings) -> list[Path]:
    return [path for path in settings.blob_folder.rglob("*") if path.is_file()]


# --- what is told --------------------------------------------------------------------------------------------------


def test_an_uploaded_model_has_its_layers_and_path(http: TestClient, settings: Settings) -> None:
    sent = upload(http)
    model = http.get(f"/v1/models/{sent['id']}").json()
    assert model == sent
    assert model["status"] == "complete"
    assert model["format"] == "keras"
    assert model["keras_version"] == "3.15.1"
    assert model["has_weights"] is True
    assert model["sha256"] == hashlib.sha256(MODEL).hexdigest()
    assert [layer["name"] for layer in model["layers"]][:2] == ["inputs", "fc1"]
    assert model["layers"][1]["output_shape"] == [64]
    assert model["parameters"] == 16 * 64 + 64 + 64 * 32 + 32 + 32 * 32 + 32 + 32 * 5 + 5
    (path,) = stored(settings)
    assert path.read_bytes() == MODEL
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_architecture_as_json_is_a_model_without_weights(http: TestClient) -> None:
    model = upload(http, json.dumps(architecture()).encode())
    assert (model["format"], model["has_weights"], model["keras_version"]) == ("json", False, None)


def test_an_uploaded_data_set_has_its_arrays(http: TestClient) -> None:
    dataset = upload(http, DATA, "datasets")
    x_train = next(array for array in dataset["arrays"] if array["name"] == "x_train")
    assert x_train["shape"] == [40, 16]
    assert x_train["dtype"] == "float32"
    assert x_train["least"] < 0 < x_train["largest"]
    assert http.get("/v1/datasets").json()["items"][0]["arrays"] == dataset["arrays"]


def test_models_and_data_are_apart(http: TestClient) -> None:
    model = upload(http)
    assert http.get(f"/v1/datasets/{model['id']}").status_code == 404
    assert http.delete(f"/v1/datasets/{model['id']}").status_code == 404


def test_the_list_of_models_goes_from_the_shipped_ones_to_the_newest(http: TestClient) -> None:
    sent = [
        upload(http, json.dumps(architecture()).encode() + b" " * index, name=f"m{index}")
        for index in range(4)
    ]
    names: dict[int, list[str]] = {}
    for limit in (1, 3, 100):
        names[limit], cursor = [], ""
        while True:
            page = http.get(f"/v1/models?limit={limit}{cursor}").json()
            assert len(page["items"]) <= limit
            names[limit] += [item["id"] or item["name"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
    assert names[1] == names[3] == names[100]
    assert names[100][0] == "digits_cnn"
    assert names[100][-4:] == [model["id"] for model in reversed(sent)]


# --- pieces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[1], [10, 11, 5000], [len(MODEL) - 1], list(range(1000, len(MODEL), 1000))])
def test_content_may_come_in_pieces(http: TestClient, cuts: list[int]) -> None:
    place = declare(http, MODEL)
    begins, ends = [0, *cuts], [*cuts, len(MODEL)]
    for begin, end in zip(begins, ends, strict=True):
        head = http.head(f"{place}/content")
        assert (head.status_code, head.headers["upload-offset"]) == (204, str(begin))
        assert head.headers["upload-length"] == str(len(MODEL))
        answer = http.patch(
            f"{place}/content", content=MODEL[begin:end], headers={"upload-offset": str(begin)}
        )
        assert answer.status_code == (200 if end == len(MODEL) else 202), answer.text
        assert answer.headers["upload-offset"] == str(end)
        assert answer.headers["upload-complete"] == ("?1" if end == len(MODEL) else "?0")
    assert answer.json()["sha256"] == hashlib.sha256(MODEL).hexdigest()


def test_an_interrupted_upload_continues_at_its_offset(http: TestClient) -> None:
    place = declare(http, MODEL, sha256=hashlib.sha256(MODEL).hexdigest())
    broken = http.put(f"{place}/content", content=MODEL[:3000])
    assert broken.status_code == 202
    assert broken.json()["received_bytes"] == 3000
    answer = http.patch(f"{place}/content", content=MODEL[3000:], headers={"upload-offset": "3000"})
    assert answer.json()["status"] == "complete"


def test_a_part_at_a_wrong_offset_is_refused_with_the_right_one(http: TestClient) -> None:
    place = declare(http, MODEL)
    http.put(f"{place}/content", content=MODEL[:100])
    answer = http.patch(f"{place}/content", content=MODEL[200:], headers={"upload-offset": "200"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:fewbits:problem:wrong-offset"
    assert answer.headers["upload-offset"] == "100"


def test_a_put_begins_anew(http: TestClient) -> None:
    place = declare(http, MODEL)
    http.put(f"{place}/content", content=b"{" * 100)
    assert http.put(f"{place}/content", content=MODEL).status_code == 200


@pytest.mark.parametrize("offset", ["-1", "x", "", "9" * 30])
def test_an_invalid_offset_is_refused(http: TestClient, offset: str) -> None:
    place = declare(http, MODEL)
    answer = http.patch(f"{place}/content", content=MODEL, headers={"upload-offset": offset})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "upload-offset"


def test_a_complete_upload_does_not_change(http: TestClient) -> None:
    model = upload(http)
    assert http.put(f"/v1/models/{model['id']}/content", content=MODEL).status_code == 409


def test_two_requests_do_not_write_at_once(http: TestClient, settings: Settings) -> None:
    place = declare(http, MODEL)
    incoming = UploadParts(settings.incoming_folder, BlobStore(settings.blob_folder))
    with incoming.writing(place.rpartition("/")[2], None):
        answer = http.put(f"{place}/content", content=MODEL)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:fewbits:problem:busy-upload"
    assert http.put(f"{place}/content", content=MODEL).status_code == 200


def test_a_reader_that_goes_away_leaves_what_it_sent(http: TestClient, settings: Settings) -> None:
    import anyio
    from starlette.requests import ClientDisconnect

    from service.api.upload_reception import MODELS, UploadReceiver
    from service.store.session import Database

    place = declare(http, MODEL)
    reception = UploadReceiver(
        MODELS,
        Database(settings.database),
        UploadParts(settings.incoming_folder, BlobStore(settings.blob_folder)),
    )

    async def body() -> Any:
        yield MODEL[:2000]
        raise ClientDisconnect

    async def send() -> None:
        await reception.receive(place.rpartition("/")[2], None, body(), None)

    anyio.run(send)
    assert http.head(f"{place}/content").headers["upload-offset"] == "2000"


# --- equal content -------------------------------------------------------------------------------------------------


def test_equal_content_is_stored_once(http: TestClient, settings: Settings) -> None:
    first, second = upload(http, name="one"), upload(http, name="two")
    assert first["id"] != second["id"]
    assert len(stored(settings)) == 1


def test_known_content_need_not_be_sent_again(http: TestClient) -> None:
    first = upload(http)
    body = {"name": "again", "size_bytes": len(MODEL), "sha256": first["sha256"]}
    answer = http.post("/v1/models", json=body)
    assert answer.status_code == 200
    assert answer.json() == first


# --- limits --------------------------------------------------------------------------------------------------------


def limited(settings: Settings, **limits: Any) -> Iterator[TestClient]:
    with TestClient(create_app(settings.model_copy(update=limits)), base_url=URL) as http:
        yield http


def test_a_file_that_is_too_large_is_refused_before_it_comes(settings: Settings) -> None:
    for http in limited(settings, max_upload_bytes=1000):
        assert http.post("/v1/models", json={"name": "m", "size_bytes": 1001}).status_code == 413
        place = declare(http, b"x" * 1000)
        assert http.put(f"{place}/content", content=b"{" * 1001).status_code == 413
        assert stored(settings) == []


def test_what_is_declared_counts_against_the_quota(settings: Settings) -> None:
    for http in limited(settings, max_stored_bytes=len(MODEL) + 10):
        place = declare(http, MODEL)
        answer = http.post("/v1/models", json={"name": "m", "size_bytes": 11})
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:fewbits:problem:quota-exhausted"
        assert http.delete(place).status_code == 204
        declare(http, MODEL)


def test_other_bodies_keep_their_limit(http: TestClient, settings: Settings) -> None:
    answer = http.post("/v1/models", content=b" " * (settings.max_body_bytes + 1))
    assert answer.status_code == 413


# --- jobs ----------------------------------------------------------------------------------------------------------


def job_of(model: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": {"kind": "uploaded", "id": model["id"]},
        "data": {"kind": "uploaded", "id": data["id"]},
        "limits": {"by_class": {"Dense": [8, 8, 4]}},
        "budget": {"trials": 2},
    }


def test_a_job_may_name_what_was_uploaded(http: TestClient) -> None:
    model, data = upload(http), upload(http, DATA, "datasets")
    dry = http.post("/v1/jobs:validate", json=job_of(model, data))
    assert dry.status_code == 200, dry.text
    assert dry.json()["data"]["train_samples"] == 32
    answer = http.post("/v1/jobs", json=job_of(model, data))
    assert answer.status_code == 202, answer.text
    spec = answer.json()["spec"]
    assert spec["model"]["sha256"] == model["sha256"]
    assert spec["data"]["sha256"] == data["sha256"]


@pytest.mark.parametrize(
    ("start", "prepared", "warned"),
    [("float", "centered", True), ("float", "none", False), ("scratch", "centered", False)],
)
def test_a_job_is_warned_that_its_weights_may_meet_other_numbers(
    http: TestClient, start: str, prepared: str, warned: bool
) -> None:
    job = job_of(upload(http), upload(http, DATA, "datasets"))
    job["data"]["preprocessing"] = prepared
    dry = http.post("/v1/jobs:validate", json=job | {"training": {"start": start}}).json()
    assert any("uploaded weights" in text for text in dry["warnings"]) is warned


def test_the_cost_of_an_uploaded_model_can_be_had(http: TestClient) -> None:
    model = upload(http)
    answer = http.post("/v1/cost", json={"model": {"kind": "uploaded", "id": model["id"]}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["energy_pj"] == http.post("/v1/cost", json={"model": "jet_mlp"}).json()["energy_pj"]


@pytest.mark.parametrize(
    ("change", "pointer", "word"),
    [
        ({"model": {"kind": "uploaded", "id": "0" * 16}}, "/model/id", "no uploaded model"),
        ({"data": {"kind": "uploaded", "id": "0" * 16}}, "/data/id", "no uploaded data set"),
        ({"model": {"kind": "uploaded", "id": "../etc"}}, "/model/id", "pattern"),
    ],
)
def test_what_was_not_uploaded_is_named(
    http: TestClient, change: dict[str, Any], pointer: str, word: str
) -> None:
    job = job_of(upload(http), upload(http, DATA, "datasets")) | change
    for path in ("/v1/jobs", "/v1/jobs:validate"):
        answer = http.post(path, json=job)
        assert answer.status_code == 422
        (fault,) = answer.json()["errors"]
        assert fault["pointer"] == pointer
        assert word in fault["detail"]


def test_a_job_may_not_name_what_is_incomplete(http: TestClient) -> None:
    data = upload(http, DATA, "datasets")
    place = declare(http, MODEL)
    answer = http.post("/v1/jobs", json=job_of({"id": place.rpartition("/")[2]}, data))
    assert answer.status_code == 422
    assert "is not complete" in answer.json()["errors"][0]["detail"]


def test_a_job_may_say_which_content_it_means(http: TestClient) -> None:
    job = job_of(upload(http), upload(http, DATA, "datasets"))
    job["model"]["sha256"] = "0" * 64
    answer = http.post("/v1/jobs", json=job)
    assert answer.json()["errors"][0]["pointer"] == "/model/sha256"


def test_data_that_do_not_fit_the_model_are_named_by_their_id(http: TestClient) -> None:
    import numpy as np

    data = upload(http, npz(x_train=np.zeros((40, 3)), x_test=np.zeros((10, 3))), "datasets")
    answer = http.post("/v1/jobs", json=job_of(upload(http), data))
    assert answer.json()["errors"][0]["pointer"] == "/data/id"


def test_what_a_job_names_is_kept_until_the_job_ends(http: TestClient, app: FastAPI) -> None:
    model, data = upload(http), upload(http, DATA, "datasets")
    job = http.post("/v1/jobs", json=job_of(model, data)).json()
    for place in (f"/v1/models/{model['id']}", f"/v1/datasets/{data['id']}"):
        answer = http.delete(place)
        assert answer.status_code == 409
        assert job["id"] in answer.json()["detail"]
    with app.state.database.transaction() as session:
        jobs.end(session, job["id"], JobStatus.CANCELLED, "enough")
    for place in (f"/v1/models/{model['id']}", f"/v1/datasets/{data['id']}"):
        assert http.delete(place).status_code == 204
        assert http.get(place).status_code == 404
    assert http.get(f"/v1/jobs/{job['id']}").status_code == 200


def test_a_job_and_a_deletion_at_once_cannot_both_win(http: TestClient, app: FastAPI) -> None:
    """The job holds the rows of what it names until it is stored."""
    model, data = upload(http), upload(http, DATA, "datasets")
    answers: list[int] = []
    with app.state.database.transaction() as session:
        uploads.lock_inputs(session, job_of(model, data))
        thread = threading.Thread(
            target=lambda: answers.append(http.delete(f"/v1/models/{model['id']}").status_code)
        )
        thread.start()
        thread.join(0.2)
        assert answers == []
    thread.join()
    assert answers == [204]
    assert http.post("/v1/jobs", json=job_of(model, data)).status_code == 422


# --- cleaning up ---------------------------------------------------------------------------------------------------


def test_half_an_upload_is_forgotten_after_a_time(http: TestClient, app: FastAPI, settings: Settings) -> None:
    place, whole = declare(http, MODEL), upload(http)
    http.put(f"{place}/content", content=MODEL[:100])
    incoming = UploadParts(settings.incoming_folder, app.state.blobs)

    def sweep(before: Any) -> None:
        with app.state.database.transaction() as session:
            uploads.remove_stale(session, before)
        incoming.remove_stale(before)

    sweep(now() - timedelta(hours=1))
    assert http.head(f"{place}/content").headers["upload-offset"] == "100"
    path = incoming.path(place.rpartition("/")[2])
    os.utime(path, (0, 0))
    sweep(now() + timedelta(seconds=1))
    assert http.get(place).status_code == 404
    assert not path.exists()
    assert http.get(f"/v1/models/{whole['id']}").status_code == 200
