"""How a job searches: which oracle proposes, what it must never train, and when it gives a training up. Plain pydantic.

Each oracle's class is in `search.oracles`; what they do and when to use which is told in `docs/oracles.md`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from search.spec.base import Frozen, kind_name

#: Random trials before a model of the scores is trusted, however many choices there are.
INITIAL_POINTS: Final = 10


class RandomOracleSpec(Frozen):
    """keras-tuner's RandomSearchOracle."""

    kind: Literal["random"] = "random"


class GridOracleSpec(Frozen):
    """keras-tuner's GridSearchOracle: every assignment in order, the last choice varying fastest."""

    kind: Literal["grid"] = "grid"


class BayesianOracleSpec(Frozen):
    """keras-tuner's BayesianOptimizationOracle: a Gaussian process of the score, upper confidence bound.

    Its defaults take a score for exact; that of a single training is not.
    """

    kind: Literal["bayesian"] = "bayesian"
    num_initial_points: int | None = Field(
        None, ge=1, le=10_000, description="random trials first; None: 3 per choice, at most 10"
    )
    alpha: float = Field(
        0.1,
        gt=0,
        le=10,
        description="variance of the noise of a score, scores scaled to 1; keras-tuner's is 1e-4",
    )
    beta: float = Field(
        1.8,
        ge=0,
        le=100,
        description="how many standard deviations a guess is trusted upwards; keras-tuner's is 2.6",
    )

    def initial_points(self, dimensions: int) -> int:
        """How many measured trials come before the first that is not random."""
        return self.num_initial_points or max(min(3 * dimensions, INITIAL_POINTS), 3)


class HyperbandOracleSpec(Frozen):
    """keras-tuner's HyperbandOracle (Li et al., 2018): many short trainings, the best of them continued."""

    kind: Literal["hyperband"] = "hyperband"
    max_epochs: int | None = Field(
        None, ge=1, le=10_000, description="of the longest training; None: those of `training`"
    )
    factor: int = Field(3, ge=2, le=100, description="of each round one in so many goes on, as much longer")
    iterations: int | None = Field(
        None, ge=1, le=10_000, description="rounds of all brackets; None: until the budget ends"
    )


class EvolutionOracleSpec(Frozen):
    """NSGA-II (Deb et al., 2002) over metric and cost: looks for the whole Pareto front."""

    kind: Literal["evolution"] = "evolution"
    population: int = Field(16, ge=4, le=1000, description="parents are drawn from the best so many trials")
    crossover: float = Field(0.9, ge=0, le=1, description="share of children that have two parents")
    mutation: float | None = Field(
        None,
        gt=0,
        le=1,
        description="chance of each choice to change; None: one choice of a child on average",
    )


class FrugalOracleSpec(Frozen):
    """Prices candidates before training and proposes where the best gain is to be expected."""

    kind: Literal["frugal"] = "frugal"
    gain: Literal["score", "front"] = Field(
        "score", description="score: a better best score; front: more dominated area of metric and log cost"
    )
    initial_points: int = Field(3, ge=2, le=1000, description="trials spread over the costs come first")
    candidates: int = Field(500, ge=10, le=100_000, description="assignments weighed for each proposal")


#: A word alone is a kind with its defaults.
OracleSpec = Annotated[
    RandomOracleSpec
    | GridOracleSpec
    | BayesianOracleSpec
    | HyperbandOracleSpec
    | EvolutionOracleSpec
    | FrugalOracleSpec,
    Field(discriminator="kind"),
    BeforeValidator(kind_name),
]


# --- what is never trained -----------------------------------------------------------------------------------------


class Constraints(Frozen):
    """Limits every trial must keep. One that costs too much is INFEASIBLE and costs no training."""

    max_energy_pj: float | None = Field(None, gt=0, description="of one inference")
    max_bits: int | None = Field(None, ge=1, description="of parameters and activations")
    max_metric_drop: float | None = Field(
        None,
        ge=0,
        le=1,
        description="how far the metric may be worse than the float model's, judged once both are measured; of a"
        " minimised metric: as a share of the float model's",
    )

    @property
    def limits_cost(self) -> bool:
        """True if a trial may be found infeasible before it is trained."""
        return self.max_energy_pj is not None or self.max_bits is not None


