"""Every threshold at once: what each of 255 thresholds would answer, from one histogram.

A pixel or label is present if its probability is greater than the threshold, here as in the
submission. The thresholds are k/256 for k from 1 to 255: multiplying a float32 by 256 is
exact, so counting probabilities by the level that they exceed loses nothing.
"""

import numpy as np
import numpy.typing as npt

from darkroom.errors import ArtifactError

LEVELS = 256
THRESHOLDS: npt.NDArray[np.float64] = np.arange(1, LEVELS) / LEVELS

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def counts_above(probabilities: Floats, truth: npt.NDArray[np.generic]) -> tuple[Counts, Counts]:
    """Return how many negatives and how many positives exceed 0/256, 1/256 ... 255/256.

    Args:
        probabilities: float32, 0 to 1, of any shape.
        truth: 0 or 1, of the same shape.

    Returns:
        Two int64 (256,).

    Raises:
        ArtifactError: A probability is not a number from 0 to 1.
    """
    if probabilities.shape != truth.shape:
        raise ValueError(f"probabilities {probabilities.shape} for a truth {truth.shape}")
    check_probabilities(probabilities)
    exceeded = np.ceil(probabilities.astype(np.float32, copy=False) * np.float32(LEVELS))
    cell = exceeded.astype(np.int32).ravel()
    cell += (truth.ravel() != 0) * np.int32(LEVELS + 1)
    histogram = np.bincount(cell, minlength=2 * (LEVELS + 1)).reshape(2, LEVELS + 1)
    above = histogram[:, :0:-1].cumsum(axis=1)[:, ::-1]
    return above[0].astype(np.int64), above[1].astype(np.int64)


def dice_curve(probabilities: Floats, mask: npt.NDArray[np.uint8]) -> Doubles:
    """Return the Dice coefficient of one image at each of THRESHOLDS, float64 (255,).

    2 |A and B| / (|A| + |B|), and 1 where both are empty, as the Carvana Image Masking
    Challenge scores it.

    Args:
        probabilities: float32 (H, W), 0 to 1, at the original size.
        mask: uint8 (H, W), 0 or 1, the raw mask.
    """
    wrong, right = counts_above(probabilities, mask)
    area = wrong[1:] + right[1:] + np.count_nonzero(mask)
    return np.where(area == 0, 1.0, 2 * right[1:] / np.maximum(area, 1))


def best(curve: Doubles) -> int:
    """Return the position in THRESHOLDS of the highest value; of equals the nearest to 1/2.

    Of two equally near the lower one. Equal is up to rounding, as sums of many images are.
    """
    top = np.flatnonzero(curve >= curve.max() - 1e-12)
    return int(top[np.argmin(np.abs(THRESHOLDS[top] - 0.5))])


def position(threshold: float) -> int:
    """Return the position in THRESHOLDS of the one nearest to `threshold`."""
    return int(np.clip(round(threshold * LEVELS), 1, LEVELS - 1)) - 1


def check_probabilities(probabilities: Floats) -> None:
    """Raise unless all are numbers from 0 to 1."""
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ArtifactError(
            "a prediction is not a probability",
            found=f"from {probabilities.min()} to {probabilities.max()}",
            expected="numbers from 0 to 1",
            fix="train again, with a lower learning rate if the loss was not a number",
        )
