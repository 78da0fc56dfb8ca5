"""One layer of a description: its class must be in the table, its fields known, their values plain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from costmodel.descriptions.calls import MAX_NAME
from costmodel.descriptions.fields import COMMON, field_names, kind_of
from costmodel.descriptions.kinds import Walk, plain
from costmodel.descriptions.place import Place, described, shown
from costmodel.layer_classes import INPUT, LAYER_CLASSES

#: What TensorFlow takes as the name of a scope, without the characters that part names ("/") or that graphs refuse.
NAME: Final = re.compile(r"[A-Za-z0-9_.>-]{1,256}")
_NAMES: Final = f"1 to {MAX_NAME} letters (A-Z, a-z), digits, '_', '-', '.' and '>'"
#: Fields that Keras writes itself, and building a network does not need.
_DROPPED: Final = frozenset({"build_config", "shared_object_id"})
_ENTRY: Final = frozenset({"module", "class_name", "config", "registered_name", "name", "inbound_nodes"})

#: Why some common classes are refused.
REASONS: Final[Mapping[str, str]] = {
    "Lambda": "holds Python code, which is never run here: write its formula with operators or `keras.ops` on the"
    " tensor itself (`x * 0.5`, `x[:, 1:]`, `ops.relu(x)`), which are read as layers",
    "TFSMLayer": "loads a SavedModel, and with it code",
    **dict.fromkeys(("TorchModuleWrapper", "FlaxLayer", "JaxLayer"), "holds a pickle, and with it code"),
    **dict.fromkeys(
        ("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization"),
        "reads files that the model names",
    ),
    **dict.fromkeys(
        ("Discretization", "CategoryEncoding", "Hashing", "HashedCrossing"),
        "makes numbers of categories: do that to the data before they are uploaded",
    ),
    "RandomCrop": "changes the size of images: give the model the size it crops to, and augment with RandomTranslation",
    **dict.fromkeys(
        ("MixUp", "CutMix", "RandAugment", "AugMix"),
        "changes examples together with their targets or by rules of its own: leave it out of the model",
    ),
    **dict.fromkeys(
        ("Attention", "AdditiveAttention", "GroupQueryAttention"),
        "has no price: use MultiHeadAttention, or Dot, Softmax and Dot",
    ),
    "EinsumDense": "has no price: use Dense, which works along the last axis",
    **dict.fromkeys(
        ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "RNN", "StackedRNNCells"),
        "has no price: use SimpleRNN, LSTM or GRU",
    ),
    "SpectralNormalization": "divides weights while it trains: use a kernel_constraint",
    **dict.fromkeys(
        tuple(f"Adaptive{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2, 3)),
        "has windows of different sizes: use a pooling layer with a pool_size",
    ),
}


def check_keys(item: Mapping[str, Any], allowed: frozenset[str], place: Place) -> None:
    """Refuse a field that is not `allowed`."""
    for key in item:
        if key not in allowed:
            raise place.fault(f"has a field called {shown(key)}, which Keras does not write there")


def clean_layer(item: Any, place: Place, walk: Walk, inside: frozenset[str] | None = None) -> dict[str, Any]:
    """A layer of one of the classes `inside`, rebuilt."""
    if not isinstance(item, Mapping) or not isinstance(item.get("config"), Mapping):
        raise place.fault("must be an object with a config")
    name = item["config"].get("name")
    place = Place(place.path, name if isinstance(name, str) else "")
    class_name, row_name, is_own = _class(item, place, walk, inside)
    check_keys(item, _ENTRY | _DROPPED, place)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise place.at("config", "name").fault(
            f"is {described(name)}; a name has {_NAMES}: give the layer another name (name=...)"
        )
    if item.get("name", name) != name:
        raise place.at("name").fault(f"is not the name in the layer's config, {name!r}")
    config = _config(row_name, item["config"], place, walk, is_own=is_own)
    registered = item.get("registered_name") if is_own else None
    module = item.get("module") if registered else "keras.layers"
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered}


def _class(
    item: Mapping[str, Any], place: Place, walk: Walk, inside: frozenset[str] | None
) -> tuple[str, str, bool]:
    """Class of a layer, the class in the table that it stands for, and whether it is none of Keras'."""
    class_name, registered, module = item.get("class_name"), item.get("registered_name"), item.get("module")
    own = walk.own.get(registered) if isinstance(registered, str) and inside is None else None
    if own is not None and isinstance(class_name, str) and registered == f"fewbits>{class_name}":
        if module is not None and not str(module).startswith("quantization.layers."):
            raise place.at("module").fault(f"is {described(module)}; allowed: quantization.layers")
        return class_name, own, True
    allowed = walk.classes if inside is None else inside
    if not isinstance(class_name, str) or class_name not in allowed:
        raise place.at("class_name").fault(_refusal(class_name, allowed))
    if module is not None and module != "keras.layers":
        raise place.at("module").fault(f"is {described(module)}; allowed: keras.layers")
    if registered is not None and registered != class_name:
        raise place.at("registered_name").fault(f"is {described(registered)}: custom objects are not built")
    return class_name, class_name, False