class NoBound(Frozen):
    """Every proposal is trained."""

    kind: Literal["off"] = "off"


class StrictBound(Frozen):
    """A trial whose score could not reach the best one even with the best metric there is (an accuracy of 1, an error
    of 0) is PRUNED: a proof.
    """

    kind: Literal["strict"] = "strict"


class FloatBound(Frozen):
    """As `strict`, but no trial is believed to exceed the float model's metric by more than `margin`: an assumption.

    Of a minimised metric the margin is a share of the float model's. Where the float model was not measured it is
    `strict`.
    """

    kind: Literal["float"] = "float"
    margin: float = Field(0.01, ge=0, le=1)


#: A word alone is a kind with its defaults.
BoundSpec = Annotated[
    NoBound | StrictBound | FloatBound, Field(discriminator="kind"), BeforeValidator(kind_name)
]


# --- what is given up ----------------------------------------------------------------------------------------------


class NoStopping(Frozen):
    """Every training runs to its end."""

    kind: Literal["off"] = "off"


class MedianStopping(Frozen):
    """A training worse than half of the others were at its epoch ends (Golovin et al., 2017, Google Vizier)."""

    kind: Literal["median"] = "median"
    grace_epochs: int = Field(2, ge=1, le=10_000, description="epochs every training gets")
    min_trials: int = Field(5, ge=1, le=10_000, description="other trials that must have come as far")


class AshaStopping(Frozen):
    """Asynchronous successive halving (Li et al., 2020): at each rung the best one in `factor` goes on."""

    kind: Literal["asha"] = "asha"
    grace_epochs: int = Field(1, ge=1, le=10_000, description="epochs at the first rung")
    factor: int = Field(3, ge=2, le=100, description="from rung to rung so many times the epochs")


#: A word alone is a kind with its defaults.
StoppingSpec = Annotated[
    NoStopping | MedianStopping | AshaStopping, Field(discriminator="kind"), BeforeValidator(kind_name)
]


# --- what is measured before training --------------------------------------------------------------------------------


class NoPostTraining(Frozen):
    """Trials are not measured before they are trained."""

    kind: Literal["off"] = "off"


class PostTrainingMedian(Frozen):
    """Each trial is first measured as it starts, without training; one that scores far below the others is PRUNED."""

    kind: Literal["median"] = "median"
    margin: float = Field(
        0.05, ge=0, le=1, description="how far below the median score of the others, as a share of it"
    )
    min_trials: int = Field(5, ge=1, le=10_000, description="other trials that must have been measured")


#: A word alone is a kind with its defaults.
PostTrainingSpec = Annotated[
    NoPostTraining | PostTrainingMedian, Field(discriminator="kind"), BeforeValidator(kind_name)
]


def oracle_warnings(oracle: OracleSpec, trials: int, epochs: int, dimensions: int) -> list[str]:
    """What the user of an oracle should know before a search of `trials` trials over so many choices begins."""
    if isinstance(oracle, BayesianOracleSpec) and trials <= oracle.initial_points(dimensions):
        return [
            f"the first {oracle.initial_points(dimensions)} trials of the bayesian oracle are random, the budget"
            f" is {trials} trials: raise budget.trials or lower oracle.num_initial_points"
        ]
    if isinstance(oracle, EvolutionOracleSpec) and trials <= oracle.population:
        return [
            f"the first {oracle.population} trials of the evolution oracle are random, the budget is {trials} trials:"
            " raise budget.trials or lower oracle.population"
        ]
    if isinstance(oracle, HyperbandOracleSpec) and (oracle.max_epochs or epochs) < oracle.factor:
        return [
            f"hyperband cannot shorten trainings of {oracle.max_epochs or epochs} epochs by its factor of"
            f" {oracle.factor}: it is a random search"
        ]
    return []
