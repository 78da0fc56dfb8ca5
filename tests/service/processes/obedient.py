"""A module for a template: its processes do what a test tells them."""

from __future__ import annotations

import os
import random
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

from service.processes.limited import receive_message, send_message

prepared = 0


def prepare() -> None:
    """Called once, in the template."""
    global prepared
    prepared += 1


def serve(connection: Connection) -> None:
    """Do what is told until the connection is closed."""
    hoard: list[Any] = []
    while True:
        try:
            head, payload = receive_message(connection)
        except EOFError:
            return
        do(head, payload, connection, hoard)


def do(head: dict[str, Any], payload: bytes, connection: Connection, hoard: list[Any]) -> None:
    """One order."""
    match head["do"]:
        case "echo":
            send_message(connection, {"pid": os.getpid(), "prepared": prepared}, payload)
        case "draw":
            send_message(connection, {"drawn": random.random()})
        case "hoard":  # touched, so that it is resident; little by little
            while True:
                hoard.append(b"x" * (8 << 20))
        case "allocate":
            try:
                hoard.append(bytearray(head["bytes"]))
                send_message(connection, {"refused": False})
            except MemoryError:
                send_message(connection, {"refused": True})
        case "spin":
            while True:
                pass
        case "sleep":
            time.sleep(600)
        case "report and sleep":
            for _ in range(3):
                send_message(connection, {"done": False})
            time.sleep(600)
        case "exit":
            os._exit(3)
        case "abort":
            os.kill(os.getpid(), signal.SIGABRT)
        case "close and go on":
            connection.close()
            while True:
                time.sleep(600)
