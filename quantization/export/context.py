"""What a writer gets besides the model, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
#: Examples as a model reads them; of several inputs a tuple, in the model's order.
Examples: TypeAlias = Floats | tuple[Floats, ...]

#: What a format computes: the model's outputs, or those before a last softmax or sigmoid.
OutputStage = Literal["outputs", "logits"]

#: Examples that are computed at a time: a float sum may depend on it, so a model and its export use the same.
BATCH: Final = 256
#: The file that every export has beside its own: format, options, preprocessing, and what its writer says.
MANIFEST_FILE: Final = "export.json"


def by_input(examples: Any) -> tuple[Floats, ...]:
    """The examples at each input."""
    return examples if isinstance(examples, tuple) else (examples,)


def batches(examples: Any, size: int = BATCH) -> list[Any]:
    """Successive examples, so many at a time, in the form of all."""
    parts = by_input(examples)
    cut = [[part[start : start + size] for part in parts] for start in range(0, len(parts[0]), size)]
    return [tuple(part) if isinstance(examples, tuple) else part[0] for part in cut]


@dataclass(frozen=True)
class ExportContext:
    """What is known about a model besides its layers.

    `samples`: float32 examples as the model reads them, for ranges and test vectors. `preprocessing`: the document of
    `preprocessing.json`. `classifies`: output by output, whether its scores are compared by their largest. `options`:
    those of the format, all of them (`ExportFormat.checked`).
    """

    samples: Examples
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    classifies: tuple[bool, ...] = (True,)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def only_samples(self) -> Floats:
        """The examples of a model that has one input."""
        [samples] = by_input(self.samples)
        return samples


@dataclass(frozen=True, kw_only=True)
class DeviceFigures:
    """What a network needs on a device, as written: bytes and multiplications."""

    flash_bytes: int | None = None  #: constants, and code where it was compiled
    ram_bytes: int | None = None  #: activations at their peak, with buffers used again
    packed_bytes: int | None = None  #: weights and biases, each in its own number of bits
    macs: int | None = None  #: multiplications with a weight, per inference
    text_bytes: int | None = None  #: code and constants on a Cortex-M4, where a compiler for it was found
    data_bytes: int | None = None  #: variables there that begin with a value
    bss_bytes: int | None = None  #: variables there that begin at zero


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a writer says of what it wrote.

    `stage`: whether what runs ends before a last softmax or sigmoid. `inexact`: layer -> why its numbers can differ
    from the model's; empty where every number is the same. `notes`: what a user should know.
    """

    stage: OutputStage = "outputs"
    inexact: Mapping[str, str] = field(default_factory=dict)
    figures: DeviceFigures | None = None
    notes: tuple[str, ...] = ()
