"""Trials as columns, exports, scores in SQL, ranges of files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import literal, select
from starlette.testclient import TestClient

from search.scoring.forgiving_factor import MAXIMIZE, MINIMIZE, ForgivingFactor
from search.spec.objective import Direction
from service.store.scores import score_sql
from service.store.session import Database
from service.views.columns import to_csv
from tests.service.filled import Filled, Filler

FACTOR = ForgivingFactor(8.0, 12.0, 2.0, 0.9)


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with six measured trials, a failed one, a running one and one in the queue."""
    job = filler.job()
    ids = filler.queue(job, 9)
    for trial_id in ids[:6]:
        filler.measure(job, trial_id)
    filler.fail(ids[6], "=HYPERLINK(evil)")
    filler.start(ids[7], epochs=2)
    return job


def trials(http: TestClient, filled: Filled) -> list[dict[str, Any]]:
    return list(http.get(f"/v1/jobs/{filled.job_id}/trials").json()["items"])


def test_points_are_the_trials_as_columns(http: TestClient, filled: Filled) -> None:
    points = http.get(f"/v1/jobs/{filled.job_id}/points").json()
    listed = trials(http, filled)
    assert points["count"] == len(listed) == 9
    assert points["cost_unit"] == "energy_pj"
    assert points["status"] == points["state"] == [trial["status"] for trial in listed]
    for name in ("number", "metric", "cost"):
        assert points[name] == [trial[name] for trial in listed]
    scored = [trial["score"] for trial in listed]
    assert points["score"][:6] == pytest.approx(scored[:6], rel=1e-12)
    assert points["score"][6:] == scored[6:] == [None] * 3
    front_numbers = {item["number"] for item in http.get(f"/v1/jobs/{filled.job_id}/pareto").json()["items"]}
    assert {
        number for number, on in zip(points["number"], points["front"], strict=True) if on
    } == front_numbers


def test_other_columns_are_sent_if_they_are_named(http: TestClient, filled: Filled) -> None:
    path = f"/v1/jobs/{filled.job_id}/points"
    points = http.get(path, params={"fields": "bits,energy_pj,finished_s"}).json()
    assert "metric" not in points
    assert points["bits"] == [trial["bits"] for trial in trials(http, filled)]
    assert all(value >= 0 for value in points["finished_s"][:7])
    assert points["finished_s"][7:] == [None, None]
    assert http.get(path, params={"fields": "front"}).json()["front"].count(True) >= 1
    answer = http.get(path, params={"fields": "colour"})
    assert answer.status_code == 422
    assert "finished_s" in answer.json()["detail"]


def test_the_status_is_still_found_under_its_old_name(http: TestClient, filled: Filled) -> None:
    path = f"/v1/jobs/{filled.job_id}/points"
    statuses = [trial["status"] for trial in trials(http, filled)]
    assert http.get(path, params={"fields": "number,state"}).json()["state"] == statuses
    named = http.get(path, params={"fields": "number,status"}).json()
    assert named["status"] == statuses
    assert "state" not in named


def test_a_client_that_has_other_columns_gets_the_requested_ones(http: TestClient, filled: Filled) -> None:
    path = f"/v1/jobs/{filled.job_id}/points"
    etag = http.get(path, params={"fields": "number"}).headers["etag"]
    answer = http.get(path, params={"fields": "status"}, headers={"if-none-match": etag})
    assert (answer.status_code, "status" in answer.json()) == (200, True)


def test_a_job_without_trials_has_empty_columns(http: TestClient, filler: Filler) -> None:
    points = http.get(f"/v1/jobs/{filler.job().job_id}/points").json()
    assert points["count"] == 0
    assert points["number"] == points["front"] == points["score"] == []


