"""Objects of another image: whole ones, over what was there, in picture and mask alike."""

import numpy as np
import pytest

from darkroom.training.augment.copy_paste import CopyPaste

GROUND, OTHER = 10, 200


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a picture whose class 1 is its upper half, and one with an object of each class."""
    image = np.full((8, 12, 3), GROUND, np.uint8)
    mask = np.zeros((3, 8, 12), np.uint8)  # two classes, and unknown pixels
    mask[0, :4] = 1
    mask[2, :, 11] = 1
    other = np.full((8, 12, 3), OTHER, np.uint8)
    other_mask = np.zeros((3, 8, 12), np.uint8)
    other_mask[0, 2:6, 1:4] = 1
    other_mask[1, 1:7, 8:] = 1
    other_mask[2, 0] = 1  # unknown, and no object
    return image, mask, other, other_mask


def paste(p: float = 1.0, epochs: int = 10) -> CopyPaste:
    return CopyPaste(p, rows=(3, 5, 8), classes=2, epochs=epochs)


def test_whole_objects_cover_what_was_there() -> None:
    kinds = set()
    for seed in range(40):
        image, mask, other, other_mask = scene()
        before = mask.copy()
        paste().paste(image, mask, (other, other_mask), seed)
        pasted = (image == OTHER).all(axis=2)
        assert ((image == GROUND).all(axis=2) ^ pasted).all(), "hard edges"
        chosen = [bool(pasted[2, 1]), bool(pasted[1, 8])]
        expected = np.zeros((8, 12), bool)
        for plane, is_chosen in enumerate(chosen):
            expected |= is_chosen & (other_mask[plane] == 1)
        assert np.array_equal(pasted, expected), "an object comes along in whole, or not at all"
        assert np.array_equal(mask[:, pasted], other_mask[:, pasted])
        assert np.array_equal(mask[:, ~pasted], before[:, ~pasted])
        kinds.add(tuple(chosen))
    assert kinds == {(True, False), (False, True), (True, True)}, "one object at least"


def test_an_object_that_was_moved_out_leaves_all_as_it_was() -> None:
    image, mask, other, other_mask = scene()
    other_mask[:2] = 0
    paste().paste(image, mask, (other, other_mask), 1)
    assert (image == GROUND).all()
    assert np.array_equal(mask, scene()[1])


def test_partners_are_drawn_evenly_for_a_share_of_the_images() -> None:
    partners = [paste(0.25).partner(seed, 0) for seed in range(4000)]
    counts = {row: partners.count(row) for row in (None, 3, 5, 8)}
    assert sum(counts.values()) == 4000
    assert 2900 < counts[None] < 3100
    assert all(270 < counts[row] < 400 for row in (3, 5, 8))
    assert partners[:50] == [paste(0.25).partner(seed, 0) for seed in range(50)]


def test_nothing_is_pasted_in_the_last_epochs() -> None:
    assert [paste(epochs=2).partner(1, epoch) is None for epoch in range(4)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7])
def test_pictures_of_any_number_of_channels_are_pasted_into(channels: int) -> None:
    _, mask, other, other_mask = scene()
    images = np.full((2, 8, 12, channels), GROUND, np.uint8)  # as of a batch
    moved = np.repeat(other[..., :1], channels, axis=2)[:, ::-1]  # as a flip leaves it
    paste().paste(images[1], mask, (moved, other_mask[..., ::-1]), 4)
    pasted = (images[1] == OTHER).all(axis=2)
    assert pasted.any()
    assert (images[1][~pasted] == GROUND).all()
    assert (images[0] == GROUND).all()
    assert np.array_equal(mask[:2, pasted], other_mask[:2, :, ::-1][:, pasted])
