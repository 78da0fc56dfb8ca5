"""The network of a job: its Keras configuration, and the network of the cost model read from it. Plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from costmodel.errors import InvalidNetwork
from costmodel.input_steps import InputSteps, without_input_steps
from costmodel.network import Network, read_network
from costmodel.size import too_large
from search.errors import InvalidSpec, Problem
from search.networks.builder import Config
from search.networks.zoo import ZOO, zoo_config
from search.spec.job import ArchitectureModel, ZooModel
from search.spec.resolved import DescribedModel, ModelFile, ResolvedModel, described
from search.spec.spiking import XyloModel
from search.task import Output, output

__all__ = ["Output", "architecture", "input_shape", "input_steps", "network", "notes", "output", "priceable"]


def architecture(model: ResolvedModel) -> Config:
    """The float network as Keras writes it (`json.loads(model.to_json())`), without what only scales its inputs.

    Raises `InvalidSpec` for a network that is not in the zoo, and for a described one that holds what is not allowed.
    """
    match model:
        case ZooModel(name=name, dropout_rate=dropout_rate, input_name=input_name):
            if name not in ZOO:
                names = ", ".join(ZOO)
                raise InvalidSpec(
                    [Problem("/model/name", f"there is no network {name!r}; known are {names}")]
                )
            return zoo_config(name, dropout_rate, input_name)
        case ArchitectureModel():
            return without_input_steps(described(model).architecture)[0]
        case ModelFile(architecture=config):
            return without_input_steps(config)[0]
        case XyloModel():
            raise InvalidSpec([Problem("/model/kind", "a spiking network has no Keras layers")])
        case _:
            assert_never(model)


def input_steps(model: ResolvedModel) -> Mapping[str, InputSteps]:
    """Input layer -> what the first layers of the model do to it, which is done to the examples instead."""
    match model:
        case ArchitectureModel():
            return without_input_steps(described(model).architecture)[1]
        case ModelFile(architecture=config):
            return without_input_steps(config)[1]
    return {}


def priceable(model: ResolvedModel) -> Network:
    """The network as plain data, whatever it is for.

    Raises `InvalidSpec`, pointing to the layer, for what the cost model cannot price.
    """
    try:
        return read_network(architecture(model))
    except InvalidNetwork as error:
        raise InvalidSpec([Problem(_pointer(model, error), str(error))]) from error


def network(model: ResolvedModel) -> Network:
    """The network as plain data, fit for a search.

    Raises `InvalidSpec` as `priceable` does, for inputs or outputs of one layer, and for a network that is too large to
    be trained. `search.task` checks its outputs.
    """
    plain = priceable(model)
    problems = []
    for fault in (too_large(plain), _masked_softmax(plain), _adapted(plain)):
        if fault is not None:
            problems.append(Problem(_pointer(model, fault), str(fault)))
    if not plain.inputs or len(set(plain.inputs)) < len(plain.inputs):
        problems.append(Problem(_base(model), "each input must be a separate layer"))
    if not plain.outputs or len(set(plain.outputs)) < len(plain.outputs):
        problems.append(Problem(_base(model), "each output must be a separate layer"))
    if problems:
        raise InvalidSpec(problems)
    return plain


def _masked_softmax(plain: Network) -> InvalidNetwork | None:
    """A Softmax layer over sequences that are masked: Keras gives it a mask that does not fit."""
    is_masked = any(
        layer.class_name == "Embedding" and layer.config.get("mask_zero") for layer in plain.layers
    )
    for layer in plain.layers if is_masked else ():
        if layer.class_name == "Softmax" and len(layer.output_shape) > 1:
            reason = (
                "takes no mask of an Embedding with mask_zero=True; use Activation('softmax') in its place"
            )
            return InvalidNetwork(layer.name, "", reason)
    return None


def _adapted(plain: Network) -> InvalidNetwork | None:
    """A normalization whose statistics are weights, where it is no preprocessing."""
    for layer in plain.layers:
        if layer.class_name == "Normalization" and layer.config.get("mean") is None:
            reason = (
                "has statistics of adapt() and does not scale an input of the model, feature by feature: state mean"
                " and variance, or use BatchNormalization"
            )
            return InvalidNetwork(layer.name, "", reason)
    return None


def notes(model: ResolvedModel) -> tuple[str, ...]:
    """What was changed in a description when it was cleaned."""
    return model.notes if isinstance(model, DescribedModel | ModelFile) else ()


def input_shape(plain: Network, name: str | None = None) -> tuple[int, ...]:
    """Shape of one example at an input (None: the first), without the batch."""
    return plain.layer(plain.inputs[0] if name is None else name).output_shape


def _base(model: ResolvedModel) -> str:
    return {"architecture": "/model/config", "uploaded": "/model/id"}.get(model.kind, "/model/name")


def _pointer(model: ResolvedModel, error: InvalidNetwork) -> str:
    """JSON pointer to the layer (and field of it) that an error is about, in the description as it was given."""
    base = _base(model)
    if not isinstance(model, ArchitectureModel):
        return base
    config = model.config
    body = config.get("config") if "class_name" in config else config
    if not isinstance(body, Mapping):
        return base
    if "class_name" in config:
        base += "/config"
    layers = body.get("layers")
    for index, layer in enumerate(layers if isinstance(layers, list) else ()):
        if isinstance(layer, Mapping) and error.layer and error.layer == _name(layer):
            return f"{base}/layers/{index}{_field_path(layer, error.field)}"
    return f"{base}/{error.field}" if error.field in body else base


def _name(layer: Mapping[str, Any]) -> Any:
    inner = layer.get("config")
    return layer.get("name", inner.get("name") if isinstance(inner, Mapping) else None)


def _field_path(layer: Mapping[str, Any], field: str) -> str:
    inner = layer.get("config")
    if isinstance(inner, Mapping) and field in inner:
        return f"/config/{field}"
    return f"/{field}" if field in layer else ""
