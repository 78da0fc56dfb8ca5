"""A model of the metric: a Gaussian process that sums what each choice does and what they do together."""

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

#: Trials the hyperparameters are learned from: their cost grows with the cube.
_LEARNED_FROM: Final = 150

#: Share of the variance that is additive over the choices, length scale of the rest, variance of the noise.
_SHARES: Final = (0.2, 0.5, 0.8)
_LENGTHS: Final = (0.5, 1.0, 2.0)
_NOISES: Final = (1e-3, 1e-2, 5e-2)


@dataclass(frozen=True)
class Kernel:
    """`share * linear + (1 - share) * squared exponential`, features scaled so that both are about 1."""

    share: float
    length: float
    noise: float

    def __call__(self, one: Floats, other: Floats) -> Floats:
        inner = one @ other.T
        squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * inner
        together = np.exp(-np.maximum(squares, 0) / (2 * self.length**2))
        return np.asarray(self.share * inner + (1 - self.share) * together)

    def diagonal(self, one: Floats) -> Floats:
        """The variance before anything is known."""
        return np.asarray(self.share * (one**2).sum(axis=1) + (1 - self.share))


@dataclass(frozen=True)
class Surrogate:
    """What the trials say about the metric of any assignment. Made by `fit`."""

    kernel: Kernel
    features: Floats
    factor: Floats  #: Cholesky factor of the trials' covariance
    weights: Floats
    mean: float
    scale: float
    unit: float  #: features are divided by it

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the metric of each row of features."""
        scaled = features / self.unit
        cross = self.kernel(self.features, scaled)
        solved = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = self.kernel.diagonal(scaled) - (solved**2).sum(axis=0)
        return (
            self.mean + self.scale * (cross.T @ self.weights),
            self.scale * np.sqrt(np.maximum(variance, 1e-12)),
        )


def fit(features: Floats, metrics: Floats, pending: Floats | None = None) -> Surrogate:
    """The surrogate of measured trials. `pending`, features of trials under way, count as measured at their mean.

    The likeliest of a few kernels is taken; the likelihood is that of at most 150 trials, the latest.
    """
    mean, scale = float(metrics.mean()), float(metrics.std()) or 1.0
    unit = math.sqrt(float((features**2).sum(axis=1).mean())) or 1.0
    scaled, targets = features / unit, (metrics - mean) / scale
    kernel = _likeliest(scaled[-_LEARNED_FROM:], targets[-_LEARNED_FROM:])
    found = _conditioned(kernel, scaled, targets, mean, scale, unit)
    if pending is None or not len(pending):
        return found
    imagined = (found.predict(pending)[0] - mean) / scale
    everything = np.concatenate([scaled, pending / unit])
    return _conditioned(kernel, everything, np.concatenate([targets, imagined]), mean, scale, unit)


def _conditioned(
    kernel: Kernel, features: Floats, targets: Floats, mean: float, scale: float, unit: float
) -> Surrogate:
    factor = _factor(kernel, features)
    weights = cho_solve((factor, True), targets, check_finite=False)
    return Surrogate(kernel, features, factor, weights, mean, scale, unit)


def _factor(kernel: Kernel, features: Floats) -> Floats:
    covariance = kernel(features, features)
    covariance[np.diag_indices_from(covariance)] += kernel.noise
    return np.asarray(cholesky(covariance, lower=True, check_finite=False))


def _likeliest(features: Floats, targets: Floats) -> Kernel:
    kernels = [Kernel(*settings) for settings in itertools.product(_SHARES, _LENGTHS, _NOISES)]
    return max(kernels, key=lambda kernel: _likelihood(kernel, features, targets))


def _likelihood(kernel: Kernel, features: Floats, targets: Floats) -> float:
    """Logarithm, without the constant (Rasmussen and Williams, 2006, eq. 2.30)."""
    factor = _factor(kernel, features)
    half = solve_triangular(factor, targets, lower=True, check_finite=False)
    return float(-0.5 * half @ half - np.log(np.diag(factor)).sum())


# --- expected gains ------------------------------------------------------------------------------------------------


def excess(level: Floats | float, mean: Floats, deviation: Floats) -> Floats:
    """Expectation of max(metric - level, 0) of a normal metric (Jones et al., 1998)."""
    distance = (mean - level) / deviation
    density = np.exp(-0.5 * distance**2) / math.sqrt(2 * math.pi)
    return np.asarray(deviation * (distance * ndtr(distance) + density))
