"""The table "Measured" of README: `python -m benchmarks.readme` prints it; a test holds README to it.

`--float` trains the float network of `examples/digits.yaml` at three seeds, as its trials are trained, and records it.
The rows of fewbits and float come from `docs/figures.json`, those of the peers are quoted from docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.figures import RECORD, SEEDS, origin, read_record
from benchmarks.main_job import ROOT
from search.data import load
from search.history import Assignment, EpochReport
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.training.request import TrainingRequest
from search.training.trial import run_trial

BEGIN: Final = "<!-- python -m benchmarks.readme -->"
END: Final = "<!-- end of the table -->"
#: Name of the float network's runs in the record.
FLOAT: Final = "digits_float"

_HEAD: Final = (
    "| what | accuracy (validation) | cost of an inference | time | measured by |",
    "|---|---:|---:|---:|---|",
)
#: Rows whose figures stand in docs/benchmarks.md, with all that they were measured under.
_QUOTED: Final = (
    "| fewbits (`gradient+ema`), 100 epochs, median of 3 seeds | 98.0 % or more | 27,216 EBOPs |"
    " | `python -m benchmarks.front --trials 10 --seeds 3` |",
    "| HGQ2 0.2.0, the same | 98.0 % or more | 85,650 EBOPs, not priced in nJ |"
    " | `python -m benchmarks.front --trials 10 --seeds 3` |",
    "| jet network, fewbits, median of 20 trials, 3 seeds | 77.3 % | not priced | 228 trials a minute"
    " | `python -m benchmarks.peers` |",
    "| keras-tuner with qkeras-v3, the same | 76.8 % | not priced | 19.5 trials a minute"
    " | `python -m benchmarks.peers` |",
    "| AutoQKeras, the same, on a busy machine | 78.4 % | not priced | 1.1 trials a minute"
    " | `python -m benchmarks.peers` |",
)


class _Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def float_accuracy(seed: int) -> float:
    """Validation accuracy of the float network, trained as a trial of the job with this seed."""
    document = yaml.safe_load((ROOT / "examples/digits.yaml").read_text())
    prepared = plan(SearchSpec.model_validate(document | {"seed": seed}), ROOT)
    spec = prepared.spec
    data = load(
        spec.data, ROOT, spec.seed, prepared.data.input_shape, preprocessing=prepared.data.preprocessing
    )
    with tempfile.TemporaryDirectory() as folder:
        request = TrainingRequest(Assignment({}, {}, {}), seed=seed)
        return float(run_trial(prepared, request, data, _Silence(), Path(folder)).metric)


def table(record: Mapping[str, Any]) -> str:
    """The whole table in Markdown."""
    runs, floats = (record[name]["runs"] for name in ("digits", FLOAT))
    minutes = statistics.mean(run["wall_s"] for run in runs) / 60
    rows = (
        f"| digits network in float, {len(floats)} seeds | {_spread([100 * run['validation'] for run in floats], 1)} %"
        " | | | `python -m benchmarks.readme --float` |",
        f"| the same in int8, the reference | not trained | {runs[0]['reference_pj'] / 1e3:.1f} nJ | |"
        ' `make figures FIGURES="--run digits"` |',
        f"| fewbits, `make demo`: best of 20 trials, {len(runs)} seeds"
        f" | {_spread([100 * run['validation'] for run in runs], 1)} %"
        f" | {_spread([run['energy_pj'] / 1e3 for run in runs], 2)} nJ | {minutes:.1f} min"
        ' | `make figures FIGURES="--run digits"` |',
    )
    return "\n".join((*_HEAD, *rows, *_QUOTED))


def _spread(values: list[float], digits: int) -> str:
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def rendered(text: str, record: Mapping[str, Any]) -> str:
    """README with the table between its markers."""
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise SystemExit(f"README.md needs the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{table(record)}\n{END}{tail}"


def main() -> None:
    """Print the table; with `--float` measure the float network first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--float", action="store_true", help="train the float network and record it")
    if parser.parse_args().float:
        runs = [{"seed": seed, "validation": float_accuracy(seed)} for seed in SEEDS]
        RECORD.write_text(json.dumps(read_record() | {FLOAT: origin() | {"runs": runs}}, indent=1) + "\n")
        (ROOT / "README.md").write_text(rendered((ROOT / "README.md").read_text(), read_record()))
    print(table(read_record()))


if __name__ == "__main__":
    main()
