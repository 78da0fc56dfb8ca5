"""How good the oracles are: best score and hypervolume against the number of trials, and seconds for a proposal.

Every oracle searches tables whose every assignment is measured (`benchmarks.tabular`, `benchmarks.landscapes`), through
the same `propose` that workers call, with one trial at a time. A trial counts as many trials as its share of a whole
training: those of Hyperband are short. `random+bound` is random search that prunes by `bound: strict`; what it prunes
costs nothing. The tables `mlp` and `made-up` are held out: constants of oracles are not tuned on them. On
them the only target is that no oracle is significantly worse than random.

The hypervolume is the area of accuracy and log2 of the cost that the trials dominate, up to the reference's cost, as a
share of the whole table's.

Targets (`--check`):
- on `digits` and `jet` frugal's median of the best score reaches random's median after 40 trials within 10 trials,
  and within 3 where it starts by sensitivity;
- the first trial of `sensitivity` is as good as the median of random trials on every table with a network, and on
  `digits` and `jet` as the median of the best of 20;
- after 40 trials no oracle is worse than random in its objective: it is worse if its median is lower and a
  one-sided Wilcoxon test, paired by seed, gives p < 0.01. The grid is exempt: it optimizes nothing;
- a proposal among 20 choices after 1,000 trials takes, in 95 of 100 cases, less than 50 ms for random and Hyperband,
  less than 2 s for bayesian and frugal.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table as Report
from scipy.stats import wilcoxon

import benchmarks.threads  # noqa: F401 -- before TensorFlow is loaded
from benchmarks import ask_time, landscapes, tabular
from benchmarks.tabular import Table, TableSpace
from search.engine import propose
from search.history import TrialRecord, TrialStatus, paid
from search.pruning.bounds import Judge
from search.scoring.forgiving_factor import factor_of
from search.scoring.pareto import Point, hypervolume

TRIALS: Final = 40
SEEDS: Final = 50

#: Mode -> trials within which it is to reach random's median after `TRIALS`.
WITHIN: Final = {"frugal": 10, "frugal+sensitivity": 3}

#: Trials of random whose best the first one by sensitivity is compared with, on the tables that are not held out.
FIRST_AGAINST: Final = 20

#: Below this probability a lower median is significant.
SIGNIFICANT: Final = 0.01

#: Name -> oracle and further settings of the job.
MODES: Final[Mapping[str, Mapping[str, Any]]] = {
    "random": {"oracle": "random"},
    "random+bound": {"oracle": "random", "bound": "strict"},
    "grid": {"oracle": "grid"},
    "bayesian": {"oracle": "bayesian"},
    "hyperband": {"oracle": "hyperband"},
    "evolution": {"oracle": "evolution"},
    "frugal": {"oracle": "frugal"},
    "frugal front": {"oracle": {"kind": "frugal", "gain": "front"}},
    "sensitivity": {"oracle": "sensitivity"},
    "frugal+sensitivity": {"oracle": {"kind": "frugal", "initial": "sensitivity"}},
}

#: The objective of a mode, which it is judged by: the best score unless named here.
OBJECTIVES: Final = {"evolution": "area", "frugal front": "area"}

#: Modes that need the sensitivity of a network; the landscapes of `made-up` have none.
BY_SENSITIVITY: Final = ("sensitivity", "frugal+sensitivity")

#: Modes that are shown but not judged.
NOT_JUDGED: Final = ("random", "grid")

#: Table -> function that reads it, for a seed and settings of the job.
TABLES: Final[Mapping[str, Callable[..., Table]]] = {
    "digits": lambda **job: tabular.read("digits", **job),
    "jet": lambda **job: tabular.read("jet", **job),
    "mlp": lambda **job: tabular.read("mlp", **job),
    "made-up": landscapes.read,
}

HELD_OUT: Final = ("mlp", "made-up")

KINDS: Final = ("score", "area")


@dataclass(frozen=True)
class Curves:
    """Best score and hypervolume after each whole trial, for one seed."""

    score: list[float]
    area: list[float]


# --- a search on a table -------------------------------------------------------------------------------------------


def search(table: Table, trials: int) -> Curves:
    """Search a table until as many epochs are spent as `trials` whole trainings take."""
    spec, space = table.spec, table.space
    history: list[TrialRecord] = []
    state, spent, curves = None, 0.0, Curves([], [])
    judge = Judge(spec.bound, spec.constraints, space.pricer, factor_of(spec), space.reference)
    while spent < trials:
        proposal = propose(spec, space.choices, space, space.reference, history, state, 1, table.sensitivity)
        state = proposal.state
        if not proposal.trials:
            break
        [proposed] = proposal.trials
        epochs = proposed.epochs or spec.training.epochs
        record = TrialRecord(
            number=proposed.number,
            assignment=proposed.assignment,
            status=TrialStatus.QUEUED,
            oracle_trial=proposed.oracle_trial,
            epochs=proposed.epochs,
            initial_epoch=proposed.initial_epoch,
            parent=proposed.parent,
        )
        history.append(_ended(table, judge, record, epochs, history))
        if not history[-1].free:
            spent += (epochs - proposed.initial_epoch) / spec.training.epochs
        _note(curves, table, history, math.floor(spent + 1e-9))
    _note(curves, table, history, trials)
    return curves


def _ended(
    table: Table, judge: Judge, record: TrialRecord, epochs: int, history: Sequence[TrialRecord]
) -> TrialRecord:
    verdict = judge.before_training(record.assignment, history)
    if verdict is not None:
        return replace(record, status=verdict.status, proof=verdict.proof)
    index = table.space.index(record.assignment)
    metric, cost = table.metric(index, epochs), float(table.space.costs[index])
    return replace(record, status=TrialStatus.DONE, metric=metric, cost=cost)


def _note(curves: Curves, table: Table, history: Sequence[TrialRecord], spent: int) -> None:
    """Append the state after `spent` whole trials, unless the curves have it."""
    if len(curves.score) >= spent:
        return
    measured = [(trial.metric or 0.0, trial.cost or 1.0) for trial in paid(history)]
    factor = factor_of(table.spec)
    best = max(factor.score(metric, cost, table.space.reference) for metric, cost in measured)
    missing = spent - len(curves.score)
    curves.score.extend([best] * missing)
    curves.area.extend([_area(table.space, measured)] * missing)


def _area(space: TableSpace, points: Sequence[tuple[float, float]]) -> float:
    scaled = [Point(i, metric, math.log2(cost)) for i, (metric, cost) in enumerate(points)]
    return hypervolume(scaled, metric_floor=0.0, cost_ceiling=math.log2(space.reference))


def _whole_area(table: Table) -> float:
    """The hypervolume of all assignments of a table."""
    best = table.accuracy.max(axis=1)
    return _area(table.space, list(zip(best.tolist(), table.space.costs.tolist(), strict=True)))


def one(job: tuple[str, str, int]) -> Curves:
    """The curves of (table, mode, seed)."""
    name, mode, seed = job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = TABLES[name](seed=seed, budget={"trials": 100_000}, **MODES[mode])
        curves = search(table, TRIALS)
    whole = _whole_area(table)
    return Curves(curves.score, [area / whole for area in curves.area])


# --- what the curves say -------------------------------------------------------------------------------------------


def quartiles(curves: Sequence[Sequence[float]]) -> list[list[float]]:
    """First quartile, median and third quartile at each number of trials."""
    return [[float(x) for x in row] for row in np.quantile(np.array(curves), [0.25, 0.5, 0.75], axis=0)]


def chance_of_being_worse(ends: Sequence[float], random: Sequence[float]) -> float:
    """The probability of ends this low, paired by seed, if the mode is as good as random (one-sided Wilcoxon test)."""
    differences = np.array(ends) - np.array(random)
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue)


def first_at_least(curve: Sequence[float], level: float) -> int | None:
    """The number of trials after which a curve reaches a level; None if it does not."""
    return next((index + 1 for index, value in enumerate(curve) if value >= level), None)


def of_table(curves: Mapping[str, Sequence[Curves]]) -> dict[str, Any]:
    """Numbers of one table: by mode the quartiles of its curves, and the p-value of being worse than random."""
    random = curves["random"]
    modes: dict[str, Any] = {}
    for mode, of_mode in curves.items():
        modes[mode] = {kind: quartiles([getattr(curve, kind) for curve in of_mode]) for kind in KINDS}
        kind = OBJECTIVES.get(mode, "score")
        ends, others = ([getattr(curve, kind)[-1] for curve in group] for group in (of_mode, random))
        modes[mode]["p_worse"] = chance_of_being_worse(ends, others)
        level = modes["random"]["score"][1][-1]
        modes[mode]["reaches_random"] = first_at_least(modes[mode]["score"][1], level)
    return modes


def checks(results: Mapping[str, Any]) -> list[str]:
    """The missed targets."""
    missed = []
    for table, modes in results["tables"].items():
        missed += _slow(table, modes)
        for mode, numbers in modes.items():
            kind = OBJECTIVES.get(mode, "score")
            lower = numbers[kind][1][-1] < modes["random"][kind][1][-1]
            if lower and numbers["p_worse"] < SIGNIFICANT and mode not in NOT_JUDGED:
                missed.append(
                    f"{table}: {mode} is worse than random in {kind} (p = {numbers['p_worse']:.1g})"
                )
    for oracle, seconds in results["ask_p95_s"].items():
        if seconds > ask_time.LIMITS_S[oracle]:
            missed.append(f"{oracle}: a proposal takes {seconds:.3f} s; limit {ask_time.LIMITS_S[oracle]:g}")
    return missed


def _slow(table: str, modes: Mapping[str, Any]) -> list[str]:
    """The modes of a table that need too many trials."""
    missed = []
    for mode, trials in WITHIN.items():
        reached = modes[mode]["reaches_random"] if mode in modes else trials
        if table not in HELD_OUT and (reached is None or reached > trials):
            missed.append(f"{table}: {mode} needs {reached} trials for random's median after {TRIALS}")
    if "sensitivity" in modes:
        against = 1 if table in HELD_OUT else FIRST_AGAINST
        first, level = modes["sensitivity"]["score"][1][0], modes["random"]["score"][1][against - 1]
        if first < level:
            missed.append(
                f"{table}: the first trial by sensitivity scores {first:.4f}, the best of {against} random ones"
                f" {level:.4f}"
            )
    return missed


def modes_of(table: str, modes: Sequence[str]) -> list[str]:
    """Those of the modes that can search a table."""
    return [mode for mode in modes if table != landscapes.NAME or mode not in BY_SENSITIVITY]


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    for name, modes in results["tables"].items():
        report = Report(title=f"{name}, {results['seeds']} seeds: median (quartiles)")
        headings = (*(f"score at {n}" for n in (1, 10, 20, TRIALS)), f"hypervolume at {TRIALS}")
        for heading in ("oracle", *headings, f"reaches random's {TRIALS}", "p (worse)"):
            report.add_column(heading)
        for mode, numbers in modes.items():
            cells = [_cell(numbers["score"], n) for n in (1, 10, 20, TRIALS)]
            reached = str(numbers["reaches_random"] or "-")
            p_worse = "-" if mode in NOT_JUDGED else f"{numbers['p_worse']:.2g}"
            report.add_row(mode, *cells, _cell(numbers["area"], TRIALS), reached, p_worse)
        console.print(report)
    for oracle, seconds in results["ask_p95_s"].items():
        console.print(
            f"{oracle}: a proposal after {ask_time.TRIALS:,} trials among {ask_time.CHOICES} choices takes"
            f" {1000 * seconds:.0f} ms (p95)"
        )


def _cell(curves: Sequence[Sequence[float]], trials: int) -> str:
    low, middle, high = (row[trials - 1] for row in curves)
    return f"{middle:.4f} ({low:.4f} to {high:.4f})"


# --- the command ---------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure and print; with `--check` the exit status is 1 if a target is missed."""
    options = _options()
    console = Console(stderr=options.json)
    if options.generate:
        from benchmarks.table_trainer import generate

        console.print(str(generate(options.generate, console.print)))
        return 0
    seeds = options.seeds or (2 if options.quick else SEEDS)
    modes = {table: modes_of(table, options.modes) for table in options.tables}
    jobs = [(table, mode, seed) for seed in range(seeds) for table in options.tables for mode in modes[table]]
    curves = curves_of(jobs, options.jobs, options.keep)
    results = measure(curves, modes, seeds, 10 if options.quick else 40)
    show(results, console)
    if options.plot:
        from benchmarks.curves import draw

        options.plot.write_text(draw(results["tables"], TRIALS))
    if options.json:
        print(json.dumps(results))
    missed = checks(results)
    for line in missed:
        console.print(f"missed: {line}")
    return int(bool(missed) and options.check)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two seeds and few proposals")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw the curves")
    parser.add_argument("--generate", choices=list(tabular.JOBS), help="train one table anew (up to an hour)")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument(
        "--modes",
        nargs="+",
        choices=list(MODES),
        default=list(MODES),
        help="random must be among them; without all of them the time of proposals is not measured",
    )
    parser.add_argument("--seeds", type=int, help=f"default {SEEDS}")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="store curves in this file; an interrupted run resumes"
    )
    return parser.parse_args()


