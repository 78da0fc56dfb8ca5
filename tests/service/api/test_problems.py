"""What the service refuses, and the problem documents it sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from starlette.testclient import TestClient

from search.errors import Problem
from service.errors import InvalidRequest, Malformed
from service.parsing import parse_submission
from service.settings import Settings

Change = dict[str, Any]

#: (what is changed in a job that can run, where the fault is, a word of the message)
FAULTS: list[tuple[str, Change, str, str]] = [
    ("no budget", {"budget": {"trials": 0}}, "/budget/trials", "greater than or equal to 1"),
    ("unknown field", {"colour": 1}, "/colour", "not a field"),
    ("unknown network", {"model": {"kind": "zoo", "name": "vgg"}}, "/model/name", "digits_cnn"),
    ("unknown kind of model", {"model": {"kind": "onnx"}}, "/model", "'zoo'"),
    ("no limits", {"limits": {}}, "/limits", "at least one layer class or pattern"),
    ("limits of the wrong type", {"limits": "eight"}, "/limits", "object"),
    (
        "unknown quantizer in the space",
        {"quantizers": {"kernel": {"quantised_bits(4)": 4}}},
        "/quantizers/kernel/quantised_bits(4)",
        "did you mean 'quantized_bits'",
    ),
    (
        "unknown quantizer in a limit",
        {"limits": {"by_class": {"Dense": [["quantized_bit(4,0,1)"], 8, 4]}}},
        "/limits/by_class/Dense/0/0",
        "did you mean 'quantized_bits'",
    ),
    (
        "unknown quantizer in a named limit",
        {"limits": {"by_class": {"Dense": {"kernel": ["binaryy"]}}}},
        "/limits/by_class/Dense/kernel/0",
        "did you mean 'binary'",
    ),
    (
        "limit below one bit",
        {"limits": {"by_class": {"Dense": [8, 0, 4]}}},
        "/limits/by_class/Dense/1",
        "greater than or equal to 1",
    ),
    (
        "too many limits",
        {"limits": {"by_class": {"Dense": [8, 8, 4, 4, 4]}}},
        "/limits/by_class/Dense",
        "at most four",
    ),
    (
        "layer without candidates",
        {
            "limits": {"by_class": {"Dense": {"kernel": 1, "bias": 8}}},
            "quantizers": {"kernel": {"quantized_bits(8,0,1)": 8}},
        },
        "/limits/by_class/Dense/kernel",
        "layer 'dense'",
    ),
    (
        "class that cannot be quantized",
        {"limits": {"by_class": {"Lambda": [8]}}},
        "/limits/by_class/Lambda",
        "Conv2D",
    ),
    (
        "pattern that matches no layer",
        {"limits": {"by_name": {"no_such_layer": [8]}}},
        "/limits/by_name/no_such_layer",
        "'no_such_layer'",
    ),
    (
        "pattern that matches no layer, in a list",
        {"limits": {"by_name": [{"pattern": "dense", "kernel": 8}, {"pattern": "nothing", "kernel": 8}]}},
        "/limits/by_name/1/pattern",
        "'nothing'",
    ),
    (
        "pattern that only a backtracking engine could match",
        {"limits": {"by_name": {"(?=a)": [8]}}},
        "/limits/by_name/(?=a)",
        "look-arounds",
    ),
    (
        "memory that does not exist",
        {"goal": {"kind": "energy", "parameters_on_memory": ["sram", "rom"]}},
        "/goal/parameters_on_memory/1",
        "'sram'",
    ),
    ("file that is not there", {"data": {"kind": "npz", "file": "none.npz"}}, "/data/file", "none.npz"),
    ("file outside of the folder", {"data": {"kind": "npz", "file": "../x.npz"}}, "/data/file", "leads out"),
    (
        "shape that does not fit",
        {"model": {"kind": "zoo", "name": "cifar10_convblock"}},
        "/data/kind",
        "(8, 8)",
    ),
    (
        "slash and tilde in a name",
        {"limits": {"by_class": {"a/b~c": [8]}}},
        "/limits/by_class/a~1b~0c",
        "a/b~c",
    ),
    ("number beyond the finite", {"training": {"learning_rate": 1e400}}, "/training/learning_rate", ""),
]


def post(http: TestClient, document: Any, path: str = "/v1/jobs") -> Any:
    text = json.dumps(document).replace("Infinity", "1e400")
    return http.post(path, content=text, headers={"content-type": "application/json"})


def refused(answer: Any, status: int = 422) -> dict[str, Any]:
    """The problem document of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize(("change", "pointer", "word"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs:validate"])
def test_a_fault_is_named_with_its_field(
    http: TestClient, job: dict[str, Any], path: str, change: Change, pointer: str, word: str
) -> None:
    faults = refused(post(http, job | change, path))["errors"]
    assert pointer in [fault["pointer"] for fault in faults]
    assert any(word in fault["detail"] for fault in faults if fault["pointer"] == pointer)


@pytest.mark.parametrize("change", [pytest.param(fault[1], id=fault[0]) for fault in FAULTS])
def test_every_pointer_leads_into_what_was_sent(
    http: TestClient, job: dict[str, Any], change: Change
) -> None:
    document = job | change
    for fault in refused(post(http, document))["errors"]:
        follow(document, fault["pointer"])


def follow(document: Any, pointer: str) -> None:
    """RFC 6901; KeyError or IndexError if the pointer leads nowhere."""
    value = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value[name]


def test_a_refused_job_is_not_stored_and_wakes_no_worker(
    http: TestClient, job: dict[str, Any], messages: Path
) -> None:
    post(http, job | {"limits": {"by_name": {"no_such_layer": [8]}}})
    assert http.get("/v1/jobs").json()["items"] == []
    assert list(messages.iterdir()) == []


def test_a_required_field_that_is_missing_is_named(http: TestClient, job: dict[str, Any]) -> None:
    del job["model"]
    assert refused(post(http, job))["errors"] == [{"pointer": "/model", "detail": "is required"}]


def test_all_faults_are_listed_at_once(http: TestClient, job: dict[str, Any]) -> None:
    job |= {"budget": {"trials": 0}, "training": {"epochs": 0}, "colour": 1}
    pointers = {fault["pointer"] for fault in refused(post(http, job))["errors"]}
    assert pointers == {"/budget/trials", "/training/epochs", "/colour"}


def test_an_unsupported_layer_is_named_with_those_that_are_supported(
    http: TestClient, job: dict[str, Any]
) -> None:
    from search.networks.zoo import zoo_config

    config = zoo_config("jet_mlp")
    config["config"]["layers"][1]["class_name"] = "Lambda"
    problem = refused(post(http, job | {"model": {"kind": "architecture", "config": config}}))
    (fault,) = problem["errors"]
    assert fault["pointer"].startswith("/model/config")
    assert "Lambda" in fault["detail"]
    assert "Dense" in fault["detail"]


# --- bodies that are no jobs ---


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 5000, b'{"a":"\\ud800"}'],
)
def test_a_body_that_is_not_json_is_malformed(http: TestClient, body: bytes) -> None:
    answer = http.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert refused(answer, 400)["type"] == "urn:fewbits:problem:malformed"


