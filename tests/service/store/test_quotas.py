"""Quotas at their very limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import QuotaExhausted
from service.settings import Settings
from service.store import claims, quotas
from service.store.blobs import Blob
from service.store.leases import Claim
from service.store.session import Database
from service.store.tenancy import LOCAL
from tests.service.store.conftest import measurement

#: Of the specification of a job, as it is stored.
SPECIFICATION = len('{"model":{"kind":"zoo","name":"digits_cnn"}}')
BYTES = 100 + SPECIFICATION


@pytest.fixture
def full(database: Database, claim: Claim) -> Database:
    """A tenant with a job, and a file of 100 bytes."""
    with database.transaction() as session:
        files = {"report.json": Blob("aa", 100)}
        assert claims.finish(session, claim, measurement(), artifacts=files, versions={})
    return database


def settings(folder: Path, max_stored_bytes: int) -> Settings:
    return Settings(home=folder, max_stored_bytes=max_stored_bytes)


def test_no_job_is_submitted_once_exactly_all_bytes_are_used(full: Database, tmp_path: Path) -> None:
    with (
        full.reading() as session,
        pytest.raises(
            QuotaExhausted, match=f"storage quota exceeded: {BYTES} of {BYTES} bytes used, 0 more requested"
        ),
    ):
        quotas.check_submission(session, settings(tmp_path, BYTES), LOCAL, 1)


def test_a_job_is_submitted_while_one_byte_is_left(full: Database, tmp_path: Path) -> None:
    with full.reading() as session:
        quotas.check_submission(session, settings(tmp_path, BYTES + 1), LOCAL, 1)


def test_an_upload_may_use_the_last_byte_and_no_more(full: Database, tmp_path: Path) -> None:
    with full.reading() as session:
        quotas.check_bytes(session, settings(tmp_path, BYTES + 5), LOCAL, 5)
        with pytest.raises(QuotaExhausted, match="6 more requested"):
            quotas.check_bytes(session, settings(tmp_path, BYTES + 5), LOCAL, 6)


def test_a_specification_counts_before_it_is_stored(full: Database, tmp_path: Path) -> None:
    with full.reading() as session:
        quotas.check_submission(session, settings(tmp_path, BYTES + 50), LOCAL, 1, 50)
        with pytest.raises(QuotaExhausted, match="51 more requested"):
            quotas.check_submission(session, settings(tmp_path, BYTES + 50), LOCAL, 1, 51)
