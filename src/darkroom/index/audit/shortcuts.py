"""What a model could learn without looking at the picture: here, from its size.

In one widely used set of banknotes each denomination has its own image size. A network that
sees such pictures resized unevenly can read the class off the distortion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_GAIN = 0.05


@dataclass(frozen=True)
class Guess:
    """How well size alone answers for one target on validation images.

    Attributes:
        target: The target column.
        accuracy: Of the class most common among training images of the same size (of any
            size, where there is none).
        baseline: Of the class most common among training images.
        images: The validation images asked.
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


def from_size(
    sizes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    folds: npt.NDArray[np.int64],
    target: str,
) -> Guess:
    """Return how well size alone answers, each fold asked of what the others know.

    Args:
        sizes: int64 (images, 2), heights and widths.
        values: float64 (images,), class numbers.
        folds: int64 (images,); images of fold -1 are learned from and never asked.
        target: A name for the result.
    """
    size = np.unique(sizes, axis=0, return_inverse=True)[1].reshape(-1)
    kind = np.unique(values, return_inverse=True)[1]
    right = plain = asked = 0
    for fold in np.unique(folds[folds >= 0]):
        learn, ask = folds != fold, folds == fold
        table = np.zeros((size.max() + 1, kind.max() + 1), np.int64)
        np.add.at(table, (size[learn], kind[learn]), 1)
        common = int(table.sum(axis=0).argmax())
        answer = np.where(table.any(axis=1), table.argmax(axis=1), common)
        right += int((answer[size[ask]] == kind[ask]).sum())
        plain += int((kind[ask] == common).sum())
        asked += int(ask.sum())
    return Guess(target, right / max(1, asked), plain / max(1, asked), asked)


def best_from_size(
    sizes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    folds: npt.NDArray[np.int64],
    targets: Sequence[str],
) -> Guess:
    """Return the guess for that column of `values` (images, targets) that size helps most."""
    guesses = [from_size(sizes, values[:, k], folds, name) for k, name in enumerate(targets)]
    return max(guesses, key=_gain)


def _gain(guess: Guess) -> Any:
    return guess.accuracy - guess.baseline
