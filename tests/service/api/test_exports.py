"""Exports of trials over HTTP: requested, refused by layer, listed, downloaded, deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from quantization.export.formats import FORMATS
from quantization.export.formats.base import ExportFormat, Option
from quantization.export.legality.base import Legality, SlotRule
from service.client import ExportFailed, Invalid, SearchClient
from service.store import exports, trials
from service.store.blobs import Blob
from service.store.leases import Claim
from tests.exports.test_xylo import sized
from tests.search.nets import functional, layer
from tests.service.conftest import Run
from tests.service.filled import LEASE, Filler

#: A format that takes no quantizer of kernels but `binary`.
PICKY = ExportFormat(
    name="picky",
    title="takes binary kernels",
    legality=Legality(frozenset({"Dense"}), {"kernel": SlotRule(frozenset({"binary"}))}),
    options={"reuse": Option(1, "reuse factor")},
)


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"keras": FORMATS["keras"], "picky": PICKY}
    rooms = (
        "quantization.export.formats",
        "quantization.export.described",
        "search.exports",
    )
    for room in rooms:
        monkeypatch.setattr(f"{room}.FORMATS", known)


@pytest.fixture
def job_id(filler: Filler, app: FastAPI, tmp_path: Path) -> str:
    """A job with a measured trial 0, whose network is one Dense layer, and trial 1 that waits."""
    filled = filler.job()
    first, _ = filler.queue(filled, 2)
    filler.measure(filled, first)
    document = {
        "architecture": functional((4,), [layer("Dense", "scores", ["input"], units=2)]),
        "layers": [
            {
                "name": "scores",
                "quantizers": {"kernel": {"text": "ternary()"}, "bias": {"text": "quantized_bits(4,0)"}},
            }
        ],
    }
    path = tmp_path / "quantizers.json"
    path.write_text(json.dumps(document))
    with app.state.database.transaction() as session:
        trials.put_artifacts(session, first, {"quantizers.json": app.state.blobs.put(path)})
    return filled.job_id


def finish(app: FastAPI, job_id: str, name: str, path: Path, **proof: Any) -> Blob:
    """Play the worker."""
    blob: Blob = app.state.blobs.put(path)
    with app.state.database.transaction() as session:
        row = exports.get(session, job_id, 0, name)
        claim = exports.claim(session, row.id, worker="host/1/0", lease=LEASE)
        assert claim is not None
        done = {
            "examples": 5,
            "exact": True,
            "equal_classes": 1.0,
            "largest_difference": 0.0,
            "largest_output": 1.0,
        }
        assert exports.finish(
            session,
            claim,
            blob,
            files=[{"name": "a", "size_bytes": 1}],
            proof=done | proof,
            figures=None,
            notes=["n"],
        )
    return blob


def test_an_export_is_requested_once_and_listed(http: TestClient, job_id: str) -> None:
    base = f"/v1/jobs/{job_id}/trials/0/exports"
    answer = http.post(base, json={"format": "keras"})
    assert (answer.status_code, answer.headers["location"]) == (202, f"{base}/keras")
    assert http.post(base, json={"format": "keras", "options": {}}).json() == answer.json()
    listed = http.get(base).json()["items"]
    assert [(item["name"], item["status"], item["proof"]) for item in listed] == [("keras", "queued", None)]
    events = http.get(f"/v1/jobs/{job_id}/events", headers={"Accept": "application/json"}).json()["items"]
    assert [event["data"]["status"] for event in events if event["type"] == "trial.export"] == ["queued"]
    assert http.get(f"{base}/keras/file").json()["type"].endswith(":conflict")


def test_what_a_format_cannot_express_is_refused_by_layer(http: TestClient, job_id: str) -> None:
    answer = http.post(f"/v1/jobs/{job_id}/trials/0/exports", json={"format": "picky"})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/format"
    assert error["detail"].startswith("picky: layer 'scores': ternary() is not one of binary")
    assert http.get(f"/v1/jobs/{job_id}/trials/0/exports").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"format": "onyx"}, "/format", "formats: keras, picky"),
        ({"format": "picky", "options": {"colour": 1}}, "/options/colour", "its options: reuse"),
        ({"format": "picky", "options": {"reuse": "x"}}, "/options/reuse", "type int"),
        ({"format": "keras", "model": "other"}, "/model", "trial"),
        ({}, "/format", "required"),
    ],
)
def test_faults_of_a_request_have_pointers(
    http: TestClient, job_id: str, body: dict[str, Any], pointer: str, words: str
) -> None:
    answer = http.post(f"/v1/jobs/{job_id}/trials/0/exports", json=body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert words in error["detail"]


def test_a_trial_without_a_model_is_a_conflict(http: TestClient, job_id: str) -> None:
    assert http.post(f"/v1/jobs/{job_id}/trials/1/exports", json={"format": "keras"}).status_code == 409
    final = http.post(f"/v1/jobs/{job_id}/trials/0/exports", json={"format": "keras", "model": "final"})
    assert (final.status_code, "final training" in final.json()["detail"]) == (409, True)
    assert http.get(f"/v1/jobs/{job_id}/trials/9/exports").status_code == 404
    assert http.get(f"/v1/jobs/{job_id}/trials/0/exports/keras").json()["type"].endswith("export-not-found")


def test_a_spiking_trial_has_formats_of_its_own(
    http: TestClient, filler: Filler, app: FastAPI, tmp_path: Path
) -> None:
    filled = filler.job()
    [first] = filler.queue(filled, 1)
    filler.measure(filled, first)
    np.savez(tmp_path / "network.npz", **sized(inputs=17).arrays())
    with app.state.database.transaction() as session:
        trials.put_artifacts(session, first, {"network.npz": app.state.blobs.put(tmp_path / "network.npz")})
    base = f"/v1/jobs/{filled.job_id}/trials/0"
    [item] = http.get(f"{base}/formats").json()["items"]
    assert (item["name"], item["possible"], item["refusals"][0]["layer"]) == ("xylo", False, "inputs")
    for name, words in (("keras", "'keras' is for networks of layers"), ("xylo", "17 inputs; Xylo has 16")):
        answer = http.post(f"{base}/exports", json={"format": name})
        assert answer.status_code == 422
        assert words in answer.json()["errors"][0]["detail"]


def test_formats_say_what_they_take(http: TestClient, job_id: str) -> None:
    items = http.get(f"/v1/jobs/{job_id}/trials/0/formats").json()["items"]
    assert [(item["name"], item["possible"]) for item in items] == [("keras", True), ("picky", False)]
    assert [refusal["layer"] for refusal in items[1]["refusals"]] == ["scores"]
    assert items[1]["options"]["reuse"]["default"] == 1


def test_an_export_is_downloaded_in_parts_and_deleted(
    http: TestClient, app: FastAPI, job_id: str, tmp_path: Path
) -> None:
    base = f"/v1/jobs/{job_id}/trials/0/exports"
    http.post(base, json={"format": "keras"})
    path = tmp_path / "export.zip"
    path.write_bytes(b"0123456789")
    blob = finish(app, job_id, "keras", path, inexact={"scores": "rounds"})
    view = http.get(f"{base}/keras").json()
    assert (view["sha256"], view["size_bytes"], view["proof"]["inexact"]) == (
        blob.sha256,
        10,
        {"scores": "rounds"},
    )
    part = http.get(f"{base}/keras/file", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["etag"]) == (206, b"234", f'"{blob.sha256}"')
    assert http.get(f"{base}/keras/file", headers={"If-None-Match": part.headers["etag"]}).status_code == 304
    assert http.delete(f"{base}/keras").status_code == 204
    assert http.get(f"{base}/keras").status_code == 404
    assert http.delete(f"{base}/keras").status_code == 404


def test_the_client_exports_a_model(
    client: SearchClient, app: FastAPI, job_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(b"0123456789")
    monkeypatch.setattr("time.sleep", lambda _: finish(app, job_id, "keras", path))
    view = client.export_model(job_id, 0, "keras", tmp_path / "out")
    assert (tmp_path / "out" / "keras.zip").read_bytes() == b"0123456789"
    assert view.proof is not None
    assert [item.name for item in client.exports(job_id, 0)] == ["keras"]
    client.delete_export(job_id, 0, "keras")
    with pytest.raises(Invalid, match="scores"):
        client.export_model(job_id, 0, "picky", tmp_path)
    monkeypatch.setattr("time.sleep", lambda _: fail(app, job_id))
    with pytest.raises(ExportFailed, match="the compiler is missing"):
        client.export_model(job_id, 0, "keras", tmp_path)


def fail(app: FastAPI, job_id: str) -> None:
    with app.state.database.transaction() as session:
        row = exports.get(session, job_id, 0, "keras")
        claim = exports.claim(session, row.id, worker="host/1/0", lease=LEASE)
        assert claim is not None
        exports.fail(session, claim, "the compiler is missing")


def test_the_command_shows_formats(run: Run, job_id: str) -> None:
    shown = run("export", "--check", job_id, "0").stdout
    # eight ternary weights of two bits and two biases of four
    assert "parameters 3 bytes packed" in shown
    assert "8 MACs" in shown
    assert "keras" in shown
    assert "layer 'scores': ternary() is not one of binary" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("0",), "--to FORMAT"),
        (("--to", "keras"), "name the TRIAL"),
        ((), "-o FILE"),
        (("0", "--to", "keras", "--option", "reuse"), "NAME=VALUE"),
    ],
)
def test_the_command_says_what_is_missing(
    run: Run, job_id: str, arguments: tuple[str, ...], words: str
) -> None:
    result = run("export", job_id, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_dry_run_says_what_its_trials_can_leave_as(client: SearchClient, job: dict[str, Any]) -> None:
    formats = {entry.name: entry for entry in client.validate(job).exports}
    assert formats["keras"].possible
    assert not formats["picky"].possible
    assert any("is not one of Dense" in refusal.reason for refusal in formats["picky"].refusals)


def test_a_claim_names_its_own_row() -> None:
    claim = exports.ExportClaim(7, "j", 0, 1, 3, "c", "c", {}, "final")
    assert (claim.row_id, Claim(7, "j", 0, 1).row_id, claim.prefix) == (3, 7, "final-")
