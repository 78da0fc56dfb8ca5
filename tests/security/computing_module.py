"""A module for a template: what the API computes with, and computations that misbehave if the model is called so."""

from __future__ import annotations

import json
import os
import signal
from multiprocessing.connection import Connection

from service.api import computing
from service.api.computing import Computer

prepare = computing.prepare
usual = computing.COMPUTATIONS["cost"]


def serve(connection: Connection) -> None:
    """Serve as the product does, with another `cost`."""
    computing.COMPUTATIONS["cost"] = misbehaving  # type: ignore[index]
    computing.serve(connection)


def misbehaving(computer: Computer, body: bytes) -> bytes:
    """What the model's name says, or the cost."""
    hoard = []
    match json.loads(body)["model"] if body.startswith(b"{") else None:
        case "spin":
            while True:
                pass
        case "hoard":
            while True:
                hoard.append(b"x" * (8 << 20))
        case "allocate":
            bytearray(8 << 30)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError("a fault")
    return usual(computer, body)
