"""Shortcuts: targets that a model could predict from the size of an image alone.

In one widely used set of banknotes each denomination has its own image size. A network that is
trained on such pictures, stretched to one size, can infer the class from the distortion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_GAIN = 0.05


@dataclass(frozen=True)
class Guess:
    """How well image size alone predicts one target on validation images.

    Attributes:
        target: The target column.
        accuracy: Of the class most common among training images of the same size (of any
            size, where there is none).
        baseline: Of the class most common among training images.
        images: The number of validation images.
    """

    target: str
    accuracy: float
    baseline: float
    images: int

    @property
    def gives_away(self) -> bool:
        """Whether the gain is neither small nor within three standard errors of none."""
        error = np.sqrt(self.baseline * (1 - self.baseline) / max(1, self.images))
        return self.accuracy - self.baseline > max(LEAST_GAIN, 3 * float(error))


def guess_from_size(
    sizes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    folds: npt.NDArray[np.int64],
    target: str,
) -> Guess:
    """Return how well size alone predicts, for each fold from the images of the others.

    Args:
        sizes: int64 (images, 2), heights and widths.
        values: float64 (images,), class numbers.
        folds: int64 (images,); images of fold -1 are only learned from.
        target: A name for the result.
    """
    size = np.unique(sizes, axis=0, return_inverse=True)[1].reshape(-1)
    kind = np.unique(values, return_inverse=True)[1]
    correct = baseline = images = 0
    for fold in np.unique(folds[folds >= 0]):
        training, validation = folds != fold, folds == fold
        table = np.zeros((size.max() + 1, kind.max() + 1), np.int64)
        np.add.at(table, (size[training], kind[training]), 1)
        common = int(table.sum(axis=0).argmax())
        prediction = np.where(table.any(axis=1), table.argmax(axis=1), common)
        correct += int((prediction[size[validation]] == kind[validation]).sum())
        baseline += int((kind[validation] == common).sum())
        images += int(validation.sum())
    return Guess(target, correct / max(1, images), baseline / max(1, images), images)


def best_guess_from_size(
    sizes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    folds: npt.NDArray[np.int64],
    targets: Sequence[str],
) -> Guess:
    """Return the guess for that column of `values` (images, targets) that size helps most."""
    guesses = [guess_from_size(sizes, values[:, k], folds, name) for k, name in enumerate(targets)]
    return max(guesses, key=_gain)


def _gain(guess: Guess) -> Any:
    return guess.accuracy - guess.baseline
