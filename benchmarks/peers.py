"""The same search by fewbits, by keras-tuner with qkeras-v3, and by AutoQKeras, alternating within one run.

Space, limits, trials, epochs, data and optimizer are the same. The others run in environments that are created under
~/.cache/fewbits at the first run (needs a package index); a side whose environment cannot be created is skipped with
a message. Targets (`--check`): trials a minute against keras-tuner at least 10 times on the jet MLP and twice on the
MNIST network, the same distribution of accuracies, and its best score of all trials in a tenth of its time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from benchmarks.peer_sides.usage import used
from benchmarks.peer_words import TITLES, reach_line, search_line, show
from benchmarks.workload import LIMITS, BenchmarkJob, Silent, data_folder, has_mnist, load_job
from search.engine import propose
from search.history import TrialRecord, TrialStatus
from search.networks.architecture import architecture
from search.process import freeze_imports
from search.scoring.forgiving_factor import forgiving_factor
from search.spec.quantizers import NOTEBOOK_SPACE
from search.training.request import TrainingRequest
from search.training.trial import run_trial

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fewbits"
SIDES = Path(__file__).parent / "peer_sides"

#: Side -> packages of its environment. fewbits itself runs in the current one.
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "keras_tuner_qkeras": ("qkeras-v3==1.2.1", "keras-tuner==1.4.8", "tensorflow>=2.21", "tensorboard"),
    "autoqkeras": (
        "tensorflow==2.12.*",
        "qkeras==0.9.0",
        "keras-tuner==1.3.5",
        "tensorflow-model-optimization==0.7.5",
        "pyparsing<3.2",
        "setuptools<81",
    ),
}

SPEED_LEAST = {"jet": 10.0, "mnist": 2.0}
SAME_DISTRIBUTION = 0.01  #: least probability of the two-sample test
REACH_LIMIT = 0.1
TRIALS = 20

#: Fields of a layer that every version of Keras accepts.
FIELDS = {
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "use_bias"),
    "Dense": ("units", "use_bias"),
    "BatchNormalization": ("momentum", "epsilon"),
    "Activation": ("activation",),
    "Dropout": ("rate",),
    "Flatten": (),
}


# --- the job, for all sides ----------------------------------------------------------------------------------


def document(job: BenchmarkJob, data: Path, trials: int, seed: int) -> dict[str, Any]:
    """The job as JSON values that every side reads."""
    training = job.spec.training
    choices = job.plan.choices
    described = architecture(job.plan.job.model)["config"]["layers"][1:]
    return {
        "data": str(data),
        "input_shape": list(job.data.x_train.shape[1:]),
        "layers": [_plain(layer) for layer in described],
        "dimensions": {name: list(labels) for name, labels in choices.dimensions().items()},
        "slots": {slot.name: [[layer, slot.slot] for layer in slot.layers] for slot in choices.slots},
        "learning_rate": training.base_rate,
        "batch_size": training.batch_size,
        "epochs": training.epochs,
        "trials": trials,
        "seed": seed,
        "quantization_config": NOTEBOOK_SPACE,
        "limit": LIMITS["by_class"],
        "goal": {
            "type": "energy",
            "params": {
                "delta_p": 8.0,
                "delta_n": 8.0,
                "rate": 2.0,
                "stress": 1.0,
                "process": "horowitz",
                "parameters_on_memory": ["sram", "sram"],
                "activations_on_memory": ["sram", "sram"],
                "rd_wr_on_io": [False, False],
                "min_sram_size": [0, 0],
                "source_quantizers": ["quantized_bits(8,0,1)"],
                "reference_internal": "int8",
                "reference_accumulator": "int32",
            },
        },
    }


def _plain(layer: Mapping[str, Any]) -> dict[str, Any]:
    name = layer["class_name"]
    config = {field: layer["config"][field] for field in (*FIELDS[name], "name") if field in layer["config"]}
    initializer = layer["config"].get("kernel_initializer")
    if isinstance(initializer, Mapping):
        config["kernel_initializer"] = _snake(initializer["class_name"])
    return {"class_name": name, "config": config}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


# --- running the sides ---------------------------------------------------------------------------------------


def environment(side: str, packages: tuple[str, ...] = ()) -> Path:
    """The interpreter of a side; creates its environment if it is missing. CalledProcessError if that fails.

    `packages`: of a side that is not in `ENVIRONMENTS`.
    """
    packages = packages or ENVIRONMENTS[side]
    home = CACHE / side
    python = home / "bin" / "python"
    manifest = home / "made.json"
    if not manifest.is_file() or json.loads(manifest.read_text()) != list(packages):
        print(f"creating {home} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        manifest.write_text(json.dumps(packages))
    return python


def run_side(side: str, job: Path, name: str, reach: float | None = None) -> dict[str, Any]:
    """Run a search in a new process; its trials, its CPU-seconds and its peak memory."""
    if side == "fewbits":
        command = [sys.executable, "-m", "benchmarks.peers", "--side", name, str(job)]
        command += [] if reach is None else ["--reach", str(reach)]
    else:
        command = [str(environment(side)), str(SIDES / f"{side}.py"), str(job)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{TITLES[side]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {"trials": lines[:-1], **lines[-1], "process_s": time.perf_counter() - began}


def as_fewbits(name: str, path: Path, reach: float | None) -> None:
    """The fewbits side: a search in one process, without the service; stops at the score `reach`."""
    described = json.loads(path.read_text())
    folder = Path(described["folder"])
    changes: dict[str, Any] = {"seed": described["seed"], "budget": {"trials": described["trials"]}}
    if reach is not None:
        changes |= {"oracle": "frugal", "budget": {"trials": 1000}}
    job = load_job(name, folder, **changes)
    freeze_imports()  # as a worker does while it starts
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        for record, seconds in searched(job, Path(out), described["seed"]):
            line = report(job, record) | {"trial_s": seconds, "since_s": time.perf_counter() - began}
            print(json.dumps(line), flush=True)
            if reach is not None and line["score"] >= reach:
                break
    print(json.dumps(used()))


def searched(job: BenchmarkJob, out: Path, seed: int) -> Iterator[tuple[TrialRecord, float]]:
    """The trials of a search, one after the other, with the seconds of each trial and its proposal."""
    plan, state = job.plan, None
    history: list[TrialRecord] = []
    reference = plan.pricer.reference().value
    while True:
        began = time.perf_counter()
        proposal = propose(job.spec, plan.choices, plan.pricer, reference, history, state, 1)
        state = proposal.state
        if not proposal.trials:
            return
        [trial] = proposal.trials
        request = TrainingRequest(trial.assignment, seed * 1000 + trial.number)
        measured = run_trial(plan, request, job.data, Silent(), out)
        record = TrialRecord(
            number=trial.number,
            assignment=trial.assignment,
            status=TrialStatus.DONE,
            metric=measured.metric,
            cost=measured.cost.value,
            oracle_trial=trial.oracle_trial,
        )
        history.append(record)
        yield record, time.perf_counter() - began


def report(job: BenchmarkJob, record: TrialRecord) -> dict[str, Any]:
    """The fields of a trial that all sides print."""
    return {
        "values": dict(record.assignment.values),
        "metric": record.metric,
        "score": score(job, record.metric or 0.0, record.cost or 0.0),
    }


def score(job: BenchmarkJob, metric: float, cost: float) -> float:
    """The job's score."""
    return forgiving_factor(job.spec.goal).score(metric, cost, job.plan.pricer.reference().value)


