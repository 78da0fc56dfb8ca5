"""Runs a network that `fewbits export --to integers` wrote: `network.json` and `arrays.npz`. Needs numpy alone.

Every tensor is integers; its value is code * 2**exponent. From the codes of the input to those of the logits there is
no float. On the command line: `python engine.py FOLDER INPUTS.npy` prints the class of every example.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def _half_even(x: Any, places: Any) -> Any:
    """x / 2**places, rounded half to even."""
    floor = x >> places
    rest = x - (floor << places)
    half = np.where(np.asarray(places) > 0, np.int64(1) << np.maximum(np.asarray(places) - 1, 0), 1 << 62)
    return floor + ((rest > half) | ((rest == half) & (floor & 1 == 1)))


def _windows(n: Any, x: Any, fill: int = 0) -> Any:
    """The windows of a convolution or pooling: (batch, places..., window, channels); all places without a window."""
    if "window" not in n:
        return x.reshape(len(x), -1, x.shape[-1])
    axes = tuple(range(1, x.ndim - 1))
    x = np.pad(x, [(0, 0), *map(tuple, n["pads"]), (0, 0)], constant_values=fill)
    reach = tuple((size - 1) * rate + 1 for size, rate in zip(n["window"], n["dilation"], strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=axes)
    places, inside = ([slice(None, None, step) for step in n[name]] for name in ("strides", "dilation"))
    view = np.moveaxis(view[(slice(None), *places, slice(None), *inside)], len(axes) + 1, -1)
    return view.reshape(*view.shape[: len(axes) + 1], -1, x.shape[-1])


def _product(n: Any, a: Any, x: Any) -> Any:
    if "window" in n:
        x = _windows(n, x)
        x = x.reshape(*x.shape[:-2], -1)
    return ((x @ a["kernel"]) << a["shift"]) + a["bias"]


def _depthwise(n: Any, a: Any, x: Any) -> Any:
    sums = np.einsum("...kc,kcm->...cm", _windows(n, x), a["kernel"])
    return (sums.reshape(*sums.shape[:-2], -1) << a["shift"]) + a["bias"]


def _steps(n: Any, a: Any, x: Any) -> Any:
    if len(a["thresholds"]) == 1:
        return a["levels"][np.searchsorted(a["thresholds"][0], x, side="right")]
    rows = [np.searchsorted(row, x[..., i], side="right") for i, row in enumerate(a["thresholds"])]
    return a["levels"][np.stack(rows, axis=-1)]


def _bent(n: Any, a: Any, x: Any) -> Any:
    above = np.where(x > a["border"], x, 0)
    above = np.clip(above, 0, a["top"]) if "top" in a else above
    below = np.maximum(a["border"] - x, 0) * n["slope"]
    return (above << n["shift_above"]) + (below << n["shift_below"])


def _repeat(n: Any, a: Any, x: Any) -> Any:
    for axis, times in enumerate(n["times"], start=1):
        x = np.repeat(x, times, axis=axis)
    return x


def _crop(n: Any, a: Any, x: Any) -> Any:
    rest = [slice(low, size - high) for (low, high), size in zip(n["cuts"], x.shape[1:], strict=False)]
    return x[(slice(None), *rest)]


#: Operation -> what it makes of its numbers, its arrays and its inputs.
OPERATIONS: Mapping[str, Any] = {
    "product": _product,
    "depthwise": _depthwise,
    "affine": lambda n, a, x: ((x * a["factor"]) << a["shift"]) + a["offset"],
    "round": lambda n, a, x: (
        np.clip(_half_even(x << a["left"], a["right"]), n["low"], n["high"]) * n["scale"]
    ),
    "steps": _steps,
    "bent": _bent,
    "shift": lambda n, a, x: x << a["left"],
    "max_pool": lambda n, a, x: _windows(n, x, -(1 << 62)).max(axis=-2),
    "sum_pool": lambda n, a, x: _windows(n, x).sum(axis=-2),
    "add": lambda n, a, *xs: sum(xs[1:], xs[0]),
    "subtract": lambda n, a, x, y: x - y,
    "multiply": lambda n, a, x, y: x * y,
    "maximum": lambda n, a, *xs: np.maximum.reduce(np.broadcast_arrays(*xs)),
    "minimum": lambda n, a, *xs: np.minimum.reduce(np.broadcast_arrays(*xs)),
    "concatenate": lambda n, a, *xs: np.concatenate(xs, axis=n["axis"]),
    "reshape": lambda n, a, x: x.reshape(len(x), *n["shape"]),
    "transpose": lambda n, a, x: np.transpose(x, (0, *n["dims"])),
    "pad": lambda n, a, x: np.pad(x, [(0, 0), *map(tuple, n["pads"]), (0, 0)]),
    "crop": _crop,
    "repeat": _repeat,
    "tile": lambda n, a, x: np.repeat(x[:, None], n["times"], axis=1),
}


def encode(source: Any, inputs: Any) -> Any:
    """Inputs as the network reads them (preprocessed, float32) as codes: the only place with floats."""
    x = np.asarray(inputs, np.float32)
    if "thresholds" in source:
        index = np.searchsorted(np.asarray(source["thresholds"], np.float32), x, side="right")
        return np.asarray(source["levels"], np.int64)[index]
    codes = np.rint(np.ldexp(x.astype(np.float64), -source["step"]))
    return np.clip(codes, source["low"], source["high"]).astype(np.int64) * source["scale"]


def logits(folder: Any, inputs: Any) -> Any:
    """The values of the output for every example."""
    network = json.loads((Path(folder) / "network.json").read_text())
    stored = np.load(Path(folder) / "arrays.npz")
    tensors = {network["input"]["name"]: encode(network["input"]["encoding"], inputs)}
    for step in network["steps"]:
        arrays = {name: stored[key].astype(np.int64) for name, key in step["arrays"].items()}
        sources = [tensors[name] for name in step["inputs"]]
        tensors[step["output"]] = OPERATIONS[step["op"]](step["numbers"], arrays, *sources)
    return np.ldexp(tensors[network["result"]].astype(np.float64), network["result_exponent"])


if __name__ == "__main__":
    print(logits(sys.argv[1], np.load(sys.argv[2])).argmax(axis=-1).tolist())
