"""One trial, from its assignment to its files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from quantization.models.convert import read_quantizers
from quantization.specs.parse import as_spec
from search.data import Dataset
from search.errors import Cancelled, Diverged, OutOfMemory
from search.history import Assignment, EpochReport, Measurement
from search.networks.zoo import conv_block_network
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.spec.resolved import resolve
from search.spec.training import Training
from search.training.evaluate import evaluate_file
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from tests.search.conftest import small_spec
from tests.search.searches import Search

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 saves TensorFlow's tensors in a way numpy 2 would have otherwise.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

FILES = {"model.keras", "quantizers.json", "weights.npz", "preprocessing.json"}


@dataclass
class Listener:
    """A reporter that remembers, and may raise."""

    on_batch: Callable[[int], None] = lambda _: None
    on_epoch: Callable[[int], None] = lambda _: None
    epochs: list[EpochReport] = field(default_factory=list)
    batches: int = 0

    def batch(self) -> None:
        self.batches += 1
        self.on_batch(self.batches)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)
        self.on_epoch(report.epoch)


def fails_at(step: int, error: Exception) -> Callable[[int], None]:
    """Raises the error at a batch or epoch."""

    def check(count: int) -> None:
        if count == step:
            raise error

    return check


def first_assignment(plan: Plan) -> Assignment:
    [proposed] = Search(plan.spec, plan.choices).propose(1).trials
    return proposed.assignment


def run(
    prepared: Plan,
    data: Dataset,
    folder: Path,
    reporter: Listener | None = None,
    seed: int = 11,
    spec: SearchSpec | None = None,
) -> Measurement:
    request = TrainingRequest(first_assignment(prepared), seed)
    changed = prepared if spec is None else replace(prepared, job=resolve(spec))
    return run_trial(changed, request, data, reporter or Listener(), folder)


@dataclass
class Finished:
    """A trial that was run once for many tests."""

    measurement: Measurement
    reporter: Listener
    folder: Path
    assignment: Assignment


@pytest.fixture(scope="module")
def finished(small_plan: Plan, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder, reporter = tmp_path_factory.mktemp("trial"), Listener()
    measurement = run(small_plan, digits, folder, reporter)
    return Finished(measurement, reporter, folder, first_assignment(small_plan))


# --- memory --------------------------------------------------------------------------------------------------


def test_another_trial_gives_no_variable_a_new_name(
    small_plan: Plan, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow keeps the memory of every variable that has a new name, as long as the process lives."""
    seen: list[set[str]] = []
    initialize = keras.Variable._initialize

    def watched(variable: Any, value: Any) -> None:
        initialize(variable, value)
        seen[-1].add(variable.value.name)

    monkeypatch.setattr(keras.Variable, "_initialize", watched)
    for seed in (1, 2, 3):
        seen.append(set())
        run(small_plan, digits, tmp_path, seed=seed)
    assert len(seen[0]) > 10
    assert seen[2] <= seen[0] | seen[1]


# --- what is measured ----------------------------------------------------------------------------------------


