"""Which images an epoch draws, and what is mixed into them, from the `train` section."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.params.train import Train
from darkroom.store.sampler import (
    Balanced,
    Foreground,
    class_balanced,
    label_balanced,
    labelled_half,
)
from darkroom.store.store import Store
from darkroom.training.augment.copy_paste import CopyPaste
from darkroom.training.augment.mixup import Mixup

_MASKS_AT_ONCE = 16


def train_masks(shards: Store, rows: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield the stored masks of some rows, a few images at a time."""
    for first in range(0, len(rows), _MASKS_AT_ONCE):
        yield shards.masks(rows[first : first + _MASKS_AT_ONCE])


def train_sampling(
    train: Train,
    card: Card,
    targets: NDArray[Any] | None,
    masks: Iterator[NDArray[np.uint8]],
    rows: tuple[int, int],
) -> Balanced | Foreground | None:
    """Return which of the images to learn from an epoch draws; None: each once.

    Args:
        train: Its `sample`.
        card: The task.
        targets: Of the images, as of `target_array`; None for masks.
        masks: Of the images, uint8 (n, K or K + 1, H, W); read where they decide.
        rows: How many of the images have labels, and how many after them pseudo-labels.

    Raises:
        DataError: No image has foreground, or a label, which are to be drawn more often.
    """
    if train.sample is None:
        return labelled_half(*rows)
    if targets is not None and targets.ndim == 1:
        return class_balanced(targets.astype(np.int64))
    if targets is not None and card.task == "multiclass":  # soft: shares of each class
        return class_balanced(targets.argmax(axis=1))
    # NaN, which is unknown, is not greater.
    present = _present(card, masks) if targets is None else np.asarray(targets > 0.5)
    if not present.any():
        raise DataError(
            f"train.sample: {train.sample} draws images by what is on them, and nothing is",
            found=f"{len(present)} training images of this fold without any of "
            f"{', '.join(card.targets[:20]) or 'the mask'}",
            expected="one image or more with it",
            fix="take sample out of the train section, or split otherwise",
        )
    if train.sample == "foreground":
        return Foreground(np.asarray(present.any(axis=1)))
    if card.task == "binary":  # two classes: the absent one may be the rare one
        return class_balanced(present[:, 0].astype(np.int64))
    return label_balanced(present)


def train_copy_paste(
    train: Train, card: Card, rows: Sequence[int], masks: Iterator[NDArray[np.uint8]]
) -> CopyPaste | None:
    """Return what pastes objects into images; None: nothing is pasted.

    Args:
        train: Its `copy_paste`.
        card: Its mask classes.
        rows: Of the images to learn from.
        masks: Theirs; read if objects are pasted.

    Raises:
        DataError: No image has an object.
    """
    if not train.copy_paste:
        return None
    full = np.asarray(rows)[_present(card, masks).any(axis=1)]
    if not len(full):
        raise DataError(
            "train.copy_paste has nothing to paste",
            found=f"{len(rows)} training images of this fold with empty masks",
            fix="take copy_paste out of the train section, or split otherwise",
        )
    return CopyPaste(train.copy_paste, tuple(full.tolist()), card.planes, epochs=train.mixed_epochs)


def train_mixup(train: Train, card: Card) -> Mixup | None:
    """Return what mixes the images of a batch; None if both alphas are 0."""
    return Mixup(train.mixup, train.cutmix, len(card.classes) or None, train.mix_p) or None


def _present(card: Card, masks: Iterator[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Return which classes each mask shows, bool (n, K)."""
    shown = [batch[:, : card.planes].any(axis=(2, 3)) for batch in masks]
    return np.concatenate(shown)
