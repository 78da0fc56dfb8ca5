"""Augmentation in the compiled program: what each option does to a batch, and that a seed gives it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from costmodel.layer import Layer
from costmodel.network import Network
from search.plans.training_options import training_problems
from search.spec.training import Augmentation, Training
from search.task import Output, classification
from search.training.losses import TrainingTargets, training_loss
from search.training.program.augmentation import augmented
from search.training.program.options import PLAIN, StepOptions
from search.training.program.program import Program
from tests.search.training.program.test_program import BATCH, OUTPUT, RATE, data, float_model

DRAW = np.random.default_rng(0)
IMAGES = DRAW.normal(size=(64, 8, 10, 2)).astype(np.float32)
SERIES = DRAW.normal(size=(64, 12, 3)).astype(np.float32)
LABELS = DRAW.integers(0, 3, 64).astype(np.int32)


def changed(x: NDArray[Any], step: int = 0, seed: int = 1, **options: Any) -> NDArray[Any]:
    augmentation = Augmentation.model_validate(options)
    result, _ = augmented((augmentation,), x, LABELS, np.int32(seed), np.int32(step))
    return np.asarray(result)


def test_half_of_the_images_are_mirrored() -> None:
    flipped = changed(IMAGES, flip="horizontal")
    same = (flipped == IMAGES).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(flipped[~same], IMAGES[~same][:, :, ::-1])
    assert 16 < same.sum() < 48
    both = changed(IMAGES, flip="both")
    assert 4 < (both == IMAGES[:, ::-1, ::-1]).all(axis=(1, 2, 3)).sum() < 32


@pytest.mark.parametrize("options", [{"rotate": 30}, {"zoom": 0.3}, {"shift": 0.2}])
def test_warps_move_pixels_and_keep_what_is_constant(options: dict[str, Any]) -> None:
    warped = changed(IMAGES, **options)
    assert np.isfinite(warped).all()
    assert (np.abs(warped - IMAGES).max(axis=(1, 2, 3)) > 0.1).mean() > 0.9
    np.testing.assert_allclose(changed(np.full_like(IMAGES, 3.0), **options), 3.0, atol=1e-5)


def test_a_shift_moves_the_centre_by_its_share_at_most() -> None:
    dots = np.zeros((64, 21, 21, 1), np.float32)
    dots[:, 10, 10] = 1
    rows = (changed(dots, shift=0.25).sum(axis=(2, 3)) * np.arange(21)).sum(axis=1)
    assert np.abs(rows - 10).max() <= 21 * 0.25 + 1e-3
    assert np.abs(rows - 10).max() > 3


def test_a_rotation_turns_about_the_centre() -> None:
    bar = np.zeros((64, 21, 21, 1), np.float32)
    bar[:, 10] = 1
    turned = changed(bar, rotate=90)
    np.testing.assert_allclose(turned[:, 10, 10, 0], 1, atol=1e-4)
    assert (turned[:, 0, 10, 0] > 0.5).any()


def test_a_series_is_shifted_in_time_with_its_ends_repeated() -> None:
    shifted = changed(SERIES, shift=0.25)
    for before, after in zip(SERIES, shifted, strict=True):
        places = [np.clip(np.arange(12) - steps, 0, 11) for steps in range(-3, 4)]
        assert any(np.array_equal(before[place], after) for place in places)
    assert not np.array_equal(shifted, SERIES)


def test_bands_and_rectangles_are_zero() -> None:
    cut = changed(np.ones_like(IMAGES), cutout=0.5)
    np.testing.assert_array_equal((cut == 0).sum(axis=(1, 2, 3)), 4 * 5 * 2)
    masked = changed(np.ones_like(SERIES), spec_augment={"time": 0.5, "frequency": 0})
    rows = (masked == 0).all(axis=2).sum(axis=1)
    assert (rows.max() <= 6, rows.max() > 2, (masked == 0).sum() == rows.sum() * 3) == (True, True, True)
    assert (changed(np.ones_like(IMAGES), spec_augment={"time": 0, "frequency": 0.5}) == 0).any()


def test_noise_has_its_deviation() -> None:
    noise = changed(IMAGES, noise=0.5) - IMAGES
    assert (noise.mean(), noise.std()) == (pytest.approx(0, abs=0.02), pytest.approx(0.5, rel=0.05))


def test_mixed_examples_have_mixed_losses() -> None:
    x, targets = augmented((Augmentation(mixup=0.4),), SERIES, LABELS, np.int32(1), np.int32(0))
    assert isinstance(targets, TrainingTargets)
    share = np.asarray(targets.share[0])
    assert (share.min() >= 0, share.max() <= 1, share.std() > 0.2) == (True, True, True)
    wide = share[:, None, None]
    np.testing.assert_allclose(np.asarray(x), SERIES * wide + SERIES[::-1] * (1 - wide), atol=1e-5)
    scores = np.exp(DRAW.normal(size=(64, 3))).astype(np.float32)
    scores /= scores.sum(axis=1, keepdims=True)
    log = np.log(scores)
    losses = -(share * log[range(64), LABELS] + (1 - share) * log[range(64), LABELS[::-1]])
    task = classification(Output("softmax", 3))
    assert float(training_loss(task, targets, (scores,), PLAIN)) == pytest.approx(losses.mean(), rel=1e-4)


def test_inputs_change_each_for_itself_and_are_mixed_by_the_same_shares() -> None:
    both = (Augmentation(noise=0.5, mixup=0.4), Augmentation(noise=0.5, mixup=0.4))
    (one, other), targets = augmented(both, (SERIES, SERIES), LABELS, np.int32(1), np.int32(0))
    assert np.abs(np.asarray(one) - np.asarray(other)).mean() > 0.2  # noise of their own
    alone = tuple(Augmentation(mixup=0.4) for _ in range(2))
    (one, other), again = augmented(alone, (SERIES, IMAGES), LABELS, np.int32(1), np.int32(0))
    share = np.asarray(targets.share[0])
    np.testing.assert_array_equal(share, np.asarray(again.share[0]))
    for mixed, plain in ((one, SERIES), (other, IMAGES)):
        wide = share.reshape(-1, *[1] * (plain.ndim - 1))
        np.testing.assert_allclose(np.asarray(mixed), plain * wide + plain[::-1] * (1 - wide), atol=1e-5)


ALL = {
    "flip": "both",
    "shift": 0.1,
    "rotate": 10,
    "zoom": 0.1,
    "noise": 0.1,
    "mixup": 0.2,
    "cutout": 0.3,
    "spec_augment": {},
}


def test_a_seed_gives_the_same_changes_and_steps_differ() -> None:
    first = changed(IMAGES, **ALL)
    np.testing.assert_array_equal(first, changed(IMAGES, **ALL))
    assert not np.array_equal(first, changed(IMAGES, step=1, **ALL))
    assert not np.array_equal(first, changed(IMAGES, seed=2, **ALL))


def test_a_training_in_pieces_has_the_same_augmentation_and_another_seed_another() -> None:
    model, train = float_model(), data()
    options = StepOptions(augmentation=(Augmentation.model_validate(ALL),))
    program = Program(model, OUTPUT, "adam", options=options)
    start, order = program.state(model), np.arange(len(train), dtype=np.int32)

    def weights(seed: int, *ends: int) -> NDArray[Any]:
        arguments, state, begin = program.arguments(model, RATE, BATCH, seed=seed), start, 0
        for end in ends:
            state, totals = program.train(arguments, state, train, order, begin, end)
            assert np.isfinite(totals.loss_sum)
            begin = end
        return np.asarray(state.weights)

    whole = weights(3, 5)
    np.testing.assert_array_equal(whole, weights(3, 2, 5))
    assert not np.array_equal(whole, weights(4, 5))


@pytest.mark.parametrize(
    ("shape", "options", "pointers"),
    [
        ((8, 8, 1), ALL, []),
        ((12, 3), ALL, ["flip", "rotate", "zoom", "cutout"]),
        ((12,), ALL, ["flip", "shift", "rotate", "zoom", "cutout", "spec_augment"]),
    ],
)
def test_options_that_examples_do_not_allow_are_refused(
    shape: tuple[int, ...], options: dict[str, Any], pointers: list[str]
) -> None:
    layers = (
        Layer("input", "InputLayer", {}, (), (), shape),
        Layer("out", "Dense", {}, ("input",), (shape,), (3,)),
    )
    training = Training.model_validate({"augmentation": options})
    network = Network(layers, ("input",), ("out",))
    problems = training_problems(training, classification(Output("softmax", 3)), network)
    assert [problem.pointer for problem in problems] == [
        f"/training/augmentation/{name}" for name in pointers
    ]
