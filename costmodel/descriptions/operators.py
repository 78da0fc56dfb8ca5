"""Operators of a functional graph (`a + b`, `keras.ops.relu(x)`, `keras.activations.gelu(x)`) as the layers they are.

Keras writes an operator as an entry among the layers, with the module it is defined in. Each is read here as the layer
that computes the same; an operator without such a layer is refused with what can be used instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from costmodel.descriptions.calls import is_tensor, rank
from costmodel.descriptions.functions import FUNCTION_LAYERS, function_name
from costmodel.descriptions.kinds import plain_items
from costmodel.descriptions.place import Place, shown

_MODULES: Final = ("keras.src.ops.", "keras.src.activations.", "keras.ops")
#: Makes the mask of an Embedding, which Keras makes again when the network is built.
MASK: Final = "NotEqual"


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator: its class, its settings, and what it is called with."""

    class_name: str
    settings: Mapping[str, Any]
    operands: Sequence[Any]
    place: Place

    @property
    def tensors(self) -> list[Any]:
        """The operands that are other layers' outputs."""
        return [operand for operand in self.operands if is_tensor(operand)]

    def setting(self, name: str, default: Any = None) -> Any:
        """One of the settings."""
        return self.settings.get(name, default)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The layer that computes the same: class, configuration without its name, and its inputs."""

    class_name: str
    inputs: Sequence[Any]
    config: Mapping[str, Any] = field(default_factory=dict)


Rule: TypeAlias = Callable[[Operator], Rewritten | None]


def is_operator(item: Mapping[str, Any]) -> bool:
    """Whether an entry among the layers is an operator."""
    module = item.get("module")
    return isinstance(module, str) and module.startswith(_MODULES)


def rewritten(item: Mapping[str, Any], place: Place) -> Rewritten:
    """The layer that an operator is. Raises `InvalidDescription` where there is none."""
    operator = _operator(item, place)
    rule = _RULES.get(operator.class_name)
    layer = None if rule is None else rule(operator)
    if layer is None:
        raise place.fault(_refusal(operator))
    return layer


def _refusal(operator: Operator) -> str:
    name = operator.class_name
    if name in _RULES:
        reason = _REMEDIES.get(name, "these settings are no layer's; use a layer instead")
        return f"the operator {shown(name)} {_details(operator)}as it is used here is no layer: {reason}"
    reason = _REMEDIES.get(name, "use layers instead")
    return (
        f"the operator {shown(name)} is no layer: {reason}. Operators that are read as layers:"
        f" {', '.join(OPERATORS)}"
    )


def _operator(item: Mapping[str, Any], place: Place) -> Operator:
    class_name, body, nodes = (
        item.get("class_name"),
        item.get("config"),
        plain_items(item.get("inbound_nodes")),
    )
    registered = item.get("registered_name")
    if (
        not isinstance(class_name, str)
        or not isinstance(body, Mapping)
        or registered not in (None, class_name)
    ):
        raise place.fault("is no operator as Keras writes it")
    if nodes is None or len(nodes) != 1 or not isinstance(nodes[0], Mapping):
        raise place.fault(f"the operator {shown(class_name)} must be called once")
    arguments, named = plain_items(nodes[0].get("args")), nodes[0].get("kwargs")
    if arguments is None or not isinstance(named, Mapping | None):
        raise place.at("inbound_nodes").fault("is not in the format of Keras 3; save the model with Keras 3")
    return Operator(class_name, body, [*arguments, *(named or {}).values()], place)


def _details(operator: Operator) -> str:
    constants = [operand for operand in operator.operands if isinstance(operand, int | float)]
    return f"with the constant {constants[0]:g} " if constants and abs(constants[0]) < 1e30 else ""


# --- rules ---------------------------------------------------------------------------------------------------------


def _merge(class_name: str) -> Rule:
    """Two tensors of one rank: the layers align other ranks differently from the operators."""

    def rule(operator: Operator) -> Rewritten | None:
        if len(operator.tensors) != 2 or len(operator.operands) != 2:
            return _with_constant(class_name, operator)
        if len({rank(tensor) for tensor in operator.tensors}) > 1:
            return None
        return Rewritten(class_name, operator.tensors)

    return rule


def _with_constant(class_name: str, operator: Operator) -> Rewritten | None:
    """x * c, x + c, x - c, c - x, x / c: a Rescaling."""
    constants = [operand for operand in operator.operands if not is_tensor(operand)]
    if len(operator.operands) != 2 or len(constants) != 1 or isinstance(constants[0], bool):
        return None
    constant, first = constants[0], is_tensor(operator.operands[0])
    if not isinstance(constant, int | float) or abs(constant) > 1e30:
        return None
    scales = {
        "Multiply": (constant, 0.0),
        "Add": (1.0, constant),
        "Subtract": (1.0, -constant) if first else (-1.0, constant),
        "Divide": (1.0 / constant, 0.0) if first and constant else None,
    }
    scale = scales.get(class_name)
    if scale is None:
        return None
    return Rewritten("Rescaling", operator.tensors, {"scale": float(scale[0]), "offset": float(scale[1])})


def _divided(operator: Operator) -> Rewritten | None:
    return _with_constant("Divide", operator)


def _negated(operator: Operator) -> Rewritten | None:
    return Rewritten("Rescaling", operator.tensors, {"scale": -1.0, "offset": 0.0})


def _squared(operator: Operator) -> Rewritten | None:
    return Rewritten("Multiply", operator.tensors * 2)


def _joined(operator: Operator) -> Rewritten | None:
    items = plain_items(operator.operands[0]) if operator.operands else None
    if not items or not all(is_tensor(item) for item in items):
        return None
    return Rewritten("Concatenate", items, {"axis": operator.setting("axis", 0)})


def _reshaped(operator: Operator) -> Rewritten | None:
    """A batch of any size, and the rest."""
    shape = plain_items(operator.setting("newshape"))
    if not shape or shape[0] not in (-1, None) or -1 in shape[1:]:
        return None
    return Rewritten("Reshape", operator.tensors, {"target_shape": shape[1:]})


def _transposed(operator: Operator) -> Rewritten | None:
    axes = plain_items(operator.setting("axes"))
    return Rewritten("Permute", operator.tensors, {"dims": axes[1:]}) if axes and axes[0] == 0 else None


def _part(operator: Operator) -> Rewritten | None:
    """An index into axes behind the batch: x[:, 1:], x[..., 0]."""
    if len(operator.operands) != 2 or not is_tensor(operator.operands[0]):
        return None
    key, axes = plain_items(operator.operands[1]), rank(operator.operands[0])
    if not key or axes is None:
        return None
    places = [index for index, part in enumerate(key) if _is_ellipsis(part)]
    if len(places) > 1:
        return None
    if places:
        whole = [_EVERYTHING] * (axes - len(key) + 1)
        key = [*key[: places[0]], *whole, *key[places[0] + 1 :]]
    ranges = [_range(part) for part in key]
    if None in ranges or ranges[0] != _EVERYTHING or len(ranges) > axes:
        return None
    return Rewritten("Slice", operator.operands[:1], {"ranges": ranges[1:]})


_EVERYTHING: Final = [None, None, None]


def _is_ellipsis(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("class_name") == "__ellipsis__"


def _range(part: Any) -> Any:
    """An index, or start, stop and step; None for anything else."""
    if part == _EVERYTHING or (isinstance(part, int) and not isinstance(part, bool) and abs(part) < 2**31):
        return part
    body = part.get("config") if isinstance(part, Mapping) and part.get("class_name") == "__slice__" else None
    if not isinstance(body, Mapping):
        return None
    bounds = [body.get(name) for name in ("start", "stop", "step")]
    fits = all(item is None or (type(item) is int and abs(item) < 2**31) for item in bounds)
    return bounds if fits else None


def _lengths(operator: Operator) -> list[Any] | None:
    """The shape of the first tensor as it is stated, without the batch."""
    body = operator.tensors[0].get("config") if operator.tensors else None
    shape = plain_items(body.get("shape")) if isinstance(body, Mapping) else None
    return shape[1:] if shape and all(type(size) is int for size in shape[1:]) else None


def _axis_changed(insert: bool) -> Rule:
    """An axis of length 1 put in, or taken out."""

    def rule(operator: Operator) -> Rewritten | None:
        lengths, axis = _lengths(operator), operator.setting("axis")
        items = plain_items(axis) or [axis]
        if lengths is None or len(items) != 1 or type(items[0]) is not int:
            return None
        axes = len(lengths) + 1 + int(insert)
        place = items[0] % axes - 1
        if not -axes <= items[0] < axes or place < 0:
            return None
        if insert:
            return Rewritten(
                "Reshape", operator.tensors, {"target_shape": [*lengths[:place], 1, *lengths[place:]]}
            )
        if lengths[place] != 1:
            return None
        return Rewritten(
            "Reshape", operator.tensors, {"target_shape": [*lengths[:place], *lengths[place + 1 :]]}
        )

    return rule


def _product(operator: Operator) -> Rewritten | None:
    """The matrix product of two sequences of vectors."""
    ranks = [rank(tensor) for tensor in operator.tensors]
    return Rewritten("Dot", operator.tensors, {"axes": [2, 1]}) if ranks == [3, 3] else None


def _clipped(operator: Operator) -> Rewritten | None:
    """Numbers cut at 0 and at a largest one."""
    bounds = [operator.setting(name) for name in ("x_min", "x_max")]
    if None in bounds:
        bounds = [operand for operand in operator.operands if not is_tensor(operand)]
    if len(bounds) != 2 or bounds[0] != 0 or type(bounds[1]) not in (int, float) or not 0 < bounds[1] < 1e30:
        return None
    return Rewritten("ReLU", operator.tensors, {"max_value": float(bounds[1])})


def _pooled(kind: str) -> Rule:
    """A mean or maximum over all axes between the batch and the channels."""

    def rule(operator: Operator) -> Rewritten | None:
        axis = operator.setting("axis")
        axes = plain_items(axis) or [axis]
        axes_in_all = rank(operator.tensors[0]) if operator.tensors else None
        if axes_in_all is None or not all(type(item) is int for item in axes):
            return None
        if sorted(item % axes_in_all for item in axes) != list(range(1, axes_in_all - 1)) or axes_in_all > 5:
            return None
        config = {"keepdims": bool(operator.setting("keepdims", False))}
        return Rewritten(f"Global{kind}Pooling{axes_in_all - 2}D", operator.tensors, config)

    return rule


def _function(name: str, **settings: Any) -> Rule:
    """A function of Keras with these settings."""

    def rule(operator: Operator) -> Rewritten | None:
        if any(operator.setting(key, value) != value for key, value in settings.items()):
            return None
        return Rewritten("Activation", operator.tensors, {"activation": name})

    return rule


def _function_layer(class_name: str, **defaults: Any) -> Rule:
    """A layer with settings, or the function of Keras if they are its own."""

    def rule(operator: Operator) -> Rewritten | None:
        fields = FUNCTION_LAYERS[class_name]
        settings = {key: operator.setting(key, {**fields, **defaults}[key]) for key in fields}
        name = function_name(class_name, settings)
        if name is not None:
            return Rewritten("Activation", operator.tensors, {"activation": name})
        return Rewritten(class_name, operator.tensors, settings)

    return rule


_RULES: Final[Mapping[str, Rule]] = {
    **{name: _merge(name) for name in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")},
    "TrueDivide": _divided,
    "Divide": _divided,
    "Negative": _negated,
    "Square": _squared,
    "Concatenate": _joined,
    "Reshape": _reshaped,
    "Transpose": _transposed,
    "GetItem": _part,
    "ExpandDims": _axis_changed(insert=True),
    "Squeeze": _axis_changed(insert=False),
    "Matmul": _product,
    "Clip": _clipped,
    "Mean": _pooled("Average"),
    "Max": _pooled("Max"),
    "ReLU": _function_layer("ReLU"),
    "Relu": _function("relu"),
    "Relu6": _function("relu6"),
    "LeakyRelu": _function_layer("LeakyReLU", negative_slope=0.2),
    "Elu": _function_layer("ELU"),
    "Softmax": _function_layer("Softmax"),
    "Gelu": _function("gelu", approximate=False),
    "LogSoftmax": _function("log_softmax", axis=-1),
    "Sparsemax": _function("sparsemax", axis=-1),
    "Celu": _function("celu", alpha=1.0),
    "HardShrink": _function("hard_shrink", threshold=0.5),
    "SoftShrink": _function("soft_shrink", threshold=0.5),
    "Squareplus": _function("squareplus", b=4),
    "Exp": _function("exponential"),
    **{
        name: _function(function)
        for name, function in (
            *(("Selu", "selu"), ("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("Silu", "silu")),
            *(
                ("Softplus", "softplus"),
                ("Softsign", "softsign"),
                ("SoftPlus", "softplus"),
                ("LogSigmoid", "log_sigmoid"),
            ),
            *(("HardSigmoid", "hard_sigmoid"), ("HardSilu", "hard_silu"), ("HardTanh", "hard_tanh")),
            *(
                ("TanhShrink", "tanh_shrink"),
                ("SparsePlus", "sparse_plus"),
                ("SparseSigmoid", "sparse_sigmoid"),
            ),
        )
    },
}
#: Classes of operators that can be read as layers.
OPERATORS: Final = tuple(sorted(_RULES))

_REMEDIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "Maximum", "Minimum"),
        "both sides must be tensors of the same number of axes, or one a number; use Reshape for the smaller one",
    ),
    "GetItem": "only indexes and slices behind the batch are, x[:, 1:] or x[..., 0]",
    "ExpandDims": "use a Reshape layer",
    "Squeeze": "use a Reshape layer",
    "Clip": "only clip(x, 0, most) is a layer (ReLU)",
    "Flatten": "use a Flatten layer",
    "Matmul": "only products of two tensors of three axes are a layer (Dot)",
    "Einsum": "use Dot or Dense layers",
    "Pad": "use a ZeroPadding layer",
    "Reshape": "the shape must begin with -1, for the batch, and hold no other -1; or use a Reshape layer",
    "Transpose": "the batch must stay first; or use a Permute layer",
    "Mean": "only the mean over all axes between batch and channels is a layer (GlobalAveragePooling)",
    "Max": "only the maximum over all axes between batch and channels is a layer (GlobalMaxPooling)",
    "Gelu": "only gelu with approximate=False can be built",
    MASK: "a mask must be that of a Masking layer or of an Embedding with mask_zero=True; leave it out",
}
