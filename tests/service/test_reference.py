"""The reference and the schema of a job agree with what the service accepts and returns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from starlette.testclient import TestClient

from search.spec.cost import CostSpec
from search.spec.job import SearchSpec
from service.api import examples
from service.schemas.job_json_schema import job_schema
from service.schemas.problems import ProblemDocument

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCS = Path(__file__).parents[2] / "docs" / "rest-api.md"

#: (schema, field, its name in 0.1): what was renamed is still sent under its old name.
RENAMED: list[tuple[str, str, str]] = [
    ("DryRun", "most_expensive", "dearest"),
    ("PointsView", "status", "state"),
    ("LayerEnergyView", "included_pj", "counted_pj"),
    ("TrialLayerView", "included_pj", "counted_pj"),
    ("ExecutionView", "selected", "kept"),
    ("ArrayView", "min", "least"),
    ("ArrayView", "max", "largest"),
    ("LineView", "description", "what"),
    ("LineView", "unit_pj", "each_pj"),
    ("ProfileFigureView", "description", "what"),
]

#: (field, a form that people write)
FORMS: list[tuple[str, Any]] = [
    ("model", "digits_cnn"),
    ("model", {"kind": "zoo", "name": "digits_cnn"}),
    ("data", "digits"),
    ("data", {"kind": "digits", "validation_fraction": 0.3}),
    ("oracle", "frugal"),
    ("oracle", {"kind": "bayesian", "beta": 2.0}),
    ("bound", "strict"),
    ("stopping", "median"),
    ("schedule", "whole_model"),
    ("schedule", {"kind": "per_block", "blocks": ["conv2d.*", "dense.*"]}),
    ("quantizers", {"kernel": ["binary", "ternary"]}),
    ("quantizers", {"kernel": {"binary": 1, "quantized_bits(4,0,1)": 4}}),
    ("quantizers", {"kernel": [{"quantizer": "binary"}, {"quantizer": "ternary", "bits": 3}]}),
    ("limits", {"by_class": {"Dense": [8, 8, 4], "Conv2D": 4}}),
    ("limits", {"by_class": {"Dense": {"kernel": 8}, "BatchNormalization": {}}}),
    ("limits", {"by_class": {"Dense": [["binary", "ternary"], 8, 4]}}),
    ("limits", {"by_class": {"Dense": 8}, "by_name": {"conv2d_0": [8, 8, 4]}, "default": [8, 8, 8]}),
    ("limits", {"by_class": {"Dense": 8}, "by_name": [{"pattern": "conv2d_0", "kernel": 8}]}),
    ("limits", 8),
    ("limits", {"by_class": {"*": [4, 8, 4], "Dense": 8}}),
    ("goal", {"kind": "energy", "delta_p": 8, "delta_n": 8, "rate": 2}),
    ("goal", {"kind": "bits"}),
]

#: (field, what no job may have)
FAULTS: list[tuple[str, Any]] = [
    ("model", {"kind": "onnx"}),
    ("data", "cifar10"),
    ("data", "npz"),
    ("oracle", "magic"),
    ("oracle", {"beta": 2.0}),
    ("quantizers", {"kernel": {"binary": 100}}),
    ("limits", {"by_class": {"Dense": [8, 8, 4, 4, 4]}}),
    ("limits", {"by_class": {"Dense": 0}}),
    ("budget", {"trials": 0}),
    ("colour", 1),
]


def job(field: str, value: Any) -> dict[str, Any]:
    return {"model": "digits_cnn", "data": "digits", "limits": {"by_class": {"Dense": [8, 8, 4]}}} | {
        field: value
    }


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema_rs.validator_for(job_schema())


@pytest.mark.parametrize(("field", "value"), FORMS)
def test_a_form_that_the_schema_allows_is_read(validator: Any, field: str, value: Any) -> None:
    document = job(field, value)
    validator.validate(document)
    SearchSpec.model_validate(document)


@pytest.mark.parametrize(("field", "value"), FAULTS)
def test_what_is_not_read_is_marked_in_an_editor(validator: Any, field: str, value: Any) -> None:
    document = job(field, value)
    assert not validator.is_valid(document)
    with pytest.raises(ValueError, match=r"\w"):
        SearchSpec.model_validate(document)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_that_ship_are_valid(validator: Any, path: Path) -> None:
    validator.validate(yaml.safe_load(path.read_text()))


def test_every_bare_kind_is_parsed() -> None:
    fields = job_schema()["properties"]
    words = [
        (name, word) for name, field in fields.items() for word in field.get("anyOf", [{}])[0].get("enum", ())
    ]
    assert len(words) > 15
    for name, word in words:
        needs = {"training": {"start": "float"}} if name == "post_training" else {}
        SearchSpec.model_validate(job(name, word) | needs)


def test_what_was_parsed_is_valid_again_in_its_long_form(validator: Any) -> None:
    for field, value in FORMS:
        validator.validate(SearchSpec.model_validate(job(field, value)).model_dump(mode="json"))


# --- the reference ---


def test_the_reference_is_valid_openapi_3_1_and_every_route_can_refuse(http: TestClient) -> None:
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert "400" in answers, (method, path)
            if operation.get("security"):
                assert {"401", "403", "429", "503"} <= set(answers), (method, path)
            refusals = {code: refusal for code, refusal in answers.items() if code >= "400"}
            if path != "/readyz":
                assert all("application/problem+json" in refusal["content"] for refusal in refusals.values())


@pytest.mark.parametrize(("schema", "field", "old"), RENAMED)
def test_a_renamed_field_is_listed_and_its_old_name_is_deprecated(
    http: TestClient, schema: str, field: str, old: str
) -> None:
    fields = http.get("/openapi.json").json()["components"]["schemas"][schema]["properties"]
    assert fields[old]["deprecated"] is True
    assert "deprecated" not in fields[field]
    table = DOCS.read_text().partition("## Deprecated names")[2].partition("\n## ")[0]
    assert {f"`{old}`", f"`{field}`"} <= set(re.findall("`[a-z_]+`", table))


def test_bodies_have_examples(http: TestClient) -> None:
    shown = [
        media["example"]
        for operations in http.get("/openapi.json").json()["paths"].values()
        for operation in operations.values()
        for media in operation.get("requestBody", {}).get("content", {}).values()
        if "example" in media
    ]
    for example in examples.BODIES.values():
        assert example in shown


def test_the_examples_work(http: TestClient) -> None:
    assert http.post("/v1/jobs:validate", json=examples.JOB).status_code == 200
    assert http.post("/v1/cost", json=examples.COST).status_code == 200
    CostSpec.model_validate(examples.COST)
    problem = ProblemDocument.model_validate(examples.PROBLEM)
    refused = http.post("/v1/jobs", json=examples.JOB | {"budget": {"trials": 0}}).json()
    assert (problem.type, problem.title, problem.detail) == (
        refused["type"],
        refused["title"],
        refused["detail"],
    )


def test_the_schema_of_a_job_names_where_it_is(http: TestClient) -> None:
    assert http.get("/v1/schemas/job").json()["$id"] == "/v1/schemas/job"


def test_only_a_job_on_a_spiking_network_is_valid_without_limits(validator: Any) -> None:
    assert validator.is_valid({"model": {"kind": "xylo", "name": "spiking_digits"}, "data": "spiking_digits"})
    assert not validator.is_valid({"model": {"kind": "zoo", "name": "digits_cnn"}})
    assert not validator.is_valid({"model": "digits_cnn"})
