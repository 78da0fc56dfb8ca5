"""Every kind of job has a runner of its trials, and those of spiking jobs run without a training framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from search.plans.kinds import JOB_KINDS
from search.trial_runners import TRIAL_RUNNERS

SPIKING = """
import sys
from pathlib import Path
from search.data import load
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.training.request import TrainingRequest
from search.trial_runners import trial_runner

class Reporter:
    batches = 0
    def batch(self): self.batches += 1
    def epoch(self, report): raise AssertionError

folder, reporter = Path(sys.argv[1]), Reporter()
job = {"model": {"kind": "xylo", "name": "spiking_digits"}, "data": "spiking_digits"}
planned = plan(SearchSpec.model_validate(job), folder)
data = load(planned.job.data, folder, 1, planned.data.input_shape, planned.task.heads)
choices = {name: labels[-1] for name, labels in planned.choices.dimensions().items()}
request = TrainingRequest(planned.choices.assignment(choices), seed=1)
runner = trial_runner(planned.spec)
measurement = runner.run(planned, request, data, reporter, folder)
assert reporter.batches
again = runner.evaluate(folder / runner.model_file, data.x_validation, data.y_validation, planned.task)
assert again == {"metric": measurement.metric, "loss": measurement.loss}
assert not {"keras", "tensorflow", "jax"} & set(sys.modules)
"""


def test_every_kind_of_job_has_a_runner() -> None:
    assert set(TRIAL_RUNNERS) == {kind.name for kind in JOB_KINDS.values()}


def test_a_spiking_trial_runs_without_keras(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPIKING, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
