"""The file that says what quantization does to each tensor of a reported trial."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.data.inputs import Inputs
from search.trial_files import TENSORS_FILE

log = logging.getLogger(__name__)


def write_tensors(tensors: Callable[[Path, Inputs], dict[str, Any]], model: Path, x: Inputs) -> Path | None:
    """The file beside the model; None, and a message in the log, if it cannot be made: it only illustrates a report."""
    path = model.with_name(TENSORS_FILE)
    try:
        path.write_text(json.dumps(tensors(model, x), allow_nan=False))
    except Exception:
        log.exception("what quantization does to the tensors of %s could not be reported", model.name)
        return None
    return path
