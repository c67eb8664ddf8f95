"""Choices that the task or the batch has no use for are refused before anything is trained."""

from typing import Any

import pytest

from darkroom.errors import ParamsError
from darkroom.params.competition import Competition
from darkroom.params.model import SmallCnn, UNet
from darkroom.params.train import Train
from darkroom.stages import _train_args


def section(model: Any = None, **train: Any) -> Competition:
    plain: dict[str, Any] = {"epochs": 1, "batch_size": 4, "lr": 0.1}
    parts: Any = {"model": model or SmallCnn(name="small_cnn"), "train": Train(**plain | train)}
    return Competition.model_construct(**parts)


def test_a_network_for_masks_has_no_use_for_labels() -> None:
    _train_args.check_choices(section(UNet(name="unet")), "segmentation")
    with pytest.raises(ParamsError, match="unet does not fit the task multiclass"):
        _train_args.check_choices(section(UNet(name="unet")), "multiclass")


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_mixing_needs_labels_and_two_images(key: str) -> None:
    _train_args.check_choices(section(**{key: 0.2}), "multilabel")
    with pytest.raises(ParamsError, match=f"train.{key} means nothing for the task regression"):
        _train_args.check_choices(section(**{key: 0.2}), "regression")
    for single in ({"batch_size": 1}, {"devices": 4}):
        with pytest.raises(ParamsError, match="a single one on each device") as told:
            _train_args.check_choices(section(**{key: 0.2}, **single), "multilabel")
        assert f"take {key} out of the train section" in str(told.value)


def test_an_output_shapes_numbers() -> None:
    shaped = SmallCnn(name="small_cnn", output="softplus")
    _train_args.check_choices(section(shaped), "regression")
    with pytest.raises(ParamsError, match=r"model\.output shapes the numbers of a regression"):
        _train_args.check_choices(section(shaped), "binary")
