"""What a stage hands to the next: weights where shapes agree, and slower learning for what is settled."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from quantization.models.convert import float_model, quantize
from quantization.specs.parse import parse_quantizer
from search.data.load import load
from search.history import Assignment, EpochReport
from search.networks.zoo import zoo_config
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from search.training.warm_start import adopt_weights
from tests.worker.conftest import tiny_job, write_data

FOUR_BITS = parse_quantizer("quantized_bits(4,0,1,alpha=1.0)")


class Silent:
    """A reporter that listens and says nothing."""

    def batch(self) -> None:
        """Go on."""

    def epoch(self, report: EpochReport) -> None:
        """Go on."""


def kernel(model: keras.Model, layer: str) -> np.ndarray:
    return np.asarray(model.get_layer(layer).get_weights()[0])


def test_every_layer_takes_the_weights_also_where_widths_changed() -> None:
    keras.utils.set_random_seed(1)
    source = float_model(zoo_config("jet_mlp"))
    keras.utils.set_random_seed(2)
    target = quantize(zoo_config("jet_mlp"), {"fc1": {"kernel": FOUR_BITS}}, {"fc3": 16})
    assert adopt_weights(source, target) == ["fc1", "fc2", "fc3", "output"]
    np.testing.assert_array_equal(kernel(target, "fc1"), kernel(source, "fc1"))
    heaviest = np.sort(np.argsort(-np.abs(kernel(source, "fc3")).sum(axis=0))[:16])
    np.testing.assert_array_equal(kernel(target, "fc3"), kernel(source, "fc3")[:, heaviest])
    np.testing.assert_array_equal(kernel(target, "output"), kernel(source, "output")[heaviest])


def test_normalizations_hand_over_their_statistics() -> None:
    source = float_model(zoo_config("digits_cnn"))
    layer = source.get_layer("bn_0")
    layer.set_weights([weight + 0.5 for weight in layer.get_weights()])
    target = quantize(zoo_config("digits_cnn"), {"bn_0": {}})
    adopt_weights(source, target)
    for ours, theirs in zip(target.get_layer("bn_0").get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_layers_learn_at_their_share_of_the_rate(tmp_path: Path, share: float) -> None:
    write_data(tmp_path / "data")
    spec = SearchSpec.model_validate(tiny_job())
    prepared = plan(spec, tmp_path / "data")
    data = load(spec.data, tmp_path / "data", spec.seed, prepared.data.input_shape)
    assignment = Assignment(values={}, quantizers={"fc1": {"kernel": FOUR_BITS}})
    models = []
    for name, shares in (("before", {"fc1": 0.0, "fc2": 0.0}), ("after", {"fc1": share})):
        folder = tmp_path / name
        folder.mkdir()
        request = TrainingRequest(assignment, seed=3, rate_shares=shares)
        run_trial(prepared, request, data, Silent(), folder)
        models.append(keras.models.load_model(folder / "model.keras"))
    before, after = models
    assert np.array_equal(kernel(before, "fc1"), kernel(after, "fc1")) == (share == 0.0)
    assert not np.array_equal(kernel(before, "fc2"), kernel(after, "fc2"))
