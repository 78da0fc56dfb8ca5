"""`python -m tests.security.fuzz`: schemathesis with all checks against a running service that asks for keys.

The service has jobs with trials, uploads that are complete and others that are not, of two tenants, and a worker that
runs what is submitted. Requests are made with a key of each scope: `read` and `submit` of one tenant, `admin` of the
other. At the end the worker still measures a plain job. Exit code 1 if a check fails.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from search.history import JOB_ENDED, JobStatus
from service.auth import keys
from service.auth.scopes import KeyScope
from service.settings import Settings
from service.store import uploads
from service.store.blobs import BlobStore
from service.store.migrate import upgrade
from service.store.models import Sweep, Worker, now
from service.store.session import Database
from service.store.uploads import NewUpload, UploadKind
from tests.security.models import keras_file
from tests.service.filled import JOB, Filler

ROOT: Final = Path(__file__).parents[2]
#: What schemathesis is told. A job must fit more than a schema can say (its model, its data, one field another), a
#: cursor must be one that was given, an upload not too large: 422 and 413 are right answers to what fits the schema.
CONFIG: Final = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 304, 401, 403, 404, 409, 413, 422, 429]

[dictionaries]
jobs.values = {jobs}
models.values = {models}
datasets.values = {datasets}
numbers.values = [0, 1, 2]
names.values = ["model.keras", "report.json"]

[parameters]
"path.job_id" = {{ dictionary = "jobs", probability = 0.7 }}
"path.number" = {{ dictionary = "numbers", probability = 0.8 }}
"path.name" = {{ dictionary = "names", probability = 0.7 }}

# the schema of a job has so many parts that its coverage alone would be 7,000 requests: it is fuzzed
[[operations]]
include-path-regex = "^/v1/(jobs|jobs:validate|cost)$"
include-method = "POST"
phases.coverage.enabled = false

# as JSON, without waiting: a stream of a job under way has no end
[[operations]]
include-path = "/v1/jobs/{{job_id}}/events"
headers = {{ Accept = "application/json" }}
parameters = {{ "query.wait_s" = 0 }}

[[operations]]
include-path-regex = "^/v1/models/"
parameters = {{ "path.upload_id" = {{ dictionary = "models", probability = 0.8 }} }}

[[operations]]
include-path-regex = "^/v1/datasets/"
parameters = {{ "path.upload_id" = {{ dictionary = "datasets", probability = 0.8 }} }}
"""


#: Who fuzzes: the tenant and the scope of the key.
CALLERS: Final = (("acme", KeyScope.READ), ("acme", KeyScope.SUBMIT), ("local", KeyScope.ADMIN))


def main() -> None:
    """Parse the options, run, and print how many cases were tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=main.__doc__)
    parser.add_argument("--examples", type=int, default=60, help="cases a route and phase at most")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other cases")
    options, others = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp(prefix="fewbits-fuzz-"))
    try:
        tokens = {caller: prepare(folder, *caller) for caller in CALLERS}
        with serving(folder, "--workers", "1") as url:
            await_worker(url)
            done = 0
            for (tenant, scope), token in tokens.items():
                print(f"== with a key of scope {scope} of tenant {tenant}", flush=True)
                send_files(url, token, scope)
                done |= run(url, token, folder / tenant, options.examples, options.seed, others)
            done |= not measures(url, tokens[CALLERS[-1]])
        print(f"the service's log: {summary(folder / 'service.log')}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(done)


def prepare(home: Path, tenant: str = "local", scope: KeyScope = KeyScope.ADMIN) -> str:
    """A migrated database with jobs and uploads of a tenant, and a worker's trace; a key of the tenant."""
    settings = Settings(home=home)
    whole = Database(settings.database)
    upgrade(whole.engine)
    database, config = whole.for_tenant(tenant), home / tenant
    config.mkdir(exist_ok=True)
    (config / "files").mkdir(exist_ok=True)
    filler = Filler(database, BlobStore(settings.blob_folder), config / "files")
    ids_by_resource: dict[str, list[str]] = {"jobs": [], "models": [], "datasets": []}
    for status in (None, *[JobStatus.DONE] * 6, JobStatus.FAILED, JobStatus.CANCELLED):
        job = filler.job()
        ids_by_resource["jobs"].append(job.job_id)
        ids = filler.queue(job, 3)
        filler.measure(job, ids[0])
        filler.fail(ids[1], "loss became NaN")
        if status is not None:
            filler.end(job, status)
    with database.transaction() as session:
        for kind, resource in ((UploadKind.MODEL, "models"), (UploadKind.DATA, "datasets")):
            for number in range(4):
                new = NewUpload(kind, f"{kind} {number}", 1000, None)
                ids_by_resource[resource].append(uploads.create(session, new).id)
    with whole.transaction() as session:
        session.merge(Worker(name="fuzz/1/0", started_at=now(), seen_at=now() + timedelta(days=1)))
        later = now() + timedelta(days=1)
        session.merge(Sweep(id=1, worker="fuzz/1/0", began_at=now(), calm_since=now(), ended_at=later))
        _, token = keys.create(session, tenant=tenant, name=f"fuzz {scope}", scope=scope)
    whole.dispose()
    (config / "schemathesis.toml").write_text(
        CONFIG.format(**{name: json.dumps(ids) for name, ids in ids_by_resource.items()})
    )
    return str(token)


