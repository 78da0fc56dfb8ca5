"""Values that make databases and parsers stumble, through every door, on both databases: an answer of 2xx or 4xx.

Among them are the eighteen inputs that an attack had answered with 500.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pytest

from service.app import create_app
from service.errors import BusyUpload
from service.settings import Settings
from service.store.blobs import BlobStore
from service.store.session import Database
from service.store.upload_parts import PartWriter, UploadParts
from tests.service.conftest import URL, TestClient
from tests.service.filled import JOB, Filler

Body = bytes | dict[str, Any] | list[Any] | None


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    """The service over a database with a job of two trials, one of them measured."""
    settings = Settings(
        home=tmp_path / "home", database_url=database.url, compute_processes=0, requests_per_minute=0
    )
    settings.data_folder.mkdir(parents=True)
    x = np.random.default_rng(0).random((60, 8, 8, 1), dtype="float32")
    np.savez(settings.data_folder / "inputs.npz", x_train=x[:40], x_test=x[40:])
    (tmp_path / "files").mkdir()
    filler = Filler(database, BlobStore(settings.blob_folder), tmp_path / "files")
    job = filler.job()
    measured, _ = filler.queue(job, 2)
    filler.measure(job, measured)
    with TestClient(create_app(settings), base_url=URL, raise_server_exceptions=False) as client:
        client.headers["x-job"] = job.job_id
        yield client


def cursor(*values: Any) -> str:
    """A cursor that no page gave."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def job(raw: tuple[str, str] | None = None, **changes: Any) -> Body:
    """A job with changed fields (`__` between names); `raw`: a text to replace in its JSON."""
    document = copy.deepcopy(JOB)
    for path, value in changes.items():
        *above, last = path.split("__")
        place: Any = document
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    text = json.dumps(document)
    return (text if raw is None else text.replace(*raw)).encode()


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    """A small network with a layer of this class and configuration."""
    source = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 64], "dtype": "float32", "keras_history": ["in", 0, 0]},
    }
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"name": "in", "batch_shape": [None, 64]},
            "name": "in",
            "inbound_nodes": [],
        },
        {
            "class_name": class_name,
            "config": {"name": "odd", **config},
            "name": "odd",
            "inbound_nodes": [{"args": [source], "kwargs": {}}],
        },
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["in", 0, 0]], "output_layers": [["odd", 0, 0]]}
    return {"kind": "architecture", "config": {"class_name": "Functional", "config": config}}


HUGE: Final = (2**31, 2**53 + 1, 2**63, 10**30, -(2**31) - 1, -(2**63) - 1)

TRIALS: Final = "/v1/jobs/JOB/trials"

