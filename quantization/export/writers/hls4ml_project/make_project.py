"""Makes an hls4ml project of network.json and network.npz beside this file. Needs hls4ml, not fewbits.

    python make_project.py --backend Vitis --reuse-factor 4

The types of all layers stand in network.json: results have every bit of their sums, so that the C++ emulation computes
what the quantized model does. A larger reuse factor makes a smaller, slower circuit with the same numbers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from hls4ml.model.graph import ModelGraph
from hls4ml.utils.config import create_config

HERE = Path(__file__).resolve().parent


def project(folder: Path, backend: str, reuse_factor: int, strategy: str, io_type: str, part: str) -> Any:
    """The project as a `ModelGraph` of hls4ml, not written yet."""
    network = json.loads((HERE / "network.json").read_text())
    arrays = np.load(HERE / "network.npz")
    layers = [
        {key: arrays[value["array"]] if is_array(value) else value for key, value in layer.items()}
        for layer in network["layers"]
    ]
    options = {"part": part} if part else {}
    config = create_config(
        output_dir=str(folder), project_name="network", backend=backend, io_type=io_type, **options
    )
    config["HLSConfig"] = {
        "Model": {
            "Precision": {"default": "fixed<16,6>"},
            "ReuseFactor": reuse_factor,
            "Strategy": strategy,
            "BramFactor": 1_000_000_000,
            "TraceOutput": False,
        },
        "LayerName": {
            name: {"Precision": types, "ReuseFactor": reuse_factor, "Strategy": strategy}
            for name, types in network["precisions"].items()
        },
    }
    return ModelGraph.from_layer_list(config, layers, network["inputs"], network["outputs"])


def is_array(value: Any) -> bool:
    """Whether it stands for an array of network.npz."""
    return isinstance(value, dict) and set(value) == {"array"}


def main() -> None:
    """Write the project."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backend", default="Vitis", help="Vitis, Vivado, oneAPI, Quartus or Catapult")
    parser.add_argument("--reuse-factor", type=int, default=1, help="multiplications of one multiplier")
    parser.add_argument("--strategy", default="Latency", choices=["Latency", "Resource"])
    parser.add_argument("--io-type", default="io_parallel", choices=["io_parallel", "io_stream"])
    parser.add_argument("--part", default="", help="the FPGA's part number")
    parser.add_argument("--folder", type=Path, default=HERE / "project")
    arguments = parser.parse_args()
    model = project(
        arguments.folder,
        arguments.backend,
        arguments.reuse_factor,
        arguments.strategy,
        arguments.io_type,
        arguments.part,
    )
    model.write()


if __name__ == "__main__":
    main()
