"""The JSON Schema of a job, including the short forms that the specification's validators accept.

Pydantic describes only the long forms: `{"kind": "zoo", "name": "digits_cnn"}`, not `digits_cnn`. Editors and clients
need both. Tests check that every form parses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from search.networks.zoo import ZOO
from search.spec.job import SearchSpec
from search.spec.objective import METRICS

Schema = dict[str, Any]

#: Fields that may be a bare kind, for kinds without required fields.
_WORDS: Final = ("data", "oracle", "bound", "stopping", "post_training", "polish", "schedule")
_NUMBER: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "maximum": 64,
    "description": "bits of every slot",
}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def job_schema(template: str = "#/$defs/{model}") -> Schema:
    """The schema of a job; `template` is the pattern of references to its definitions."""
    schema = schema_of(SearchSpec, template)
    definitions, fields = schema["$defs"], schema["properties"]
    definitions["ZooModel"]["properties"]["name"]["enum"] = sorted(ZOO)
    fields["objective"]["anyOf"][0] |= {"enum": sorted(METRICS)}
    fields["model"] = _or({"enum": sorted(ZOO), "description": "a network of the zoo"}, fields["model"])
    for name in _WORDS:
        words = [kind for kind, target in _kinds(fields[name], definitions) if target["required"] == ["kind"]]
        fields[name] = _or({"enum": words, "description": "this kind with its defaults"}, fields[name])
    _widen_candidates(definitions, template)
    _widen_limits(definitions, template)
    fields["limits"] = _or(
        _NUMBER | {"description": "all layers, with at most so many bits"}, fields["limits"]
    )
    _limits_unless_spiking(schema)
    return {"$schema": _DIALECT, "$id": "/v1/schemas/job", "title": "A search job"} | schema


def schema_of(kind: type[BaseModel], template: str) -> Schema:
    """A body's schema, in which members of a union require their `kind`, as the parser does."""
    schema = kind.model_json_schema(ref_template=template)
    definitions = schema.setdefault("$defs", {})
    for part in _parts(schema):
        for _, target in _kinds(part, definitions):
            target["required"] = sorted(
                {"kind", *target.get("required", ())}, key=lambda name: name != "kind"
            )
        if part.get("type") == "array" and "maxLength" in part:
            part["maxItems"] = part.pop("maxLength")
    return schema


def _parts(value: Any) -> Iterator[Schema]:
    """All objects in a value, including itself."""
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _parts(child)


def _kinds(part: Schema, definitions: dict[str, Schema]) -> list[tuple[str, Schema]]:
    """The members of a union with the discriminator `kind`: each kind and its definition."""
    mapping = part.get("discriminator", {})
    if not isinstance(mapping, dict) or mapping.get("propertyName") != "kind":
        return []
    return [(kind, definitions[target.rpartition("/")[2]]) for kind, target in mapping["mapping"].items()]


def _or(form: Schema, field: Schema) -> Schema:
    """A field that also accepts another form; its description and default stay with the field."""
    annotations = {key: field[key] for key in ("description", "default", "title") if key in field}
    long_form = {key: value for key, value in field.items() if key not in annotations}
    return {"anyOf": [form, long_form]} | annotations


def _widen_candidates(definitions: dict[str, Schema], template: str) -> None:
    candidate = definitions["Candidate"]
    candidate["required"] = ["quantizer"]  # its bits default to those of the quantizer
    one = {
        "anyOf": [
            {"type": "string", "description": "a quantizer"},
            {"$ref": template.format(model="Candidate")},
        ]
    }
    bits = {
        "type": "object",
        "description": "quantizers and the bits that limits compare",
        "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 64},
    }
    for name, field in definitions["QuantizationSpace"]["properties"].items():
        candidates = field["anyOf"][0] if "anyOf" in field else field
        candidates["items"] = one
        definitions["QuantizationSpace"]["properties"][name] = _or(bits, field)


def _limits_unless_spiking(schema: Schema) -> None:
    """Every job needs limits, except those on spiking networks, which have no layers to limit."""
    kind = {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "xylo"}}}
    schema["required"] = [name for name in schema["required"] if name != "limits"]
    schema |= {"if": {"properties": {"model": kind}}, "else": {"required": ["limits"]}}


def _widen_limits(definitions: dict[str, Schema], template: str) -> None:
    slot = definitions["LayerLimits"]["properties"]["kernel"]
    limit = {"anyOf": [form for form in slot["anyOf"] if form.get("type") != "null"]}
    listed = {
        "type": "array",
        "description": "[kernel, bias, activation], or with the pointwise or recurrent kernel before the last",
        "items": limit,
        "maxItems": 4,
    }
    layer = {"anyOf": [_NUMBER, listed, {"$ref": template.format(model="LayerLimits")}]}
    limits = definitions["Limits"]["properties"]
    limits["by_class"]["additionalProperties"] = layer
    limits["by_name"] = _or(
        {
            "type": "object",
            "description": "patterns and their limits, in order",
            "additionalProperties": layer,
        },
        limits["by_name"],
    )
    limits["default"] = {"anyOf": [*layer["anyOf"]]}
