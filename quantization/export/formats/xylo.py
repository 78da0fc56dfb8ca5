"""`xylo`: the integers of a spiking network as Rockpool takes them, for SynSense's Xylo Audio 2. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat

XYLO: Final = ExportFormat(
    name="xylo",
    title="integers of Xylo Audio 2, and the Python file that hands them to Rockpool's XyloSim or to samna",
    exact=True,
    runtime=("rockpool", "xylosim"),
    environment=("rockpool==3.1.*", "xylosim==0.1.*"),
    networks="spiking",
)
