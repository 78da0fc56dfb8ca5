"""What keeps a command from starting, told in a line and not by a traceback: settings, folders, databases."""

from __future__ import annotations

import errno
import sys
from typing import Final

_FOLDER_ERRORS: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOENT,
    }
)


def explanation(error: BaseException) -> str | None:
    """What is wrong and the remedy, for errors of settings, folders and databases; None for any other."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError) and error.title == "Settings":
        return "\n".join(_setting(fault) for fault in error.errors())
    if isinstance(error, OSError) and error.errno in _FOLDER_ERRORS and error.filename is not None:
        return (
            f"{error.filename}: {error.strerror}; fewbits keeps its files in FEWBITS_HOME (default ~/.fewbits): "
            "name a folder that this user can write"
        )
    return _of_database(error)


def _setting(fault: object) -> str:
    assert isinstance(fault, dict)
    name = "FEWBITS_" + "_".join(str(part) for part in fault["loc"]).upper()
    is_secret = name in ("FEWBITS_DATABASE_URL", "FEWBITS_BROKER_URL", "FEWBITS_API_KEY")
    value = "" if is_secret else f", got {str(fault['input'])[:60]!r}"
    return f"{name}: {fault['msg'].removeprefix('Value error, ')}{value}"


def _of_database(error: BaseException) -> str | None:
    if "sqlalchemy" not in sys.modules:
        return None
    from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError

    from service.store.migrate import CannotMigrate

    if isinstance(error, CannotMigrate):
        return str(error)
    if isinstance(error, ArgumentError | NoSuchModuleError):
        return "FEWBITS_DATABASE_URL: postgresql://user:password@host/name, or sqlite:////path/of/a/file"
    if isinstance(error, DatabaseError | InterfaceError):
        first = (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
        return f"the database cannot be used: {first[:300]} (FEWBITS_DATABASE_URL, FEWBITS_HOME; `fewbits doctor`)"
    return None


def print_any_text() -> None:
    """Print names in any alphabet, where the output has another: signs that it lacks are shown as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if (stream.encoding or "").lower().replace("-", "") != "utf8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
