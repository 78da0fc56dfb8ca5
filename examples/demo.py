"""`make demo`: a complete search on an embedded service, from the job file to the best model on disk.

Starts API and worker on a free port with their files under ./demo-out/home, submits examples/digits.yaml, shows the
progress, prints the best trials, and writes the best model, its report, quantizers and integer weights to ./demo-out.
Stops the service at the end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

import fewbits
from search.history import JobStatus
from service.cli.job_file import read_job
from service.cli.live import follow
from service.cli.text import numbers
from service.cli.text.trials import point_table
from service.client import ClientError, SearchClient
from service.schemas.jobs import JobView

HERE = Path(__file__).parent


def main() -> int:
    """Run the demo; 0 if the search succeeded."""
    options = _options()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    job_file = read_job(options.job)
    if options.trials:
        job_file["budget"] = {**job_file.get("budget", {}), "trials": options.trials}
    home = options.out / "home"
    shutil.rmtree(home, ignore_errors=True)
    started = time.monotonic()
    try:
        settings = {} if options.data is None else {"data_dir": options.data.absolute()}
        with fewbits.local(home, settings=settings) as service:
            client = service.client
            console.print(f"service and dashboard: {service.url}")
            job = client.submit(job_file)
            console.print(
                f"job {job.id}: {numbers.space_size(job.space_size)} assignments, {job.progress.total} trials"
            )
            console.print(f"watch it at {service.url}/#/jobs/{job.id}", soft_wrap=True)
            job = follow(client, job.id, console)
            return _finish(client, job, options.out, console, time.monotonic() - started)
    except ClientError as error:
        console.print(f"the demo failed: {error}\nlog: {home / 'serve.log'}", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder to write to")
    parser.add_argument("--job", type=Path, default=HERE / "digits.yaml", help="job file")
    parser.add_argument(
        "--trials", type=int, default=0, help="number of trials; default: that of the job file"
    )
    parser.add_argument("--data", type=Path, help="folder with mnist.npz and other data files")
    options = parser.parse_args()
    options.out = options.out.absolute()
    return options


def _finish(client: SearchClient, job: JobView, out: Path, console: Console, took_s: float) -> int:
    if job.status != JobStatus.DONE or job.best is None:
        console.print(f"the job ended {job.status}: {job.reason}", markup=False)
        return 1
    console.print(point_table(job, client.best(job.id, 5), "Best by score"))
    console.print(point_table(job, client.pareto(job.id).items, "Pareto front"))
    best = client.trial(job.id, job.best.number)
    for artifact in best.artifacts:
        client.download(job.id, best.number, artifact.name, out)
    report = json.loads((out / "report.json").read_text("utf-8"))
    console.print(
        f"best model: trial {best.number}, accuracy {numbers.percent(best.metric)} on validation and "
        f"{numbers.percent(report['test']['metric'])} on test data, {numbers.energy(best.energy_pj)} an inference "
        f"(reference {numbers.energy(job.reference_energy_pj)})",
        soft_wrap=True,
    )
    console.print(f"in {out}: {', '.join(artifact.name for artifact in best.artifacts)}", soft_wrap=True)
    console.print(
        f"took {numbers.duration(took_s)}; to open it again: FEWBITS_HOME={out / 'home'} fewbits serve",
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
