"""What becomes of each batch normalization in the trials of a job. Plain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from costmodel.fold import folded
from costmodel.foldable import FOLDED, foldable_pairs
from costmodel.layer import Layer
from costmodel.layer_classes import TRAINING_ONLY
from costmodel.network import Network
from search.space.candidates import Rule
from search.spec.job import SearchSpec

Treatment = Literal["folded", "quantized", "float"]


@dataclass(frozen=True, slots=True)
class NormalizationChoice:
    """What becomes of one batch normalization; `reason`: why it is not folded, or not quantized, where a job asks."""

    layer: str
    treatment: Treatment
    into: str | None = None  #: the layer that takes it over, where it is folded
    reason: str = ""


def trial_network(spec: SearchSpec, network: Network) -> Network:
    """The network that trials of a job, and its reference, are priced as: the job's, folded where the job says so.

    `search.training.build.trial_description` is the same for Keras' description of it.
    """
    return folded(network) if spec.normalization == "fold" else network


def normalizations(
    spec: SearchSpec, network: Network, selected: Collection[str]
) -> tuple[NormalizationChoice, ...]:
    """Every batch normalization of a job's network, in its order. `selected`: the layers that may be quantized."""
    pairs = foldable_pairs(network) if spec.normalization == "fold" else {}
    return tuple(
        NormalizationChoice(layer.name, "folded", pairs[layer.name])
        if layer.name in pairs
        else _left(spec, network, layer, selected)
        for layer in network.layers
        if layer.class_name == "BatchNormalization" and not layer.is_repeated
    )


def _left(spec: SearchSpec, network: Network, layer: Layer, selected: Collection[str]) -> NormalizationChoice:
    """Of one that is not folded."""
    if spec.normalization == "float":
        return NormalizationChoice(layer.name, "float")
    reason = _obstacle(network, layer) if spec.normalization == "fold" else ""
    if layer.config.get("renorm"):
        return NormalizationChoice(
            layer.name, "float", None, "renorm=True can be neither folded nor quantized"
        )
    if layer.name not in selected:
        return NormalizationChoice(layer.name, "float", None, "it is not among the layers of the job")
    return NormalizationChoice(layer.name, "quantized", None, reason)


def _obstacle(network: Network, normalization: Layer) -> str:
    """Why a normalization cannot be folded."""
    before = network.layer(normalization.inbound[0])
    while before.class_name in TRAINING_ONLY:
        before = network.layer(before.inbound[0])
    if before.class_name not in FOLDED:
        return f"it reads {before.name!r}, a layer of class {before.class_name}"
    function = before.config.get("activation", "linear")
    if function not in (None, "linear"):
        return f"{before.name!r} before it applies a function"
    if normalization.config.get("axis", -1) not in (-1, len(normalization.output_shape)):
        return f"its axis is not that of the channels of {before.name!r}"
    return f"others read the output of {before.name!r}, too"


#: Where the limit stands that holds for every class without one of its own.
_ALL_CLASSES: Final = "/limits/by_class/*"


def ignored_limits(choices: Sequence[NormalizationChoice], limited: Mapping[str, Rule]) -> list[str]:
    """Warnings about limits that are meant for normalizations which are folded. `limited`: the layers that limits name.

    A pattern that matches other layers as well is meant for these, and a limit for all classes is meant for none.
    """
    into = {choice.layer: choice.into for choice in choices if choice.into is not None}
    elsewhere = {rule.pattern for name, rule in limited.items() if name not in into}
    idle = [
        f"{name} into {into[name]}"
        for name, rule in limited.items()
        if name in into
        and rule.pointer != _ALL_CLASSES
        and (rule.limits.says_anything if rule.pattern is None else rule.pattern not in elsewhere)
    ]
    if not idle:
        return []
    return [
        f"limits of folded normalizations do not act: {', '.join(idle)}; the limits of the layers they are folded into"
        " do (set normalization to quantize to quantize them on their own)"
    ]
