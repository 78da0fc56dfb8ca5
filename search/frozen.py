"""What the values of a job share: they are immutable and refuse fields they do not know. Plain; nothing loads Keras."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: immutable, and strict about fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def kind_name(value: Any) -> Any:
    """A word alone stands for a kind with its defaults."""
    return {"kind": value} if isinstance(value, str) else value
