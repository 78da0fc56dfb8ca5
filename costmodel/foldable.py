"""Which batch normalizations fold into the layers before them: the one definition, for prices, `fold` and searches.

A normalization folds if, at inference, the kernel and bias of one layer can take over its scale and shift:

- it reads a layer of `FOLDED`, directly or through layers that only act while training;
- that layer applies no function and its output has no quantizer of its own;
- nothing else reads that layer or the layers between, and none of these is an output of the model;
- its axis is that of the layer's channels;
- neither is called more than once, and it does not renormalize (`renorm`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from costmodel.layer import REPEATED, Layer
from costmodel.layer_classes import LAYER_CLASSES, OUTPUT_SLOT, TRAINING_ONLY
from costmodel.network import Network

#: Classes a batch normalization can be folded into -> the class that has it folded in.
FOLDED: Final[Mapping[str, str]] = {
    name: row.folded for name, row in LAYER_CLASSES.items() if row.folded is not None
}
#: Class with a batch normalization folded in -> the class without.
UNFOLDED: Final[Mapping[str, str]] = {into: plain for plain, into in FOLDED.items()}


def plain_class(class_name: str) -> str:
    """The class without a folded batch normalization."""
    return UNFOLDED.get(class_name, class_name)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer in a model.

    `class_name`: of the Keras layer it is or stands for. `sources`: the layers it reads. `rank`: axes of a
    normalization's output, the batch counted; of no meaning for others.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    sources: tuple[str, ...]
    rank: int


def foldable_pairs(network: Network) -> dict[str, str]:
    """Batch normalization -> the layer before it that can take it over, in the network's order."""
    return pairs_of(map(_call, network.layers), network.outputs)


def pairs_of(calls: Iterable[Call], outputs: Collection[str]) -> dict[str, str]:
    """`foldable_pairs` of any graph of calls; `outputs`: the layers whose outputs are the model's."""
    graph = _Graph(list(calls), outputs)
    pairs = {}
    for call in graph.calls:
        before = graph.foldable_before(call)
        if before is not None:
            pairs[call.name] = before
    return pairs


def _call(layer: Layer) -> Call:
    sources = tuple(name.partition(REPEATED)[0] for name in layer.inbound)
    return Call(layer.tensors_of, layer.class_name, layer.config, sources, len(layer.output_shape) + 1)


class _Graph:
    """Calls with what reads them."""

    def __init__(self, calls: list[Call], outputs: Collection[str]) -> None:
        self.calls = calls
        self._outputs = frozenset(outputs)
        self._by_name = {call.name: call for call in calls}
        self._called = Counter(call.name for call in calls)
        self._read = Counter(source for call in calls for source in call.sources)

    def foldable_before(self, normalization: Call) -> str | None:
        """The layer that a call folds into; None if it is no normalization, or one that cannot be folded."""
        if normalization.class_name != "BatchNormalization" or normalization.config.get("renorm"):
            return None
        before = self._before(normalization)
        while before is not None and before.class_name in TRAINING_ONLY:
            before = self._before(before)
        fits = before is not None and _is_linear(before) and _along_channels(normalization, before)
        return before.name if before is not None and fits else None

    def _before(self, call: Call) -> Call | None:
        """The one call whose output this one alone reads; None if there is no such call."""
        if len(call.sources) != 1 or self._called[call.name] != 1:
            return None
        before = self._by_name.get(call.sources[0])
        if before is None or before.name in self._outputs:
            return None
        alone = self._read[before.name] == 1 and self._called[before.name] == 1
        return before if alone else None


def _is_linear(call: Call) -> bool:
    """Whether a layer can take a normalization over: it sums products and does nothing to the sums."""
    quantizers = call.config.get("quantizers") or {}
    linear = call.config.get("activation", "linear") in (None, "linear")
    return call.class_name in FOLDED and linear and quantizers.get(OUTPUT_SLOT) is None


def _along_channels(normalization: Call, before: Call) -> bool:
    axis = normalization.config.get("axis", -1)
    if isinstance(axis, list | tuple) and len(axis) == 1:
        axis = axis[0]
    rank = normalization.rank
    channels = 1 if before.config.get("data_format") == "channels_first" else rank - 1
    return axis in (channels, channels - rank)
