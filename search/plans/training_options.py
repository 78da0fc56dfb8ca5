"""What options of training need of a network's outputs, and which of them have no effect. Plain."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.network import Network
from search.data.reading import input_reading
from search.errors import Problem
from search.spec.training import AUGMENTATIONS, Augmentation, Training
from search.task import Task


def training_problems(training: Training, task: Task, network: Network) -> list[Problem]:
    """Options that the job's inputs and outputs do not allow."""
    problems = [*_class_weight_problems(training, task), *_augmentation_problems(training, network)]
    if all(head.labels == "values" for head in task.heads):
        for name in ("label_smoothing", "focal_gamma"):
            if getattr(training, name):
                problems.append(
                    Problem(
                        f"/training/{name}",
                        "is for the loss crossentropy of class numbers, which no output has: leave it out",
                    )
                )
    return problems


def _augmentation_problems(training: Training, network: Network) -> list[Problem]:
    stated, inputs, pointer = training.augmentation, tuple(network.inputs), "/training/augmentation"
    if isinstance(stated, Mapping):
        unknown = [name for name in stated if name not in inputs]
        if unknown:
            known = ", ".join(inputs)
            return [Problem(f"{pointer}/{name}", f"is not an input; inputs are {known}") for name in unknown]
    by_input = training.augmentations(inputs)
    if not by_input:
        return []
    problems = [
        problem
        for name, one in zip(inputs, by_input, strict=True)
        for problem in _problems_of_input(one, network, name, pointer, by_name=isinstance(stated, Mapping))
    ]
    if len({one.mixup for one in by_input}) > 1:
        reason = "mixes examples with their targets: state the same mixup for every input, or for none"
        problems.append(Problem(pointer, reason))
    return problems


def _problems_of_input(
    augmentation: Augmentation, network: Network, name: str, pointer: str, *, by_name: bool
) -> list[Problem]:
    """What the examples of an input do not allow. `by_name`: whether the augmentation is stated for it alone."""
    if not augmentation.stated:
        return []
    several = len(network.inputs) > 1
    remedy = f"; state it by input: augmentation: {{{network.inputs[0]}: {{...}}}}" if several else ""
    of, remedy = (f" of input {name!r}" if several else ""), ("" if by_name else remedy)
    pointer = f"{pointer}/{name}" if by_name else pointer
    if tokens := input_reading(network, name).tokens:
        reason = f"changes numbers{of}, but layer {tokens[0]!r} looks up whole ones: leave it out{remedy}"
        return [Problem(pointer, reason)]
    shape = network.layer(name).output_shape
    allowed = AUGMENTATIONS.get(len(shape), AUGMENTATIONS[1])
    return [
        Problem(
            f"{pointer}/{option}",
            f"is not for examples{of} of the shape {shape}, which allow {', '.join(allowed)}{remedy}",
        )
        for option in augmentation.stated
        if option not in allowed
    ]


def _class_weight_problems(training: Training, task: Task) -> list[Problem]:
    stated, head = training.class_weight, task.head
    pointer = "/training/class_weight"
    if stated is None:
        return []
    if head.labels == "values":
        reason = (
            "the targets of the measured output are no class numbers: weigh examples by sample_weight_train"
        )
        return [Problem(pointer, f"{reason} in the data file instead")]
    if stated == "balanced":
        return []
    classes = head.output.classes
    problems = [
        Problem(f"{pointer}/{number}", f"the network has {classes} classes, 0 to {classes - 1}")
        for number in stated
        if not 0 <= number < classes
    ]
    if not problems and len(stated) == classes and not any(stated.values()):
        problems.append(Problem(pointer, "all classes have the weight 0: nothing would be learned"))
    return problems


def training_warnings(training: Training) -> list[str]:
    """Options without effect, or with more effect than was likely meant."""
    warnings = []
    if training.patience is not None and training.patience >= training.epochs:
        warnings.append(
            f"training.patience ({training.patience}) has no effect with {training.epochs} training.epochs"
        )
    if training.warm_up and training.warm_up >= training.epochs:
        warnings.append(
            f"training.warm_up ({training.warm_up:g} epochs) lasts as long as the training"
            f" ({training.epochs}): the learning rate only grows"
        )
    return warnings
