"""How a job searches: its oracle, which trials are not trained, and which trainings are stopped. Plain Pydantic.

The oracles are in `search.oracles`; `docs/oracles.md` says what each does and when to use it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from search.spec.base import Frozen, kind_name

#: Most random trials before a model of the scores is used, however many choices there are.
INITIAL_POINTS: Final = 10


class RandomOracleSpec(Frozen):
    """keras-tuner's RandomSearchOracle."""

    kind: Literal["random"] = "random"


class GridOracleSpec(Frozen):
    """keras-tuner's GridSearchOracle: every assignment in order; the last choice varies fastest."""

    kind: Literal["grid"] = "grid"


class BayesianOracleSpec(Frozen):
    """keras-tuner's BayesianOptimizationOracle: a Gaussian process of the score, and its upper confidence bound.

    The defaults of `alpha` and `beta` differ from keras-tuner's, which treat scores as exact: that of a single training
    is noisy.
    """

    kind: Literal["bayesian"] = "bayesian"
    num_initial_points: int | None = Field(
        None, ge=1, le=10_000, description="random trials at the start; null: 3 per choice, at most 10"
    )
    alpha: float = Field(
        0.1,
        gt=0,
        le=10,
        description="variance of the noise of scores that are scaled to unit variance; keras-tuner uses 1e-4",
    )
    beta: float = Field(
        1.8,
        ge=0,
        le=100,
        description="standard deviations between the mean and the upper confidence bound; keras-tuner uses 2.6",
    )

    def initial_points(self, dimensions: int) -> int:
        """Number of measured trials before the first one that is not random."""
        return self.num_initial_points or max(min(3 * dimensions, INITIAL_POINTS), 3)


class HyperbandOracleSpec(Frozen):
    """keras-tuner's HyperbandOracle (Li et al., 2018): starts many short trainings and continues the best."""

    kind: Literal["hyperband"] = "hyperband"
    max_epochs: int | None = Field(
        None, ge=1, le=10_000, description="epochs of the longest training; null: `training.epochs`"
    )
    factor: int = Field(
        3,
        ge=2,
        le=100,
        description="reduction factor: 1 in `factor` trials is promoted and trained `factor` times longer",
    )
    iterations: int | None = Field(
        None, ge=1, le=10_000, description="how often all brackets are run; null: until the budget ends"
    )


class EvolutionOracleSpec(Frozen):
    """NSGA-II (Deb et al., 2002) over metric and cost: searches for the whole Pareto front."""

    kind: Literal["evolution"] = "evolution"
    population: int = Field(
        16, ge=4, le=1000, description="number of best trials that parents are drawn from"
    )
    crossover: float = Field(0.9, ge=0, le=1, description="probability that a child has two parents")
    mutation: float | None = Field(
        None,
        gt=0,
        le=1,
        description="probability that a choice of a child changes; null: one choice per child on average",
    )


class FrugalOracleSpec(Frozen):
    """Prices assignments before training and proposes the one with the largest expected gain."""

    kind: Literal["frugal"] = "frugal"
    gain: Literal["score", "front"] = Field(
        "score",
        description="score: improvement of the best score; front: growth of the area of metric and log cost that the"
        " front dominates",
    )
    initial: Literal["spread", "sensitivity"] = Field(
        "spread",
        description="trials at the start. spread: over the range of costs; sensitivity: those that the measured"
        " sensitivity of the float model predicts to be best, as the oracle `sensitivity` proposes them",
    )
    initial_points: int = Field(3, ge=2, le=1000, description="number of trials at the start")
    candidates: int = Field(
        500, ge=10, le=100_000, description="assignments that are compared for each proposal"
    )


class SensitivityOracleSpec(Frozen):
    """Measures what each quantizer alone does to the float model, and solves for the front of damage and exact cost.

    The float model is trained first, by the job's recipe, unless one was uploaded.
    """

    kind: Literal["sensitivity"] = "sensitivity"
    gain: Literal["score", "front"] = Field(
        "score",
        description="score: improvement of the best score; front: growth of the area of metric and log cost that the"
        " front dominates",
    )