READS: Final = [
    *(f"{TRIALS}?filter=number:{number}" for number in HUGE),
    *(f"{TRIALS}?filter=bits>{number},attempt<{number}" for number in HUGE),
    *(f"{TRIALS}?filter=metric>{number}" for number in ("1e308", "1e400", "nan", "-inf", "0x10", "1_0", "٣")),
    *(
        f"{TRIALS}?filter=finished_at>{text}"
        for text in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00")
    ),
    *(f"/v1/jobs?filter=priority:{number}" for number in HUGE),
    f"{TRIALS}?filter=reason~%00",
    f"{TRIALS}?filter=reason~%25_%5C",
    f"{TRIALS}?filter=reason~%ED%A0%80",
    f"{TRIALS}?filter=reason~{quote(chr(0x10FFFF))}",
    f"{TRIALS}?sort=%00&fields=%00",
    *(f"{TRIALS}?sort=number&cursor={cursor('number', number, number)}" for number in HUGE),
    *(
        f"{TRIALS}?sort=-score&cursor={cursor('-score', value, 0)}"
        for value in (1e308, 10**30, None, True, "x", [1])
    ),
    *(
        f"{TRIALS}?sort=-metric&cursor={cursor('-metric', 0.5, last)}"
        for last in (True, "1", None, 2**31, 1.5, [])
    ),
    f"{TRIALS}?sort=finished_at&cursor={cursor('finished_at', '0001-01-01T00:00:00+14:00', 0)}",
    f"{TRIALS}?sort=finished_at&cursor={cursor('finished_at', '2026-01-01', 0)}",
    f"/v1/jobs?cursor={cursor('-created_at', '2026-01-01T00:00:00+00:00', chr(0xD800))}",
    f"/v1/jobs?cursor={cursor('-created_at', '9999-12-31T23:59:59-23:59', 'x')}",
    f"/v1/jobs?sort=name&cursor={cursor('name', chr(0xDFFF), 'a' + chr(0))}",
    f"/v1/jobs?sort=priority&cursor={cursor('priority', 2**31, 'x')}",
    "/v1/jobs?cursor=%00",
    "/v1/jobs?cursor=e30",
    "/v1/jobs?cursor=W10",
    f"/v1/jobs?cursor={'W1tb' * 400}",
    f"/v1/jobs?cursor={cursor('-created_at', 1e308, 1)}",
    *(
        f"/v1/models?cursor={cursor(*values)}"
        for values in (("x", "y"), (1, 2), (None, None), ("9999-12-31", "x"))
    ),
    "/v1/jobs/%00",
    "/v1/jobs/%ED%A0%80",
    f"/v1/jobs/JOB/trials/{2**31}",
    "/v1/jobs/JOB/trials/0/artifacts/%00",
    "/v1/jobs/JOB/trials/0/artifacts/%2e%2e%2f%2e%2e",
    f"/v1/jobs/JOB/events?after={2**31}",
    "/v1/jobs/JOB/points?fields=%00",
    "/v1/jobs/JOB/best?k=1&delta_p=1e-320&rate=1.0000000001&stress=1e6",
    "/v1/jobs/JOB/best?delta_p=nan",
    "/v1/models/%00",
    "/v1/datasets/0123456789abcdef",
]

QUANTIZERS: Final = [
    "quantized_po2(4,max_value=1e308)",
    "quantized_po2(4,max_value=1e-320)",
    "quantized_relu_po2(4,1e308)",
    "quantized_bits(8,1e308)",
    "quantized_bits(8,0,1,alpha=1e308)",
    "quantized_bits(64,-64,1)",
    "quantized_bits(8,0,1,alpha=nan)",
    "ternary(threshold=1e308)",
    "quantized_relu(8,8,negative_slope=1e-320)",
    "quantized_bits(" + "9" * 5000 + ")",
    "quantized_bits(8,0,1,alpha=\ud800)",
    "quantized_bits(\u0664)",
    "bernoulli(temperature=1e308)",
]

