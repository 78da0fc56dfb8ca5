"""The migrations build exactly what the models say, and can be undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import migrations
from service.store.migrate import downgrade, is_current, newest, upgrade
from service.store.models import Base
from service.store.session import Database


def test_the_migrations_build_the_tables_of_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    upgrade(database.engine)
    assert is_current(database.engine)


def test_the_newest_revision_is_the_one_that_alembic_ends_with() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert newest() == script.get_current_head()


def test_every_step_can_be_undone(database: Database) -> None:
    downgrade(database.engine, "base")
    assert not is_current(database.engine)
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    upgrade(database.engine)
    assert is_current(database.engine)


def _insert(database: Database, table: str, **values: Any) -> None:
    with database.engine.begin() as connection:
        columns = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)


def _old_job(job_id: str, **changes: Any) -> dict[str, Any]:
    """A job as revision 0003 stores it."""
    moment = "2026-11-21 09:00:00+00:00"
    spec = {"model": {"kind": "zoo", "name": "digits_cnn"}, "parallel_trials": 7}
    return {
        "id": job_id,
        "name": "old",
        "status": "running",
        "spec": json.dumps(spec),
        "cost_unit": "energy_pj",
        "reference_cost": 1.0,
        "reference": "{}",
        "space_size": "1",
        "warnings": "[]",
        "proposals": 0,
        "failures": 0,
        "exhausted": False,
        "cancel_requested": False,
        "version": 5,
        "checked_at": moment,
        "created_at": moment,
        "attempt": 0,
        **changes,
    }


def _rows(database: Database, query: str) -> list[Any]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_jobs_of_an_earlier_version_are_kept_by_the_lifecycle_s_tables(database: Database) -> None:
    downgrade(database.engine, "0003")
    _insert(database, "jobs", **_old_job("aa"))
    _insert(database, "jobs", **_old_job("bb", cancel_requested=True))
    _insert(database, "jobs", **_old_job("cc", cancel_requested=True, status="cancelled"))
    _insert(
        database,
        "trials",
        job_id="aa",
        number=0,
        status="done",
        assignment="{}",
        assignment_key="k",
        oracle_trial="{}",
        seed=1,
        initial_epoch=0,
        attempt=1,
        enqueued_at="2026-11-21 09:00:00+00:00",
        created_at="2026-11-21 09:00:00+00:00",
        epochs_done=3,
    )
    upgrade(database.engine, "0004")
    rows = _rows(database, "SELECT id, status, parallel_trials, priority FROM jobs ORDER BY id")
    assert rows == [("aa", "running", 7, 0), ("bb", "cancelling", 7, 0), ("cc", "cancelled", 7, 0)]
    assert len(set(_rows(database, "SELECT model_key FROM jobs"))) == 1
    downgrade(database.engine, "0003")
    rows = _rows(database, "SELECT id, status, cancel_requested FROM jobs ORDER BY id")
    assert rows == [("aa", "running", 0), ("bb", "running", 1), ("cc", "cancelled", 0)]
    assert _rows(database, "SELECT epochs_done FROM trials") == [(3,)]
    downgrade(database.engine, "0001")
    assert _rows(database, "SELECT epochs_done FROM trials") == [(3,)]


def _trial(database: Database, number: int) -> int:
    moment = "2026-11-21 09:00:00+00:00"
    values = {"status": "done", "assignment": "{}", "assignment_key": f"k{number}", "oracle_trial": "{}"}
    times = {"enqueued_at": moment, "created_at": moment}
    counts = {"seed": 1, "initial_epoch": 0, "attempt": 1, "attempts_before": 0, "epochs_done": 3}
    _insert(database, "trials", job_id="aa", number=number, **values, **times, **counts)
    return int(_rows(database, f"SELECT id FROM trials WHERE number = {number}")[0][0])


def test_looks_at_the_test_data_of_earlier_jobs_are_counted(database: Database) -> None:
    downgrade(database.engine, "0003")
    _insert(database, "jobs", **_old_job("aa"))
    upgrade(database.engine, "0010")
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'done', best_trial = 4"))
    for hour, number in enumerate((4, 7)):
        moment = f"2026-11-21 1{hour}:00:00+00:00"
        _insert(
            database,
            "final_trainings",
            trial_id=_trial(database, number),
            status="done",
            epochs=5,
            attempt=1,
            attempts_before=0,
            enqueued_at=moment,
            created_at=moment,
            finished_at=moment,
            epochs_done=5,
            test_metric=0.5 + hour,
        )
    upgrade(database.engine)
    rows = _rows(database, "SELECT number, trial, kind, metric FROM test_looks ORDER BY number")
    assert rows == [(1, 4, "report", None), (2, 4, "final_training", 0.5), (3, 7, "final_training", 1.5)]
    marked = "SELECT number FROM test_looks WHERE optimistic ORDER BY number"
    assert _rows(database, marked) == [(3,)]
