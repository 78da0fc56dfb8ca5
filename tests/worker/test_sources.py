"""A job that has ended is taken up again only on what it was searched on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import search.training.evaluate
import search.training.trial
from search.trial_files import MODEL_FILE
from service.api.sources import check_sources
from service.errors import SourcesChanged
from service.store import trials
from tests.worker.conftest import Bench, write_data
from tests.worker.lives import made_up_test, made_up_training


@pytest.fixture
def done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job that has ended."""
    monkeypatch.setattr(search.training.trial, "run_trial", made_up_training)
    monkeypatch.setattr(search.training.evaluate, "evaluate_file", made_up_test)
    job_id = bench.submit()
    bench.work()
    return job_id


def check(bench: Bench, job_id: str) -> None:
    check_sources(bench.database, bench.runtime.blobs, bench.settings.data_folder, job_id)


def test_the_same_data_and_files_are_fine_also_when_written_anew(bench: Bench, done: str) -> None:
    check(bench, done)
    write_data(bench.settings.data_folder)
    check(bench, done)


def replaced(bench: Bench, **changes: Any) -> None:
    path = bench.settings.data_folder / "tiny.npz"
    with np.load(path) as stored:
        np.savez(path, **{**stored, **changes})


@pytest.mark.parametrize("part", ["x_train", "y_train", "x_test", "y_test"])
def test_replaced_data_are_noticed(bench: Bench, done: str, part: str) -> None:
    with np.load(bench.settings.data_folder / "tiny.npz") as stored:
        changed = stored[part][::-1] + stored[part].dtype.type(0)
    replaced(bench, **{part: changed})
    with pytest.raises(SourcesChanged, match="clone the job"):
        check(bench, done)


def test_data_that_are_gone_are_noticed(bench: Bench, done: str) -> None:
    (bench.settings.data_folder / "tiny.npz").unlink()
    with pytest.raises(SourcesChanged, match=r"tiny\.npz"):
        check(bench, done)


def test_a_model_that_is_gone_is_noticed(bench: Bench, done: str) -> None:
    with bench.database.reading() as session:
        row = trials.artifact(session, trials.get(session, done, 1), MODEL_FILE)
    bench.runtime.blobs.path(row.sha256).unlink()
    with pytest.raises(SourcesChanged, match="the first of trial 1"):
        check(bench, done)
