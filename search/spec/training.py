"""How trials are trained. Plain Pydantic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from search.spec.base import Frozen
from search.spec.distillation import Distillation
from search.spec.objective import LossName

#: Steps of a range of learning rates: ten to a factor of 1000 are a factor of 2 apart.
DEFAULT_STEPS: Final = 10

#: Digits of a rate inside a range.
_DIGITS: Final = 6


class LearningRates(Frozen):
    """Learning rates to choose from: a list, or a grid of `steps` rates from `min` to `max`.

    Every oracle searches this grid, so that the space has a size and repeated assignments are recognised.
    """

    choices: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="the learning rates; not together with `min` and `max`",
    )
    min: float | None = Field(None, gt=0, le=10, description="smallest learning rate")
    max: float | None = Field(None, gt=0, le=10, description="largest learning rate")
    sampling: Literal["log", "linear"] = Field(
        "log", description="log: equal ratios between neighbouring rates; linear: equal differences"
    )
    steps: int = Field(
        DEFAULT_STEPS, ge=2, le=100, description="number of rates from `min` to `max`, both included"
    )

    @field_validator("choices")
    @classmethod
    def _are_rates(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        strange = [rate for rate in value or () if not 0 < rate <= 10]
        if strange:
            raise ValueError(f"a learning rate must be between 0 and 10, got {strange[0]:g}")
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a learning rate is listed more than once")
        return value

    @model_validator(mode="after")
    def _one_form(self) -> LearningRates:
        ends = (self.min, self.max)
        if (self.choices is None) == (ends == (None, None)):
            raise ValueError("give either choices, or min and max")
        if self.choices is None and None in ends:
            raise ValueError("a range needs both min and max")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError("min must be below max")
        return self

    def labels(self) -> tuple[float, ...]:
        """The rates in order; the ends of a range exactly, the others rounded to six digits."""
        if self.choices is not None:
            return self.choices
        assert self.min is not None and self.max is not None  # noqa: PT018 -- one fact: it is a range
        space = np.geomspace if self.sampling == "log" else np.linspace
        inner = [float(f"{rate:.{_DIGITS}g}") for rate in space(self.min, self.max, self.steps)[1:-1]]
        return tuple(dict.fromkeys([self.min, *inner, self.max]))


class SpecAugment(Frozen):
    """Bands of a spectrogram or a series that are set to 0: one of times (first axis), one of frequencies (second)."""

    time: float = Field(0.1, ge=0, le=0.9, description="largest width of the band, as a share of the axis")
    frequency: float = Field(
        0.1, ge=0, le=0.9, description="largest width of the band, as a share of the axis"
    )


class Augmentation(Frozen):
    """Random changes of the training examples, anew in every step, after preprocessing. Off unless stated."""

    flip: Literal["horizontal", "vertical", "both"] | None = Field(
        None, description="mirrors half of the images; both: each direction for itself"
    )
    shift: float = Field(
        0.0, ge=0, le=0.5, description="largest shift, as a share of height and width; of a series in time"
    )
    rotate: float = Field(0.0, ge=0, le=180, description="largest rotation in degrees, to either side")
    zoom: float = Field(0.0, ge=0, le=0.5, description="largest zoom: 0.2 scales by 0.8 to 1.2")
    noise: float = Field(
        0.0, ge=0, le=10, description="standard deviation of normal noise, in units of the network's input"
    )
    mixup: float = Field(
        0.0,
        ge=0,
        le=10,
        description="examples and their losses are mixed in pairs, by shares of Beta(mixup, mixup), usually 0.1 to 0.4",
    )
    cutout: float = Field(
        0.0, ge=0, le=0.9, description="a rectangle of this share of height and width is set to 0"
    )
    spec_augment: SpecAugment | None = Field(None, description="bands set to 0; {}: with the defaults")

    @property
    def stated(self) -> tuple[str, ...]:
        """The options that are on."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))


def _form_of(value: Any) -> str:
    """Options, or a mapping of inputs to options: only there is every value a mapping."""
    values = value.values() if isinstance(value, Mapping) else ()
    by_input = bool(values) and all(isinstance(item, Mapping | Augmentation) for item in values)
    return "of each input" if by_input and set(value) != {"spec_augment"} else "of all inputs"


Augmentations = Annotated[
    Annotated[Augmentation, Tag("of all inputs")] | Annotated[dict[str, Augmentation], Tag("of each input")],
    Discriminator(_form_of),
]

#: Options of augmentation that examples allow, by the number of their axes: columns, series, images.
AUGMENTATIONS: Final = {
    1: ("noise", "mixup"),
    2: ("shift", "noise", "mixup", "spec_augment"),
    3: ("flip", "shift", "rotate", "zoom", "noise", "mixup", "cutout", "spec_augment"),
}


