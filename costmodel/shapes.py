"""The shape of a layer's output, from its configuration and the shapes of its inputs.

Shapes leave the batch out. Every rule takes (config, input shapes) and raises `InvalidNetwork` when they do not fit
each other; `costmodel.layer_classes` says which class of Keras uses which. The rules are Keras 3's; a property test
holds them equal to what Keras computes. `costmodel.windows` has those of convolutions and pooling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from costmodel.layer import Config, Shape, elements
from costmodel.windows import Inputs, ShapeRule, only_input

#: Classes of the layers that Bidirectional may run.
RECURRENT: Final = ("SimpleRNN", "LSTM", "GRU")


def source(config: Config, inputs: Inputs) -> Shape:
    """The shape an input layer states; every length but the batch must be fixed."""
    shape = config.values.get("batch_shape", config.values.get("batch_input_shape"))
    if not isinstance(shape, list | tuple) or not 1 <= len(shape) <= 8:
        raise config.error("batch_shape", "must list the batch and at most 7 lengths")
    for index, length in enumerate(shape[1:], start=1):
        if length is None:
            reason = "is left open, but the cost depends on it: give the input a fixed length"
            raise config.error(f"batch_shape[{index}]", reason)
    return tuple(Config(config.layer, {"batch_shape": n}).integer("batch_shape") for n in shape[1:])


def same(config: Config, inputs: Inputs) -> Shape:
    """The shape of the input."""
    return only_input(config, inputs)


def along_axes(config: Config, inputs: Inputs) -> Shape:
    """The shape of the input, of which `axis` names one axis or several."""
    shape = only_input(config, inputs)
    config.axes("axis", len(shape))
    return shape


def in_groups(config: Config, inputs: Inputs) -> Shape:
    """The shape of the input, whose channels are normalized in groups of equal size."""
    shape = only_input(config, inputs)
    channels = shape[config.axis("axis", len(shape))]
    groups = config.integer("groups", 32, least=-1)
    if groups == 0 or (groups > 0 and channels % groups):
        raise config.error("groups", f"{groups} does not divide {channels} channels")
    return shape


def rescaled(config: Config, inputs: Inputs) -> Shape:
    """The shape of the input; several constants are those of its last axis."""
    shape = only_input(config, inputs)
    for field in ("scale", "offset"):
        value = config.values.get(field, 0.0)
        if isinstance(value, list | tuple) and (not shape or len(value) not in (1, shape[-1])):
            raise config.error(
                field, f"has {len(value)} numbers; the last axis of {shape} needs 1 or as many as it has"
            )
    return shape


def statistics_along(config: Config, inputs: Inputs) -> Shape:
    """The shape of the input, normalized along one axis, several, or (None) all alike."""
    shape = only_input(config, inputs)
    if config.values.get("axis", -1) not in (None, [], ()):
        config.axes("axis", len(shape))
    return shape


def dense(config: Config, inputs: Inputs) -> Shape:
    """Dense over the last axis, whatever the axes before it."""
    shape = only_input(config, inputs, least=1)
    return (*shape[:-1], config.integer("units"))


def flatten(config: Config, inputs: Inputs) -> Shape:
    """One axis."""
    config.channels_last()
    return (elements(only_input(config, inputs)),)


def reshape(config: Config, inputs: Inputs) -> Shape:
    """The target shape; one -1 takes what is left."""
    have = elements(only_input(config, inputs))
    target = config.values.get("target_shape")
    if not isinstance(target, list | tuple) or len(target) > 8:
        raise config.error("target_shape", "must be a list of at most 8 lengths")
    fixed = [Config(config.layer, {"target_shape": n}).integer("target_shape") for n in target if n != -1]
    free = len(target) - len(fixed)
    product = elements(tuple(fixed))
    if free > 1 or (have % product if free else have != product):
        raise config.error(
            "target_shape", f"{tuple(target)} does not hold the {have} elements of {inputs[0]}"
        )
    return tuple(have // product if n == -1 else n for n in target)


def permute(config: Config, inputs: Inputs) -> Shape:
    """Axes in another order; Keras counts them from 1."""
    shape = only_input(config, inputs)
    dims = config.integers("dims", len(shape))
    if sorted(dims) != list(range(1, len(shape) + 1)):
        raise config.error("dims", f"{dims} does not order {len(shape)} axes")
    return tuple(shape[axis - 1] for axis in dims)


def repeat(config: Config, inputs: Inputs) -> Shape:
    """A vector, n times."""
    return (config.integer("n"), *only_input(config, inputs, 1))


def sliced(config: Config, inputs: Inputs) -> Shape:
    """A part of each axis: [start, stop, step] as Python's slices, or an index, whose axis goes."""
    shape, ranges = only_input(config, inputs), config.values.get("ranges")
    if not isinstance(ranges, list | tuple) or len(ranges) > len(shape):
        raise config.error("ranges", f"must name at most the {len(shape)} axes behind the batch")
    lengths: list[int] = []
    for size, part in zip(shape, ranges, strict=False):
        if isinstance(part, int) and not isinstance(part, bool):
            if not -size <= part < size:
                raise config.error("ranges", f"index {part} is outside of {size} elements")
            continue
        lengths.append(_part_length(config, size, part))
    return (*lengths, *shape[len(ranges) :])


def _part_length(config: Config, size: int, part: object) -> int:
    bounds = part if isinstance(part, list | tuple) and len(part) == 3 else None
    if bounds is None or any(
        item is not None and (isinstance(item, bool) or not isinstance(item, int)) for item in bounds
    ):
        raise config.error("ranges", "must hold indexes and lists of start, stop and step")
    if bounds[2] == 0 or not (length := len(range(*slice(*bounds).indices(size)))):
        raise config.error("ranges", f"{list(bounds)} takes nothing of {size} elements")
    return length


