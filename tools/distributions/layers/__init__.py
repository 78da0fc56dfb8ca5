"""`fewbits-layers`: the quantized Keras layers alone, with numpy and keras."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.distributions.assemble import Distribution

LAYERS: Final = Distribution(
    name="fewbits-layers",
    package="fewbits_layers",
    description="Quantized layers for Keras 3: loads the models that fewbits exports, on any backend",
    folder=Path(__file__).parent,
    public={"": "tools.distributions.layers.package", "values": "tools.distributions.layers.values"},
    dependencies=("keras>=3.15.1", "numpy>=2.0"),
    extras={
        "numpy": ("jax>=0.7", "scipy>=1.15"),  # Keras' NumPy backend imports both
        "jax": ("jax>=0.7",),
        "tensorflow": ("tensorflow>=2.21",),
        "torch": ("torch>=2.6",),
    },
    tried_with="numpy",
    replaced={"pydantic": "tools.distributions.layers.values"},
    is_typed=False,
)
