"""The data type of every tensor as the JSON QTools writes, with the same fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import EnergyReport, Prepared, PricedLayer
from costmodel.layer import Layer, Shape
from costmodel.lowering import Family
from costmodel.propagation import accumulate, add, shifted_scales
from costmodel.typed_layer import LayerWork
from costmodel.windows import spatial_rank

_NAMES: Final = {
    NumberFormat.TERNARY: "ternary",
    NumberFormat.BINARY: "binary",
    NumberFormat.BINARY_01: "binary",
    NumberFormat.FLOAT: "floating_point",
}
_VALUES: Final = {
    NumberFormat.TERNARY: [0, -1, 1],
    NumberFormat.BINARY: [-1, 1],
    NumberFormat.BINARY_01: [0, 1],
}
#: Slots of a normalization -> QTools' field.
_NORM_FIELDS: Final = {slot: f"{slot}_quantizer" for slot in ("gamma", "beta", "mean", "variance")}
_NORM_GATES: Final = {
    "divider": "internal_divide_quantizer",
    "multiplier": "internal_multiplier",
    "accumulator": "internal_accumulator",
}


def data_type_map(
    report: EnergyReport, prepared: Prepared, scale_exponents: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Any]:
    """The map QTools' `qtools_stats_to_json` writes: source quantizers, then one entry a layer.

    `scale_exponents`: layer -> (largest, smallest) exponent of an `auto_po2` kernel's trained scales; its sums'
    type then stands in `fused_accumulator`. In the JSON a fixed-point type's `int_bits` counts the sign.
    """
    shifts = scale_exponents or {}
    result: dict[str, Any] = {"source_quantizers": [quantizer(t) for t in report.source_types]}
    for node, priced in zip(prepared.nodes, report.layers, strict=True):
        entry: dict[str, Any] = {
            "layer_type": f"Q{priced.class_name}" if priced.quantized else priced.class_name,
            "input_quantizer_list": [quantizer(t) for t in priced.input_types],
            "output_quantizer": quantizer(priced.output_type, (-1, *node.layer.output_shape)),
        }
        if node.lowering.family is Family.BATCH_NORM:
            entry |= _norm_fields(priced.work)
        elif node.lowering.family is Family.POOL_AVERAGE:
            entry |= _pool_fields(priced.work)
        elif node.lowering.family is Family.MERGE:
            entry[f"{priced.class_name}_quantizer"] = _gated(priced.work, "multiplier")
        elif node.lowering.family in (Family.MAC, Family.SEPARABLE):
            entry |= _kernel_fields(node.layer, priced, node.lowering.terms, shifts.get(priced.name))
        entry["operation_count"] = priced.operation_count
        result[priced.name] = entry
    return result


def quantizer(data_type: DataType, shape: Any = None, op: str | None = None) -> dict[str, Any]:
    """One type with QTools' fields."""
    signed = int(data_type.signed)
    fields: dict[str, Any] = {
        "quantizer_type": _name(data_type, computed=op is not None),
        "bits": data_type.bits,
    }
    match data_type.format:
        case NumberFormat.FIXED:
            fields |= {"int_bits": data_type.int_bits + signed, "is_signed": signed}
        case NumberFormat.POWER_OF_TWO:
            bound = -1 if data_type.max_value is None else data_type.max_value
            fields |= {"is_signed": signed, "max_value": bound}
        case NumberFormat.TERNARY | NumberFormat.BINARY | NumberFormat.BINARY_01:
            fields |= {
                "int_bits": data_type.int_bits,
                "is_signed": signed,
                "values": _VALUES[data_type.format],
            }
        case NumberFormat.FLOAT:
            pass
    if shape is not None:
        fields["shape"] = shape
    if op is not None:
        fields["op_type"] = op
    return fields


def _name(data_type: DataType, *, computed: bool) -> str:
    """QTools' name; unsigned fixed point that no gate computes comes from a quantized_relu."""
    if data_type.stochastic and data_type.format is not NumberFormat.BINARY_01:
        return f"stochastic_{_NAMES[data_type.format]}"
    if data_type.stochastic:
        return "bernoulli"
    if data_type.format is NumberFormat.POWER_OF_TWO:
        return "quantized_po2" if data_type.signed else "quantized_relu_po2"
    if data_type.format is NumberFormat.FIXED:
        return "quantized_bits" if data_type.signed or computed else "quantized_relu"
    return _NAMES[data_type.format]


def _gated(work: LayerWork, role: str) -> dict[str, Any]:
    gate = work.gates.get(role)
    return quantizer(work.types[role], op=gate.op if gate else "add")


def _norm_fields(work: LayerWork) -> dict[str, Any]:
    fields = {name: quantizer(work.types[slot]) for slot, name in _NORM_FIELDS.items()}
    return fields | {name: _gated(work, role) for role, name in _NORM_GATES.items() if role in work.gates}


def _pool_fields(work: LayerWork) -> dict[str, Any]:
    fields = {"pool_sum_accumulator": _gated(work, "pool_sum_accumulator")}
    if "average" in work.types:
        fields["average_quantizer"] = quantizer(work.types["average"])
        fields["pool_avg_multiplier"] = quantizer(work.types["pool_avg_multiplier"], op="mul")
    return fields


def _kernel_fields(
    layer: Layer, priced: PricedLayer, terms: int, scale_exponents: tuple[int, int] | None
) -> dict[str, Any]:
    work, shape = priced.work, kernel_shape(layer)
    fields = {"weight_quantizer": quantizer(work.types["weight"], shape)}
    if "bias" in work.types:
        fields["bias_quantizer"] = quantizer(work.types["bias"], shape[-1])
    fields |= {role: _gated(work, role) for role in ("multiplier", "accumulator")}
    fused = work.types["accumulator"]
    if scale_exponents is not None:
        fused = accumulate(shifted_scales(work.types["multiplier"], *scale_exponents), terms)
        fused = add(fused, work.types["bias"]) if "bias" in work.types else fused
    return fields | {"fused_accumulator": quantizer(fused, op="add")}


def kernel_shape(layer: Layer) -> Shape:
    """The shape of a layer's kernel as Keras has it."""
    config, channels = layer.reader, layer.input_shapes[0][-1]
    if layer.class_name.startswith("Dense"):
        return channels, layer.output_shape[-1]
    window = config.integers("kernel_size", spatial_rank(layer.class_name))
    if layer.class_name.startswith(("Depthwise", "Separable")):
        return (*window, channels, config.integer("depth_multiplier", 1))
    if "Transpose" in layer.class_name:
        return (*window, layer.output_shape[-1], channels)
    return (*window, channels // config.integer("groups", 1), layer.output_shape[-1])
