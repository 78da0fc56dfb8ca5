"""The JSON Schema of a job as people write it: with the short forms that the specification's validators read.

Pydantic describes the long forms only: `{"kind": "zoo", "name": "digits_cnn"}`, not `digits_cnn`. Editors and clients
need both. What is added here is held to the truth by tests: every form parses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from search.networks.zoo import ZOO
from search.spec.job import SearchSpec
from search.spec.objective import METRICS

Schema = dict[str, Any]

#: Fields whose kind may stand alone, where it needs nothing else.
_WORDS: Final = ("data", "oracle", "bound", "stopping", "post_training", "schedule")
_NUMBER: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "maximum": 64,
    "description": "bits of every slot",
}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def job_schema(template: str = "#/$defs/{model}") -> Schema:
    """The schema of a job; `template` says where the definitions will stand."""
    schema = schema_of(SearchSpec, template)
    definitions, fields = schema["$defs"], schema["properties"]
    definitions["ZooModel"]["properties"]["name"]["enum"] = sorted(ZOO)
    fields["objective"]["anyOf"][0] |= {"enum": sorted(METRICS)}
    fields["model"] = _or({"enum": sorted(ZOO), "description": "a network of the zoo"}, fields["model"])
    for name in _WORDS:
        words = [kind for kind, target in _kinds(fields[name], definitions) if target["required"] == ["kind"]]
        fields[name] = _or({"enum": words, "description": "a kind with its defaults"}, fields[name])
    _widen_candidates(definitions, template)
    _widen_limits(definitions, template)
    _limits_unless_spiking(schema)
    return {"$schema": _DIALECT, "$id": "/v1/schemas/job", "title": "A search job"} | schema


def schema_of(kind: type[BaseModel], template: str) -> Schema:
    """A body's schema, in which a member of a union must say its kind, as it must when it is read."""
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
    """The value's objects, itself among them."""
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _parts(child)


def _kinds(part: Schema, definitions: dict[str, Schema]) -> list[tuple[str, Schema]]:
    """The members of a union that is told by `kind`: each kind and its definition."""
    mapping = part.get("discriminator", {})
    if not isinstance(mapping, dict) or mapping.get("propertyName") != "kind":
        return []
    return [(kind, definitions[target.rpartition("/")[2]]) for kind, target in mapping["mapping"].items()]


def _or(form: Schema, own: Schema) -> Schema:
    """A field that may also take another form; its description and default stay the field's."""
    kept = {key: own[key] for key in ("description", "default", "title") if key in own}
    return {"anyOf": [form, {key: value for key, value in own.items() if key not in kept}]} | kept


def _widen_candidates(definitions: dict[str, Schema], template: str) -> None:
    candidate = definitions["Candidate"]
    candidate["required"] = ["quantizer"]  # its bits are the quantizer's unless they are given
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
        own = field["anyOf"][0] if "anyOf" in field else field
        own["items"] = one
        definitions["QuantizationSpace"]["properties"][name] = _or(bits, field)


def _limits_unless_spiking(schema: Schema) -> None:
    """A spiking network has no layers that limits could be about: every other job needs some."""
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
