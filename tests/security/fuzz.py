"""`python -m tests.security.fuzz`: schemathesis with all checks against a running service that asks for keys.

The service has two jobs with trials of the key's tenant, an upload, and no worker. Exit code 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from search.history import JobStatus
from service.auth import keys
from service.auth.scopes import KeyScope
from service.settings import Settings
from service.store import uploads
from service.store.blobs import BlobStore
from service.store.migrate import upgrade
from service.store.models import Worker, now
from service.store.session import Database
from service.store.uploads import NewUpload, UploadKind
from tests.service.filled import Filler

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


def main() -> None:
    """Parse the options, run, and print how many cases were tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=main.__doc__)
    parser.add_argument("--examples", type=int, default=60, help="cases a route and phase at most")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other cases")
    options, others = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp(prefix="fewbits-fuzz-"))
    try:
        key = prepare(folder)
        with serving(folder) as url:
            done = run(url, key, folder, options.examples, options.seed, others)
        print(f"the service's log: {summary(folder / 'service.log')}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(done)


def prepare(home: Path) -> str:
    """A migrated database with jobs and uploads of the operator's tenant, and a worker's trace; the operator's key."""
    settings = Settings(home=home)
    database = Database(settings.database)
    upgrade(database.engine)
    (home / "files").mkdir()
    filler = Filler(database, BlobStore(settings.blob_folder), home / "files")
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
        session.add(Worker(name="fuzz/1/0", started_at=now(), seen_at=now() + timedelta(days=1)))
        _, token = keys.create(session, tenant="local", name="fuzz", scope=KeyScope.ADMIN)
    database.dispose()
    (home / "schemathesis.toml").write_text(
        CONFIG.format(**{name: json.dumps(ids) for name, ids in ids_by_resource.items()})
    )
    return str(token)


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """The service in a process of its own, without a worker; its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEWBITS_")}
    environment |= {
        "FEWBITS_HOME": str(home),
        "FEWBITS_REQUESTS_PER_MINUTE": "0",
        "FEWBITS_LOG_FORMAT": "json",
    }
    log = home / "service.log"
    command = [sys.executable, "-m", "service.cli", "serve", "--no-worker", "--port", "0"]
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
        entry = json.loads(line)
        if entry.get("event") == "request":
            counts_by_class[f"{entry['status'] // 100}xx"] = (
                counts_by_class.get(f"{entry['status'] // 100}xx", 0) + 1
            )
    counts = ", ".join(f"{count} {hundreds}" for hundreds, count in sorted(counts_by_class.items()))
    return f"{sum(counts_by_class.values())} requests: {counts}"


if __name__ == "__main__":
    main()
