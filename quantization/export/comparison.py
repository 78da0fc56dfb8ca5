"""What an export computed, held against what the network computes. numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantization.export.context import Examples, Floats, OutputStage, by_input
from quantization.export.errors import NotExact, RunFailed
from quantization.export.formats import export_format
from quantization.export.run import Outputs
from quantization.export.written import Export


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How an export compares with its model.

    `equal_classes`: share of examples with the same class, None where no output is one of classes.
    `largest_difference` of any output, `largest_output`: the largest magnitude of the model's. `inexact`: layer -> why
    its numbers can differ.
    """

    examples: int
    equal_classes: float | None
    largest_difference: float
    largest_output: float
    inexact: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def is_exact(self) -> bool:
        """Whether every output was the same."""
        return self.largest_difference == 0.0


@dataclass(frozen=True)
class ProvenExport:
    """An export and its proof. `metric`, `model_metric`: of export and model on the first validation examples."""

    export: Export
    proof: Proof
    metric: float
    model_metric: float
    validation_examples: int

    def document(self) -> dict[str, Any]:
        """The proof as JSON values."""
        proof = self.proof
        return {
            "examples": proof.examples,
            "exact": proof.is_exact,
            "equal_classes": proof.equal_classes,
            "largest_difference": proof.largest_difference,
            "largest_output": proof.largest_output,
            "inexact": dict(proof.inexact),
            "metric": self.metric,
            "model_metric": self.model_metric,
            "validation_examples": self.validation_examples,
            "versions": dict(proof.versions),
        }


def compare_outputs(
    export: Export, inputs: Examples, expected: Sequence[Floats], outputs: Outputs, classifies: Sequence[bool]
) -> Proof:
    """The proof of what an export computed from these inputs, where `expected` is what the network does.

    Raises `RunFailed` for outputs of other shapes, and `NotExact` where the format promises equality and no layer says
    why there is none.
    """
    if [array.shape for array in outputs.arrays] != [array.shape for array in expected]:
        shapes = ", ".join(str(array.shape) for array in outputs.arrays)
        raise RunFailed(f"format {export.format!r}: its outputs have the shapes {shapes}")
    pairs = list(zip(expected, outputs.arrays, strict=True))
    differences = [np.abs(np.float64(one) - np.float64(other)) for one, other in pairs]
    proof = Proof(
        examples=len(by_input(inputs)[0]),
        equal_classes=_equal_classes(pairs, classifies, export.written.stage),
        largest_difference=max(float(difference.max(initial=0.0)) for difference in differences),
        largest_output=max(float(np.abs(array).max(initial=0.0)) for array in expected),
        inexact=dict(export.written.inexact),
        versions=outputs.versions,
    )
    if export_format(export.format).exact and not proof.is_exact and not proof.inexact:
        raise NotExact(
            f"format {export.format!r} promises equality, but an output differs by {proof.largest_difference:g}"
        )
    return proof


def _equal_classes(
    pairs: Sequence[tuple[Floats, Floats]], classifies: Sequence[bool], stage: OutputStage
) -> float | None:
    equal = [
        np.asarray(classes_of(one, stage) == classes_of(other, stage))
        for (one, other), is_class in zip(pairs, classifies, strict=True)
        if is_class
    ]
    return float(np.mean([np.mean(same) for same in equal])) if equal else None


def classes_of(scores: Floats, stage: OutputStage) -> Any:
    """The class of each example: that of the largest score; of a single score, whether it is reached."""
    if scores.shape[-1] == 1:
        return scores[..., 0] >= (0.0 if stage == "logits" else 0.5)
    return scores.argmax(axis=-1)