def _refusal(class_name: Any, allowed: frozenset[str]) -> str:
    reason = REASONS.get(class_name) if isinstance(class_name, str) else None
    if isinstance(class_name, str) and class_name.startswith("Quantized"):
        reason = "is quantized already: a search starts from the float model"
    return (
        f"{shown(class_name)} {reason or 'is not a supported layer'}; allowed: {', '.join(sorted(allowed))}"
    )


def _config(
    class_name: str, values: Mapping[str, Any], place: Place, walk: Walk, *, is_own: bool = False
) -> dict[str, Any]:
    """The configuration of a layer, rebuilt field by field; what only our own classes have must be plain."""
    fields = field_names(class_name)
    is_ours = is_own or not LAYER_CLASSES[class_name].keras
    inner = frozenset(LAYER_CLASSES[class_name].inner)
    cleaned: dict[str, Any] = {}
    for key, value in values.items():
        inside = place.at("config", key if len(key) <= 64 else key[:64])
        kind = kind_of(class_name, key)
        if key == "name":
            cleaned[key] = value
        elif inner and key in ("layer", "backward_layer"):
            cleaned[key] = None if value is None else clean_layer(value, inside, walk, inner)
        elif is_ours and key not in (*fields, *COMMON.split()):
            cleaned[key] = plain(value, inside, walk)
        elif kind is None or (key not in fields and key not in COMMON.split()):
            names = ", ".join(sorted({*fields, *COMMON.split()}))
            raise place.at("config").fault(f"{class_name} has no field called {shown(key)}; it has: {names}")
        else:
            cleaned[key] = kind(value, inside, walk)
    if inner:
        _check_directions(cleaned, place)
    missing = [name for name, is_needed in fields.items() if is_needed and name not in values]
    if missing:
        raise place.at("config", missing[0]).fault(f"{class_name} needs {missing[0]!r}")
    if class_name == INPUT and isinstance(cleaned.get("batch_shape"), list):
        cleaned["batch_shape"][0] = None  # how many examples a batch has is the training's to say
    return cleaned


def _check_directions(wrapper: Mapping[str, Any], place: Place) -> None:
    """The layers of both directions have one set of quantizers, so they must have the same functions."""
    layers = [wrapper.get(name) for name in ("layer", "backward_layer")]
    if layers[1] is None:
        return
    kinds = [
        (
            layer["class_name"],
            layer["config"].get("activation", "tanh"),
            layer["config"].get("recurrent_activation", "sigmoid"),
        )
        for layer in layers
        if layer is not None
    ]
    if len(set(kinds)) > 1:
        raise place.at("config", "backward_layer").fault(
            "must be of the class and with the functions of `layer`"
        )
