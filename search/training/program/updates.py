"""A step of training from its gradient: warm-up, clipping, weight decay, the optimizer, the average of weights.

In the order of Keras' optimizers, whose options `clipvalue`, `global_clipnorm`, `weight_decay` and `use_ema` these are,
so that all numbers are equal, but for the order in which a norm is summed.
"""

from __future__ import annotations

from typing import Any, Final

from keras import ops

from search.training.program.optimizers import OPTIMIZERS, FlatOptimizer, Updated
from search.training.program.options import StepOptions

Tensor = Any

#: The attribute in which Keras' optimizers have the averages of weights.
_AVERAGES: Final = "_model_variables_moving_average"


class Updates:
    """How weights change in a step. With averages, these are the last of the moments.

    `undecayed`: how many of the last numbers weight decay leaves alone.
    """

    def __init__(self, optimizer: str, options: StepOptions, undecayed: int = 0) -> None:
        self._optimizer: FlatOptimizer = OPTIMIZERS[optimizer]
        self._options = options
        decay = options.weight_decay
        self._decay = self._optimizer.weight_decay if decay is None else decay
        self._undecayed = undecayed

    @property
    def averages(self) -> bool:
        """Whether an average of weights is evaluated and stored instead of the weights."""
        return self._options.ema is not None

    def first_moments(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Of weights that have not been trained."""
        moments = tuple(ops.zeros_like(weights) for _ in self._optimizer.moments)
        return (*moments, weights) if self.averages else moments

    def evaluated(self, weights: Tensor, moments: tuple[Tensor, ...]) -> Tensor:
        """The weights that are evaluated and stored."""
        return moments[-1] if self.averages else weights

    def step(
        self,
        weights: Tensor,
        gradient: Tensor,
        moments: tuple[Tensor, ...],
        scalar: Tensor,
        count: Tensor,
        rate: Tensor,
    ) -> Updated:
        """The weights after a step; `count`: steps before it. Without the average, which `averaged` adds."""
        options = self._options
        if options.warm_up_steps:
            share = ops.cast(count + 1, "float32") / options.warm_up_steps
            rate = rate * ops.minimum(share, 1.0)
        if options.clip_norm is not None:
            norm = ops.sqrt(ops.sum(ops.square(gradient)))
            gradient = gradient * (options.clip_norm * ops.minimum(1.0 / norm, 1.0 / options.clip_norm))
        if options.clip_value is not None:
            gradient = ops.clip(gradient, -options.clip_value, options.clip_value)
        if self._decay:
            decayed = weights * self._decay * rate
            if self._undecayed:
                decayed = ops.concatenate([decayed[: -self._undecayed], ops.zeros((self._undecayed,))])
            weights = weights - decayed
        own = len(self._optimizer.moments)
        updated = self._optimizer.step(weights, gradient, moments[:own], scalar, count, rate)
        return updated._replace(moments=(*updated.moments, *moments[own:]))

    def averaged(self, updated: Updated, count: Tensor) -> Updated:
        """With the average of weights moved on, after constraints were applied; the first step starts it."""
        if self._options.ema is None:
            return updated
        *moments, average = updated.moments
        momentum = ops.cast(count > 0, "float32") * self._options.ema
        average = momentum * average + (1 - momentum) * updated.weights
        return updated._replace(moments=(*moments, average))

    # ---- Keras' optimizer ----

    def read(self, optimizer: Any, model_weights: Tensor, flat: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Weights and moments that `write` wrote. `flat` makes variables one vector."""
        moments = tuple(flat(getattr(optimizer, name)) for name in self._optimizer.moments)
        if not self.averages:
            return model_weights, moments
        return flat(getattr(optimizer, _AVERAGES)), (*moments, model_weights)

    def scalar(self, optimizer: Any, default: Tensor) -> Tensor:
        """The optimizer's single number; `default` if it has none."""
        name = self._optimizer.scalar
        return default if name is None else getattr(optimizer, name).value * 1

    def write(
        self, optimizer: Any, weights: Tensor, moments: tuple[Tensor, ...], scalar: Tensor, assign: Any
    ) -> None:
        """Write into a built optimizer. Where the model has averages, its optimizer has the weights themselves."""
        own = len(self._optimizer.moments)
        for name, moment in zip(self._optimizer.moments, moments[:own], strict=True):
            assign(getattr(optimizer, name), moment)
        if self.averages:
            assign(getattr(optimizer, _AVERAGES), weights)
        if self._optimizer.scalar is not None:
            getattr(optimizer, self._optimizer.scalar).assign(scalar)


def keras_options(options: StepOptions) -> dict[str, Any]:
    """The same as arguments of Keras' optimizers, for a model that is saved."""
    arguments: dict[str, Any] = {}
    if options.weight_decay is not None:
        arguments["weight_decay"] = options.weight_decay
    if options.clip_norm is not None:
        arguments["global_clipnorm"] = options.clip_norm
    if options.clip_value is not None:
        arguments["clipvalue"] = options.clip_value
    if options.ema is not None:
        arguments |= {"use_ema": True, "ema_momentum": options.ema}
    return arguments
