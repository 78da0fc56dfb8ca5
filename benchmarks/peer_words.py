"""The output of `benchmarks.peers`: progress lines and tables."""

from __future__ import annotations

import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.workload import JOBS

TITLES = {
    "fewbits": "fewbits",
    "keras_tuner_qkeras": "keras-tuner + qkeras-v3",
    "autoqkeras": "AutoQKeras (TensorFlow 2.12)",
}


def search_line(search: dict[str, Any]) -> str:
    """One line on a side's search, printed as it ends, so that an interrupted run leaves its results."""
    trials = search["trials"]
    best = max(trial["score"] for trial in trials)
    return (
        f"    {len(trials)} trials in {trials[-1]['since_s']:.1f} s, first {trials[0]['trial_s']:.1f} s,"
        f" {search['cpu_s']:.1f} CPU-s, {search['memory_mb']:.0f} MB, best score {best:.4f}"
    )


def reach_line(hit: dict[str, Any]) -> str:
    """One line on how fewbits reached the best score of another side."""
    return (
        f"    {hit['score']:.4f} reached in {hit['ours_s']:.1f} s and {hit['trials']} trials,"
        f" {hit['ours_s'] / hit['theirs_s']:.3f} of their time"
    )


def show(results: dict[str, Any]) -> None:
    for name, result in results["jobs"].items():
        training = JOBS[name]["training"]
        title = f"{JOBS[name]['model']}, {training['epochs']} epochs, {results['machine']}"
        table = Table(title=title)
        table.add_column("")
        for column in (
            "trials a minute", "first trial, s", "later trials, s", "CPU-s a trial", "peak MB", "median accuracy"
        ):  # fmt: skip
            table.add_column(column, justify="right")
        for side, numbers in result["sides"].items():
            table.add_row(
                TITLES[side],
                f"{numbers['trials_a_minute']:.1f}",
                f"{numbers['first_s']:.1f}",
                f"{numbers['later_s']:.2f}",
                f"{numbers['cpu_s_a_trial']:.2f}",
                f"{numbers['memory_mb']:.0f}",
                f"{statistics.median(numbers['metrics']):.4f}",
            )
        Console(width=110).print(table)
        if "speed" in result:
            print(f"trials a minute against keras-tuner: {result['speed']:.1f} times")
            print(f"CPU-seconds of keras-tuner's search in terms of ours: {result['cpu']:.1f}")
            print(f"same distribution of accuracies: p = {result['p']:.3f}")
            ratios = ", ".join(f"{hit['ours_s'] / hit['theirs_s']:.2f}" for hit in result["reached"])
            print(f"seconds to its best score, in terms of its search: {ratios}")
