"""A search in one call on a service that Python started, as a user of a notebook would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import fewbits
from fewbits import local_service, model_search
from fewbits.local_service import NotStarted
from fewbits.progress import progress_html, result_html
from service.client import Invalid

X = np.random.default_rng(3).normal(size=(60, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fewbits.LocalService]:
    home = tmp_path_factory.mktemp("home")
    with fewbits.local(home, workers=1, settings={}) as running:
        yield running


def model() -> keras.Model:
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2, "softmax")]
    )


@pytest.fixture(scope="module")
def result(service: fewbits.LocalService) -> fewbits.SearchResult:
    return fewbits.search(
        model(), X, Y, trials=2, epochs=1, service=service, progress=False, name="<b>", oracle="random"
    )


def test_the_result_is_that_of_the_service(
    result: fewbits.SearchResult, service: fewbits.LocalService
) -> None:
    assert result.job.status == "done"
    assert result.best == service.client.best(result.job.id, 1)[0]
    assert result.best.number in [point.number for point in result.front.items] or result.best.metric > 0
    assert len(result.to_dataframe()) == 2


def test_the_model_of_the_best_trial_measures_as_reported(
    result: fewbits.SearchResult, tmp_path: Path
) -> None:
    folder = result.save(tmp_path / "out")
    assert {"model.keras", "report.json", "recipe.json"} <= {path.name for path in folder.iterdir()}
    loaded, downloaded = fewbits.load_model(folder), result.model()
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), downloaded.predict(X, verbose=0))
    assert any(type(layer).__name__ == "QuantizedDense" for layer in loaded.layers)


def test_a_notebook_shows_progress_and_front_without_markup_of_names(result: fewbits.SearchResult) -> None:
    shown = progress_html(result.job, result.client.url)
    assert "2 of 2 trials" in shown
    assert f"/#/jobs/{result.job.id}" in shown
    table = result_html(result.job, result.front.items, result.best.number, result.client.url)
    assert "&lt;b&gt;" in table
    assert "<b>" not in table
    assert table.count("<tr") == len(result.front.items) + 1
    assert result._repr_html_() == table


def test_faults_of_the_job_are_named_before_work_starts(service: fewbits.LocalService) -> None:
    with pytest.raises(Invalid) as caught:
        fewbits.search("digits_cnn", "digits", service=service, limits={"by_class": {"Dens": 8}})
    assert [error.pointer for error in caught.value.problem.errors] == ["/limits/by_class/Dens"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, None), "y is missing"),
        ((X, Y[:-1]), "60 rows and y has 59"),
        (("digits", Y), "must not be passed"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    service: fewbits.LocalService, arguments: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fewbits.search("digits_cnn", *arguments, service=service)


def test_parts_are_disjoint_and_complete() -> None:
    parts = model_search._parts(np.arange(10), np.arange(10), None)
    assert sorted([*parts["x_train"], *parts["x_test"]]) == list(range(10))
    assert len(parts["x_test"]) == 2
    np.testing.assert_array_equal(parts["x_train"], parts["y_train"])


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match=r"ended at its start(.|\n)*serve\.log"):
        fewbits.local(tmp_path, workers=0, settings={"database_url": "nonsense://server/name"})


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="hom is not a setting; settings: home"):
        fewbits.local(tmp_path, settings={"hom": "x"})


def test_an_installation_without_worker_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local_service, "cannot_train", lambda: "no tensorflow: pip install 'fewbits[worker]'")
    with pytest.raises(NotStarted, match="pip install"):
        fewbits.local(tmp_path)


def test_a_closed_service_has_ended(tmp_path: Path) -> None:
    service = fewbits.local(tmp_path, workers=0, settings={})
    assert service.is_running
    assert service.url in service._repr_html_()
    service.close()
    assert not service.is_running