def test_points_are_sent_as_lines(http: TestClient, filled: Filled) -> None:
    path = f"/v1/jobs/{filled.job_id}/points"
    answer = http.get(path, headers={"accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in answer.text.splitlines()]
    columns = http.get(path).json()
    assert rows == [{name: columns[name][i] for name in rows[0]} for i in range(9)]


def test_points_are_sent_as_an_arrow_stream(http: TestClient, filled: Filled) -> None:
    pa = pytest.importorskip("pyarrow")
    path = f"/v1/jobs/{filled.job_id}/points"
    answer = http.get(path, headers={"accept": "application/vnd.apache.arrow.stream"})
    table = pa.ipc.open_stream(answer.content).read_all()
    columns = http.get(path).json()
    assert table.to_pydict() == {name: columns[name] for name in table.column_names}
    assert table.schema.metadata[b"cost_unit"] == b"energy_pj"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0.1, application/x-ndjson;q=0.2", "application/x-ndjson"),
        ("text/html, */*;q=0.1", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=x", None),
    ],
)
def test_the_format_is_what_the_reader_likes_best(
    http: TestClient, filled: Filled, accept: str, media_type: str | None
) -> None:
    answer = http.get(f"/v1/jobs/{filled.job_id}/points", headers={"accept": accept})
    if media_type is None:
        assert answer.status_code == 406
        assert answer.json()["type"] == "urn:fewbits:problem:not-acceptable"
        assert "application/x-ndjson" in answer.json()["detail"]
    else:
        assert answer.headers["content-type"] == media_type
        assert "accept" in answer.headers["vary"].lower()


@pytest.mark.parametrize("path", ["points", "trials.csv", "trials.parquet", "trials?sort=-score"])
def test_columns_and_exports_that_have_not_changed_are_not_sent_again(
    http: TestClient, filled: Filled, filler: Filler, path: str
) -> None:
    if path.endswith("parquet"):
        pytest.importorskip("pyarrow")
    url = f"/v1/jobs/{filled.job_id}/{path}"
    tag = http.get(url).headers["etag"]
    assert tag.startswith("W/")
    assert http.get(url, headers={"if-none-match": tag}).status_code == 304
    filler.end(filled)
    assert http.get(url, headers={"if-none-match": tag}).status_code == 200


def test_formats_have_different_entity_tags(http: TestClient, filled: Filled) -> None:
    url = f"/v1/jobs/{filled.job_id}/points"
    tag = http.get(url).headers["etag"]
    headers = {"if-none-match": tag, "accept": "application/x-ndjson"}
    assert http.get(url, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["points", "trials.csv", "trials.parquet"])
def test_an_unknown_job_has_none_of_them(http: TestClient, path: str) -> None:
    answer = http.get(f"/v1/jobs/0123456789abcdef/{path}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:fewbits:problem:job-not-found"


# --- exports ---


def test_the_csv_has_every_trial_with_its_quantizers(http: TestClient, filled: Filled) -> None:
    answer = http.get(f"/v1/jobs/{filled.job_id}/trials.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert f"{filled.job_id}-trials.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    listed = trials(http, filled)
    assert [int(row["number"]) for row in rows] == list(range(9))
    assert [float(row["metric"]) for row in rows[:6]] == [trial["metric"] for trial in listed[:6]]
    assert rows[8]["metric"] == ""
    trial = http.get(f"/v1/jobs/{filled.job_id}/trials/0").json()
    for layer in trial["layers"]:
        for slot, tensor in layer["slots"].items():
            assert rows[0][f"{layer['name']}.{slot}"] == (tensor["quantizer"] or "")


def test_no_cell_of_the_csv_is_a_formula(http: TestClient, filled: Filled) -> None:
    text = http.get(f"/v1/jobs/{filled.job_id}/trials.csv").text
    assert "'=HYPERLINK(evil)" in text
    assert ",=" not in text


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_whatever_a_name_is_the_csv_can_be_read_and_runs_nothing(texts: list[str]) -> None:
    body = b"".join(to_csv(["a"], [[text] for text in texts])).decode()
    cells = [row[0] if row else "" for row in csv.reader(io.StringIO(body, newline=""))][1:]
    assert [cell.lstrip("'") for cell in cells] == [text.lstrip("'") for text in texts]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_the_parquet_file_has_the_same_rows_with_types(http: TestClient, filled: Filled) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    answer = http.get(f"/v1/jobs/{filled.job_id}/trials.parquet")
    table = parquet.read_table(io.BytesIO(answer.content))
    listed = trials(http, filled)
    assert table["metric"].to_pylist() == [trial["metric"] for trial in listed]
    assert table["bits"].to_pylist() == [trial["bits"] for trial in listed]
    assert str(table.schema.field("finished_at").type).startswith("timestamp")
    lines = http.get(f"/v1/jobs/{filled.job_id}/trials.csv").text.splitlines()
    assert table.column_names == lines[0].split(",")


def test_a_job_without_trials_is_exported_as_a_head(http: TestClient, filler: Filler) -> None:
    text = http.get(f"/v1/jobs/{filler.job().job_id}/trials.csv").text
    assert text.count("\n") == 1


# --- scores in SQL ---


@given(
    metric=st.floats(-2, 2),
    cost=st.floats(1e-3, 1e9),
    reference=st.floats(1e-3, 1e9),
    direction=st.sampled_from([MAXIMIZE, MINIMIZE]),
)
def test_the_database_scores_the_same(
    metric: float, cost: float, reference: float, direction: Direction
) -> None:
    factor = replace(FACTOR, direction=direction)
    assume(abs(cost - factor.budget(reference)) > 1e-9 * cost)
    row = select(literal(metric).label("metric"), literal(cost).label("cost")).subquery()
    score = score_sql(row.c.metric, row.c.cost, factor=factor, reference=reference)
    with DATABASE.reading() as session:
        value = session.scalar(select(score).select_from(row))
    assert value == pytest.approx(factor.score(metric, cost, reference), rel=1e-9, abs=1e-12)


DATABASE = Database("sqlite://")


# --- ranges ---


def artifact(filled: Filled) -> str:
    return f"/v1/jobs/{filled.job_id}/trials/3/artifacts/model.keras"


CONTENT = b"bytes of trial 3"


@pytest.mark.parametrize(
    ("requested", "content", "range_"),
    [
        ("bytes=0-4", CONTENT[:5], "bytes 0-4/16"),
        ("bytes=6-", CONTENT[6:], "bytes 6-15/16"),
        ("bytes=-3", CONTENT[-3:], "bytes 13-15/16"),
        ("bytes=6-999", CONTENT[6:], "bytes 6-15/16"),
    ],
)
def test_a_range_of_a_file_is_sent(
    http: TestClient, filled: Filled, requested: str, content: bytes, range_: str
) -> None:
    answer = http.get(artifact(filled), headers={"range": requested})
    assert answer.status_code == 206
    assert answer.content == content
    assert answer.headers["content-range"] == range_
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_range_of_an_older_file_is_sent_whole(http: TestClient, filled: Filled) -> None:
    tag = http.get(artifact(filled)).headers["etag"]
    same = http.get(artifact(filled), headers={"range": "bytes=6-", "if-range": tag})
    assert (same.status_code, same.content) == (206, CONTENT[6:])
    other = http.get(artifact(filled), headers={"range": "bytes=6-", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, CONTENT)


@pytest.mark.parametrize(
    ("requested", "status"), [("bytes=16-", 416), ("bytes=99-", 416), ("bytes=b-a", 400)]
)
def test_a_range_that_is_not_there_is_a_problem(
    http: TestClient, filled: Filled, requested: str, status: int
) -> None:
    answer = http.get(artifact(filled), headers={"range": requested})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert requested in answer.json()["detail"]
    if status == 416:
        assert answer.headers["content-range"] == "bytes */16"


def test_views_of_jobs_are_summed_up_once_a_version(
    http: TestClient, filled: Filled, filler: Filler, database_calls: list[str]
) -> None:
    http.get(f"/v1/jobs/{filled.job_id}")
    database_calls.clear()
    http.get("/v1/jobs")
    assert not any("FROM trials" in call for call in database_calls)
    filler.fail(filler.queue(filled, 1, first=9)[0], "no")
    assert http.get("/v1/jobs").json()["items"][0]["trials"]["failed"] == 2


@pytest.fixture
def database_calls(app: Any) -> list[str]:
    """Every statement the application sends."""
    from sqlalchemy import event

    statements: list[str] = []
    database: Database = app.state.database
    event.listen(
        database.engine, "before_cursor_execute", lambda c, cu, statement, *_: statements.append(statement)
    )
    return statements
