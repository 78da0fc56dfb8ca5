"""How the trials of each kind of job are run and evaluated. What a trial needs is in its plan and its request.

Functions import what runs them when they are called: a worker on spiking jobs never loads Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from quantization.export.comparison import ProvenExport
from search.data import Dataset
from search.data.inputs import Inputs, only_input
from search.history import Measurement
from search.plan import Plan
from search.plans.kinds import KindName, job_kind
from search.plans.spiking import SpikingPlan
from search.spec.job import SearchSpec
from search.spiking import exporting as spiking_exporting
from search.spiking import trial as spiking_trial
from search.task import Task
from search.training.request import Reporter, TrainingRequest, UntrainedCheck
from search.trial_files import MODEL_FILE, NETWORK_FILE


class Run(Protocol):
    """Runs a trial: see `search.training.trial.run_trial`."""

    def __call__(
        self,
        plan: Plan,
        request: TrainingRequest,
        data: Dataset,
        reporter: Reporter,
        folder: Path,
        *,
        on_untrained: UntrainedCheck | None = None,
    ) -> Measurement:
        """Run an assignment, measure it on the validation data and write its files into `folder`."""


class ExportRun(Protocol):
    """Exports a trial: see `search.training.exporting.export_trial`."""

    def __call__(
        self,
        file: Path,
        data: Dataset,
        task: Task,
        *,
        name: str,
        options: Mapping[str, Any],
        preprocessing: Mapping[str, Any],
        folder: Path,
    ) -> ProvenExport:
        """Write a trial's file in the format of this name into `folder`, and compare it in a fresh process."""


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """Runs the trials of a kind of job, and evaluates the file that a trial leaves.

    `evaluate` gives `metric` and `loss` of a file named `model_file` on examples and their targets, and `classes` of a
    classifier. `tensors` says what quantization does to each tensor of it, on some examples; None: nothing is said.
    `export` writes it in a format.
    """

    run: Run
    evaluate: Callable[[Path, Inputs, Any, Task], dict[str, Any]]
    tensors: Callable[[Path, Inputs], dict[str, Any]] | None
    export: ExportRun
    model_file: str


def trial_runner(spec: SearchSpec) -> TrialRunner:
    """The runner of a job's trials."""
    return TRIAL_RUNNERS[job_kind(spec).name]


def _train(
    plan: Plan,
    request: TrainingRequest,
    data: Dataset,
    reporter: Reporter,
    folder: Path,
    *,
    on_untrained: UntrainedCheck | None = None,
) -> Measurement:
    from search.training.polish import polish_trial  # both load Keras
    from search.training.trial import run_trial

    if request.polish is not None:
        return polish_trial(plan, request, data, reporter, folder)
    return run_trial(plan, request, data, reporter, folder, on_untrained=on_untrained)


def _evaluate_model(path: Path, x: Inputs, y: Any, task: Task) -> dict[str, Any]:
    from search.training.evaluate import evaluate_file  # loads Keras

    return evaluate_file(path, x, y, task)


def _tensors(path: Path, x: Inputs) -> dict[str, Any]:
    from search.training.evaluate import tensors_of_file  # loads Keras

    return tensors_of_file(path, x)


def _simulate(
    plan: Plan,
    request: TrainingRequest,
    data: Dataset,
    reporter: Reporter,
    folder: Path,
    *,
    on_untrained: UntrainedCheck | None = None,
) -> Measurement:
    """Nothing is trained: of the request only the assignment counts."""
    assert isinstance(plan, SpikingPlan)
    return spiking_trial.run_trial(
        plan.float_network, request.assignment, data, plan.pricer, reporter.batch, folder
    )


def _evaluate_network(path: Path, x: Inputs, y: Any, _: Task) -> dict[str, Any]:
    return spiking_trial.evaluate(path, only_input(x), y)


def _export_model(file: Path, data: Dataset, task: Task, **request: Any) -> ProvenExport:
    from search.training.exporting import export_trial  # loads Keras

    return export_trial(file, data, task, **request)


def _export_network(
    file: Path, data: Dataset, task: Task, *, preprocessing: Mapping[str, Any], **request: Any
) -> ProvenExport:
    """Events are used as they are."""
    return spiking_exporting.export_trial(file, data, **request)


TRIAL_RUNNERS: Final[Mapping[KindName, TrialRunner]] = {
    "layers": TrialRunner(_train, _evaluate_model, _tensors, _export_model, MODEL_FILE),
    "spiking": TrialRunner(_simulate, _evaluate_network, None, _export_network, NETWORK_FILE),
}
