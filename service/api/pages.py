"""Pages: dashboard, reference, login. Their files are under /static."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from service.api.static_files import StaticFolder

FOLDER: Final = Path(__file__).parent.parent / "dashboard"

#: What is mounted at /static.
FILES: Final = StaticFolder(FOLDER)

router = APIRouter(include_in_schema=False)


@router.get("/")
def dashboard() -> Response:
    """The dashboard."""
    return FILES.page("index.html")


@router.get("/docs")
def reference() -> Response:
    """The REST reference, generated from /openapi.json."""
    return FILES.page("docs.html")


@router.get("/login")
def login() -> Response:
    """The login page of the dashboard."""
    return FILES.page("login.html")


@router.get("/favicon.ico")
def icon() -> FileResponse:
    """The icon that browsers request."""
    return FileResponse(FOLDER / "icon.svg", media_type="image/svg+xml")
