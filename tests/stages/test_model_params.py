"""What predictions and models say of the parameters that made them."""

import pytest

from darkroom.stages._model_params import changed_params

NOW = {"seed": 7, "train": {"lr": 0.5}}


def test_each_parameter_that_differs_is_named() -> None:
    assert changed_params({"seed": 7, "train": {"lr": 0.1, "epochs": 2}}, NOW) == [
        "train.epochs: 2 in the predictions, (none) in params.yaml",
        "train.lr: 0.1 in the predictions, 0.5 in params.yaml",
    ]
    assert changed_params(NOW, NOW) == []


@pytest.mark.parametrize("old", [None, 5, [], "x"])
def test_parameters_that_are_no_mapping_are_others(old: object) -> None:
    assert changed_params(old, NOW, "model") == [
        "seed: (none) in the model, 7 in params.yaml",
        "train.lr: (none) in the model, 0.5 in params.yaml",
    ]