JOBS: Final = {
    "a name with NUL": job(name="a\0b"),
    "a name with a lone surrogate": job(raw=("a search", "\\ud800")),
    "an empty name": job(name=""),
    "a long name": job(name="x" * 10_000),
    "a name with controls": job(name="a\nb\x1b[31mred\u202e"),
    "bytes that are no UTF-8": job(raw=("a search", "\\u0061"))[:-1] + b"\xff}",  # type: ignore[index]
    "3e9 trials": job(budget__trials=3_000_000_000),
    "1e18 trials": job(budget__trials=10**18),
    "epochs in the budget": job(budget__epochs=10**30),
    "seconds": job(budget__seconds=1e300),
    "a seed of 2^31": job(seed=2**31),
    "a seed of 2^63": job(seed=2**63),
    "a negative seed": job(seed=-1),
    "1e12 epochs": job(training__epochs=10**12),
    "a batch of 1e18": job(training__batch_size=10**18),
    "1e9 at once": job(parallel_trials=10**9),
    "a learning rate of infinity": job(raw=('"epochs": 3', '"learning_rate": Infinity')),
    "a learning rate of 1e400": job(raw=('"epochs": 3', '"learning_rate": 1e400')),
    "delta_p": job(goal={"kind": "energy", "delta_p": 1e308}),
    "a tiny rate": job(goal={"kind": "energy", "rate": 1.0000000001}),
    "stress": job(goal={"kind": "energy", "stress": 1e-320}),
    "a constraint": job(constraints={"max_energy_pj": 1e-320, "max_bits": 10**30}),
    "targets: inputs": job(
        model="digits_autoencoder",
        data={"kind": "npz", "file": "inputs.npz", "targets": "inputs"},
        objective="mse",
    ),
    "targets: inputs of a classifier": job(data={"kind": "npz", "file": "inputs.npz", "targets": "inputs"}),
    "a file with NUL": job(data={"kind": "npz", "file": "a\0.npz"}),
    "a file with a lone surrogate": job(raw=('"kind": "digits"', '"kind": "npz", "file": "\\ud800.npz"')),
    "a file elsewhere": job(data={"kind": "npz", "file": "../../etc/passwd"}),
    "a folder": job(data={"kind": "npz", "file": "."}),
    "a long file name": job(data={"kind": "npz", "file": "x" * 5000 + ".npz"}),
    "a pattern with a surrogate": job(raw=("^dense", "\\udc00")),
    "a limit by name with NUL": job(limits={"by_name": [{"pattern": "\0", "kernel": 8}]}),
    "use_bias: no": job(model=layer("Dense", units=10, use_bias="no")),
    "units of 1e30": job(model=layer("Dense", units=10**30)),
    "units that are no integer": job(model=layer("Dense", units=1e308)),
    "units: true": job(model=layer("Dense", units=True)),
    "no units": job(model=layer("Dense", units=None)),
    "an odd activation": job(model=layer("Dense", units=10, activation={"class_name": "x"})),
    "a rate of NaN": job(model=layer("Dropout", rate="nan")),
    "an odd shape": job(model=layer("Reshape", target_shape=[-1, -1])),
    "a huge shape": job(model=layer("Reshape", target_shape=[2**63, 0])),
    "an axis of 1e30": job(model=layer("Softmax", axis=10**30)),
    "an Embedding": job(model=layer("Embedding", input_dim=2**63, output_dim=2**63)),
    "a RepeatVector": job(model=layer("RepeatVector", n=2**40)),
    "layers with surrogates": job(
        raw=('"model": {"kind": "zoo", "name": "digits_cnn"}', '"model": "\\ud800"')
    ),
    "no object": b"[]",
    "null": b"null",
    "a text": b'"\\ud800"',
    "deep": b"[" * 100_000,
    "nothing": b"",
    **{
        f"kernels {text[:40]!a}": job(quantizers={"kernel": [text]})
        for text in QUANTIZERS
        if "\ud800" not in text
    },
}


