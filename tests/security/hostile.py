"""What makes hostile model files: payloads, and a harmless file to change."""

from __future__ import annotations

import base64
import marshal
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.security.models import keras_file

Make = Callable[[Path], bytes]
Change = Callable[[dict[str, Any]], object]


class Bomb:
    """Pickled, it runs a command when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def lambda_layer(canary: Path, name: str = "evil") -> dict[str, Any]:
    """A Lambda layer as Keras writes it, whose bytecode makes the canary."""
    code = compile(f"open({str(canary)!r}, 'w').close()", "evil", "exec")
    body = {
        "class_name": "__lambda__",
        "config": {
            "code": base64.b64encode(marshal.dumps(code)).decode() + "\n",
            "defaults": None,
            "closure": None,
        },
    }
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": name, "function": body, "arguments": {}},
        "registered_name": None,
    }


GOOD = keras_file()
