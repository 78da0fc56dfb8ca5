"""`make demo`: a complete search on an embedded service, from the job file to the best model on disk.

Starts API and worker on a free port with their files under ./demo-out/home, submits examples/digits.yaml, shows the
progress, prints the best trials, and writes the best model, its report, quantizers and integer weights to ./demo-out.
Stops the service at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from search.history import JobStatus
from service.cli.job_file import read_job
from service.cli.live import follow
from service.cli.text import numbers
from service.cli.text.trials import point_table
from service.client import ClientError, SearchClient, Unreachable
from service.schemas.jobs import JobView

HERE = Path(__file__).parent
START_S = 120.0  # the first time TensorFlow is read from a cold disk


def main() -> int:
    """Run the demo; 0 if the search succeeded."""
    options = _options()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    job_file = read_job(options.job)
    if options.trials:
        job_file["budget"] = {**job_file.get("budget", {}), "trials": options.trials}
    home = options.out / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    started = time.monotonic()
    try:
        with _service(home, options.data) as url, SearchClient(url) as client:
            console.print(f"service and dashboard: {url}")
            _wait_until_ready(client, home)
            job = client.submit(job_file)
            console.print(
                f"job {job.id}: {numbers.space_size(job.space_size)} assignments, {job.progress.total} trials"
            )
            console.print(f"watch it at {url}/#/jobs/{job.id}", soft_wrap=True)
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


@contextmanager
def _service(home: Path, data: Path | None) -> Iterator[str]:
    """Run `fewbits serve` without the settings of this environment; the value is its address."""
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEWBITS_")}
    environment["FEWBITS_HOME"] = str(home)
    if data is not None:
        environment["FEWBITS_DATA_DIR"] = str(data.absolute())
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*_bound_to_this_process(), "-m", "service.cli", "serve", "--port", str(port)],
            cwd=HERE.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _bound_to_this_process() -> list[str]:
    """The start of a Python command that ends with this process, even if this process is killed."""
    return [sys.executable, "-P", "-m", "service.cli.supervisor", str(os.getpid()), sys.executable]


def _wait_until_ready(client: SearchClient, home: Path) -> None:
    """Wait for a live worker. Raises `Unreachable`, with the end of the log, if that takes too long."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if client.ready().ready:
                return
        except Unreachable:
            pass  # still starting
        time.sleep(0.2)
    raise Unreachable(
        f"the service did not start:\n{(home / 'serve.log').read_text(errors='replace')[-2000:]}"
    )


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


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
