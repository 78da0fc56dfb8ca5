"""Runs in an environment of Rockpool: whether its mapper takes networks, one JSON line each, of a list on stdin.

A Dense layer becomes linear weights, a relu a population of LIF neurons; the last layer with weights always has one.
A relu before the first weights is how events are counted, no part of the chip.
The mapper is that of Xylo Audio 2 (SYNS61201). Its design rules warn of too many inputs and outputs: that counts as
refused. What samna checks (the fan-out of a neuron) is not part of it.
"""

from __future__ import annotations

import json
import math
import sys
import types
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import rockpool
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIF, Linear

#: Packages whose own import needs samna, the driver of the chips; the mapper below them does not.
for package in ("rockpool.devices", "rockpool.devices.xylo", "rockpool.devices.xylo.syns61201"):
    module = types.ModuleType(package)
    module.__path__ = [str(Path(rockpool.__file__).parents[1].joinpath(*package.split(".")))]
    sys.modules[package] = module
xylo_mapper = import_module("rockpool.devices.xylo.syns61201.xylo_mapper")

_IGNORED = {"Dropout", "Flatten", "Reshape"}


def built(net: dict[str, Any]) -> Any:
    """The network of Rockpool's modules."""
    modules, width = [], math.prod(net["shape"])
    for class_name, _, _, config in net["layers"]:
        if class_name == "Dense":
            modules.append(Linear((width, config["units"]), has_bias=False))
            width = config["units"]
        if config.get("activation") == "relu":
            modules += [LIF(width, dt=1e-3)] if modules else []
        elif class_name not in _IGNORED | {"Dense"} and config.get("activation") != "softmax":
            raise ValueError(f"{class_name} is no module of Rockpool")
    if isinstance(modules[-1], Linear):
        modules.append(LIF(width, dt=1e-3))
    return Sequential(*modules)


def verdict(net: dict[str, Any]) -> dict[str, Any]:
    """Whether the network is mapped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", xylo_mapper.DRCWarning)
            xylo_mapper.mapper(built(net).as_graph())
    except Exception as error:
        return {"verdict": "refused", "why": " ".join(f"{type(error).__name__}: {error}".split())[:160]}
    return {"verdict": "converted"}


def main() -> None:
    """A line for every network, the versions first."""
    print(json.dumps({"rockpool": rockpool.__version__}), flush=True)
    for net in json.load(sys.stdin):
        print(json.dumps({"name": net["name"], **verdict(net)}), flush=True)


if __name__ == "__main__":
    main()