@pytest.mark.parametrize("document", [[], "text", 7, None, True])
def test_a_body_that_is_not_an_object_is_refused(http: TestClient, document: Any) -> None:
    assert refused(post(http, document))["errors"] == [{"pointer": "", "detail": "should be an object"}]


def test_text_that_postgresql_cannot_hold_is_refused(http: TestClient, job: dict[str, Any]) -> None:
    problem = refused(post(http, job | {"name": "a\0b"}))
    assert problem["errors"][0]["pointer"] == "/name"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_refused(http: TestClient, job: dict[str, Any], media_type: str) -> None:
    answer = http.post("/v1/jobs", content=json.dumps(job), headers={"content-type": media_type})
    refused(answer, 415)


def test_a_body_that_declares_too_much_is_refused(http: TestClient, settings: Settings) -> None:
    answer = http.post(
        "/v1/jobs",
        content=b" " * (settings.max_body_bytes + 1),
        headers={"content-type": "application/json"},
    )
    refused(answer, 413)


def test_a_body_that_declares_nothing_is_counted_while_it_comes(http: TestClient, settings: Settings) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(settings.max_body_bytes // 1000 + 2):
            sent += 1000
            yield b" " * 1000

    answer = http.post("/v1/jobs", content=chunks(), headers={"content-type": "application/json"})
    refused(answer, 413)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = [
    "name",
    "model",
    "data",
    "quantizers",
    "goal",
    "oracle",
    "filters",
    "layers",
    "training",
    "budget",
    "seed",
]


@given(document=JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)))
@examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_json_is_it_is_a_job_or_refused_with_pointers_into_it(document: Any) -> None:
    for problem in faults_of(document):
        follow_to_the_parent(document, problem.pointer)


