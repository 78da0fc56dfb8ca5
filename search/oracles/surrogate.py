"""A model of the metric: Gaussian processes with an additive part per choice and a part for their interactions."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular  # type: ignore[import-untyped]
from scipy.special import ndtr  # type: ignore[import-untyped]

Floats = NDArray[np.float64]

#: Trials from which the hyperparameters are learned: the cost grows with their cube.
_LEARNED_FROM: Final = 150

#: Trials that a process is conditioned on, for the same reason.
CONDITIONED_ON: Final = 1000

#: Share of the variance that is additive over the choices, length scale of the rest, variance of the noise.
_SHARES: Final = (0.2, 0.5, 0.8)
_LENGTHS: Final = (0.5, 1.0, 2.0)
_NOISES: Final = (1e-3, 1e-2, 5e-2)

#: Kernels with a smaller likelihood, relative to the likeliest, are left out of the average.
_LEAST_LIKELY: Final = 0.05


@dataclass(frozen=True)
class Kernel:
    """`share * linear + (1 - share) * squared exponential`, features scaled so that both are about 1."""

    share: float
    length: float
    noise: float

    def __call__(self, one: Floats, other: Floats) -> Floats:
        inner = one @ other.T
        squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * inner
        interaction = np.exp(-np.maximum(squares, 0) / (2 * self.length**2))
        return np.asarray(self.share * inner + (1 - self.share) * interaction)

    def diagonal(self, one: Floats) -> Floats:
        """The prior variance of each row."""
        return np.asarray(self.share * (one**2).sum(axis=1) + (1 - self.share))


@dataclass(frozen=True)
class Process:
    """A Gaussian process conditioned on the trials; features and targets are scaled."""

    kernel: Kernel
    features: Floats
    factor: Floats  #: Cholesky factor of the trials' covariance
    weights: Floats

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of the target of each row of features."""
        cross = self.kernel(self.features, features)
        solved = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = self.kernel.diagonal(features) - (solved**2).sum(axis=0)
        return cross.T @ self.weights, np.maximum(variance, 1e-12)


@dataclass(frozen=True)
class Surrogate:
    """Predicts the metric of any assignment. Returned by `fit`.

    A few trials do not determine the kernel: the likely ones are averaged, weighted by likelihood. Where they disagree,
    the deviation is larger than that of each.
    """

    processes: tuple[Process, ...]
    shares: tuple[float, ...]  #: of the average; they sum to 1
    mean: float
    scale: float
    unit: float  #: features are divided by it

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the metric of each row of features."""
        predictions = [process.predict(features / self.unit) for process in self.processes]
        mean = np.zeros(len(features))
        square = np.zeros(len(features))
        for share, (average, variance) in zip(self.shares, predictions, strict=True):
            mean += share * average
            square += share * (variance + average**2)
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-12))
        return self.mean + self.scale * mean, self.scale * deviation


def window(merits: Floats, most: int) -> NDArray[np.intp]:
    """Which trials to learn from, in their order: all, or `most` of them, half of them the best and half the newest."""
    if len(merits) <= most:
        return np.arange(len(merits))
    best = np.argsort(-merits, kind="stable")
    newest = np.arange(len(merits) - 1, -1, -1)
    both = np.stack([best, newest], axis=1).ravel()
    return np.sort(both[np.sort(np.unique(both, return_index=True)[1])][:most])


def fit(features: Floats, metrics: Floats, pending: Floats | None = None) -> Surrogate:
    """The surrogate of measured trials. Running trials, with the features `pending`, count as measured at their mean.

    It is conditioned on 1,000 trials at most (`window`): what a proposal costs stops growing there.
    Kernels are compared by the likelihood of the latest 150 trials. With more trials only the likeliest is used: they
    determine it well, and each further kernel costs as much as the first.
    """
    chosen = window(metrics, CONDITIONED_ON)
    features, metrics = features[chosen], metrics[chosen]
    mean, scale = float(metrics.mean()), float(metrics.std()) or 1.0
    unit = math.sqrt(float((features**2).sum(axis=1).mean())) or 1.0
    scaled, targets = features / unit, (metrics - mean) / scale
    several = len(targets) <= _LEARNED_FROM
    kernels, shares = _likely(scaled[-_LEARNED_FROM:], targets[-_LEARNED_FROM:], several=several)
    pending = None if pending is None or not len(pending) else pending / unit
    processes = tuple(_conditioned(kernel, scaled, targets, pending) for kernel in kernels)
    return Surrogate(processes, shares, mean, scale, unit)


def _conditioned(kernel: Kernel, features: Floats, targets: Floats, pending: Floats | None) -> Process:
    factor = _factor(kernel, features)
    process = Process(kernel, features, factor, cho_solve((factor, True), targets, check_finite=False))
    if pending is None:
        return process
    predicted, _ = process.predict(pending)
    return _conditioned(
        kernel, np.concatenate([features, pending]), np.concatenate([targets, predicted]), None
    )


def _factor(kernel: Kernel, features: Floats) -> Floats:
    covariance = kernel(features, features)
    covariance[np.diag_indices_from(covariance)] += kernel.noise
    return np.asarray(cholesky(covariance, lower=True, check_finite=False))


def _likely(features: Floats, targets: Floats, *, several: bool) -> tuple[list[Kernel], tuple[float, ...]]:
    """The likeliest kernel; with `several`, all whose likelihood is not much smaller. And their shares."""
    kernels = [Kernel(*settings) for settings in itertools.product(_SHARES, _LENGTHS, _NOISES)]
    logs = np.array([_likelihood(kernel, features, targets) for kernel in kernels])
    if not several:
        return [kernels[int(logs.argmax())]], (1.0,)
    weights = np.exp(logs - logs.max())
    likely = np.flatnonzero(weights >= _LEAST_LIKELY)
    shares = weights[likely] / weights[likely].sum()
    return [kernels[index] for index in likely], tuple(shares.tolist())


def _likelihood(kernel: Kernel, features: Floats, targets: Floats) -> float:
    """Logarithm, without the constant (Rasmussen and Williams, 2006, eq. 2.30)."""
    factor = _factor(kernel, features)
    half = solve_triangular(factor, targets, lower=True, check_finite=False)
    return float(-0.5 * half @ half - np.log(np.diag(factor)).sum())


# --- expected gains ------------------------------------------------------------------------------------------------


def expected_improvement(level: Floats | float, mean: Floats, deviation: Floats) -> Floats:
    """Expectation of max(metric - level, 0) of a normal metric (Jones et al., 1998)."""
    distance = (mean - level) / deviation
    density = np.exp(-0.5 * distance**2) / math.sqrt(2 * math.pi)
    return np.asarray(deviation * (distance * ndtr(distance) + density))
