"""Nothing that a user wrote is ignored silently: the dry run names what has no effect and what cannot be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantization.spiking.specification import XyloSpecification
from search.data import Dataset, examine, load
from search.errors import Infeasible, InvalidSpec
from search.plans.kinds import plan
from search.plans.review import reviewed
from search.spec.job import SearchSpec
from search.spec.spiking import XyloModel
from search.spiking.network import SpikingPricer, specification
from search.spiking.trial import run_trial
from tests.search.nets import functional, layer
from tests.search.spiking.test_spiking_jobs import chosen
from tests.search.spiking.test_spiking_jobs import spec as spiking_spec


def job(classes: int = 3, shape: tuple[int, ...] = (4,), **changes: Any) -> SearchSpec:
    network = functional(shape, [layer("Dense", "out", ["input"], units=classes, activation="softmax")])
    whole: dict[str, Any] = {
        "model": {"kind": "architecture", "config": network},
        "data": {"kind": "npz", "file": "set.npz"},
        "limits": {"by_class": {"Dense": 8}},
    }
    return SearchSpec.model_validate(whole | changes)


def arrays(**changes: Any) -> dict[str, Any]:
    """Sixty examples of three classes with nothing odd about them, and what a test changes."""
    draw = np.random.default_rng(0)
    valid: dict[str, Any] = {
        "x_train": draw.normal(size=(60, 4)),
        "y_train": np.arange(60) % 3,
        "x_test": draw.normal(size=(12, 4)),
        "y_test": np.arange(12) % 3,
    }
    return valid | changes


def warnings_of(folder: Path, spec: SearchSpec | None = None, **changes: Any) -> list[str]:
    np.savez(folder / "set.npz", **arrays(**changes))
    whole = plan(spec or job(), folder)
    ordinary = set(whole.warnings)
    return [text for text in reviewed(whole, folder).warnings if text not in ordinary]


def test_good_data_are_not_warned_of(tmp_path: Path) -> None:
    assert warnings_of(tmp_path) == []


LABELS = np.arange(60) % 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"x_more": np.zeros((5, 4)), "sample_weight_test": np.ones(12)},
            "the arrays sample_weight_test and x_more of the file",
        ),
        (
            {"w_train": np.ones(60)},
            "nothing reads the arrays w_train of the file; a job reads x_train, y_train",
        ),
        ({"y_train": np.where(LABELS == 1, 0, LABELS)}, "the training part has no example of class 1"),
        ({"y_train": np.where(LABELS == 1, 0, LABELS)}, "the validation part has no example of class 1"),
        ({"y_test": np.arange(12) % 2}, "the test part has no example of class 2"),
        ({"y_train": np.full(60, 2)}, "all labels of the training part are 2: nothing can be learned"),
        ({"y_train": LABELS % 2, "y_test": np.arange(12) % 2}, "has 3 classes, but no label is 2"),
        ({"x_train": arrays()["x_train"] * [1, 1, 0, 1]}, "feature 2 is constant in the training part"),
        ({"x_train": arrays()["x_train"] * 0}, "the features 0, 1, 2 and 3 are constant"),
        ({"x_test": arrays()["x_train"][:12]}, "12 of 12 test examples are also in x_train"),
        (
            {"x_test": np.vstack([arrays()["x_test"][:11], arrays()["x_train"][:1]])},
            "1 of 12 test examples is also",
        ),
    ],
)
def test_what_is_odd_about_data_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    assert any(says in text for text in warnings_of(tmp_path, **changes))


def test_targets_that_are_all_equal_are_named_and_scaled_to_zero(tmp_path: Path) -> None:
    network = functional((4,), [layer("Dense", "out", ["input"], units=1, activation="linear")])
    data = {"kind": "npz", "file": "set.npz", "target_scaling": "standard"}
    spec = job(model={"kind": "architecture", "config": network}, data=data, objective="mse")
    same = {"y_train": np.full(60, 0.1), "y_test": np.full(12, 0.1)}
    assert warnings_of(tmp_path, spec, **same) == ["all targets of the training part are equal"]
    scaled = load(spec.data, tmp_path, 1, (4,), plan(spec, tmp_path).task.heads)
    np.testing.assert_allclose(np.asarray(scaled.y_train), 0, atol=1e-6)


def test_examples_that_repeat_anyway_are_not_warned_of(tmp_path: Path) -> None:
    repeating = np.random.default_rng(0).integers(0, 2, (60, 4)).astype(np.float64)
    assert not any(
        "also in x_train" in text for text in warnings_of(tmp_path, x_train=repeating, x_test=repeating[:12])
    )


def test_labels_of_an_autoencoder_are_left_out_on_purpose(tmp_path: Path) -> None:
    data = {"kind": "npz", "file": "set.npz", "targets": "inputs"}
    spec = job(classes=4, data=data, objective="mse")
    assert warnings_of(tmp_path, spec) == []


def test_few_training_examples_of_a_shipped_data_set_lack_classes(tmp_path: Path) -> None:
    data = {"kind": "digits", "train_samples": 4}
    spec = job(classes=10, shape=(64,), data=data)
    assert any("the training part has no example of classes" in text for text in warnings_of(tmp_path, spec))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["x_train", "x_test"])
def test_numbers_that_are_not_finite_are_refused_before_the_search(
    tmp_path: Path, bad: float, name: str
) -> None:
    changed = arrays()[name].copy()
    changed[3, 1] = bad
    with pytest.raises(InvalidSpec, match=f"{name} holds numbers that are not finite"):
        warnings_of(tmp_path, **{name: changed})


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (np.full((60, 4), 7), "x_train holds 7 to 7, but layer 'lookup' looks up 0 to 6"),
        (np.full((60, 4), -1), "x_train holds -1 to -1, but layer 'lookup' looks up 0 to 6"),
        (np.full((60, 4), 1.5), "x_train holds fractions, but layer 'lookup' looks up whole numbers"),
    ],
)
def test_tokens_that_an_embedding_does_not_have_are_refused(tmp_path: Path, tokens: Any, says: str) -> None:
    network = functional(
        (4,),
        [
            layer("Embedding", "lookup", ["input"], input_dim=7, output_dim=2),
            layer("Flatten", "flatten", ["lookup"]),
            layer("Dense", "out", ["flatten"], units=3, activation="softmax"),
        ],
    )
    spec = job(model={"kind": "architecture", "config": network})
    with pytest.raises(InvalidSpec, match=says):
        warnings_of(tmp_path, spec, x_train=tokens, x_test=np.zeros((12, 4)))


def test_what_is_too_large_to_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "MAX_BYTES", 100)
    said = warnings_of(tmp_path, y_test=np.zeros(12, np.int64))
    assert [text[:35] for text in said] == [
        "the test part has no example of cla",
        "the examples are too many to look f",
    ]


def test_a_file_that_changes_under_its_name_is_read_again(tmp_path: Path) -> None:
    assert warnings_of(tmp_path) == []
    assert warnings_of(tmp_path, y_train=np.full(60, 2)) != []


# --- constraints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filters", [{}, {"filters": {"by": "layer"}}])
@pytest.mark.parametrize(
    ("field", "unit"), [("max_bits", "bits"), ("max_energy_pj", "pJ"), ("max_ebops", "EBOPs")]
)
@pytest.mark.parametrize("goal", [{"kind": "energy"}, {"kind": "bits"}])
def test_constraints_that_no_assignment_keeps_are_said(
    tmp_path: Path, field: str, unit: str, goal: dict[str, Any], filters: dict[str, Any]
) -> None:
    tight = warnings_of(tmp_path, job(constraints={field: 1}, goal=goal, **filters))
    assert any(
        text.startswith(f"constraints.{field} is 1 {unit}, the cheapest assignment takes") for text in tight
    )
    assert warnings_of(tmp_path, job(constraints={field: 10**9}, goal=goal, **filters)) == []


# --- spiking networks ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dead() -> XyloSpecification:
    """A network whose currents are gone within a step."""
    stored = specification(XyloModel(name="spiking_digits"), Path()).arrays()
    changed = stored | {"dash_syn": stored["dash_syn"] * 0 + 0.3}
    return XyloSpecification.from_arrays(changed)


def test_a_spiking_network_that_never_fires_is_said_and_is_no_result(
    dead: XyloSpecification, tmp_path: Path
) -> None:
    events = np.random.default_rng(0).integers(0, 2, (20, 32, 16)).astype(np.float32)
    pricer = SpikingPricer(spiking_spec().goal, dead, events)
    lost, silent = pricer.warnings
    assert (
        lost
        == "dash_syn is rounded to a shift of 0 for 48 of 48 neurons: what they hold is lost within a step"
    )
    assert "no readout fires on any of 20 training examples" in silent
    labels = np.zeros(20, np.int32)
    data = Dataset(events, labels, events, labels, events, labels, None)  # type: ignore[arg-type]
    with pytest.raises(Infeasible, match="no readout fires on any validation example: dash_syn is rounded"):
        run_trial(dead, chosen("global"), data, pricer, lambda: None, tmp_path)


def test_the_shipped_spiking_network_is_not_warned_of() -> None:
    assert plan(spiking_spec(), Path()).pricer.warnings == ()


def test_outputs_that_grow_without_end_are_named(tmp_path: Path) -> None:
    names = [f"d{i}" for i in range(12)]
    layers = [
        layer("Dense", name, [before], units=4)
        for before, name in zip(["input", *names], names, strict=False)
    ]
    network = functional((4,), [*layers, layer("Dense", "out", ["d11"], units=3, activation="softmax")])

    wide = {"model": {"kind": "architecture", "config": network}, "quantizers": {"output": []}}
    (text,) = warnings_of(tmp_path, job(**wide))

    assert "no quantizer narrows the outputs of d8 (35 bits), d9 (38 bits)" in text
    assert " more: they hold every bit" in text
