"""Objects that a layer may hold: initializers, regularizers and constraints of Keras, with plain settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from costmodel.descriptions.kinds import Kind, Walk, count, either, number, optional, plain, some, word
from costmodel.descriptions.place import Place, described, shown

_SEEDED: Final = "seed input_axes output_axes"
#: Class of an initializer -> its fields.
INITIALIZERS: Final[Mapping[str, str]] = {
    "Constant": "value!",
    "Identity": "gain",
    "IdentityInitializer": "gain",
    "Ones": "",
    "Zeros": "",
    "Orthogonal": "gain seed",
    "OrthogonalInitializer": "gain seed",
    "RandomNormal": "mean stddev seed",
    "RandomUniform": "minval maxval seed",
    "TruncatedNormal": "mean stddev seed",
    "VarianceScaling": f"scale mode distribution {_SEEDED}",
    **dict.fromkeys(
        ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"), _SEEDED
    ),
}
REGULARIZERS: Final[Mapping[str, str]] = {
    "L1": "l1",
    "L2": "l2",
    "L1L2": "l1 l2",
    "OrthogonalRegularizer": "factor mode",
}
CONSTRAINTS: Final[Mapping[str, str]] = {
    "MaxNorm": "max_value axis",
    "MinMaxNorm": "min_value max_value rate axis",
    "NonNeg": "",
    "UnitNorm": "axis",
}

_INITIALIZER_NAMES: Final = (
    *("constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity"),
    *("lecun_normal", "lecun_uniform", "normal", "one", "ones", "orthogonal", "random_normal"),
    *("random_uniform", "truncated_normal", "uniform", "variance_scaling", "zero", "zeros"),
)
_REGULARIZER_NAMES: Final = ("l1", "l2", "orthogonal_regularizer")
_CONSTRAINT_NAMES: Final = ("max_norm", "min_max_norm", "non_neg", "unit_norm")
#: Class or name of an object -> the numbers of axes of the tensors it can be used for.
_RANKS: Final[Mapping[str, tuple[int, ...]]] = {
    **dict.fromkeys(("Identity", "IdentityInitializer", "identity"), (2,)),
    **dict.fromkeys(("Orthogonal", "OrthogonalInitializer", "orthogonal"), (2, 3, 4, 5)),
    **dict.fromkeys(("OrthogonalRegularizer", "orthogonal_regularizer"), (2,)),
}
_FIELDS: Final[Mapping[str, Kind]] = {
    "seed": optional(count(0, 2**63 - 1)),
    "mode": word("fan_in", "fan_out", "fan_avg"),
    "distribution": word("normal", "truncated_normal", "untruncated_normal", "uniform"),
    **dict.fromkeys(("value", "gain", "mean", "minval", "maxval"), number()),
    **dict.fromkeys(("stddev", "l1", "l2", "factor", "max_value", "min_value"), number(0)),
    "scale": number(0, above=True),
    "rate": number(0, 1),
}
_AXIS_FIELDS: Final = ("axis", "input_axes", "output_axes")
_ORTHOGONAL_MODE: Final = word("rows", "columns")
#: Our own initializer, which stands in models that were quantized here: class and registered name.
_RANGE_INITIALIZER: Final = ("RangeInitializer", "fewbits>RangeInitializer")


@cache
def regularizer(rank: int | None = None) -> Kind:
    """One of Keras' regularizers, or null; `rank`: axes of the tensor it is for, None for an output."""
    return optional(_serialized("regularizer", REGULARIZERS, _REGULARIZER_NAMES, rank))


@cache
def constraint(rank: int) -> Kind:
    """One of Keras' constraints, or null, of a tensor with this number of axes."""
    return optional(_serialized("constraint", CONSTRAINTS, _CONSTRAINT_NAMES, rank))


