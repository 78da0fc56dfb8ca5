"""The figures that the documentation quotes, each of recorded runs: commit, date, machine, seeds, and every run.

`make figures` checks that the tables in the documentation are those of `docs/figures.json`; a test does the same.
`--run FLOW` runs a flow again at three seeds, records the runs and writes the tables. `--check FLOW` runs it at the
first recorded seed and exits with 1 if the result differs from the recorded one by more than `TOLERANCE`.
The flows on MNIST need `mnist.npz` in `--data FOLDER`.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from benchmarks.main_job import ROOT, free_port, until
from service.client import SearchClient, Unreachable
from service.schemas.jobs import JobView

RECORD = ROOT / "docs" / "figures.json"
SEEDS = (42, 43, 44)
#: Largest difference of an accuracy between two runs of one seed, for machines that add in another order.
TOLERANCE = 0.005
BEGIN, END = "<!-- figures: {name} -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Flow:
    """A search whose result is quoted: its job file, the page with the table, and epochs trained after the search."""

    title: str
    job: str
    page: str
    more_epochs: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """What one seed gave. Energies in pJ; accuracies as shares, None where nothing was trained on."""

    seed: int
    reference_pj: float
    energy_pj: float
    validation: float
    test: float
    test_after_more: float | None
    wall_s: float


NOTEBOOK = "examples/notebook/README.md"
FLOWS: Mapping[str, Flow] = {
    "per_layer": Flow("per layer, 20 trials", "examples/notebook/per_layer.yaml", NOTEBOOK, 20),
    "groups": Flow("groups, 40 trials", "examples/notebook/groups.yaml", NOTEBOOK, 20),
    "blocks": Flow("blocks, 40 trials", "examples/notebook/blocks.yaml", NOTEBOOK, 20),
    "smallest": Flow("smallest, 10 trials", "examples/notebook/smallest.yaml", NOTEBOOK, 20),
    "digits": Flow("digits, `make demo`", "examples/digits.yaml", "docs/benchmarks.md", 0),
    "spiking": Flow("spiking digits on Xylo", "examples/spiking.yaml", "docs/how-to/spiking.md", 0),
}


def run(flow: Flow, seed: int, data: Path | None) -> Run:
    """Run the search of a flow on a service of its own, and what follows it."""
    job = yaml.safe_load((ROOT / flow.job).read_text()) | {"seed": seed}
    with _service(data) as client:
        began = time.monotonic()
        submitted = client.submit(job)
        ended = until(lambda: _ended(client.job(submitted.id)), 4 * 3600, 1.0)
        wall_s = time.monotonic() - began
        if ended.best is None:
            raise SystemExit(f"{flow.job} at seed {seed} ended {ended.status}: {ended.reason}")
        best = client.trial(ended.id, ended.best.number)
        test = until(lambda: _report(client, ended.id, best.number), 600, 1.0)["test"]["metric"]
        after = None
        if flow.more_epochs:
            client.finalize(ended.id, best.number, flow.more_epochs)
            after = until(lambda: client.final(ended.id, best.number).test_metric, 4 * 3600, 1.0)
        if best.energy_pj is None or best.metric is None or ended.reference_energy_pj is None:
            raise SystemExit(f"{flow.job} at seed {seed}: the best trial has no figures")
        return Run(seed, ended.reference_energy_pj, best.energy_pj, best.metric, test, after, wall_s)


def _ended(job: JobView) -> JobView | None:
    return job if job.status in ("done", "failed", "cancelled") else None


def _report(client: SearchClient, job_id: str, number: int) -> Any:
    """The report of the best trial once it is written."""
    if not any(artifact.name == "report.json" for artifact in client.trial(job_id, number).artifacts):
        return None
    with tempfile.TemporaryDirectory() as folder:
        report = json.loads(client.download(job_id, number, "report.json", folder).read_text())
    return report if report.get("test") else None


@contextmanager
def _service(data: Path | None) -> Iterator[SearchClient]:
    """A client of a service that keeps its files in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="fewbits-figures-") as home:
        port = free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FEWBITS_")}
        environment |= {"FEWBITS_HOME": home} | ({} if data is None else {"FEWBITS_DATA_DIR": str(data)})
        command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
        with Path(home, "serve.log").open("wb") as log:
            service = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        with SearchClient(f"http://127.0.0.1:{port}") as client:
            try:
                until(lambda: _ready(client), 180)
                yield client
            finally:
                service.terminate()
                service.wait(60)


def _ready(client: SearchClient) -> bool:
    try:
        return client.ready().ready
    except Unreachable:
        return False


# --- record and tables ---------------------------------------------------------------------------------------------