def test_every_epoch_is_reported_with_its_metrics(finished: Finished) -> None:
    assert [report.epoch for report in finished.reporter.epochs] == [0, 1]
    assert all(
        set(report.metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
        for report in finished.reporter.epochs
    )


def test_the_reporter_is_asked_while_an_epoch_is_trained_and_while_it_is_measured(finished: Finished) -> None:
    epochs = len(finished.reporter.epochs)
    assert finished.reporter.batches >= 2 * epochs


def test_the_metric_is_that_of_the_best_epoch(finished: Finished) -> None:
    accuracies = [report.metrics["val_accuracy"] for report in finished.reporter.epochs]
    assert finished.measurement.metric == max(accuracies)
    assert finished.measurement.best_epoch == accuracies.index(max(accuracies))


def test_a_trial_costs_what_its_assignment_costs(finished: Finished, small_plan: Plan) -> None:
    assert finished.measurement.cost == small_plan.pricer.price(finished.assignment)


def test_every_step_is_timed(finished: Finished) -> None:
    assert set(finished.measurement.durations_s) == {"build", "compile", "train", "evaluate", "save"}
    assert all(seconds > 0 for seconds in finished.measurement.durations_s.values())


def test_the_same_seed_gives_the_same_measurement(
    finished: Finished, small_plan: Plan, digits: Dataset, tmp_path: Path
) -> None:
    again = run(small_plan, digits, tmp_path)
    assert (again.metric, again.loss) == (finished.measurement.metric, finished.measurement.loss)


def test_an_epoch_after_the_best_one_is_forgotten(small_plan: Plan, digits: Dataset, tmp_path: Path) -> None:
    misled = replace(digits, y_train=(digits.y_train + 1) % 10)  # the better it learns, the worse it does
    longer = small_spec(training={"epochs": 4, "batch_size": 32, "learning_rate": 0.01})
    reporter = Listener()
    measurement = run(small_plan, misled, tmp_path, reporter, spec=longer)
    accuracies = [report.metrics["val_accuracy"] for report in reporter.epochs]
    assert accuracies[-1] < max(accuracies)
    assert measurement.metric == max(accuracies)


def test_a_decaying_learning_rate_starts_as_it_is_and_ends_near_nothing(
    finished: Finished, small_plan: Plan, digits: Dataset, tmp_path: Path
) -> None:
    training = {**small_plan.spec.training.model_dump(), "decay": "cosine"}
    reporter = Listener()
    run(small_plan, digits, tmp_path, reporter, spec=small_spec(training=training))
    constant, decaying = finished.reporter.epochs, reporter.epochs
    assert decaying[0].metrics == pytest.approx(
        constant[0].metrics
    )  # sums of losses are added in other pieces
    assert decaying[1].metrics != pytest.approx(constant[1].metrics)
    decay = Training(epochs=10, decay="cosine")
    shares = [decay.rate_share(epoch, 10) for epoch in range(10)]
    assert shares[0] == 1.0
    assert shares == sorted(shares, reverse=True)
    assert 0.0 < shares[-1] < 0.03


def still_spec() -> SearchSpec:
    """A network that learns nothing: no normalization, and steps too small to move a float."""
    return small_spec(
        model={
            "kind": "architecture",
            "config": conv_block_network("still", (8, 8, 1), 10, 3, [2], with_batchnorm=False),
        },
        training={"epochs": 3, "batch_size": 300, "learning_rate": 1e-30, "optimizer": "sgd"},
        limits={"by_class": {"Dense": 8}},
    )


def test_of_equal_epochs_the_first_is_the_best(digits: Dataset, tmp_path: Path) -> None:
    reporter = Listener()
    measurement = run(plan(still_spec(), Path()), digits, tmp_path, reporter)
    assert len({report.metrics["val_accuracy"] for report in reporter.epochs}) == 1
    assert measurement.best_epoch == 0


# --- files ---------------------------------------------------------------------------------------------------


def test_the_files_of_a_trial_are_written(finished: Finished) -> None:
    assert {path.name for path in finished.folder.iterdir()} == FILES


def test_the_saved_model_gives_exactly_the_reported_numbers(
    finished: Finished, small_plan: Plan, digits: Dataset
) -> None:
    path = finished.folder / "model.keras"
    result = evaluate_file(path, digits.x_validation, digits.y_validation, small_plan.task)
    classes = result.pop("classes")
    assert classes["accuracy"] == pytest.approx(finished.measurement.metric)
    assert result == {"metric": finished.measurement.metric, "loss": finished.measurement.loss}


IN_ANOTHER_PROCESS = """
import sys, keras, numpy as np, quantization.layers
data = np.load(sys.argv[2])
model = keras.models.load_model(sys.argv[1])
print(model.evaluate(data["x"], data["y"], verbose=0, return_dict=True)["accuracy"])
"""


def test_another_process_gets_exactly_the_reported_metric(
    finished: Finished, digits: Dataset, tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", x=digits.x_validation, y=digits.y_validation)
    command = [
        sys.executable,
        "-c",
        IN_ANOTHER_PROCESS,
        finished.folder / "model.keras",
        tmp_path / "data.npz",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) == finished.measurement.metric


def test_the_saved_model_has_the_sampled_quantizers(finished: Finished) -> None:
    model = keras.models.load_model(finished.folder / "model.keras")
    assert read_quantizers(model) == finished.assignment.quantizers


def layers_of(document: Path) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = json.loads(document.read_text())["layers"]
    return layers


def test_the_quantizers_are_written_as_text_and_field_by_field(finished: Finished) -> None:
    written = {
        layer["name"]: {slot: as_spec(spec["structured"]) for slot, spec in layer["quantizers"].items()}
        for layer in layers_of(finished.folder / "quantizers.json")
    }
    assert {name: written[name] for name in finished.assignment.quantizers} == finished.assignment.quantizers


def test_text_and_fields_of_a_written_quantizer_agree(finished: Finished) -> None:
    for layer in layers_of(finished.folder / "quantizers.json"):
        for spec in layer["quantizers"].values():
            assert as_spec(spec["text"]) == as_spec(spec["structured"])


def test_every_layer_is_listed_with_its_width(finished: Finished) -> None:
    layers = layers_of(finished.folder / "quantizers.json")
    widths = {layer["name"]: layer["width"] for layer in layers}
    assert widths["dense"] == 10
    assert widths["conv2d_0"] == finished.assignment.widths.get("conv2d_0", 8)
    assert widths["flatten"] is None


def test_integer_weights_times_their_scale_are_the_models(finished: Finished) -> None:
    arrays = np.load(finished.folder / "weights.npz")
    kernels = [name for name in arrays.files if name.endswith("kernel/codes")]
    assert len(kernels) == 2
    assert all(np.issubdtype(arrays[name].dtype, np.integer) for name in kernels)


def test_the_scaling_of_the_inputs_is_written(finished: Finished, digits: Dataset) -> None:
    written = json.loads((finished.folder / "preprocessing.json").read_text())
    assert written == {
        "input_shape": [8, 8, 1],
        "subtract": list(digits.scaling.subtract),
        "divide_by": 16.0,
    }


# --- endings -------------------------------------------------------------------------------------------------


def test_a_cancelled_trial_stops_at_the_next_epoch(small_plan: Plan, digits: Dataset, tmp_path: Path) -> None:
    reporter = Listener(on_epoch=fails_at(0, Cancelled("enough")))
    with pytest.raises(Cancelled, match="enough"):
        run(small_plan, digits, tmp_path, reporter)
    assert len(reporter.epochs) == 1


def test_a_cancelled_trial_stops_before_its_epoch_ends(
    small_plan: Plan, digits: Dataset, tmp_path: Path
) -> None:
    reporter = Listener(on_batch=fails_at(1, Cancelled("enough")))
    with pytest.raises(Cancelled, match="enough"):
        run(small_plan, digits, tmp_path, reporter)
    assert (reporter.batches, reporter.epochs) == (1, [])


def test_a_trial_that_did_not_end_leaves_no_files(small_plan: Plan, digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run(small_plan, digits, tmp_path, Listener(on_epoch=fails_at(1, Cancelled("enough"))))
    assert not list(tmp_path.iterdir())


def with_nan(data: Dataset, part: str) -> Dataset:
    changed = np.full_like(getattr(data, part), np.nan)
    return replace(data, **{part: changed})


@pytest.mark.parametrize(
    ("part", "where"),
    [("x_train", "loss became nan in batch 1"), ("x_validation", "val_loss became nan in epoch 1")],
)
def test_numbers_that_are_not_finite_end_a_trial_at_once(
    small_plan: Plan, digits: Dataset, tmp_path: Path, part: str, where: str
) -> None:
    limits = {"by_class": {"BatchNormalization": []}}
    float_plan = plan(small_spec(limits=limits, normalization="float"), Path())
    with pytest.raises(Diverged, match=where):
        run(float_plan, with_nan(digits, part), tmp_path)


class ResourceExhaustedError(Exception):
    """As TensorFlow's, which has no common base with JAX's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating\nmore"),
        RuntimeError("RESOURCE_EXHAUSTED: no"),
    ],
)
def test_running_out_of_memory_is_told_apart(
    small_plan: Plan, digits: Dataset, tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(OutOfMemory, match="out of memory with batches of 32"):
        run(small_plan, digits, tmp_path, Listener(on_batch=fails_at(2, error)))


def test_other_errors_are_passed_on(small_plan: Plan, digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="disk is gone"):
        run(small_plan, digits, tmp_path, Listener(on_batch=fails_at(2, RuntimeError("disk is gone"))))


def untouched(parts: Sequence[np.ndarray]) -> list[bytes]:
    return [part.tobytes() for part in parts]


def test_a_trial_leaves_its_data_alone_and_never_sees_the_test_part(
    small_plan: Plan, digits: Dataset, tmp_path: Path
) -> None:
    blind = with_nan(digits, "x_test")  # anything computed from it would not be finite
    before = untouched([blind.x_train, blind.y_train, blind.x_validation])
    run(small_plan, blind, tmp_path)
    assert untouched([blind.x_train, blind.y_train, blind.x_validation]) == before