def embedding(config: Config, inputs: Inputs) -> Shape:
    """One row of the table for each index."""
    config.integer("input_dim")
    return (*only_input(config, inputs), config.integer("output_dim"))


def recurrent(config: Config, inputs: Inputs) -> Shape:
    """SimpleRNN, LSTM, GRU: the last state or all of them."""
    shape = only_input(config, inputs, 2)
    if config.flag("return_state", False):
        raise config.error("return_state", "layers with several outputs are not supported; set it to false")
    units = config.integer("units")
    return (shape[0], units) if config.flag("return_sequences", False) else (units,)


def directions(config: Config) -> tuple[tuple[str, Config], tuple[str, Config]]:
    """Class and configuration of the two layers a Bidirectional runs; without a `backward_layer`, `layer` twice."""
    forward = _wrapped(config, "layer")
    backward = config.values.get("backward_layer")
    return forward, forward if backward is None else _wrapped(config, "backward_layer")


def _wrapped(config: Config, field: str) -> tuple[str, Config]:
    inner = config.values.get(field)
    if not isinstance(inner, Mapping) or not isinstance(inner.get("config"), Mapping):
        raise config.error(field, "must describe a recurrent layer")
    class_name = inner.get("class_name")
    if class_name not in RECURRENT:
        raise config.error(field, f"must be one of {', '.join(RECURRENT)}, is {str(class_name)[:40]}")
    return str(class_name), Config(config.layer, inner["config"])


def bidirectional(config: Config, inputs: Inputs) -> Shape:
    """A recurrent layer run in both directions and merged; Keras builds what follows for two of the forward layer's."""
    forward, backward = (recurrent(inner, inputs) for _, inner in directions(config))
    if forward != backward:
        reason = (
            f"gives {backward}, the forward layer {forward}; give both the same units and return_sequences"
        )
        raise config.error("backward_layer", reason)
    merged = config.choice("merge_mode", "concat", ("concat", "sum", "mul", "ave"))
    return (*forward[:-1], forward[-1] * 2) if merged == "concat" else forward


def attention(config: Config, inputs: Inputs) -> Shape:
    """MultiHeadAttention: query, value and perhaps key, each (positions, features)."""
    if len(inputs) not in (2, 3):
        raise config.error("inbound_nodes", f"takes query, value and perhaps key, has {len(inputs)} inputs")
    if any(len(shape) != 2 for shape in inputs):
        raise config.error("input_shape", f"needs (positions, features), has {inputs}")
    if len(inputs) == 3 and inputs[2][0] != inputs[1][0]:
        raise config.error("input_shape", f"key {inputs[2]} and value {inputs[1]} differ in positions")
    if config.values.get("output_shape") is None:
        return inputs[0]
    return (inputs[0][0], *config.integers("output_shape", 1))


def aligned(shapes: Inputs) -> Inputs:
    """Shapes with as many axes as the longest: lengths of 1 are put in front, behind the batch, as Keras' merges do."""
    rank = max(len(shape) for shape in shapes)
    return tuple((1,) * (rank - len(shape)) + shape for shape in shapes)


def merged(least: int = 2, most: int | None = None) -> ShapeRule:
    """Merges number by number, with broadcasting."""

    def rule(config: Config, inputs: Inputs) -> Shape:
        if len(inputs) < least or (most is not None and len(inputs) > most):
            raise config.error("inbound_nodes", f"takes {least}{'' if most == least else ' or more'} inputs")
        shape, *others = aligned(inputs)
        for other in others:
            shape = _broadcast(config, shape, other)
        return shape

    return rule


def _broadcast(config: Config, first: Shape, second: Shape) -> Shape:
    if any(a != b and 1 not in (a, b) for a, b in zip(first, second, strict=True)):
        raise config.error("input_shape", f"{first} and {second} do not fit each other")
    return tuple(max(a, b) for a, b in zip(first, second, strict=True))


def concatenated(config: Config, inputs: Inputs) -> Shape:
    """Inputs side by side along one axis."""
    if len(inputs) < 2:
        raise config.error("inbound_nodes", "takes 2 or more inputs")
    rank = len(inputs[0])
    axis = config.axis("axis", rank)
    for shape in inputs[1:]:
        if len(shape) != rank or any(shape[i] != inputs[0][i] for i in range(rank) if i != axis):
            raise config.error("input_shape", f"{inputs[0]} and {shape} differ besides axis {axis + 1}")
    return tuple(sum(shape[i] for shape in inputs) if i == axis else inputs[0][i] for i in range(rank))


def dot_axes(config: Config, inputs: Inputs) -> tuple[int, int]:
    """The axis of each input a Dot sums over, counted without the batch."""
    if len(inputs) != 2:
        raise config.error("inbound_nodes", f"takes two inputs, has {len(inputs)}")
    axes = config.integers("axes", 2, least=-8)
    first, second = (
        Config(config.layer, {"axes": a}).axis("axes", len(s)) for a, s in zip(axes, inputs, strict=True)
    )
    if inputs[0][first] != inputs[1][second]:
        raise config.error("axes", f"{inputs[0]} and {inputs[1]} differ along them")
    return first, second


def dot(config: Config, inputs: Inputs) -> Shape:
    """Sum of products along one axis of each of two inputs."""
    first, second = dot_axes(config, inputs)
    shape = (
        *(n for i, n in enumerate(inputs[0]) if i != first),
        *(n for i, n in enumerate(inputs[1]) if i != second),
    )
    return shape or (1,)
