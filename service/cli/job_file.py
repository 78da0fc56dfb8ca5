"""Jobs, goals and changes as the user writes them: in a file, or as options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from service.cli.output import usage_error
from service.cli.yaml_file import parse_yaml


def read_job(path: Path) -> dict[str, Any]:
    """The fields in a YAML or JSON file; "-" is standard input. Exit code 2 if it cannot be read."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
        document = parse_yaml(text)
        json.dumps(document, allow_nan=False)
    except OSError as error:
        usage_error(f"{path}: {error.strerror}")
    except (UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        usage_error(f"{path} is neither YAML nor JSON: {error}")
    if not isinstance(document, dict):
        usage_error(f"{path} must contain a mapping of fields")
    return document


def without_none(**values: Any) -> dict[str, Any]:
    """The values that are not None, by name."""
    return {name: value for name, value in values.items() if value is not None}
