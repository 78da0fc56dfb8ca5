"""The schema of a job."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.schemas.job_json_schema import job_schema as schema_of_jobs

#: For editors, which have no key.
open_router = APIRouter(prefix="/v1/schemas", tags=["catalog"])


@open_router.get("/job")
def job_schema() -> dict[str, Any]:
    """JSON Schema of a job, for editors: `# yaml-language-server: $schema=http://127.0.0.1:8765/v1/schemas/job`."""
    return schema_of_jobs()
