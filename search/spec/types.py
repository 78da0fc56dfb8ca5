"""Numeric types by their names, as jobs and cost requests state them. Plain Pydantic."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from costmodel.data_type import DataType
from costmodel.propagation import reference_type
from quantization.specs.parse import Quantizer
from search.spec.base import Frozen

TypeName = Literal["fp32", "fp16", "int8", "int16", "int32"]


def _named_source(value: Any) -> Any:
    """The name of a type as an object with that name; anything else is left to be read as a quantizer."""
    return {"name": value} if isinstance(value, str) and value in get_args(TypeName) else value


class NamedType(Frozen):
    """A numeric type by its name."""

    name: TypeName = Field(
        description="fp32, fp16, or fixed point: int8 (8 bits, 0 of them integer), int16 (16, 7), int32 (32, 10)"
    )

    def data_type(self) -> DataType:
        """The type with this name."""
        return reference_type(self.name)


#: The type of the network's inputs: a name or a quantizer.
Source = Annotated[NamedType | Quantizer, BeforeValidator(_named_source, json_schema_input_type=str)]
