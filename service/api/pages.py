"""Pages: dashboard, reference, login. Their files are under /static."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from service.api.static_files import StaticFolder

FOLDER: Final = Path(__file__).parent.parent / "dashboard"

router = APIRouter(include_in_schema=False)


@router.get("/")
def dashboard(request: Request) -> Response:
    """The dashboard."""
    return _files(request).page("index.html")


@router.get("/docs")
def reference(request: Request) -> Response:
    """The REST reference, generated from /openapi.json."""
    return _files(request).page("docs.html")


@router.get("/login")
def login(request: Request) -> Response:
    """The login page of the dashboard."""
    return _files(request).page("login.html")


@router.get("/favicon.ico")
def icon() -> FileResponse:
    """The icon that browsers request."""
    return FileResponse(FOLDER / "icon.svg", media_type="image/svg+xml")


def _files(request: Request) -> StaticFolder:
    """What is mounted at /static."""
    files: StaticFolder = request.app.state.files
    return files
