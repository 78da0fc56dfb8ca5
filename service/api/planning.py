"""The plan of a job that was submitted: what model and data say about it."""

from __future__ import annotations

from pathlib import Path

from search.errors import InvalidSpec
from search.plan import Plan
from search.plans.kinds import plan
from search.plans.review import reviewed
from search.spec.resolved import NO_UPLOADS, UploadLookup
from service.parsing import Submission, invalid_request


def plan_of(submission: Submission, data_dir: Path, uploads: UploadLookup = NO_UPLOADS) -> Plan:
    """What the search would do; InvalidRequest with a pointer for every fault that model or data reveal."""
    try:
        return reviewed(plan(submission.spec, data_dir, uploads), data_dir)
    except InvalidSpec as error:
        raise invalid_request(error, submission.document) from None