@cache
def initializer(rank: int) -> Kind:
    """One of Keras' initializers, or our own for quantized weights, of a tensor with this number of axes."""
    of_keras = _serialized("initializer", INITIALIZERS, _INITIALIZER_NAMES, rank)

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        if not isinstance(value, Mapping) or value.get("registered_name") != _RANGE_INITIALIZER[1]:
            return of_keras(value, place, walk)
        body = value.get("config")
        is_ours = value.get("class_name") == _RANGE_INITIALIZER[0] and isinstance(body, Mapping)
        if not is_ours or not isinstance(body, Mapping) or set(body) != {"initializer", "quantizer"}:
            raise place.fault("is no RangeInitializer as it is saved")
        return {
            "module": "quantization.layers.initializers",
            "class_name": _RANGE_INITIALIZER[0],
            "config": {
                "initializer": of_keras(body["initializer"], place.at("config", "initializer"), walk),
                "quantizer": plain(body["quantizer"], place.at("config", "quantizer"), walk),
            },
            "registered_name": _RANGE_INITIALIZER[1],
        }

    return clean


def _serialized(noun: str, classes: Mapping[str, str], names: tuple[str, ...], rank: int | None) -> Kind:
    """An object of one of Keras' classes, or the name of one."""
    module = f"keras.{noun}s"

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        if isinstance(value, str):
            if value not in names and value not in classes:
                raise place.fault(f"is {shown(value)}, which is no {noun}; allowed: {', '.join(classes)}")
            _check_rank(value, rank, place)
            return value
        if not isinstance(value, Mapping):
            raise place.fault(f"must be a {noun}, is {described(value)}")
        class_name = value.get("class_name")
        if not isinstance(class_name, str) or class_name not in classes:
            raise place.fault(f"{shown(class_name)} is no {noun}; allowed: {', '.join(classes)}")
        if value.get("module") != module:
            raise place.at("module").fault(f"is {described(value.get('module'))}; allowed: {module}")
        _check_registered(value, place)
        _check_rank(class_name, rank, place)
        config = _config(class_name, value.get("config"), classes[class_name], rank, place.at("config"), walk)
        return {"module": module, "class_name": class_name, "config": config, "registered_name": None}

    return clean


def _check_rank(name: str, rank: int | None, place: Place) -> None:
    allowed = _RANKS.get(name)
    if allowed is not None and rank not in allowed:
        what = "an output" if rank is None else "a vector" if rank == 1 else f"a tensor of {rank} axes"
        raise place.fault(f"{name} is for matrices, and this is {what}")


def _check_registered(value: Mapping[str, Any], place: Place) -> None:
    """Keras looks a registered name up: none but the class's is allowed."""
    registered = value.get("registered_name")
    if registered is not None and registered != value.get("class_name"):
        raise place.at("registered_name").fault(f"is {described(registered)}: custom objects are not built")
    for key in value:
        if key not in ("module", "class_name", "config", "registered_name", "shared_object_id"):
            raise place.fault(f"has a field called {shown(key)}, which Keras does not write there")


def _config(
    class_name: str, config: Any, text: str, rank: int | None, place: Place, walk: Walk
) -> dict[str, Any]:
    if not isinstance(config, Mapping):
        raise place.fault("must be an object")
    fields = {name.rstrip("!"): name.endswith("!") for name in text.split()}
    cleaned = {}
    for key, value in config.items():
        if key not in fields:
            raise place.fault(
                f"{class_name} has no field {shown(key)}; it has: {', '.join(fields) or 'none'}"
            )
        kind = _axes(rank or 1) if key in _AXIS_FIELDS else _FIELDS[key]
        if class_name == "OrthogonalRegularizer" and key == "mode":
            kind = _ORTHOGONAL_MODE
        cleaned[key] = kind(value, place.at(key), walk)
    missing = [name for name, is_needed in fields.items() if is_needed and name not in config]
    if missing:
        raise place.at(missing[0]).fault(f"{class_name} needs {missing[0]!r}")
    return cleaned


def _axes(rank: int) -> Kind:
    """One axis or several, of a tensor with this number of them."""
    return optional(either(count(-rank, rank - 1), some(count(-rank, rank - 1))))
