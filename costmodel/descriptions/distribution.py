"""TimeDistributed: a layer applied to every step, as the layer that does the same to all steps at once.

A layer that treats positions alike needs no more than its name; one that moves a window gets a window of one step; one
that gives another shape keeps the axis of the steps. The weights are the same, but for an axis of length 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from costmodel.descriptions.calls import is_tensor
from costmodel.descriptions.kinds import plain_items
from costmodel.descriptions.place import Place, shown
from costmodel.windows import spatial_rank

#: (class, configuration) of one of the layers that stand for it, the first first.
Layers: TypeAlias = list[tuple[str, dict[str, Any]]]

#: Classes that treat every position alike, whatever the axes before the last.
_POINTWISE: Final = (
    *("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "GaussianDropout"),
    *("Rescaling", "Identity", "ActivityRegularization", "Embedding"),
)
#: Classes that treat every position alike if they work along the last axis.
_ALONG_LAST: Final = ("Softmax", "LayerNormalization", "RMSNormalization", "UnitNormalization")
_NORMALIZATION: Final = "BatchNormalization"
#: Fields of a window: what stands for the axis of the steps.
_WINDOW: Final[Mapping[str, int]] = {
    "kernel_size": 1,
    "strides": 1,
    "dilation_rate": 1,
    "pool_size": 1,
    "size": 1,
}
#: Classes that move a window over one or two axes, and exist with one axis more: (class, axes).
_ONE_MORE: Final = frozenset(
    {(name, axes) for name in ("Conv", "MaxPooling", "AveragePooling", "UpSampling") for axes in (1, 2)}
    | {("SeparableConv", 1), ("DepthwiseConv", 1)}
)
#: Classes that may stand under TimeDistributed.
REPLACED: Final = tuple(
    sorted(
        {
            *(*_POINTWISE, *_ALONG_LAST, _NORMALIZATION, "Flatten", "Reshape"),
            *(f"{name}{axes}D" for name, axes in _ONE_MORE),
            *(
                f"{name}{axes}D"
                for name in ("GlobalMaxPooling", "GlobalAveragePooling", "ZeroPadding", "Cropping")
                for axes in (1, 2)
            ),
        }
    )
)
_REMEDY: Final = (
    "apply it to the whole sequence, or put a layer in its place that takes the axis of the steps"
)


def distributed(item: Mapping[str, Any], place: Place) -> list[dict[str, Any]]:
    """The layers that a TimeDistributed stands for; the last one has its name. Raises `InvalidDescription`.

    They are not checked here: the walk does so, as if the user had written them.
    """
    body = item["config"]
    inner = body.get("layer")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("config"), Mapping):
        raise place.at("config", "layer").fault("must be a layer")
    inside = place.at("config", "layer")
    class_name = inner.get("class_name")
    if not isinstance(class_name, str) or inner.get("registered_name") not in (None, class_name):
        raise inside.fault("is no layer of Keras")
    if inner.get("module") not in (None, "keras.layers"):
        raise inside.at("module").fault("allowed: keras.layers")
    config = {key: value for key, value in inner["config"].items() if key != "name"}
    if body.get("trainable") is False:
        config["trainable"] = False
    layers = _layers(class_name, config, _lengths(item), inside)
    name = str(body["name"])
    names = [*(f"{name}_{index}" for index in range(1, len(layers))), name]
    return [
        {"module": "keras.layers", "class_name": cls, "config": {**values, "name": new}, "name": new}
        for (cls, values), new in zip(layers, names, strict=True)
    ]


def _layers(class_name: str, config: dict[str, Any], lengths: Sequence[Any], place: Place) -> Layers:
    if class_name in _POINTWISE:
        return [(class_name, config)]
    if class_name in (*_ALONG_LAST, _NORMALIZATION):
        rank = len(lengths) - 1  # of what the inner layer reads, the batch among it
        axis = config.get("axis", -1)
        axes = plain_items(axis) if isinstance(axis, list | tuple | Mapping) else [axis]
        if axes and all(item in (-1, rank - 1) for item in axes):
            return [(class_name, {**config, "axis": -1 if class_name == _NORMALIZATION else [-1]})]
        raise place.at("config", "axis").fault("must be the last axis under TimeDistributed")
    if class_name in ("Flatten", "Reshape"):
        return [("Reshape", {**_plain(config), "target_shape": _target(class_name, config, lengths, place)})]
    spatial = spatial_rank(class_name)
    base = class_name.removesuffix(f"{spatial}D") if spatial else class_name
    if (base, spatial) in _ONE_MORE:
        return [(f"{base}{spatial + 1}D", _one_more(config, spatial, place))]
    if base in ("GlobalMaxPooling", "GlobalAveragePooling") and spatial in (1, 2):
        return _pooled(base.removeprefix("Global"), config, lengths, place)
    if base in ("ZeroPadding", "Cropping") and spatial in (1, 2):
        name = "padding" if base == "ZeroPadding" else "cropping"
        return [(f"{base}{spatial + 1}D", {**config, name: _margins(config.get(name, 1), spatial)})]
    raise place.at("class_name").fault(f"{shown(class_name)} cannot stand under TimeDistributed: {_REMEDY}")


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in ("trainable", "dtype") if key in config}


def _lengths(item: Mapping[str, Any]) -> list[Any]:
    """The shape of what it reads, the batch first, as Keras states it; empty where it does not."""
    built = item.get("build_config")
    shape = plain_items(built.get("input_shape")) if isinstance(built, Mapping) else None
    if shape:
        return shape
    nodes = item.get("inbound_nodes")
    for node in nodes if isinstance(nodes, list) else ():
        for value in (node.get("args") if isinstance(node, Mapping) else None) or ():
            if is_tensor(value) and isinstance(value.get("config"), Mapping):
                return plain_items(value["config"].get("shape")) or []
    return []


def _sizes(lengths: Sequence[Any], place: Place, least: int) -> list[int]:
    sizes = [size for size in lengths[1:] if isinstance(size, int) and 0 < size < 2**31]
    if len(sizes) != len(lengths) - 1 or len(sizes) < least:
        raise place.fault(f"needs a sequence of fixed length under TimeDistributed: {_REMEDY}")
    return sizes


def _target(class_name: str, config: Mapping[str, Any], lengths: Sequence[Any], place: Place) -> list[int]:
    steps, *rest = _sizes(lengths, place, 1)
    if class_name == "Reshape":
        target = plain_items(config.get("target_shape"))
        if target is None:
            raise place.at("config", "target_shape").fault("must be a list of lengths")
        return [steps, *target]
    count = 1
    for size in rest:
        count *= size
    return [steps, count]


def _one_more(config: dict[str, Any], axes: int, place: Place) -> dict[str, Any]:
    """The fields of a window with one step more in front."""
    if config.get("padding") == "causal":
        raise place.at("config", "padding").fault("causal cannot stand under TimeDistributed: pad before it")
    for key, value in config.items():
        if key.endswith("_constraint") and value is not None:
            raise place.at("config", key).fault(f"cannot stand under TimeDistributed: {_REMEDY}")
    wider = {
        key: [first, *_per_axis(config[key], axes)]
        for key, first in _WINDOW.items()
        if config.get(key) is not None
    }
    wider |= {"pool_size": [1] + [2] * axes} if "pool_size" in config and config["pool_size"] is None else {}
    return {key: value for key, value in config.items() if not key.startswith("lora_")} | wider


def _per_axis(value: Any, axes: int) -> list[Any]:
    items = plain_items(value)
    return [value] * axes if items is None else items


def _pooled(base: str, config: Mapping[str, Any], lengths: Sequence[Any], place: Place) -> Layers:
    """Pooling over all positions of each step: a window of them all, and its axes taken out."""
    steps, *window, channels = _sizes(lengths, place, 3)
    ones = [1] * len(window) if config.get("keepdims") is True else []
    return [
        (f"{base}{len(window) + 1}D", {**_plain(config), "pool_size": [1, *window]}),
        ("Reshape", {**_plain(config), "target_shape": [steps, *ones, channels]}),
    ]


def _margins(value: Any, axes: int) -> list[Any]:
    """Margins of every axis, none of the steps."""
    items = plain_items(value)
    if items is None:
        items = [value] * axes
    elif axes == 1:
        items = [items] if len(items) == 2 else items
    return [[0, 0], *([item, item] if isinstance(item, int) else item for item in items)]
