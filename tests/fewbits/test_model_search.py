"""A search in one call on a service that Python started, as a user of a notebook would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import fewbits
from fewbits import local_service
from fewbits.arrays import ends_of, named_arrays
from fewbits.local_service import NotStarted
from fewbits.progress import progress_html, result_html
from service.client import Invalid

#: Two trials of a large space are told so.
pytestmark = pytest.mark.filterwarnings("ignore:the space has .* assignments, the budget tries:UserWarning")

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
    plot = result.plot()
    assert plot._repr_html_() == plot.text
    assert plot.text.startswith("<iframe sandbox=")
    assert "<b>" not in plot.text


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


def two_ends() -> keras.Model:
    """Named inputs and outputs; the outputs' keys are not their layers."""
    area, rooms = keras.Input((4,), name="area"), keras.Input((2,), name="rooms")
    x = keras.layers.Dense(4, activation="relu")(keras.layers.Concatenate()([area, rooms]))
    outputs = {
        "kind": keras.layers.Dense(2, name="scores")(x),
        "cost": keras.layers.Dense(1, name="price")(x),
    }
    return keras.Model({"rooms": rooms, "area": area}, outputs)


def test_named_inputs_and_outputs_are_searched(service: fewbits.LocalService, tmp_path: Path) -> None:
    result = fewbits.search(
        two_ends(),
        {"area": X[:, :4], "rooms": X[:, 4:]},
        {"kind": Y, "cost": X[:, 0]},
        trials=1,
        epochs=1,
        service=service,
        progress=False,
        objective={"metric": "accuracy", "output": "scores"},
        training={"loss": {"scores": "crossentropy", "price": "mse"}},
    )
    assert result.job.status == "done", result.job.reason
    folder = result.save(tmp_path / "out")
    inputs = json.loads((folder / "preprocessing.json").read_text())["inputs"]
    assert {name: entry["input_shape"] for name, entry in inputs.items()} == {"area": [4], "rooms": [2]}
    outputs = fewbits.load_model(folder).predict([X[:, :4], X[:, 4:]], verbose=0)
    assert [output.shape for output in outputs] == [(60, 1), (60, 2)]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ({"area": X[:, :4]}, [Y, Y], "the input 'rooms', for which there is no array"),
        ([X[:, :4]], [Y, Y], "1 arrays for the 2 inputs of the model, which are area, rooms"),
        ({"area": X[:, :4], "rooms": X[:-1, 4:]}, [Y, Y], r"x\['area'\] has 60 rows and x\['rooms'\] has 59"),
        ([X[:, :4], X[:, 4:]], {"kind": Y, "const": Y}, "no output 'const'; its outputs are cost, kind"),
    ],
)
def test_arrays_of_named_ends_that_do_not_fit_are_refused(x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named_arrays(x, y, ends=ends_of(two_ends()))


def test_lists_are_in_the_order_of_the_model() -> None:
    arrays = named_arrays([X[:, :4], X[:, 4:]], [X[:, 0], Y], ends=ends_of(two_ends()))
    assert set(arrays) == {"x_train_area", "x_train_rooms", "y_train_price", "y_train_scores"}
    assert arrays["x_train_area"].shape == (60, 4)


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
