"""Writes the format `xylo`: the integers under the names of Rockpool's arguments, and the file that passes them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from quantization.export.context import ExportContext, Written
from quantization.spiking.specification import XyloParameters

SCRIPT_FILE: Final = "xylo_network.py"
ARRAYS_FILE: Final = "specification.npz"
_SCRIPT: Final = '''"""A spiking network in the integers of Xylo Audio 2, for Rockpool 3. Written by fewbits.

`simulator()` is Rockpool's XyloSim (packages rockpool and xylosim), `configuration()` what a chip is given (package
samna). Run as a program it saves config.json, which Rockpool's `load_config` reads.
"""

import sys
import types
from importlib import import_module
from pathlib import Path

import numpy as np
import rockpool

HERE = Path(__file__).resolve().parent
CHIP = "rockpool.devices.xylo.syns61201"
SHIFTS = ("dash_mem", "dash_mem_out", "dash_syn", "dash_syn_2", "dash_syn_out")


def specification():
    """Integer arrays by the names of XyloSim.from_specification."""
    with np.load(HERE / "specification.npz") as stored:
        return {name: stored[name].astype(int) for name in stored.files}


def simulator():
    """Rockpool's simulator of the chip."""
    return module("xylo_sim").XyloSim.from_specification(**specification())


def counts(events):
    """Events of each readout, for whole events of shape (examples, steps, inputs)."""
    chip = simulator()
    rows = []
    for example in np.asarray(events):
        chip.reset_state()
        rows.append(chip.evolve(example)[0].sum(axis=0))
    return np.array(rows)


def configuration():
    """The configuration of samna, checked by it."""
    arrays = specification()
    if "bias" in arrays:
        arrays["bias_hidden"] = arrays.pop("bias")
    config, is_valid, why = module("xylo_samna").config_from_specification(**arrays)
    if not is_valid:
        raise ValueError(why)
    return config


def module(name):
    """A module of this chip; also without samna, which the packages above it import."""
    try:
        return import_module(f"{CHIP}.{name}")
    except ImportError:
        root = Path(rockpool.__file__).parents[1]
        parts = CHIP.split(".")
        names = [".".join(parts[:count]) for count in range(2, 5)] + ["rockpool.devices.xylo.syns61300"]
        for package in names:
            stub = types.ModuleType(package)
            stub.__path__ = [str(root.joinpath(*package.split(".")))]
            sys.modules[package] = stub
        return import_module(f"{CHIP}.{name}")


if __name__ == "__main__":
    module("xylo_samna").save_config(configuration(), str(HERE / "config.json"))
'''
_OVERFLOW: Final = (
    "a membrane with a shift of 0 that reaches -32768 overflows in XyloSim; use shifts of 1 or more"
)


def write(network: XyloParameters, folder: Path, context: ExportContext) -> Written:
    """Write `specification.npz` and `xylo_network.py`."""
    arrays: dict[str, Any] = network.arrays()
    # Rockpool takes its weights to the readout from every hidden neuron.
    rows = np.zeros((network.threshold.size, network.weights_out.shape[1]), np.int64)
    rows[len(rows) - len(network.weights_out) :] = network.weights_out
    np.savez_compressed(folder / ARRAYS_FILE, **{**arrays, "weights_out": rows})
    (folder / SCRIPT_FILE).write_text(_SCRIPT)
    shifts = {"hidden neurons": network.dash_mem, "readouts": network.dash_mem_out}
    sizes = f"{network.weights_in.shape[0]} inputs, {network.threshold.size} hidden neurons,"
    return Written(
        inexact={name: _OVERFLOW for name, shift in shifts.items() if not shift.all()},
        notes=(
            f"{sizes} {network.threshold_out.size} readouts; inputs are whole events of each step; the class is the"
            " readout with the most events",
        ),
    )
