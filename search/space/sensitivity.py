"""What quantizing each slot alone does to the outputs of the float model, measured once per job. Plain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from search.spec.oracle import DescentOracleSpec, FrugalOracleSpec, OracleSpec, SensitivityOracleSpec

#: Largest share by which one choice is expected to let the error grow; chosen on the tables `digits` and `jet`.
GROWTH: Final = 2.8


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The divergence of the float model's outputs when one choice is made and everything else stays float.

    `divergences`: choice -> label, as text -> divergence, at least 0. For class numbers it is the Kullback-Leibler
    divergence in nats, for numeric targets the squared change over the model's squared error. Choices that nothing was
    measured for, such as learning rates, are missing.
    """

    metric: float  #: of the float model, on the validation data
    examples: int  #: of the training data, that the outputs were compared on
    divergences: Mapping[str, Mapping[str, float]]

    def damage(self, choice: str, label: str | float) -> float:
        """The share by which the error of a trained network is expected to grow: `GROWTH` d / (1 + d), 0 if unmeasured.

        Training makes up for most of a coarse quantizer's divergence, which has no bound; so the share has one.
        """
        divergence = self.divergences.get(choice, {}).get(str(label), 0.0)
        return GROWTH * divergence / (1 + divergence)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        divergences = {name: dict(labels) for name, labels in self.divergences.items()}
        return {"metric": self.metric, "examples": self.examples, "divergences": divergences}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Sensitivity:
        """What `to_json` wrote."""
        return cls(document["metric"], document["examples"], document["divergences"])


def needs_sensitivity(oracle: OracleSpec) -> bool:
    """Whether an oracle proposes by the sensitivity of a job."""
    if isinstance(oracle, FrugalOracleSpec):
        return oracle.initial == "sensitivity"
    return isinstance(oracle, SensitivityOracleSpec | DescentOracleSpec)
