"""No hardware in particular: every layer and quantizer."""

from __future__ import annotations

from typing import Final

from search.targets.base import Target

GENERIC: Final = Target("generic", "No hardware in particular: every layer and quantizer is legal.")
