"""The format `keras`."""

from __future__ import annotations

from tests.exports.contract import ExportContract


class TestKeras(ExportContract):
    name = "keras"
