"""What `fewbits.search` and `fewbits.local` refuse, before a service is started, and what they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import fewbits
from fewbits import model_search
from fewbits.arrays import named_arrays
from service.client import Invalid
from service.schemas.jobs import JobView

X = np.random.default_rng(3).normal(size=(60, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


class OwnModel(keras.Model):
    """A network that is code."""


class Batches:
    """Examples that are no array."""


@pytest.fixture
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting or asking one fails the test."""

    def started(*_: object) -> None:
        raise AssertionError("a service was started")

    monkeypatch.setattr(model_search, "_client", started)
    monkeypatch.delenv("FEWBITS_URL", raising=False)


def model() -> keras.Model:
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "model must be a model of Keras 3, .* not None"),
        (keras.Sequential, "not the class Sequential"),
        (7, "not a value of type int"),
        ("digits_cn", "did you mean 'digits_cnn'"),
        ("here/net.keras", "net.keras does not exist"),
        (Path("net.keras"), "net.keras does not exist"),
        (keras.Sequential([keras.layers.Dense(2)]), "begin it with keras.Input"),
        (OwnModel(), "your class OwnModel"),
    ],
)
def test_a_model_that_cannot_be_sent_is_refused(no_service: None, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fewbits.search(value, X, Y)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (None, Y, "x must be an array with one row per example, not None"),
        (Batches(), Y, "not a value of type Batches; of a data set that yields batches"),
        ([[1.0, 2.0], [3.0]], [0, 1], "x is not one array of numbers"),
        (X.astype(str), Y, "x holds text"),
        (X.astype(complex), Y, "x holds complex numbers"),
        (X, np.where(Y, "dog", "cat"), r"y holds text; number what it says: labels, y = numpy\.unique"),
        (X, np.where(Y, "dog", "cat").astype(object), "y holds text"),
        (X, np.array([None] * 60), "y holds values of different kinds"),
        (X, Y.astype("datetime64[D]"), "y holds times"),
        (X[:0], Y[:0], "x has no examples"),
        (np.where(X[3, 2] == X, np.nan, X), Y, r"x\[3, 2\] is nan"),
        ("digit", None, "did you mean 'digits'"),
        ("data.npz", None, "data.npz does not exist"),
    ],
)
def test_examples_that_are_no_numbers_are_refused(no_service: None, x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fewbits.search(model(), x, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation_data": 0.2}, r"validation_data must be the pair \(x, y\), not a value of type float"),
        ({"validation_data": (X,)}, "not a value of type tuple of length 1"),
        ({"test_data": (X, Y[1:])}, "test_data: x has 60 rows and test_data: y has 59"),
        ({"epochs": 1, "training": {"epochs": 2}}, "epochs is passed twice"),
        ({"trials": 1, "budget": {"trials": 2}}, "trials is passed twice"),
        ({"budget": 3}, "budget must be a mapping"),
        ({"training": "fast"}, "training must be a mapping"),
        ({"data": "digits"}, "data must be a mapping of options"),
        ({"data": {"kind": "digits"}}, "data names kind"),
        ({"training": {"optimizer": keras.optimizers.SGD()}}, r"training\['optimizer'\] is of type SGD"),
        ({"service": "http://127.0.0.1:9"}, "service must be what fewbits.local"),
    ],
)
def test_arguments_that_would_be_ignored_are_refused(
    no_service: None, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fewbits.search(model(), X, Y, **arguments)


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ({"trials": 0}, "/budget/trials"),
        ({"trials": 2.5}, "/budget/trials"),
        ({"epochs": "ten"}, "/training/epochs"),
        ({"batch_size": 32}, "/batch_size"),
        ({"data": {"test_part": 0.1}}, "/data/test_part"),
        ({"oracle": "frugl"}, "/oracle"),
        ({"quantizers": {"kernal": ["binary()"]}}, "/quantizers/kernal"),
    ],
)
def test_faults_of_fields_are_named_before_a_service_starts(
    no_service: None, arguments: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as caught:
        fewbits.search(model(), X, Y, **arguments)
    assert [error.pointer for error in caught.value.problem.errors] == [pointer]
    assert pointer in str(caught.value)


def test_numbers_of_numpy_and_columns_of_tables_are_read() -> None:
    arrays = named_arrays(X.astype(object), [bool(label) for label in Y])
    assert arrays["x_train"].dtype.kind == "f"
    assert arrays["y_train"].dtype == bool
    chosen = model_search.options(
        8, np.int64(3), None, {"goal": {"delta_p": np.float32(2)}, "data": {"validation_fraction": 0.3}}
    )
    document = chosen.document("digits_cnn", {"kind": "digits"})
    assert document["budget"] == {"trials": 3}
    assert type(document["goal"]["delta_p"]) is float
    assert document["data"] == {"kind": "digits", "validation_fraction": 0.3}


class Interrupted:
    """A client whose user presses Ctrl-C while it waits."""

    url = "http://127.0.0.1:9"

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def wait(self, _: str) -> JobView:
        raise KeyboardInterrupt

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


def test_an_interrupt_cancels_the_job_and_says_what_stays() -> None:
    client: Any = Interrupted()
    job = JobView.model_construct(id="5f0c3a9be2d14477", warnings=("all is float",))
    with pytest.warns(UserWarning, match="all is float"), pytest.raises(KeyboardInterrupt) as caught:
        model_search._ended(client, job, is_shown=False)
    assert client.cancelled == [job.id]
    assert job.id in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": -1}, "workers must be a whole number"),
        ({"workers": 1.5}, "workers must be a whole number"),
        ({"workers": True}, "workers must be a whole number"),
        ({"timeout_s": 0}, "timeout_s must be a number of seconds above 0"),
        ({"timeout_s": "5"}, "timeout_s must be a number of seconds above 0"),
        ({"settings": ["home"]}, "settings must be a mapping"),
        ({"settings": {"port": 80}}, "port cannot be set"),
        ({"settings": {"home": "elsewhere"}}, "home is passed twice"),
    ],
)
def test_a_local_service_refuses_what_it_would_ignore(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fewbits.local(tmp_path, **arguments)


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(fewbits.ClientError, match=r"home: .*file cannot be used as a folder"):
        fewbits.local(file, workers=0)