class Checks:
    """The answers to many requests: each is 2xx, or an error that says something."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def __call__(self, answer: Any, what: str) -> None:
        """Note an answer."""
        if answer.status_code >= 500:
            self.faults.append(f"{what}: {answer.status_code}")
        elif answer.status_code >= 400 and not answer.json()["detail"]:
            self.faults.append(f"{what}: says nothing")


@pytest.fixture
def check() -> Iterator[Checks]:
    """Collects faults; there are none at the end."""
    checks = Checks()
    yield checks
    assert checks.faults == []


def test_reading(served: TestClient, check: Checks) -> None:
    job_id = served.headers["x-job"]
    for path in READS:
        check(served.get(path.replace("JOB", job_id)), path)


def test_jobs(served: TestClient, check: Checks) -> None:
    head = {"content-type": "application/json"}
    for name, body in JOBS.items():
        for path in ("/v1/jobs:validate", "/v1/jobs"):
            check(served.post(path, content=body, headers=head), f"{name} {path}")


def test_costs(served: TestClient, check: Checks) -> None:
    for text in QUANTIZERS:
        for request in (
            {"model": "jet_mlp", "quantizers": {"fc1": {"kernel": text}}},
            {"model": "jet_mlp", "settings": {"source_quantizer": text, "input_bits": 2**63}},
            {"model": "jet_mlp", "explain": text, "costs": [text]},
        ):
            check(
                served.post(
                    "/v1/cost",
                    content=json.dumps(request).encode(),
                    headers={"content-type": "application/json"},
                ),
                text[:40],
            )


def test_changes(served: TestClient, check: Checks) -> None:
    path = f"/v1/jobs/{served.headers['x-job']}"
    for number in (*HUGE, 1e308, True, None, "1", [], {}):
        for verb, body in (
            ("PATCH ", {"priority": number}),
            ("PATCH ", {"parallel_trials": number, "budget": {"trials": number, "epochs": number}}),
            ("PATCH ", {"budget": {"seconds": number}}),
            ("POST :extend", {"trials": number}),
            ("POST :extend", {"epochs": number}),
            ("POST :extend", {"seconds": number}),
            ("POST :clone", {"seed": number, "name": number}),
            ("POST :rescore", {"goal": {"kind": "bits", "delta_p": number}, "k": number}),
            ("POST /trials/0:finalize", {"epochs": number}),
            ("POST /trials/1:finalize", {"epochs": number}),
        ):
            method, suffix = verb.split(" ")
            check(served.request(method, path + suffix, json=body), f"{verb} {body}")


def test_headers(served: TestClient, check: Checks) -> None:
    path = f"/v1/jobs/{served.headers['x-job']}"
    for name, value in (
        ("Last-Event-ID", "9" * 5000),
        ("Last-Event-ID", "\u0663"),
        ("Idempotency-Key", "\xff"),
        ("Idempotency-Key", "x" * 256),
        ("If-None-Match", '"' * 1000),
        ("Range", "bytes=9999999999999999999999-"),
        ("Range", "bytes=" + "0-1," * 1000),
        ("traceparent", "\xff" * 55),
        ("Accept", "text/event-stream;q=nan"),
        ("Accept", "*/*;q=" + "9" * 1000),
        ("Authorization", "Bearer \xff"),
        ("Cookie", "fewbits_session=\xff;\0"),
        ("Content-Type", "application/json; charset=\xff"),
    ):
        head = {name: value.encode("utf-8") if ord(max(value)) > 255 else value.encode("latin-1")}
        for suffix in ("", "/trials", "/trials/0/artifacts/model.keras"):
            check(served.get(path + suffix, headers=head), f"{name}: {value[:30]}")
        body = b"{}"
        check(
            served.post("/v1/jobs", content=body, headers={"content-type": "application/json", **head}), name
        )


def test_uploads(served: TestClient, check: Checks) -> None:
    for number in (*HUGE, 0, 1e308, True, "1"):
        for body in ({"name": "m", "size_bytes": number}, {"name": "\ud800", "size_bytes": 10}):
            content = json.dumps(body).encode()
            check(
                served.post("/v1/models", content=content, headers={"content-type": "application/json"}),
                str(body),
            )
    upload = served.post("/v1/datasets", json={"name": "d", "size_bytes": 100}).json()["id"]
    for offset in ("-1", "1e3", "9" * 30, "\u0661".encode()):
        head = {"Upload-Offset": offset, "content-type": "application/octet-stream"}
        check(served.patch(f"/v1/datasets/{upload}/content", content=b"x", headers=head), str(offset))


def test_an_upload_that_is_deleted_while_it_is_received(
    served: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = dataset_file()
    upload = served.post("/v1/datasets", json={"name": "d", "size_bytes": len(content)}).json()["id"]
    path = f"/v1/datasets/{upload}"
    finish = PartWriter.finish

    def deleted_then_finished(writer: PartWriter) -> str:
        assert served.delete(path).status_code == 204
        return finish(writer)

    monkeypatch.setattr(PartWriter, "finish", deleted_then_finished)
    head = {"content-type": "application/octet-stream"}
    assert served.put(f"{path}/content", content=content, headers=head).status_code == 404
    assert served.get(path).status_code == 404


def dataset_file() -> bytes:
    """A small data set."""
    file = io.BytesIO()
    np.savez(
        file, x_train=np.zeros((4, 2)), y_train=np.arange(4), x_test=np.zeros((2, 2)), y_test=np.arange(2)
    )
    return file.getvalue()


def test_content_that_was_stored_while_its_lock_was_awaited_is_not_overwritten(tmp_path: Path) -> None:
    """Another API process opened the file before it became a blob, and has its lock afterwards."""
    blobs = BlobStore(tmp_path / "blobs")
    parts = UploadParts(tmp_path / "incoming", blobs)
    with parts.writing("upload", None) as writer:
        writer.write(b"content")
    late = os.open(parts.path("upload"), os.O_RDWR)
    stored = parts.move_to_blobs("upload", "0" * 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", lambda *_, **__: late)
        with pytest.raises(BusyUpload), parts.writing("upload", None):
            pass
    assert blobs.path(stored.sha256).read_bytes() == b"content"
