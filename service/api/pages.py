"""Pages: dashboard, reference, login. Their files are under /static."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse

FOLDER: Final = Path(__file__).parent.parent / "dashboard"

router = APIRouter(include_in_schema=False)


@router.get("/")
def dashboard() -> FileResponse:
    """The dashboard."""
    return _page("index.html")


@router.get("/docs")
def reference() -> FileResponse:
    """The REST reference, generated from /openapi.json."""
    return _page("docs.html")


@router.get("/login")
def login() -> FileResponse:
    """The login page of the dashboard."""
    return _page("login.html")


@router.get("/favicon.ico")
def icon() -> FileResponse:
    """The icon that browsers request."""
    return FileResponse(FOLDER / "icon.svg", media_type="image/svg+xml")


def _page(name: str) -> FileResponse:
    return FileResponse(FOLDER / name, headers={"Cache-Control": "no-cache"})
