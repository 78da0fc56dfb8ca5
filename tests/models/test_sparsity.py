"""Zeros of a pruned model stay zeros while trials train, where a job says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from search.spec.job import SearchSpec
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from search.training.uploaded_weights import float_from_weights
from search.trial_files import MODEL_FILE
from tests.models.catalog import Entry
from tests.models.check import read_weights_of, uploaded
from tests.models.tables import mlp
from tests.models.test_trials import Silence


@pytest.mark.parametrize("sparsity", ["keep", "free"])
def test_zeros_of_kernels_stay_zeros_where_they_are_to_be_kept(sparsity: str, tmp_path: Path) -> None:
    training = {"sparsity": sparsity, "epochs": 2, "learning_rate": 0.05}
    user = uploaded(Entry(mlp, {"training": training}), tmp_path)
    read = read_weights_of(user, tmp_path)

    def pruned(expected: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        arrays = {path: np.array(array) for path, array in read(expected).items()}
        for array in arrays.values():
            if array.ndim == 2:
                array[::2] = 0.0
        return arrays

    for name in ("float", "trial"):
        (tmp_path / name).mkdir()
    float_from_weights(user.plan, user.data, pruned, tmp_path / "float")
    choices = user.plan.choices
    assignment = choices.assignment({name: labels[-1] for name, labels in choices.dimensions().items()})
    request = TrainingRequest(assignment, seed=1, start_from=tmp_path / "float" / MODEL_FILE)
    run_trial(user.plan, request, user.data, Silence(), tmp_path / "trial")

    trained = keras.models.load_model(tmp_path / "trial" / MODEL_FILE)
    kernels = [np.asarray(weight) for weight in trained.trainable_weights if len(weight.shape) == 2]
    assert all(np.any(kernel[::2] == 0) == (sparsity == "keep") for kernel in kernels)
    assert all(np.all(kernel[::2] == 0) == (sparsity == "keep") for kernel in kernels)
    assert all(np.all(kernel[1::2] != 0) for kernel in kernels)


def test_zeros_need_weights_to_start_from() -> None:
    with pytest.raises(ValueError, match="keep keeps the zeros"):
        SearchSpec.model_validate({"model": "jet_mlp", "limits": 8, "training": {"sparsity": "keep"}})