class Training(Frozen):
    """How each trial is trained."""

    epochs: int = Field(10, ge=1, le=10_000, description="epochs of each training")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="examples per step of the optimizer")
    optimizer: Literal["adam", "adamw", "nadam", "rmsprop", "sgd"] = Field(
        "adam", description="Keras' optimizer of this name, with its defaults"
    )
    learning_rate: float | LearningRates = Field(
        1e-3,
        description="a number; or {choices: [...]} or {min, max, sampling, steps}, which makes it a choice of a trial",
    )
    decay: Literal["none", "cosine"] = Field(
        "none",
        description="cosine: the learning rate decreases after each epoch along half a cosine, almost to 0 in the last"
        " epoch",
    )
    loss: LossName | Literal["auto"] | dict[str, LossName] = Field(
        "auto",
        description="auto: crossentropy for class numbers; for numeric targets the metric if a loss, else mse. For"
        " several outputs an object: layer of the output -> loss",
    )
    loss_weights: dict[str, float] = Field(
        {},
        max_length=100,
        description="for several outputs: layer of the output -> weight of its loss; 1 if left out",
    )
    start: Literal["scratch", "float", "calibrated"] = Field(
        "scratch",
        description="scratch: from new weights. float: from the weights of the float model, which is trained once with"
        " the same settings; a narrower layer takes the filters of largest magnitude. calibrated: as float, with the"
        " weights fitted to the quantizers on training data before the first step",
    )
    class_weight: Literal["balanced"] | dict[int, Annotated[float, Field(ge=0, le=1e6)]] | None = Field(
        None,
        description="weights of the loss of training examples by their class. balanced: inversely proportional to the"
        " examples that a class has in the training part; an object: class number -> weight, 1 if left out; null: all"
        " classes count alike. Of several outputs that of `objective.output` is weighted",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of each training label that is spread over all classes, for crossentropy",
    )
    focal_gamma: float = Field(
        0.0,
        ge=0,
        le=10,
        description="exponent of the focal loss: crossentropy is multiplied by (1 - probability) ** focal_gamma, so"
        " that examples which are classified well count less; 0: plain crossentropy",
    )
    distill: Distillation | None = Field(
        None,
        description="trials learn from the float model as well as from the targets; {}: with the defaults; null: from"
        " the targets alone",
    )
    augmentation: Augmentations | None = Field(
        None,
        description="random changes of the training examples, in every step, of all inputs or of each by its name;"
        " null: none",
    )
    warm_up: float = Field(
        0.0, ge=0, le=1000, description="epochs at the start in which the learning rate grows linearly from 0"
    )
    weight_decay: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of all weights, times the learning rate, that every step takes away (decoupled, as AdamW);"
        " null: 0.004 of adamw, none of the others",
    )
    clip_norm: float | None = Field(
        None, gt=0, description="largest norm of the gradient of all weights together; a longer one is scaled"
    )
    clip_value: float | None = Field(
        None, gt=0, description="largest magnitude of each number of the gradient"
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="momentum of an exponential moving average of the weights over the steps, which is measured and"
        " stored in their place, such as 0.99; null: the weights themselves",
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="a training ends after this many epochs without a better metric on the validation data; null: it"
        " has all its epochs",
    )
    sparsity: Literal["free", "keep"] = Field(
        "free",
        description="keep: weights of kernels that are 0 where a trial starts, such as those of a pruned upload, stay"
        " 0; free: they are trained like all others. keep needs `start: float` or `calibrated`",
    )
    executions: int = Field(
        1,
        ge=1,
        le=100,
        description="trainings of each trial, from different seeds; the metric is their mean, the stored model that of"
        " the best one",
    )

    def augmentations(self, inputs: Sequence[str]) -> tuple[Augmentation, ...]:
        """The augmentation of each input; empty if nothing is on."""
        stated = self.augmentation
        if not isinstance(stated, Mapping):
            by_input = tuple(stated or Augmentation() for _ in inputs)
        else:
            by_input = tuple(stated.get(name, Augmentation()) for name in inputs)
        return by_input if any(one.stated for one in by_input) else ()

    def rate_share(self, epoch: int, epochs: int) -> float:
        """The share of the learning rate at an epoch, counted from 0, of a training of `epochs` epochs.

        Half a cosine without restarts (Loshchilov and Hutter, arXiv 1608.03983), one step per epoch.
        """
        if self.decay == "none":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))

    @field_validator("learning_rate")
    @classmethod
    def _is_a_rate(cls, value: Any) -> Any:
        if isinstance(value, float) and not 0 < value <= 10:
            raise ValueError("a learning rate must be between 0 and 10")
        return value

    @field_validator("loss_weights")
    @classmethod
    def _are_weights(cls, value: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in value.values()):
            raise ValueError("weights of losses must be at least 0")
        return value

    @model_validator(mode="after")
    def _clips_once(self) -> Training:
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("clip_norm and clip_value exclude each other: leave one of them out")
        return self

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates to choose from; a single one if the rate is not searched."""
        rate = self.learning_rate
        return rate.labels() if isinstance(rate, LearningRates) else (rate,)

    @property
    def base_rate(self) -> float:
        """The learning rate of the float model, which makes no choice: the middle one of `rates`."""
        ordered = sorted(self.rates)
        return ordered[len(ordered) // 2]
