"""What a training step does besides the plain one, as values. Everything is off by default and then traced nowhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from search.plan import Plan
from search.spec.distillation import Distillation
from search.spec.training import Augmentation


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a program's training step differs from the plain one.

    `weighted`: targets come with weights (`search.training.losses.TrainingTargets`). `weight_decay`: None for the
    optimizer's own. `ema`: momentum of the average of weights that is evaluated and stored; None: the weights are.
    `warm_up_steps`: the rate grows linearly over the first of these steps.
    `augmentation`: of each input; empty: none.
    """

    weighted: bool = False
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    weight_decay: float | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    ema: float | None = None
    warm_up_steps: int = 0
    distill: Distillation | None = None
    augmentation: tuple[Augmentation, ...] = ()


#: The plain step.
PLAIN: Final = StepOptions()


def step_options(plan: Plan, *, weighted: bool, teacher: bool) -> StepOptions:
    """The options of a job's trainings; `teacher`: whether this one learns from the float model."""
    training = plan.spec.training
    steps_per_epoch = math.ceil(plan.data.train / training.batch_size)
    return StepOptions(
        weighted=weighted,
        label_smoothing=training.label_smoothing,
        focal_gamma=training.focal_gamma,
        weight_decay=training.weight_decay,
        clip_norm=training.clip_norm,
        clip_value=training.clip_value,
        ema=training.ema,
        warm_up_steps=round(training.warm_up * steps_per_epoch),
        distill=training.distill if teacher else None,
        augmentation=training.augmentations(plan.network.inputs),
    )
