"""The schema of a job."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, Response

from service.schemas.job_json_schema import job_schema as schema_of_jobs

#: For editors, which have no key.
open_router = APIRouter(prefix="/v1/schemas", tags=["catalog"])


_HEADERS: Final = {"Cache-Control": "public, max-age=3600"}


@cache
def _job_schema() -> bytes:
    """Made once: it takes 50 ms, and nobody needs a key for it."""
    return json.dumps(schema_of_jobs()).encode()


@open_router.get("/job", response_model=dict[str, Any])
def job_schema() -> Response:
    """JSON Schema of a job, for editors: `# yaml-language-server: $schema=http://127.0.0.1:8765/v1/schemas/job`."""
    return Response(_job_schema(), media_type="application/json", headers=_HEADERS)
