"""Lists that are sorted, filtered and reduced to some fields; invalid parameters are named."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from search.history import JobStatus
from service.app import create_app
from service.errors import InvalidParameter
from service.settings import Settings
from service.store.query import Condition, FieldType, Sort, parse_fields, parse_filter, parse_sort
from service.store.reading import JOB_FIELDS, SCORE, TRIAL_FIELDS
from service.store.session import Database
from tests.service.conftest import URL
from tests.service.filled import Filled, Filler

COUNT = 14


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[tuple[TestClient, Filled]]:
    """A job with ten measured trials, two of them equal in metric, a failed, a running and two queued ones."""
    folder = tmp_path_factory.mktemp("standing")
    shutil.copy(migrated, folder / "fewbits.db")
    app = create_app(Settings(home=folder))
    filler = Filler(app.state.database, app.state.blobs, folder)
    job = filler.job()
    ids = filler.queue(job, COUNT)
    for number, trial_id in enumerate(ids[:10]):
        filler.measure(job, trial_id, metric=0.5 if number < 2 else None)
    filler.fail(ids[10], "loss became NaN, in epoch 2")
    filler.start(ids[11], epochs=2)
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield client, job


def read(http: TestClient, path: str, **query: Any) -> Any:
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(http: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every item, page by page."""
    items, cursor = [], None
    while True:
        page = read(http, path, limit=3, **query, **({} if cursor is None else {"cursor": cursor}))
        items += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return items


@pytest.mark.parametrize("field", list(TRIAL_FIELDS))
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_give_each_trial_once_in_order_and_what_has_no_value_last(
    standing: tuple[TestClient, Filled], field: str, sign: str
) -> None:
    http, filled = standing
    items = walk(http, f"/v1/jobs/{filled.job_id}/trials", sort=sign + field)
    assert sorted(item["number"] for item in items) == list(range(COUNT))
    values = [item[field] for item in items]
    present = [value for value in values if value is not None]
    assert values[len(present) :] == [None] * (COUNT - len(present))
    assert present == sorted(present, reverse=sign == "-")


def test_pages_give_each_job_once_in_order(http: TestClient, filler: Filler) -> None:
    created = [filler.job() for _ in range(5)]
    for filled_job in created[:3]:
        filler.end(filled_job, JobStatus.FAILED, f"because of {filled_job.job_id}")
    for sort in (sign + field for field in JOB_FIELDS for sign in ("", "-")):
        items = walk(http, "/v1/jobs", sort=sort)
        assert sorted(item["id"] for item in items) == sorted(filled_job.job_id for filled_job in created)
        values = [item[sort.lstrip("-")] for item in items]
        present = [value for value in values if value is not None]
        assert present == sorted(present, reverse=sort.startswith("-"))
        assert values[len(present) :] == [None] * (5 - len(present))


def test_conditions_must_all_hold(standing: tuple[TestClient, Filled]) -> None:
    http, filled = standing
    path = f"/v1/jobs/{filled.job_id}/trials"
    every = walk(http, path)
    limit = sorted(item["energy_pj"] for item in every[:10])[5]
    selected = walk(http, path, filter=f"status:done,energy_pj<{limit!r},number!=3")
    expected = [
        item["number"]
        for item in every
        if item["status"] == "done" and item["energy_pj"] < limit and item["number"] != 3
    ]
    assert [item["number"] for item in selected] == expected
    assert 0 < len(expected) < 10


@pytest.mark.parametrize(
    ("conditions", "numbers"),
    [
        ("status:failed|running", [10, 11]),
        ("status=failed", [10]),
        ("status!=done", [10, 11, 12, 13]),
        ("metric:null", [10, 11, 12, 13]),
        ("metric!=null,number<2", [0, 1]),
        ("metric:0.5", [0, 1]),
        ("number:1|null|2", [1, 2]),
        ("reason~NAN", [10]),
        ('reason~"NaN, in"', [10]),
        ('reason:"null"', []),
        ("reason~%", []),
        ("epochs_done>=2,status:running", [11]),
        ("finished_at<2020-01-01", []),
        ("created_at>=2020-01-01T00:00:00Z , number>12", [13]),
        (" ", list(range(COUNT))),
    ],
)
def test_filters(standing: tuple[TestClient, Filled], conditions: str, numbers: list[int]) -> None:
    http, filled = standing
    selected = walk(http, f"/v1/jobs/{filled.job_id}/trials", filter=conditions)
    assert [item["number"] for item in selected] == numbers


