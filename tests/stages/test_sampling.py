"""What `train.sample` and `train.copy_paste` draw from, by the kind of target."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.params.train import Train
from darkroom.stages._sampling import train_copy_paste, train_mixup, train_sampling
from darkroom.store.sampler import Balanced, Foreground

MASKS = Card("segmentation", ("mask",))
LABELLED = (5, 0)  # none of the images has a pseudo-label


def section(**train: Any) -> Train:
    return Train(epochs=10, batch_size=2, lr=0.1, **train)


def masks(*present: int) -> Iterator[NDArray[np.uint8]]:
    """Yield five masks, one at a time: a class, and a plane of unknown pixels."""
    for row in range(5):
        mask = np.zeros((1, 2, 4, 4), np.uint8)
        mask[:, 0, 1, 2] = row in present
        mask[:, 1, 0] = 1
        yield mask


def shares(sampling: Balanced | Foreground | None) -> dict[int, float]:
    """Return the share of each row in the draws of an epoch."""
    assert isinstance(sampling, Balanced)
    counts = np.bincount(sampling.groups)
    return {
        row: float(sampling.shares[group] / counts[group])
        for row, group in enumerate(sampling.groups)
    }


def test_nothing_is_sampled_mixed_or_pasted_by_default() -> None:
    assert train_sampling(section(), MASKS, None, masks(1), LABELLED) is None
    assert train_copy_paste(section(), MASKS, range(5), masks(1)) is None
    assert train_mixup(section(), MASKS) is None


def test_many_pseudo_labels_are_half_of_an_epoch() -> None:
    """Few are drawn as often as labels are; and what is drawn by classes is drawn by these."""
    assert train_sampling(section(), MASKS, None, masks(), (3, 3)) is None
    sampling = train_sampling(section(), MASKS, None, masks(), (1, 4))
    assert shares(sampling) == pytest.approx({0: 1 / 2, 1: 1 / 8, 2: 1 / 8, 3: 1 / 8, 4: 1 / 8})
    card, classes = Card("multiclass", ("class",), classes=("a", "b")), np.array([0, 0, 1, 1])
    sampling = train_sampling(section(sample="balanced"), card, classes, masks(), (1, 3))
    assert shares(sampling) == pytest.approx(dict.fromkeys(range(4), 1 / 4))


def test_classes_are_balanced_soft_ones_by_the_greatest() -> None:
    classes = np.array([0, 0, 0, 1])
    card = Card("multiclass", ("class",), classes=("a", "b"))
    expected = {0: 1 / 6, 1: 1 / 6, 2: 1 / 6, 3: 1 / 2}
    sampling = train_sampling(section(sample="balanced"), card, classes, masks(), LABELLED)
    assert shares(sampling) == pytest.approx(expected)
    soft = np.array([[0.9, 0.1], [0.6, 0.4], [1, 0], [0.2, 0.8]], np.float32)
    card = Card("multiclass", ("a", "b"))
    sampling = train_sampling(section(sample="balanced"), card, soft, masks(), LABELLED)
    assert shares(sampling) == pytest.approx(expected)


def test_the_absent_answer_of_a_binary_label_may_be_the_rare_one() -> None:
    labels = np.array([[1], [1], [1], [0]], np.float32)
    found = shares(
        train_sampling(
            section(sample="balanced"), Card("binary", ("a",)), labels, masks(), LABELLED
        )
    )
    assert found == pytest.approx({0: 1 / 6, 1: 1 / 6, 2: 1 / 6, 3: 1 / 2})


def test_an_unknown_label_is_not_a_rare_one() -> None:
    labels = np.array([[1, 0], [0, np.nan], [0, 0], [0, np.nan], [0, 0]], np.float32)
    card = Card("multilabel", ("a", "b"))
    found = shares(train_sampling(section(sample="balanced"), card, labels, masks(), LABELLED))
    factor = (0.5 / 0.2) ** 0.5
    assert found[0] == pytest.approx(factor / (factor + 4))
    assert found[1] == found[2] == found[3]


def test_foreground_is_what_a_class_covers_and_not_what_is_unknown() -> None:
    sampling = train_sampling(section(sample="foreground"), MASKS, None, masks(1, 4), LABELLED)
    assert isinstance(sampling, Foreground)
    assert sampling.present.tolist() == [False, True, False, False, True]


def test_objects_come_from_rows_that_have_some() -> None:
    train = section(copy_paste=0.4, mix_until=0.8)
    paste = train_copy_paste(train, MASKS, [10, 11, 12, 13, 14], masks(1, 4))
    assert paste is not None
    assert (paste.p, paste.rows, paste.classes, paste.epochs) == (0.4, (11, 14), 1, 8)


@pytest.mark.parametrize("sample", ["foreground", "balanced"])
def test_empty_masks_have_nothing_to_sample(sample: str) -> None:
    with pytest.raises(DataError, match=f"train.sample: {sample} draws images by what") as caught:
        train_sampling(section(sample=sample), MASKS, None, masks(), LABELLED)
    for words in ("5 training images of this fold without any of mask", "take sample out"):
        assert words in str(caught.value)


def test_empty_masks_have_nothing_to_paste() -> None:
    with pytest.raises(DataError, match=r"copy_paste has nothing to paste") as caught:
        train_copy_paste(section(copy_paste=0.1), MASKS, range(5), masks())
    assert "5 training images of this fold with empty masks" in str(caught.value)
