"""Whether all that a job was searched on is still there and the same, before a job that has ended is taken up again.

Without it trials on other data would be mixed with those there are, or a job that is done would fail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.data import load_inputs
from search.errors import InvalidSpec
from search.history import TrialStatus
from search.plans.kinds import plan as make_plan
from search.results.recipe import fingerprint
from search.spec.job import SearchSpec
from search.trial_files import MODEL_FILE, RECIPE_FILE
from service.errors import SourcesChanged
from service.store import jobs
from service.store.blobs import BlobStore
from service.store.models import Artifact, Trial
from service.store.references import BlobLookup
from service.store.session import Database


def check_sources(database: Database, blobs: BlobStore, data_folder: Path, job_id: str) -> None:
    """SourcesChanged if the model, the data or files of measured trials are gone, or the data are other ones."""
    with database.reading() as session:
        spec = SearchSpec.model_validate(jobs.get(session, job_id).spec)
        _check_files(session, blobs, job_id)
        trained_on = _checksums(session, blobs, job_id)
    try:
        plan = make_plan(spec, data_folder, BlobLookup(blobs))
        if not trained_on:
            return
        data = load_inputs(plan.job.data, data_folder, spec.seed, plan.data.inputs, plan.task.heads)
    except InvalidSpec as error:
        raise SourcesChanged(f"the job cannot go on: {error}") from None
    now = fingerprint(data)
    changed = [name for name, digest in trained_on.items() if now.get(name) != digest]
    if changed:
        raise SourcesChanged(
            f"the data are not those that the job's trials were trained on ({', '.join(changed)} differ): restore them,"
            " or clone the job to search on the new ones"
        )


def _check_files(session: Session, blobs: BlobStore, job_id: str) -> None:
    """The models of measured trials: later trials may continue them, and one is the result."""
    rows = session.execute(
        select(Trial.number, Artifact.sha256)
        .join(Trial, Trial.id == Artifact.trial_id)
        .where(Trial.job_id == job_id, Trial.status == TrialStatus.DONE, Artifact.name == MODEL_FILE)
        .order_by(Trial.number)
    )
    missing = [number for number, sha256 in rows if not blobs.has(sha256)]
    if missing:
        raise SourcesChanged(
            f"the models of {len(missing)} trials are missing from the store, the first of trial {missing[0]}: restore"
            " them, or clone the job"
        )


def _checksums(session: Session, blobs: BlobStore, job_id: str) -> Mapping[str, str]:
    """The checksums of the data that the newest measured trial was trained on; empty where no recipe has them."""
    sha256 = session.scalar(
        select(Artifact.sha256)
        .join(Trial, Trial.id == Artifact.trial_id)
        .where(Trial.job_id == job_id, Trial.status == TrialStatus.DONE, Artifact.name == RECIPE_FILE)
        .order_by(Trial.number.desc())
        .limit(1)
    )
    if sha256 is None or not blobs.path(sha256).is_file():
        return {}
    checksums: Mapping[str, str] = json.loads(blobs.path(sha256).read_text()).get("data_sha256", {})
    return checksums