class DescentOracleSpec(Frozen):
    """Goes down the front that `sensitivity` solves for, each trial continuing the one before with fewer bits."""

    kind: Literal["descent"] = "descent"
    stages: int = Field(
        10,
        ge=2,
        le=1000,
        description="trials of a descent, from precise to cheap networks; each trains `training.epochs` more",
    )


class GradientOracleSpec(Frozen):
    """Trains the bits of fixed-point quantizers with the weights; each trial continues the one before."""

    kind: Literal["gradient"] = "gradient"
    stages: int = Field(
        20,
        ge=2,
        le=1000,
        description="trials of a training, from precise to cheap networks; each trains `training.epochs` more",
    )
    start_bits: int = Field(
        6,
        ge=1,
        le=32,
        description="bits that the first stage starts from; of each choice the candidate with the nearest number",
    )
    first_penalty: float = Field(
        0.08,
        gt=0,
        le=1000,
        description="penalty of the first stage: the loss that a cost of half as much is worth",
    )
    last_penalty: float = Field(
        0.2,
        gt=0,
        le=1000,
        description="penalty of the last stage; between the two it rises by equal factors",
    )

    @model_validator(mode="after")
    def _penalties_rise(self) -> GradientOracleSpec:
        if self.last_penalty < self.first_penalty:
            raise ValueError(
                f"last_penalty {self.last_penalty:g} is below first_penalty {self.first_penalty:g}: networks become"
                " cheaper from stage to stage"
            )
        return self


#: A bare string selects that kind with its defaults.
OracleSpec = Annotated[
    RandomOracleSpec
    | GridOracleSpec
    | BayesianOracleSpec
    | HyperbandOracleSpec
    | EvolutionOracleSpec
    | FrugalOracleSpec
    | SensitivityOracleSpec
    | DescentOracleSpec
    | GradientOracleSpec,
    Field(discriminator="kind"),
    BeforeValidator(kind_name),
]


# --- what is never trained -----------------------------------------------------------------------------------------


class Constraints(Frozen):
    """Limits that every trial must satisfy. A trial that costs too much is INFEASIBLE without being trained."""

    max_energy_pj: float | None = Field(None, gt=0, description="energy of one inference in picojoules")
    max_bits: int | None = Field(None, ge=1, description="bits of parameters and activations")
    max_bytes: float | None = Field(None, gt=0, description="bytes of parameters and activations, rounded up")
    max_parameter_bits: int | None = Field(None, ge=1, description="bits of all parameters: what is stored")
    max_peak_activation_bits: int | None = Field(
        None, ge=1, description="the most bits of activations that are stored at one time"
    )
    max_macs: int | None = Field(None, ge=1, description="multiply-accumulate operations of one inference")
    max_bops: float | None = Field(None, gt=0, description="bit operations (BOPs) of one inference")
    max_ebops: float | None = Field(
        None, gt=0, description="effective bit operations (EBOPs) of one inference"
    )
    max_metric_drop: float | None = Field(
        None,
        ge=0,
        le=1,
        description="largest loss of the metric against the float model, checked once both are known; for a minimised"
        " metric as a share of the float model's",
    )

    @property
    def limits_cost(self) -> bool:
        """True if a trial may be found infeasible before it is trained."""
        return bool(self.cost_limits)

    @property
    def cost_limits(self) -> dict[str, float]:
        """Cost as the cost model names it (`costmodel.costs.COSTS`; energy_pj, bits) -> its limit, where one is set."""
        stated = self.model_dump(exclude={"max_metric_drop"}, exclude_none=True)
        return {name.removeprefix("max_"): limit for name, limit in stated.items()}