def scored(job: BenchmarkJob, search: dict[str, Any]) -> dict[str, Any]:
    """Add scores to the trials of sides that only report choices and metric, by the cost model of fewbits."""
    for trial in search["trials"]:
        if "score" not in trial:
            cost = job.plan.pricer.price(job.plan.choices.assignment(trial["values"])).value
            trial["score"] = score(job, trial["metric"], cost)
    return search


# --- the comparison ------------------------------------------------------------------------------------------


def compare(name: str, folder: Path, trials: int, seeds: int, sides: list[str]) -> dict[str, Any]:
    """All sides on one job, alternating; and the time in which fewbits reaches the best score of keras-tuner."""
    rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    hits = []
    job = load_job(name, folder)
    arrays = folder / f"{name}-arrays.npz"
    parts = ("x_train", "y_train", "x_validation", "y_validation")
    np.savez(arrays, **{part: getattr(job.data, part) for part in parts})
    for seed in range(1, seeds + 1):
        path = folder / f"{name}-{seed}.json"
        path.write_text(json.dumps(document(job, arrays, trials, seed) | {"folder": str(folder)}))
        for side in sides:
            print(f"{name}, seed {seed}: {TITLES[side]} ...", file=sys.stderr)
            rounds[side].append(scored(job, run_side(side, path, name)))
            print(search_line(rounds[side][-1]), file=sys.stderr)
        if "keras_tuner_qkeras" in sides:
            theirs = rounds["keras_tuner_qkeras"][-1]
            goal = max(trial["score"] for trial in theirs["trials"])
            ours = run_side("fewbits", path, name, reach=goal)
            hit = ours["trials"] and ours["trials"][-1]["score"] >= goal
            hits.append(
                {
                    "score": goal,
                    "theirs_s": theirs["trials"][-1]["since_s"],
                    "ours_s": ours["trials"][-1]["since_s"] if hit else float("inf"),
                    "trials": len(ours["trials"]),
                }
            )
            print(reach_line(hits[-1]), file=sys.stderr)
    return {"sides": {side: summary(searches) for side, searches in rounds.items()}, "reached": hits}


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds of one side."""
    trials = [trial for search in rounds for trial in search["trials"]]
    rates = [60 * len(search["trials"]) / search["trials"][-1]["since_s"] for search in rounds]
    return {
        "trials": len(trials),
        "trials_a_minute": statistics.median(rates),
        "first_s": statistics.median(search["trials"][0]["trial_s"] for search in rounds),
        "later_s": statistics.median(t["trial_s"] for search in rounds for t in search["trials"][1:]),
        "cpu_s_a_trial": sum(search["cpu_s"] for search in rounds) / len(trials),
        "memory_mb": max(search["memory_mb"] for search in rounds),
        "metrics": [trial["metric"] for trial in trials],
        "best_score": max(trial["score"] for trial in trials),
    }


def judged(result: dict[str, Any]) -> dict[str, Any]:
    """The comparison with keras-tuner, where that ran."""
    sides = result["sides"]
    if "keras_tuner_qkeras" not in sides:
        return result
    ours, theirs = sides["fewbits"], sides["keras_tuner_qkeras"]
    return result | {
        "speed": ours["trials_a_minute"] / theirs["trials_a_minute"],
        "cpu": theirs["cpu_s_a_trial"] / ours["cpu_s_a_trial"],
        "p": float(ks_2samp(ours["metrics"], theirs["metrics"]).pvalue),
        "reach": statistics.median(hit["ours_s"] / hit["theirs_s"] for hit in result["reached"]),
    }


def missed(results: dict[str, Any]) -> list[str]:
    """The missed targets."""
    faults = []
    for name, result in results["jobs"].items():
        if "speed" not in result:
            faults.append(f"{name}: keras-tuner did not run")
            continue
        if result["speed"] < SPEED_LEAST[name]:
            faults.append(f"{name}: {result['speed']:.1f} times the trials a minute")
        if result["p"] < SAME_DISTRIBUTION:
            faults.append(f"{name}: accuracies are distributed differently, p = {result['p']:.4f}")
        if name == "mnist" and result["reach"] > REACH_LIMIT:
            faults.append(f"{name}: {result['reach']:.2f} of the time to its best score")
    return faults


def measure(jobs: list[str], trials: int, seeds: int, others: list[str]) -> dict[str, Any]:
    sides = ["fewbits"]
    for side in others:
        try:
            environment(side)
            sides.append(side)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"{TITLES[side]} is skipped, its environment cannot be created: {error}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fewbits-peers-") as scratch:
        folder = data_folder(Path(scratch))
        return {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "images": "MNIST" if has_mnist() else "generated",
            "jobs": {name: judged(compare(name, folder, trials, seeds, sides)) for name in jobs},
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three trials, one seed, without AutoQKeras")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--jobs", nargs="+", choices=sorted(SPEED_LEAST), default=["jet", "mnist"])
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--without", nargs="+", choices=sorted(ENVIRONMENTS), default=[])
    parser.add_argument("--side", nargs=2, metavar=("JOB", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--reach", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        as_fewbits(options.side[0], Path(options.side[1]), options.reach)
        return 0
    skipped = {*options.without, *(["autoqkeras"] if options.quick else [])}
    sides = [side for side in ENVIRONMENTS if side not in skipped]
    trials, seeds = (3, 1) if options.quick else (options.trials, options.seeds)
    results = measure(options.jobs, trials, seeds, sides)
    print(json.dumps(results, indent=2)) if options.json else show(results)
    faults = missed(results)
    for fault in faults:
        print(f"target missed: {fault}", file=sys.stderr)
    return int(options.check and bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
