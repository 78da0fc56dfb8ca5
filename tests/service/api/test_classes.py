"""What a trial gets right, class by class: over REST, in Python, on the command line and in the report."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI

from search.scoring.classification import class_counts, class_metrics
from service.cli import report
from service.client import NotFound, SearchClient
from service.schemas.classes import ClassReportView
from service.store import trials
from tests.service.conftest import Run
from tests.service.filled import Filled, Filler

LABELS = np.array([0, 0, 1, 1, 1, 2])
SCORES = np.eye(3)[[0, 1, 1, 1, 2, 2]]
METRICS = class_metrics(class_counts(LABELS, SCORES))


@pytest.fixture
def filled(filler: Filler, app: FastAPI) -> Filled:
    """A job whose only measured trial has a final report; a second trial waits."""
    job = filler.job()
    first, _ = filler.queue(job, 2)
    filler.measure(job, first)
    write(filler, app, first, {"validation": {"classes": METRICS}, "test": {"classes": METRICS}})
    return job


def write(filler: Filler, app: FastAPI, trial_id: int, document: dict[str, Any]) -> None:
    path = filler.folder / "report.json"
    path.write_text(json.dumps(document))
    with filler.database.transaction() as session:
        trials.put_artifacts(session, trial_id, {"report.json": app.state.blobs.put(path)})


def test_the_figures_are_those_of_the_report(client: SearchClient, filled: Filled) -> None:
    view = client.class_report(filled.job_id, 0)
    assert view.test == view.validation
    assert view.final_test is None
    assert view.test is not None
    assert view.test.model_dump(mode="json") == METRICS
    assert view.test.confusion == ((1, 1, 0), (0, 2, 1), (0, 0, 1))


def test_a_trial_that_is_not_measured_has_none(client: SearchClient, filled: Filled) -> None:
    with pytest.raises(NotFound, match="is not measured"):
        client.class_report(filled.job_id, 1)


def test_numbers_as_targets_have_no_classes(
    client: SearchClient, filled: Filled, filler: Filler, app: FastAPI, run: Run
) -> None:
    with filler.database.reading() as session:
        trial_id = trials.get(session, filled.job_id, 0).id
    write(filler, app, trial_id, {"validation": {"metric": 0.1}, "test": None})
    assert client.class_report(filled.job_id, 0) == ClassReportView(job_id=filled.job_id, number=0)
    assert "predicts no class numbers" in run("classes", filled.job_id, "0").stdout


def test_the_command_shows_classes_and_confusion(run: Run, filled: Filled) -> None:
    shown = run("classes", filled.job_id, "0", "--confusion").stdout
    assert "test data: accuracy 0.6667" in shown
    assert "calibration error 0.3333" in shown
    assert "true class (rows) by predicted class" in shown
    [row] = [line for line in shown.splitlines() if "0.5000" in line and "1.0000" in line and " 2 " in line][
        :1
    ]
    assert row
    assert json.loads(run("classes", filled.job_id, "0", "--json").stdout)["validation"] == METRICS
    assert "was not measured on" in run("classes", filled.job_id, "0", "--part", "final_test").stdout


def test_the_page_has_a_table_and_a_confusion_matrix(client: SearchClient, filled: Filled) -> None:
    page = report.page(report.collect(client, filled.job_id))
    assert "Classes of the best trial, test data" in page
    assert "mean IoU" in page
    assert "examples by true class (rows)" in page


def test_names_of_classes_stand_beside_their_numbers() -> None:
    from rich.console import Console

    from service.cli.text.classes import class_report

    view = ClassReportView.model_validate(
        {"job_id": "a", "number": 0, "names": ["cat", "dog"], "validation": METRICS}
    )
    console = Console(width=100, record=True)
    console.print(class_report(view, None, confusion=True))
    text = console.export_text()
    assert "0 cat" in text
    assert "1 dog" in text
