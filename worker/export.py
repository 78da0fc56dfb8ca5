"""The export of a trial: its model written in a format, run by the format's own runtime, compared, and packed."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any, Final

from quantization.errors import QuantizationError
from search.errors import Fatal, InvalidSpec, OutOfMemory
from search.trial_files import PREPROCESSING_FILE
from search.trial_runners import trial_runner
from service.errors import Conflict
from service.queue import TaskName
from service.store import exports, jobs, workers
from service.store.exports import ExportClaim
from service.store.leases import Watch
from service.store.session import database_now, keep_trying
from worker import preparation
from worker.claimed import Claimed
from worker.heartbeat import Heartbeat
from worker.recorder import LeaseLost
from worker.runtime import Runtime
from worker.scratch import scratch
from worker.tasks import is_able

log = logging.getLogger(__name__)

#: The time of every file in a zip: equal contents make equal zips.
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)


def make_export(runtime: Runtime, export_id: int) -> None:
    """Claim an export, make and prove it, store the outcome. Does nothing if it is not queued."""
    if not is_able(runtime):
        return
    with runtime.database.transaction() as session:
        claim = exports.claim(session, export_id, worker=runtime.worker, lease=runtime.settings.lease)
        workers.heartbeat(session, runtime.worker)
    if claim is None:
        return
    every_s = runtime.settings.heartbeat.total_seconds()
    with scratch() as folder, Heartbeat(lambda: _renew(runtime, claim), every_s, f"export {export_id}"):
        _attempt(runtime, claim, folder)


def sweep(runtime: Runtime, watch: Watch) -> None:
    """Requeue the claims of dead workers, and resend the messages that may have been lost."""
    settings = runtime.settings
    with runtime.database.transaction() as session:
        for claim, counts in exports.expired(session, watch):
            exports.release(
                session, claim, "the worker died", max_attempts=settings.max_attempts, counts=counts
            )
            runtime.queue.enqueue(TaskName.MAKE_EXPORT, claim.export_id)
        for export_id in exports.resend(session, database_now(session) - settings.resend):
            runtime.queue.enqueue(TaskName.MAKE_EXPORT, export_id)


def _renew(runtime: Runtime, claim: ExportClaim) -> None:
    with runtime.database.transaction() as session:
        exports.renew(session, claim, runtime.settings.lease)
        workers.heartbeat(session, runtime.worker)


def _attempt(runtime: Runtime, claim: ExportClaim, folder: Path) -> None:
    work = Claimed(
        runtime, exports, claim, TaskName.MAKE_EXPORT, claim.export_id, f"export {claim.export_id}"
    )
    try:
        _export(runtime, claim, folder)
    except LeaseLost:
        log.warning("export %s: another worker has it, or it was deleted; nothing is stored", claim.export_id)
    except (QuantizationError, Conflict, Fatal, InvalidSpec, OutOfMemory) as error:
        work.fail(str(error))
    except Exception as error:
        work.after_error(error)
    else:
        runtime.backoff.note_success()


def _export(runtime: Runtime, claim: ExportClaim, folder: Path) -> None:
    with runtime.database.reading() as session:
        files = exports.source_files(session, claim.job_id, claim.number, claim.model)
        job = jobs.get(session, claim.job_id)
    plan = preparation.plan(runtime, job.id, preparation.specification(job))
    runner = trial_runner(plan.spec)
    model = folder / runner.model_file
    shutil.copyfile(runtime.blobs.path(files[runner.model_file]), model)  # Keras tells the format by the name
    preprocessing = files.get(PREPROCESSING_FILE)
    proven = runner.export(
        model,
        preparation.dataset(runtime, plan),
        plan.task,
        name=claim.format,
        options=claim.options,
        preprocessing=json.loads(runtime.blobs.path(preprocessing).read_text()) if preprocessing else {},
        folder=folder / "export",
    )
    written = proven.export.written
    packed = pack(proven.export.folder, proven.export.files, folder / "export.zip")
    sizes = [
        {"name": name, "size_bytes": (proven.export.folder / name).stat().st_size}
        for name in proven.export.files
    ]

    def store() -> None:
        blob = runtime.blobs.put(packed)
        with runtime.database.transaction() as session:
            is_stored = exports.finish(
                session,
                claim,
                blob,
                files=sizes,
                proof=proven.document(),
                figures=None if written.figures is None else _figures(written.figures),
                notes=written.notes,
            )
            if not is_stored:
                raise LeaseLost

    keep_trying(store, for_s=runtime.settings.patience.total_seconds(), what=f"export {claim.export_id}")


def _figures(figures: Any) -> dict[str, int | None]:
    names = ("flash_bytes", "ram_bytes", "packed_bytes", "macs")
    return {name: getattr(figures, name) for name in names}


def pack(folder: Path, files: tuple[str, ...], target: Path) -> Path:
    """The files of a folder as a zip: the same files make the same bytes."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in files:
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (folder / name).read_bytes())
    return target
