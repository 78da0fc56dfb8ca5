"""Runs the format `xylo` by Rockpool's XyloSim, which is SynSense's xylosim."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from quantization.export.context import Floats


def run(folder: Path, inputs: Floats) -> list[Any]:
    """The events that each readout fires."""
    spec = importlib.util.spec_from_file_location("xylo_network", folder / "xylo_network.py")
    assert spec is not None
    assert spec.loader is not None
    network: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(network)
    return [network.counts(np.rint(inputs).astype(np.int64))]


def versions() -> dict[str, str]:
    """Of Rockpool and of the simulator."""
    return {name: version(name) for name in ("rockpool", "xylosim")}