def send_files(url: str, token: str, scope: KeyScope) -> None:
    """Upload a model and a data set, as a client does; a key that may only read is refused."""
    data = io.BytesIO()
    x, y = np.random.default_rng(0).random((80, 16), dtype="float32"), np.arange(80) % 5
    np.savez(data, x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=120) as client:
        for resource, content in (("models", keras_file()), ("datasets", data.getvalue())):
            declared = client.post(f"/v1/{resource}", json={"name": "a file", "size_bytes": len(content)})
            if scope is KeyScope.READ:
                assert declared.status_code == 403, declared.text
                continue
            sent = client.put(f"{declared.headers['location']}/content", content=content)
            assert sent.json()["status"] == "complete", sent.text


def await_worker(url: str) -> None:
    """Wait until the service is ready, its worker included."""
    deadline = time.monotonic() + 300
    while httpx.get(f"{url}/readyz", timeout=60).status_code != 200:
        if time.monotonic() > deadline:
            raise SystemExit("no worker is ready")
        time.sleep(1)


def measures(url: str, token: str) -> bool:
    """Whether the worker measures a plain job after all this."""
    job = {**JOB, "training": {"epochs": 1}, "budget": {"trials": 1}, "priority": 100}
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=60) as client:
        place = client.post("/v1/jobs", json=job).headers["location"]
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            state = client.get(place).json()
            if state["status"] in JOB_ENDED:
                print(f"a plain job after all: {state['status']}, {state['reason']}")
                return bool(state["status"] == JobStatus.DONE)
            time.sleep(1)
        print(f"a plain job after all does not end: {state}; the queue: {client.get('/v1/queue').text}")
    return False


@contextmanager
def serving(home: Path, *options: str) -> Iterator[str]:
    """The service in a process of its own, without a worker unless the options say otherwise; its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEWBITS_")}
    environment |= {
        "FEWBITS_HOME": str(home),
        "FEWBITS_REQUESTS_PER_MINUTE": "0",
        "FEWBITS_LOG_FORMAT": "json",
    }
    log = home / "service.log"
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", *(options or ("--no-worker",))]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stderr=output, cwd=ROOT)
        try:
            yield address(process, log)
        finally:
            process.terminate()
            process.wait(30)


def address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address the service says that it listens at."""
    while process.poll() is None:
        if match := re.search(r"fewbits is at (http://[^\s,]+)", log.read_text()):
            return match[1]
    raise SystemExit(f"the service ended: {log.read_text()}")


def run(url: str, key: str, folder: Path, examples: int, seed: int, others: list[str]) -> int:
    """schemathesis' exit code; it prints what it finds."""
    command = [
        *(
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            str(folder / "schemathesis.toml"),
        ),
        *("run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {key}"),
        *("--max-examples", str(examples), "--seed", str(seed), "--checks", "all", "--continue-on-failure"),
        *others,
    ]
    return subprocess.run(command, cwd=folder, check=False).returncode


def summary(log: Path) -> str:
    """How many requests were answered, by the hundreds of their status."""
    counts_by_class: dict[str, int] = {}
    for line in log.read_text().splitlines():
        if not line.startswith("{"):  # TensorFlow's
            continue
        entry = json.loads(line)
        if entry.get("event") == "request":
            counts_by_class[f"{entry['status'] // 100}xx"] = (
                counts_by_class.get(f"{entry['status'] // 100}xx", 0) + 1
            )
    counts = ", ".join(f"{count} {hundreds}" for hundreds, count in sorted(counts_by_class.items()))
    return f"{sum(counts_by_class.values())} requests: {counts}"


if __name__ == "__main__":
    main()