def test_a_filter_by_score_agrees_with_the_score_that_is_shown(standing: tuple[TestClient, Filled]) -> None:
    http, filled = standing
    path = f"/v1/jobs/{filled.job_id}/trials"
    scores = sorted(item["score"] for item in walk(http, path)[:10])
    between = (scores[4] + scores[5]) / 2
    selected = walk(http, path, filter=f"score>={between!r}", sort="-score")
    assert [item["score"] for item in selected] == scores[:4:-1]


def test_the_filter_and_the_status_must_both_hold(standing: tuple[TestClient, Filled]) -> None:
    http, filled = standing
    path = f"/v1/jobs/{filled.job_id}/trials"
    assert [item["number"] for item in walk(http, path, filter="number<3", status="done")] == [0, 1, 2]
    assert walk(http, path, filter="number<3", status="failed") == []


def test_only_the_requested_fields_are_sent(standing: tuple[TestClient, Filled]) -> None:
    http, filled = standing
    items = walk(http, f"/v1/jobs/{filled.job_id}/trials", fields="score,number")
    assert {tuple(item) for item in items} == {("number", "score")}
    jobs = read(http, "/v1/jobs", fields="id, status")["items"]
    assert jobs == [{"id": filled.job_id, "status": "running"}]
    (job,) = read(http, "/v1/jobs", fields="best,progress")["items"]
    assert set(job) == {"best", "progress"}
    assert job["best"]["number"] in range(10)


def test_jobs_are_filtered_by_name(http: TestClient, filler: Filler, job: dict[str, Any]) -> None:
    filler.job(job | {"name": "one, two"})
    filler.job(job | {"name": "three"})
    selected = read(http, "/v1/jobs", filter='name:"one, two"')["items"]
    assert [item["name"] for item in selected] == ["one, two"]
    assert read(http, "/v1/jobs", filter="name~THR", fields="name")["items"] == [{"name": "three"}]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"sort": "colour"}, ["sort", "'colour'", "energy_pj"]),
        ({"sort": "--number"}, ["sort", "number"]),
        ({"fields": "number,colour"}, ["fields", "'colour'", "energy_pj"]),
        ({"fields": ""}, ["fields", "energy_pj"]),
        ({"filter": "colour:red"}, ["filter", "'colour'", "energy_pj"]),
        ({"filter": "metric~0.9"}, ["operator '~' is not supported for the number field metric", "<="]),
        ({"filter": "status<done"}, ["status", "text", "~"]),
        ({"filter": "status:don"}, ["status", "'don'", "infeasible"]),
        ({"filter": "metric>much"}, ["metric expects a number, as in 0.9, got 'much'"]),
        ({"filter": "metric>nan"}, ["metric", "'nan'"]),
        ({"filter": "metric>null"}, ["metric", "'null'"]),
        ({"filter": "number:1.5"}, ["number", "'1.5'"]),
        ({"filter": f"number:{10**30}"}, ["number"]),
        ({"filter": "created_at>yesterday"}, ["created_at", "2026"]),
        ({"filter": "metric"}, ["invalid syntax at 'metric'"]),
        ({"filter": "metric>=0.9,,"}, ["invalid syntax"]),
        ({"filter": ",".join(["number>0"] * 21)}, ["got 21"]),
        ({"filter": "x" * 1001}, ["filter", "1000"]),
        ({"cursor": "bm9uZQ"}, ["cursor"]),
    ],
)
def test_an_unknown_field_is_refused_with_the_available_ones(
    standing: tuple[TestClient, Filled], query: dict[str, str], says: list[str]
) -> None:
    http, filled = standing
    answer = http.get(f"/v1/jobs/{filled.job_id}/trials", params=query)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["errors"][0]["parameter"] in query
    for word in says:
        assert word in problem["detail"]