class NoBound(Frozen):
    """Every proposal is trained."""

    kind: Literal["off"] = "off"


class StrictBound(Frozen):
    """A trial is PRUNED if even the best possible metric (an accuracy of 1, an error of 0) could not give it the best
    score. This is a proof.
    """

    kind: Literal["strict"] = "strict"


class FloatBound(Frozen):
    """As `strict`, under the assumption that no trial beats the float model's metric by more than `margin`.

    Where the float model was not measured, this is `strict`.
    """

    kind: Literal["float"] = "float"
    margin: float = Field(
        0.01,
        ge=0,
        le=1,
        description="largest assumed gain over the float model's metric; for a minimised metric as a share of it",
    )


#: A bare string selects that kind with its defaults.
BoundSpec = Annotated[
    NoBound | StrictBound | FloatBound, Field(discriminator="kind"), BeforeValidator(kind_name)
]


# --- what is stopped early -----------------------------------------------------------------------------------------


class NoStopping(Frozen):
    """Every training runs to its end."""

    kind: Literal["off"] = "off"


class MedianStopping(Frozen):
    """Median stopping: stops a training that is worse than half of the other trials were at the same epoch (Golovin et
    al., 2017, Google Vizier).
    """

    kind: Literal["median"] = "median"
    grace_epochs: int = Field(2, ge=1, le=10_000, description="epochs before a training may be stopped")
    min_trials: int = Field(5, ge=1, le=10_000, description="other trials needed that reached the epoch")


class AshaStopping(Frozen):
    """Asynchronous successive halving (Li et al., 2020): at each rung the best 1 in `factor` trainings continues."""

    kind: Literal["asha"] = "asha"
    grace_epochs: int = Field(1, ge=1, le=10_000, description="epochs of the first rung")
    factor: int = Field(
        3, ge=2, le=100, description="reduction factor: each rung trains `factor` times as many epochs"
    )


#: A bare string selects that kind with its defaults.
StoppingSpec = Annotated[
    NoStopping | MedianStopping | AshaStopping, Field(discriminator="kind"), BeforeValidator(kind_name)
]


# --- what is measured before training --------------------------------------------------------------------------------


class NoPostTraining(Frozen):
    """Trials are not measured before training."""

    kind: Literal["off"] = "off"


class PostTrainingMedian(Frozen):
    """Each trial is measured before its training; one that scores far below the others is PRUNED."""

    kind: Literal["median"] = "median"
    margin: float = Field(
        0.05,
        ge=0,
        le=1,
        description="distance below the median score of the other trials, as a share of that median",
    )
    min_trials: int = Field(5, ge=1, le=10_000, description="other trials needed that were measured this way")


#: A bare string selects that kind with its defaults.
PostTrainingSpec = Annotated[
    NoPostTraining | PostTrainingMedian, Field(discriminator="kind"), BeforeValidator(kind_name)
]


def oracle_warnings(
    oracle: OracleSpec, trials: int, epochs: int, dimensions: int, parallel: int = 1
) -> list[str]:
    """Warnings about an oracle for a search of `trials` trials, `parallel` at once, over `dimensions` choices."""
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
    if isinstance(oracle, DescentOracleSpec | GradientOracleSpec) and trials < oracle.stages * parallel:
        lanes = f" in each of {parallel} that run at once" if parallel > 1 else ""
        return [
            f"a training of the oracle {oracle.kind} has {oracle.stages} stages{lanes}, the budget is {trials} trials:"
            " its cheapest networks are not reached; raise budget.trials or lower oracle.stages"
            + (" or parallel_trials" if parallel > 1 else "")
        ]
    if isinstance(oracle, HyperbandOracleSpec) and (oracle.max_epochs or epochs) < oracle.factor:
        return [
            f"hyperband cannot shorten trainings of {oracle.max_epochs or epochs} epochs by its factor of"
            f" {oracle.factor}: this is a random search"
        ]
    return []
