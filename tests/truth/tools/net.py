"""A small network for a target and its tool: layers, quantizers, and the JSON that the tool's side reads. Plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from costmodel.layer_classes import FUNCTION_LAYERS
from costmodel.network import Network, read_network
from quantization.specs.parse import parse_quantizer
from search.space.choices import Choices, Slot
from search.targets import TARGETS
from tests.search.nets import functional, layer


@dataclass(frozen=True)
class Step:
    """A layer of a network; `name` and `quantizers` (slot -> expression) may stand in its configuration."""

    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Net:
    """A network under the name of what it is about. `layers`: (class, name, names of sources, configuration)."""

    name: str
    shape: tuple[int, ...]
    start: str
    layers: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...]
    quantizers: Mapping[str, Mapping[str, str]]

    def document(self) -> dict[str, Any]:
        """What the tool's side reads."""
        layers = [[name, own, list(sources), config] for name, own, sources, config in self.layers]
        quantizers = {name: dict(slots) for name, slots in self.quantizers.items()}
        return {
            "name": self.name,
            "shape": list(self.shape),
            "start": self.start,
            "layers": layers,
            "quantizers": quantizers,
        }

    def description(self) -> dict[str, Any]:
        """The network as Keras describes it."""
        described = functional(self.shape, [_described(entry) for entry in self.layers])
        return dict(_renamed(described, "input", self.start)) if self.start != "input" else described

    def network(self) -> Network:
        """The network as a job has it. Raises `InvalidNetwork`."""
        return read_network(self.description())

    @property
    def begins_quantized(self) -> bool:
        """Whether the function that reads the input has a quantizer."""
        layers = self.layers
        readers = {
            name for own, name, sources, _ in layers if self.start in sources and own in FUNCTION_LAYERS
        }
        return any("activation" in self.quantizers.get(name, {}) for name in readers)

    def space(self, target: str) -> Choices:
        """These quantizers alone, and codes of the input."""
        slots = tuple(
            Slot(f"{name}.{slot}", (name,), slot, slot, (parse_quantizer(text),))
            for name, chosen in self.quantizers.items()
            for slot, text in chosen.items()
        )
        fixed = {} if self.begins_quantized else input_codes(target, self.network())
        return Choices(slots, (), tuple(self.quantizers), {}, fixed=fixed)

    def problems(self, target: str) -> list[str]:
        """What the rules of a target have against the network with exactly these quantizers."""
        return [problem.message for problem in TARGETS[target].check(self.network(), self.space(target))]

    def chip_warnings(self, target: str) -> list[str]:
        """What of it does not fit a chip of the target."""
        return TARGETS[target].warnings(self.network(), self.space(target))


def input_codes(target: str, network: Network) -> dict[str, dict[str, Any]]:
    """A quantizer of each input as the tool's side feeds it: 8 bits, fewer where a target reads fewer."""
    codes = {}
    for name in network.inputs:
        shape = network.layer(name).output_shape
        image = len(shape) == 3 and shape[-1] in (1, 3)
        bits = 4 if target == "xylo" or (target == "akida" and not image) else 8
        codes[name] = {"activation": parse_quantizer(f"quantized_bits({bits},{bits},keep_negative=0)")}
    return codes


def _described(entry: tuple[str, str, tuple[str, ...], dict[str, Any]]) -> dict[str, Any]:
    class_name, name, sources, config = entry
    values = dict(config)
    if class_name == "Bidirectional":
        inner = {"module": "keras.layers", "class_name": values.pop("layer"), "registered_name": None}
        values = {"layer": inner | {"config": {"name": "inner", **values}}, "merge_mode": "concat"}
    return layer(class_name, name, list(sources), **values)


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, old, new) for item in value]
    return new if value == old else value


def chain(name: str, shape: tuple[int, ...], *steps: Step, start: str = "start") -> Net:
    """Layers one after the other."""
    return _net(name, shape, start, [(step, None) for step in steps])


def branches(
    name: str, shape: tuple[int, ...], parts: Sequence[Step], merge: Step, take: tuple[int, ...] | None = None
) -> Net:
    """Layers beside each other that a last one joins; `take`: only these of them, the others are read by nothing."""
    chosen = tuple(range(len(parts))) if take is None else take
    used = [parts[index] for index in chosen]
    names = [_name(step, index) for index, step in enumerate(used)]
    return _net(name, shape, "start", [*((step, ("start",)) for step in used), (merge, tuple(names))])


def _name(step: Step, index: int) -> str:
    return str(step.config.get("name", f"{step.class_name.lower()}_{index}"))


def _net(
    name: str, shape: tuple[int, ...], start: str, steps: Sequence[tuple[Step, tuple[str, ...] | None]]
) -> Net:
    layers, quantizers, before = [], {}, start
    for index, (step, sources) in enumerate(steps):
        own = _name(step, index)
        config = {key: value for key, value in step.config.items() if key not in ("name", "quantizers")}
        layers.append((step.class_name, own, (before,) if sources is None else sources, config))
        if "quantizers" in step.config:
            quantizers[own] = step.config["quantizers"]
        before = own
    return Net(name, shape, start, tuple(layers), quantizers)