def read_record(path: Path = RECORD) -> dict[str, Any]:
    """Flow -> its recorded runs and where they come from."""
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return record


def entry(runs: Sequence[Run]) -> dict[str, Any]:
    """The runs of a flow with their origin."""
    return origin() | {"runs": [asdict(one) for one in runs]}


def origin() -> dict[str, str]:
    """Where figures that are measured now come from."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return {"commit": commit, "date": date.today().isoformat(), "machine": machine}


def table(names: Sequence[str], record: Mapping[str, Any]) -> str:
    """The recorded flows as a Markdown table: mean and, after the sign, standard deviation of the seeds."""
    names = [name for name in names if name in record]
    if not names:
        return "Not recorded yet."
    lines = [
        "| flow | seeds | reference | best trial | accuracy, validation | test | after more epochs, test"
        " | least wall time |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names:
        runs = [Run(**values) for values in record[name]["runs"]]
        after = [one.test_after_more for one in runs if one.test_after_more is not None]
        cells = [
            FLOWS[name].title,
            str(len(runs)),
            f"{runs[0].reference_pj / 1e3:.1f} nJ",
            _spread([one.energy_pj / 1e3 for one in runs], "nJ", 2),
            _spread([100 * one.validation for one in runs], "%", 2),
            _spread([100 * one.test for one in runs], "%", 2),
            _spread([100 * share for share in after], "%", 2) if after else "-",
            f"{min(one.wall_s for one in runs) / 60:.1f} min",  # others may have run beside it
        ]
        lines.append(f"| {' | '.join(cells)} |")
    origins = {f"{record[name]['commit']}, {record[name]['date']}" for name in names}
    return (
        "\n".join(lines)
        + f"\n\nRecorded at commit {'; '.join(sorted(origins))}: `docs/figures.json` has every run."
    )


def _spread(values: Sequence[float], unit: str, digits: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f} {unit}"


def pages() -> dict[str, list[str]]:
    """Page -> the flows in its table, in order."""
    names: dict[str, list[str]] = {}
    for name, flow in FLOWS.items():
        names.setdefault(flow.page, []).append(name)
    return names


def rendered(text: str, page: str, record: Mapping[str, Any]) -> str:
    """A page with the table of its flows between the markers."""
    begin = BEGIN.format(name=Path(page).stem)
    head, _, rest = text.partition(begin)
    _, end, tail = rest.partition(END)
    if not end:
        raise SystemExit(f"{page} needs the lines {begin} and {END}")
    return f"{head}{begin}\n{table(pages()[page], record)}\n{end}{tail}"


def stale_pages(record: Mapping[str, Any]) -> list[str]:
    """Pages whose table is not that of the record."""
    return [page for page in pages() if (text := (ROOT / page).read_text()) != rendered(text, page, record)]


def differences(recorded: Run, again: Run) -> list[str]:
    """What a second run of a seed gave that the recorded one did not."""
    faults = []
    if abs(again.energy_pj / recorded.energy_pj - 1) > 1e-9:
        faults.append(f"energy {again.energy_pj:.6g} pJ, recorded {recorded.energy_pj:.6g} pJ")
    for name in ("validation", "test", "test_after_more"):
        old, new = getattr(recorded, name), getattr(again, name)
        if old is not None and (new is None or abs(new - old) > TOLERANCE):
            faults.append(f"{name} {new}, recorded {old}")
    return faults


def main() -> int:
    """Check the pages; or run, or check, flows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", nargs="+", choices=FLOWS, default=[], help="run flows and record them")
    parser.add_argument(
        "--check", nargs="+", choices=FLOWS, default=[], help="run the first seed of flows again"
    )
    parser.add_argument("--data", type=Path, help="folder with mnist.npz")
    options = parser.parse_args()
    record = read_record()
    for name in options.run:
        runs = []
        for seed in SEEDS:
            runs.append(run(FLOWS[name], seed, options.data))
            print(name, runs[-1], flush=True)
            record = read_record() | {name: entry(runs)}  # after every seed: a run of hours may be cut off
            RECORD.write_text(json.dumps(record, indent=1) + "\n")
            for page in pages():
                (ROOT / page).write_text(rendered((ROOT / page).read_text(), page, record))
    faults = []
    for name in options.check:
        recorded = Run(**record[name]["runs"][0])
        faults += [
            f"{name}: {fault}"
            for fault in differences(recorded, run(FLOWS[name], recorded.seed, options.data))
        ]
    faults += [
        f"{page}: the table is not that of docs/figures.json (--run writes it)"
        for page in stale_pages(record)
    ]
    print("\n".join(faults) or "the figures of the documentation are those of docs/figures.json")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
