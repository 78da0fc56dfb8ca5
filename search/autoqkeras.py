"""Converts an AutoQKeras run_config to a job, and lists the quirks it meets there. Plain; evaluates nothing.

A run_config is the dictionary of keyword arguments that its users pass to `AutoQKeras` or `AutoQKerasScheduler`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from quantization.specs.parse import QuantizerError, parse_quantizer
from search.errors import InvalidSpec, Problem
from search.scoring.forgiving_factor import QKERAS_PROFILE
from search.spec.quantizers import NOTEBOOK_SPACE

#: Layer classes that AutoQKeras knows by name; every other key of `limit` is a pattern.
CLASSES: Final = frozenset(
    {
        "Activation", "BatchNormalization", "Bidirectional", "Conv1D", "Conv2D", "Conv2DTranspose", "Dense",
        "DepthwiseConv2D", "GRU", "LSTM", "SeparableConv1D", "SeparableConv2D", "SimpleRNN",
    }
)  # fmt: skip

#: The first entries of a list of limits; a further entry, the last one, is the activation.
_SLOTS: Final = ("kernel", "bias")

_FIELDS: Final = ("kernel", "bias", "activation", "linear")

#: Arguments that are not converted, and why.
DROPPED: Final = {
    "output_dir": "results are stored in the database",
    "overwrite": "a job never overwrites another",
    "distribution_strategy": "every trial runs on one worker; more workers run more trials at once",
    "custom_objects": "models are built from known layers only",
    "custom_tuner": "the oracle is one of those of fewbits",
    "metrics": "the metric is accuracy on the validation data",
    "score_metric": "the score is computed from metric and cost",
    "extend_model_metrics": "the score is never part of the training",
    "frozen_layers": "the original copies weights only, and only with learning_rate_optimizer",
    "debug": "use `fewbits validate`",
    "directory": "results are stored in the database",
    "project_name": "results are stored in the database",
    "executions_per_trial": "every trial is trained once",
}


@dataclass(frozen=True)
class Imported:
    """A job, ready for YAML (its `model` is the caller's), and the quirks that its author should know."""

    job: dict[str, Any]
    quirks: tuple[str, ...]


def import_run_config(
    config: Mapping[str, Any], model: Any, data: Any = None, *, first_layer: int = 0
) -> Imported:
    """The job equivalent to the run_config, on `model` and `data`. Raises InvalidSpec if it cannot be read.

    Energies are those of QKeras (profile `horowitz-qkeras`); patterns become patterns for whole names. `first_layer`:
    the index that the first of `model.layers` has here: 1 for a Sequential model, whose input Keras does not list.
    """
    quirks = [
        f"{name}: left out: {DROPPED.get(name, 'an unknown argument')}"
        for name in config
        if name not in _READERS
    ]
    job: dict[str, Any] = {"model": model, "inputs": "priced", "normalization": "float"}
    if data is not None:
        job["data"] = data
    for name, read in _READERS.items():
        if name in config:
            read(config[name], job, quirks)
    if first_layer and "layers" in job:
        job["layers"]["indexes"] = [index + first_layer for index in job["layers"]["indexes"]]
        quirks.append(f"layer_indexes: Keras does not count the input of this model; raised by {first_layer}")
    job["quantizers"] = {**_NOTEBOOK, **job.get("quantizers", {}), "selection": "autoqkeras"}
    if "limits" not in job:
        raise _fault("/limit", "missing: without limits AutoQKeras quantizes nothing")
    quirks += _ALWAYS
    return Imported(job, tuple(quirks))


#: Quirks of every run of AutoQKeras.
_ALWAYS: Final = (
    "the best model: AutoQKeras rebuilds it untrained; here the trained model can be downloaded",
    "activations inside layers: AutoQKeras samples them, then uses quantized_relu(4); here the sampled one is used",
    "functions: AutoQKeras replaces tanh, sigmoid and every other function by the quantizer that it samples;"
    " quantizers.selection: autoqkeras does so here, by_function does not",
    "test data: the notebook selects by them; here they are used exactly once, for the final report",
)


# --- one reader an argument ----------------------------------------------------------------------------------------


def _read_mode(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if value not in ("random", "bayesian", "hyperband"):
        raise _fault("/mode", f"{value!r} is not one of random, bayesian, hyperband")
    job["oracle"] = {"kind": value}
    if value == "bayesian":
        quirks.append(
            "mode: keras-tuner's bayesian search starts with 3 random trials per choice; here with at most 10 in all"
        )


def _read_trials(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _fault("/max_trials", f"{value!r} is not a whole number of at least 1")
    job["budget"] = {"trials": value}


def _read_seed(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    job["seed"] = value
    if value == 0:
        quirks.append("seed: keras-tuner replaces 0 by a random seed; here 0 is a seed like any other")


def _read_goal(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if not isinstance(value, Mapping) or value.get("type") not in ("energy", "bits"):
        raise _fault("/goal", 'must be {"type": "energy" or "bits", "params": {...}}')
    params = dict(value.get("params") or {})
    if value["type"] == "bits":
        goal = {"kind": "bits", "accounting": "qtools", "unquantized": "reference"}
        job["goal"] = goal | _accepted(params, _BITS_PARAMS, quirks)
        return
    goal = {"kind": "energy", "profile": QKERAS_PROFILE, **_ENERGY_DEFAULTS}
    process = params.pop("process", "horowitz")
    if process != "horowitz":
        quirks.append(
            f"goal.process {process!r}: unknown to QTools, which silently falls back to its built-in figures"
        )
    if params.get("stress", 1) != 1:
        quirks.append(
            "goal.stress: QKeras reads it for energy and never applies it; so does its profile here"
        )
    if params.pop("trained_model", False):
        quirks.append("goal.params.trained_model: left out; trials are priced before they are trained")
    job["goal"] = goal | _accepted(params, _ENERGY_PARAMS, quirks)


_COMMON_PARAMS: Final = ("delta_p", "delta_n", "rate", "stress")
_BITS_PARAMS: Final = (*_COMMON_PARAMS, "input_bits", "output_bits", "ref_bits", "config")
_ENERGY_PARAMS: Final = (
    *_COMMON_PARAMS,
    "parameters_on_memory",
    "activations_on_memory",
    "min_sram_size",
    "rd_wr_on_io",
    "source_quantizers",
    "reference_internal",
    "reference_accumulator",
)
#: QKeras' own defaults where ours differ.
_ENERGY_DEFAULTS: Final[Mapping[str, Any]] = {
    "parameters_on_memory": ["fixed", "fixed"],
    "activations_on_memory": ["dram", "dram"],
    "rd_wr_on_io": [True, True],
    "reference_internal": "fp32",
    "reference_accumulator": "fp32",
    "unquantized": "reference",
}


def _accepted(params: Mapping[str, Any], names: tuple[str, ...], quirks: list[str]) -> dict[str, Any]:
    quirks += [f"goal.params.{name}: ignored, as QKeras ignores it" for name in params if name not in names]
    accepted = {name: value for name, value in params.items() if name in names and value is not None}
    if "source_quantizers" in accepted:
        accepted["source_quantizers"] = _source(accepted["source_quantizers"])
    return accepted


#: QTools' short names of types, as quantizers.
_SHORT: Final = {
    "int8": "quantized_bits(8,0,1)",
    "int16": "quantized_bits(16,7,1)",
    "int32": "quantized_bits(32,10,1)",
}


def _source(value: Any) -> str:
    """The type of the input: the first of a list, given by its short name or as an expression."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    return _quantizer(_SHORT.get(str(first), first), "/goal/params/source_quantizers")


def _read_space(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if not isinstance(value, Mapping):
        raise _fault("/quantization_config", "must be a dictionary of field to {quantizer: bits}")
    space: dict[str, dict[str, int]] = {}
    for field, entries in value.items():
        pointer = f"/quantization_config/{field}"
        if field not in _FIELDS:
            quirks.append(f"quantization_config.{field}: left out; fields are {', '.join(_FIELDS)}")
            continue
        if not isinstance(entries, Mapping):
            raise _fault(pointer, "must be a dictionary of quantizer to bits")
        space[field] = {_quantizer(text, pointer): bits for text, bits in entries.items()}
    job["quantizers"] = space


def _quantizer(text: Any, pointer: str) -> str:
    """A quantizer of QKeras with its rules spelled out: scales along the last axis, every exponent of its powers."""
    try:
        return str(parse_quantizer(str(text)).as_earlier())
    except QuantizerError as error:
        raise _fault(pointer, str(error)) from error


#: What a field gets that the run_config leaves out.
_NOTEBOOK: Final[Mapping[str, Mapping[str, int]]] = {
    field: {_quantizer(text, ""): bits for text, bits in entries.items()}
    for field, entries in NOTEBOOK_SPACE.items()
}


def _read_limit(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if not isinstance(value, Mapping):
        raise _fault("/limit", "must be a dictionary of class or pattern to list")
    limits: dict[str, Any] = {"by_class": {}, "by_name": []}
    for key, entry in value.items():
        slots = _slots(key, entry, quirks)
        if key == "default":
            limits["default"] = slots
        elif key in CLASSES:
            limits["by_class"][key] = slots
        else:
            limits["by_name"].append({"pattern": _whole_name(key, quirks), **slots})
    job["limits"] = limits
    separable = sorted(name for name in limits["by_class"] if name.startswith("Separable"))
    if separable:
        quirks.append(f"limit.{separable[0]}: AutoQKeras leaves separable convolutions float, silently")
    recurrent = sorted({"LSTM", "GRU", "Bidirectional"} & limits["by_class"].keys())
    if recurrent:
        quirks.append(
            f"limit.{recurrent[0]}: AutoQKeras raises KeyError without quantizers for recurrent_activation"
        )


def _slots(key: str, entry: Any, quirks: list[str]) -> dict[str, Any]:
    if isinstance(entry, int) and not isinstance(entry, bool):
        if key != "default":
            quirks.append(
                f"limit.{key}: AutoQKeras crashes on a bare number; read as [{entry}, {entry}, {entry}]"
            )
        entry = [entry, entry, entry]
    if not isinstance(entry, list | tuple) or len(entry) > 4:
        raise _fault(f"/limit/{key}", "must be a list of at most four numbers or lists of quantizers")
    pointer = f"/limit/{key}"
    named = [
        [_quantizer(text, pointer) for text in slot] if isinstance(slot, list | tuple) else slot
        for slot in entry
    ]
    if key == "Activation" and named:
        return {"activation": named[-1], "linear": named[0]}
    slots = dict(zip(_SLOTS, named, strict=False))
    return slots | ({"activation": named[-1]} if len(named) > 2 else {})


def _whole_name(pattern: str, quirks: list[str], where: str = "limit") -> str:
    """A pattern for the beginning of a name, converted to one for the whole name."""
    if pattern.endswith(("$", ".*")):
        return pattern
    quirks.append(f"{where}.{pattern}: AutoQKeras matches the beginning of names; converted to {pattern}.*")
    return f"{pattern}.*"


def _read_filters(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if value not in ("none", "layer", "block"):
        raise _fault("/tune_filters", f"{value!r} is not one of none, layer, block")
    job.setdefault("filters", {})["by"] = value


def _read_exceptions(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if value is None:
        quirks.append("tune_filters_exceptions: AutoQKeras crashes on None; read as no exceptions")
        return
    front = "" if str(value).startswith("^") else ".*"
    back = "" if str(value).endswith("$") else ".*"
    job.setdefault("filters", {})["exceptions"] = [f"{front}{value}{back}"]


def _read_indexes(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if value is None:
        return
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise _fault("/layer_indexes", "must be a list of numbers")
    indexes = list(value)
    if not all(isinstance(index, int) and not isinstance(index, bool) for index in indexes):
        raise _fault("/layer_indexes", "must be a list of whole numbers")
    job["layers"] = {"indexes": indexes}


def _read_blocks(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if value is None:
        return
    if not isinstance(value, list | tuple) or not all(isinstance(block, str) for block in value):
        raise _fault("/blocks", "must be a list of patterns")
    blocks = [_whole_name(block, quirks, "blocks") for block in value]
    job["schedule"] = {"kind": "per_block", "blocks": blocks}
    quirks.append(
        "blocks: AutoQKeras hands on no trained weights, spends at least 10 trials on each block whatever the budget,"
        " and splits groups that cross blocks; here weights are handed on, the budget is kept, groups stay together"
    )


def _read_order(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if value not in ("sequential", "cost"):
        raise _fault("/schedule_block", f"{value!r} is not one of sequential, cost")
    if "schedule" in job:
        job["schedule"]["order"] = value


def _read_hyperband(field: str) -> Any:
    def read(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
        if job.get("oracle", {}).get("kind") == "hyperband":
            job["oracle"][field] = value

    return read


def _read_transfer(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    if value:
        job.setdefault("training", {})["start"] = "float"
        quirks.append(
            "transfer_weights: trials start from the weights of the float model; AutoQKeras crashes where filters"
            " are tuned"
        )


def _read_fit(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
    """The arguments of `fit` that a job has; the others are AutoQKeras' own data and callbacks."""
    if not isinstance(value, Mapping):
        raise _fault("/fit", "must be a dictionary of arguments of fit")
    job.setdefault("training", {}).update(
        {name: value[name] for name in ("epochs", "batch_size") if name in value}
    )


def _read_ignored(name: str, why: str) -> Any:
    def read(value: Any, job: dict[str, Any], quirks: list[str]) -> None:
        if value:
            quirks.append(f"{name}: {why}")

    return read


_READERS: Final[Mapping[str, Any]] = {
    "goal": _read_goal,
    "quantization_config": _read_space,
    "limit": _read_limit,
    "mode": _read_mode,
    "max_trials": _read_trials,
    "seed": _read_seed,
    "tune_filters": _read_filters,
    "tune_filters_exceptions": _read_exceptions,
    "layer_indexes": _read_indexes,
    "activation_bits": _read_ignored(
        "activation_bits", "not needed: activations inside layers are choices here"
    ),
    "learning_rate_optimizer": _read_ignored(
        "learning_rate_optimizer", "left out: AutoQKeras freezes the list of rates at the first trial's size"
    ),
    "transfer_weights": _read_transfer,
    "head_name": _read_ignored("head_name", "left out: models have one output here"),
    "blocks": _read_blocks,
    "schedule_block": _read_order,
    "max_epochs": _read_hyperband("max_epochs"),
    "factor": _read_hyperband("factor"),
    "hyperband_iterations": _read_hyperband("iterations"),
    "fit": _read_fit,
}


def _fault(pointer: str, message: str) -> InvalidSpec:
    return InvalidSpec([Problem(pointer, message)])
