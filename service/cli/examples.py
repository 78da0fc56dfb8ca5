"""What every help ends with: the environment variables of a command, and an example.

A test walks all commands: each has an entry, its example parses, and its variables are settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Variables that name the service; every command with `--url` reads them.
_CLIENT: Final = ("FEWBITS_URL", "FEWBITS_HOST", "FEWBITS_PORT", "FEWBITS_API_KEY")
_DATABASE: Final = ("FEWBITS_HOME", "FEWBITS_DATABASE_URL")
#: The variables that most installations set; pages list the others.
_SERVICE: Final = (*_DATABASE, "FEWBITS_BROKER_URL", "FEWBITS_BLOB_DIR", "FEWBITS_DATA_DIR")
_MORE: Final = "others: docs/how-to/settings.md"

#: Command -> variables besides those of the service's address.
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "": (*_CLIENT, *_DATABASE, _MORE),
    "serve": (*_SERVICE, "FEWBITS_HOST", "FEWBITS_PORT", "FEWBITS_LOG_LEVEL", "FEWBITS_LOG_FORMAT", _MORE),
    "worker": (*_SERVICE, "FEWBITS_TRIAL_MEMORY_MB", "FEWBITS_TRIAL_TIME", "KERAS_BACKEND", _MORE),
    "doctor": (*_SERVICE, *_CLIENT, _MORE),
    "migrate": _DATABASE,
    "rerun": ("FEWBITS_DATA_DIR", "FEWBITS_HOME", "KERAS_BACKEND"),
    **dict.fromkeys(
        ("admin", *(f"admin {name}" for name in ("workers", "leases", "sweep", "migrate", "drain"))),
        _DATABASE,
    ),
    **dict.fromkeys(
        tuple(f"admin {name}" for name in ("gc", "backup", "restore")),
        (*_DATABASE, "FEWBITS_BLOB_DIR"),
    ),
    **dict.fromkeys(
        ("keys", *(f"keys {name}" for name in ("create", "list", "rotate", "revoke", "off", "limit"))),
        _DATABASE,
    ),
}

_JOB: Final = "3f9c0a7be1d24476"
_UPLOAD: Final = "5f0c3a9be2d14477"

#: Command, "" for `fewbits` itself -> what follows "fewbits" in its example.
EXAMPLES: Final[Mapping[str, str]] = {
    "": "submit job.yaml --watch",
    "serve": "serve --port 9000 --workers 2",
    "worker": "worker --workers 2",
    "doctor": "doctor",
    "submit": "submit job.yaml --watch",
    "import": "import run_config.py --model my_model.keras --data my_data.npz -o job.yaml",
    "validate": "validate job.yaml",
    "jobs": "jobs",
    "watch": f"watch {_JOB}",
    "pause": f"pause {_JOB}",
    "resume": f"resume {_JOB}",
    "stop": f"stop {_JOB}",
    "cancel": f"cancel {_JOB}",
    "retry": f"retry {_JOB}",
    "extend": f"extend {_JOB} --trials 20",
    "change": f"change {_JOB} --priority 5",
    "clone": f"clone {_JOB} --changes changes.yaml",
    "delete": f"delete {_JOB}",
    "trials": f"trials {_JOB} --sort -score --filter status:done",
    "points": f"points {_JOB} --front",
    "best": f"best {_JOB} -k 5",
    "pareto": f"pareto {_JOB}",
    "fetch": f"fetch {_JOB} 7 -o trial-7",
    "export": f"export {_JOB} 7 --to c -o firmware",
    "classes": f"classes {_JOB} 7 --confusion",
    "bundle": f"bundle {_JOB} 7 -o bundle.zip",
    "diff": f"diff {_JOB} 7 12",
    "report": f"report {_JOB} -o report.html",
    "analysis": f"analysis {_JOB}",
    "finalize": f"finalize {_JOB} 7 --epochs 50 --wait",
    "rerun": f"rerun {_JOB} 7",
    "rescore": f"rescore {_JOB} --goal goal.yaml",
    "upload": "upload my_model.keras my_data.npz",
    "models": f"models --download {_UPLOAD}",
    "datasets": f"datasets --download {_UPLOAD} -o data",
    "cost": "cost my_model.keras --quantizers quantizers.json",
    "profiles": "profiles horowitz",
    "migrate": "migrate",
    "keys": "keys create laptop --scope submit",
    "keys create": "keys create laptop --scope submit --days 90",
    "keys list": "keys list",
    "keys rotate": "keys rotate 1a2b3c4d",
    "keys revoke": "keys revoke 1a2b3c4d",
    "keys off": "keys off --yes",
    "keys limit": "keys limit research --trials 10000",
    "keys weight": "keys weight research 2",
    "admin": "admin workers",
    "admin workers": "admin workers",
    "admin leases": "admin leases --json",
    "admin sweep": "admin sweep",
    "admin gc": "admin gc --dry-run",
    "admin migrate": "admin migrate",
    "admin backup": "admin backup /srv/backups/fewbits",
    "admin restore": "admin restore /srv/backups/fewbits",
    "admin drain": "admin drain machine-7 --wait 600",
    "version": "version",
}


def variables(name: str, *, uses_service: bool) -> tuple[str, ...]:
    """The environment variables that a command reads, and where further ones are listed."""
    return (*(_CLIENT if uses_service else ()), *_VARIABLES.get(name, ()))


def epilog(name: str, *, uses_service: bool) -> str:
    """The end of the help of a command; `name`: its words after "fewbits"."""
    names = ", ".join(variables(name, uses_service=uses_service)) or "none"
    return f"Environment: {names}\n\nExample: fewbits {EXAMPLES.get(name, f'{name} --help')}"
