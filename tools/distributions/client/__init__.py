"""`fewbits-client`: the client of the service alone, with httpx and pydantic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.distributions.assemble import Distribution

CLIENT: Final = Distribution(
    name="fewbits-client",
    package="fewbits_client",
    description="Client of fewbits, the service that searches quantizers and bit widths of Keras models",
    folder=Path(__file__).parent,
    public={"": "tools.distributions.client.package"},
    dependencies=("httpx>=0.28", "pydantic>=2.12"),
    extras={"pandas": ("pandas>=2.2",)},
)