Job = tuple[str, str, int]  #: table, mode, seed


def curves_of(jobs: Sequence[Job], processes: int, keep: Path | None) -> dict[Job, Curves]:
    """The curves of every job; those stored in the file `keep` are read from it, the others are appended to it."""
    results: dict[Job, Curves] = {}
    if keep is not None and keep.exists():
        for line in keep.read_text().splitlines():
            (table, mode, seed), score, area = json.loads(line)
            results[table, mode, seed] = Curves(score, area)
    missing = [job for job in jobs if job not in results]
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(processes)) if processes > 1 else None
        for job, curves in zip(missing, pool.map(one, missing) if pool else map(one, missing), strict=True):
            results[job] = curves
            if keep is not None:
                with keep.open("a") as file:
                    print(json.dumps([job, curves.score, curves.area]), file=file)
    return results


def measure(
    curves: Mapping[Job, Curves], modes: Mapping[str, Sequence[str]], seeds: int, asks: int
) -> dict[str, Any]:
    """All numbers of the report. `modes`: of each table."""
    is_whole = all({*MODES} - {*BY_SENSITIVITY} <= {*searched} for searched in modes.values())
    timed = list(ask_time.LIMITS_S) if is_whole else []
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "seeds": seeds,
        "tables": {
            table: of_table({mode: [curves[table, mode, s] for s in range(seeds)] for mode in searched})
            for table, searched in modes.items()
        },
        "ask_p95_s": {oracle: ask_time.p95(oracle, asks) for oracle in timed},
    }


if __name__ == "__main__":
    sys.exit(main())
