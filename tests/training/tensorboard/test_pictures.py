"""The pictures of every epoch: which images, that they stay the same, what a page shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkroom.tasks.table import TASKS
from darkroom.training.tensorboard import examples
from darkroom.training.tensorboard.examples import Example, grey, page
from darkroom.training.tensorboard.pictures import Pictures
from darkroom.training.tensorboard.writer import EventWriter
from tests.support.drawn import batches, discs
from tests.training.tensorboard.rig import loop, read, validate, writer


def test_grey() -> None:
    assert grey([[0.0, 0.5, 1.0]])[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, ["003"]), (3, ["003", "006", "009"]), (9, [f"{i:03d}" for i in range(3, 10)])],
)
def test_spread_evenly_and_each_once(tmp_path: Path, count: int, expected: list[str]) -> None:
    loader = batches(discs(tmp_path / "d", 10), rows=range(3, 10))
    assert Pictures(EventWriter(tmp_path), count, loader).ids == expected


def test_the_same_images_every_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = discs(tmp_path / "d", 10)
    shown: list[list[Any]] = []
    drawn = examples.page

    def noted(task: Any, chosen: list[Example], names: Any) -> Any:
        shown.append([(one.id, one.image.tolist(), one.truth.tolist()) for one in chosen])
        return drawn(task, chosen, names)

    monkeypatch.setattr(examples, "page", noted)
    log = writer(tmp_path / "r")
    pictures = Pictures(log, 3, batches(store))
    for epoch, size in enumerate((4, 3), start=1):  # how they are batched changes nothing
        loaded = list(batches(store, batch_size=size))
        found = [(images, torch.full((len(images), 1, 32, 32), 0.7)) for images in loaded]
        validate(pictures, loop(seen=10 * epoch), *found)
    assert [event.step for event in read(log).Images("predictions")] == [10, 20]
    assert [name for name, *_ in shown[0]] == ["000", "004", "009"]
    assert shown[0] == shown[1]


def test_a_mask_has_four_pictures_side_by_side() -> None:
    truth = np.zeros((1, 200, 200), np.uint8)
    truth[..., 100:] = 1
    image = np.full((200, 200, 3), 90, np.uint8)
    found = np.full((1, 200, 200), 0.25, np.float32)
    drawn = page(TASKS["segmentation"], [Example("a", image, truth, found)], ())
    below = drawn.shape[0] - 150  # a line through all four
    middles = [20 + 212 * column + 150 for column in range(4)]  # right of each one's middle
    image_px, truth_px, probability_px, error_px = (drawn[below, x].tolist() for x in middles)
    assert (image_px, truth_px, probability_px) == ([90] * 3, [255] * 3, [64] * 3)
    red, green, blue = error_px
    assert min(red, green) > blue + 50, "missed: yellow"


def test_labels_have_one_picture_with_a_caption_each() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    one = Example("a", image, np.array(1), np.array([0.2, 0.8], np.float32))
    two = page(TASKS["multiclass"], [one, one], ("cat", "dog"))
    five = page(TASKS["multiclass"], [one] * 5, ("cat", "dog"))
    assert two.shape[1] < five.shape[1]
    assert two.shape[0] < five.shape[0], "four a row"