def test_a_cursor_belongs_to_its_sort(standing: tuple[TestClient, Filled]) -> None:
    http, filled = standing
    path = f"/v1/jobs/{filled.job_id}/trials"
    cursor = read(http, path, sort="-score", limit=2)["next_cursor"]
    assert http.get(path, params={"sort": "score", "cursor": cursor}).status_code == 422
    assert http.get(path, params={"sort": "-score", "cursor": cursor}).status_code == 200


def test_lists_are_the_same_on_every_database(database: Database, tmp_path: Any) -> None:
    """On PostgreSQL as on SQLite: nulls last, scores, text, moments."""
    from service.store import jobs, reading
    from service.store.blobs import BlobStore
    from service.views import jobs as job_views
    from service.views.scoring import scoring as scoring_of

    filler = Filler(database, BlobStore(tmp_path / "blobs"), tmp_path)
    job = filler.job()
    ids = filler.queue(job, 6)
    for trial_id in ids[:4]:
        filler.measure(job, trial_id)
    filler.fail(ids[4], "Why")
    with database.reading() as session:
        scoring = scoring_of(jobs.get(session, job.job_id))

        def numbers(sort: str, conditions: str = "") -> list[int]:
            order = reading.PageQuery(
                parse_filter(conditions, TRIAL_FIELDS, reading.TRIAL_CHOICES),
                parse_sort(sort, TRIAL_FIELDS),
                None,
                10,
            )
            rows = reading.trial_page(session, job.job_id, ("number", "metric", "cost"), order, scoring)
            return [row["number"] for _, row in rows]

        measured = job_views.best(session, jobs.get(session, job.job_id), 10)
        assert numbers("-score") == [point.number for point in measured] + [4, 5]
        assert numbers("score") == [point.number for point in measured[::-1]] + [4, 5]
        assert numbers("finished_at")[-1] == 5
        assert numbers("number", "reason~wHY") == [4]
        assert numbers("number", "finished_at>2020-01-01,score!=null") == [0, 1, 2, 3]


# --- the grammar ---

FIELDS = {
    "number": FieldType.INTEGER,
    "metric": FieldType.NUMBER,
    "name": FieldType.TEXT,
    "at": FieldType.TIME,
}


@given(
    value=st.floats(allow_nan=False, allow_infinity=False), operator=st.sampled_from(["<", ">=", ":", "!="])
)
def test_numbers_are_read_as_they_were_written(value: float, operator: str) -> None:
    (condition,) = parse_filter(f"metric{operator}{value!r}", FIELDS, {})
    assert condition == Condition("metric", operator, (value,))


@given(text=st.text(st.characters(exclude_characters='"\0', exclude_categories=["Cs"]), max_size=50))
def test_quoted_text_may_hold_anything_but_quotes(text: str) -> None:
    (first, second) = parse_filter(f'name:"{text}",number>1', FIELDS, {})
    assert first == Condition("name", ":", (text,))
    assert second == Condition("number", ">", (1,))


@given(text=st.text(max_size=60))
def test_no_filter_breaks_the_reader(text: str) -> None:
    with suppress(InvalidParameter):
        for condition in parse_filter(text, FIELDS, {"name": ("a", "b")}):
            assert condition.field in FIELDS
            assert all(not isinstance(v, float) or math.isfinite(v) for v in condition.values)


def test_a_minus_sorts_downwards() -> None:
    assert parse_sort("-metric", FIELDS) == Sort("metric", descending=True)
    assert str(parse_sort("-metric", FIELDS)) == "-metric"
    assert parse_fields(None, ("a", "b")) == ("a", "b")
    assert parse_fields("b,a", ("a", "b", SCORE)) == ("a", "b")
