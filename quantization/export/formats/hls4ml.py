"""`hls4ml`: a project for an FPGA, with the types of every layer. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat, Option
from quantization.export.legality.hls4ml import HLS4ML as LEGALITY

HLS4ML: Final = ExportFormat(
    name="hls4ml",
    title="hls4ml project for an FPGA, whose types cut nothing",
    legality=LEGALITY,
    exact=True,
    packages=(),
    runtime=("hls4ml",),
    programs=("g++",),
    extra="hls4ml",
    environment=("hls4ml==1.3.*",),
    options={
        "backend": Option("Vitis", "for whose tools", ("Vitis", "Vivado", "oneAPI", "Quartus", "Catapult")),
        "reuse_factor": Option(1, "multiplications of one multiplier"),
        "strategy": Option("Latency", "how products are unrolled", ("Latency", "Resource")),
        "io_type": Option("io_parallel", "how tensors are passed on", ("io_parallel", "io_stream")),
        "part": Option("", "the FPGA's part number; empty: the backend's default"),
    },
)