def faults_of(document: Any) -> tuple[Problem, ...]:
    """What is wrong with a body; nothing but a refusal may come of it."""
    try:
        parse_submission(json.dumps(document).encode())
    except Malformed:
        return ()
    except InvalidRequest as error:
        return error.problems
    return ()


def follow_to_the_parent(document: Any, pointer: str) -> None:
    """A field that is missing has a parent that is there."""
    follow(document, pointer.rpartition("/")[0])


# --- the rest of HTTP ---


def test_an_unknown_path_is_a_problem(http: TestClient) -> None:
    assert refused(http.get("/v1/nothing"), 404)["type"] == "urn:fewbits:problem:no-such-path"


def test_a_method_that_is_not_allowed_is_a_problem_with_those_that_are(http: TestClient) -> None:
    answer = http.delete("/v1/jobs")
    refused(answer, 405)
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=5000", "limit"),
        ("status=lost", "status"),
        ("cursor=nonsense", "cursor"),
        ("cursor=WzEsMl0", "cursor"),
        ("cursor=%00", "cursor"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(http: TestClient, query: str, parameter: str) -> None:
    problem = refused(http.get(f"/v1/jobs?{query}"))
    assert [fault["parameter"] for fault in problem["errors"]] == [parameter]


@pytest.mark.parametrize("number", ["-1", "x", "99999999999999999999"])
def test_a_trial_number_that_cannot_be_one_leads_nowhere(http: TestClient, number: str) -> None:
    problem = refused(http.get(f"/v1/jobs/0123456789abcdef/trials/{number}"), 404)
    assert "number" in problem["detail"]


def test_a_verb_is_a_separate_path(http: TestClient) -> None:
    answer = http.put("/v1/jobs/0123456789abcdef:pause")
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_a_fault_of_the_service_shows_a_trace_id_and_nothing_else(
    http: TestClient, app: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app.state.database, "reading", lambda: 1 / 0)
    answer = http.get("/v1/jobs")
    problem = refused(answer, 500)
    assert "ZeroDivisionError" not in answer.text
    assert problem["trace_id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_database_that_is_away_is_a_503(http: TestClient, app: Any, tmp_path: Path) -> None:
    from service.store.session import Database

    app.state.database = Database(f"sqlite:///{tmp_path}")  # a folder: cannot be opened
    refused(http.get("/v1/jobs"), 503)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs:validate"])
def test_a_goal_that_counts_nothing_is_refused(http: TestClient, job: dict[str, Any], path: str) -> None:
    for config, pointer in (({"NoSuchLayer": ["parameters"]}, "/goal"), ({}, "/goal/config")):
        goal = {"kind": "bits", "config": config}
        (fault,) = refused(http.post(path, json=job | {"goal": goal}))["errors"]
        assert fault["pointer"] == pointer
        assert "counts nothing" in fault["detail"]
