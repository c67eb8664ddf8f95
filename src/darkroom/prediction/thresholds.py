"""Scores at 255 thresholds from one histogram, and the choice of the best threshold.

A pixel or label is present if its probability is greater than the threshold, here as in the
submission. The thresholds are k/256 for k from 1 to 255: multiplying a float32 by 256 is
exact, so a histogram of the probabilities by level loses nothing.
"""

import numpy as np
import numpy.typing as npt

from darkroom.errors import ArtifactError

LEVELS = 256
_CELLS_AT_ONCE = 1 << 22  # images x labels
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
    require_probabilities(probabilities)
    level = np.ceil(probabilities.astype(np.float32, copy=False) * np.float32(LEVELS))
    cell = level.astype(np.int32).ravel()
    cell += (truth.ravel() != 0) * np.int32(LEVELS + 1)
    histogram = np.bincount(cell, minlength=2 * (LEVELS + 1)).reshape(2, LEVELS + 1)
    above = histogram[:, :0:-1].cumsum(axis=1)[:, ::-1]
    return above[0].astype(np.int64), above[1].astype(np.int64)


def column_counts_above(
    probabilities: Floats, present: npt.NDArray[np.bool_], is_known: npt.NDArray[np.bool_]
) -> tuple[Counts, Counts]:
    """Return `counts_above` of each label's known images, two int64 (K, 256).

    Args:
        probabilities: float32 (n, K), 0 to 1.
        present: Which labels are there, (n, K).
        is_known: Which labels count.

    Raises:
        ArtifactError: A probability is not a number from 0 to 1.
    """
    require_probabilities(probabilities)
    labels = probabilities.shape[1]
    firsts = np.arange(labels) * (LEVELS + 1)
    histograms = np.zeros((2, labels * (LEVELS + 1)), np.int64)
    rows = max(1, _CELLS_AT_ONCE // max(1, labels))
    for start in range(0, len(probabilities), rows):
        part = slice(start, start + rows)
        cells = np.ceil(probabilities[part] * np.float32(LEVELS)).astype(np.int64) + firsts
        for histogram, flags in zip(histograms, (~present, present), strict=True):
            some = cells[flags[part] & is_known[part]]
            histogram += np.bincount(some, minlength=histogram.size)
    by_level = histograms.reshape(2, labels, LEVELS + 1)
    above = by_level[:, :, :0:-1].cumsum(axis=2)[:, :, ::-1]
    return above[0], above[1]


def dice_curve(probabilities: Floats, mask: npt.NDArray[np.uint8]) -> Doubles:
    """Return the Dice coefficient of one image at each of THRESHOLDS, float64 (255,).

    2 |A and B| / (|A| + |B|), and 1 where both are empty, as the Carvana Image Masking
    Challenge scores it.

    Args:
        probabilities: float32 (H, W), 0 to 1, at the original size.
        mask: uint8 (H, W), 0 or 1, the raw mask.

    Example:
        >>> curve = dice_curve(np.array([[0.9, 0.2]], np.float32), np.array([[1, 1]], np.uint8))
        >>> [round(float(curve[index_of(threshold)]), 4) for threshold in (0.5, 0.1)]
        [0.6667, 1.0]
    """
    false_positives, true_positives = (counts[1:] for counts in counts_above(probabilities, mask))
    area = false_positives + true_positives + np.count_nonzero(mask)
    return np.where(area == 0, 1.0, 2 * true_positives / np.maximum(area, 1))


def choose(curve: Doubles, threshold: float | None) -> int:
    """Return the index in THRESHOLDS of a given threshold, or of the best one if it is None.

    Args:
        curve: float64 (255,), a score at each of THRESHOLDS, higher is better.
        threshold: The one to use, rounded to the nearest of THRESHOLDS.
    """
    return best_index(curve) if threshold is None else index_of(threshold)


def best_index(curve: Doubles, levels: Doubles = THRESHOLDS) -> int:
    """Return the position in `levels` of the highest score; of equals the nearest to 1/2.

    Of two equally near, the lower one. Scores are sums over many images, so scores that differ
    only by rounding count as equal.
    """
    highest = np.flatnonzero(curve >= curve.max() - 1e-12)
    return int(highest[np.argmin(np.abs(levels[highest] - 0.5))])


def index_of(threshold: float) -> int:
    """Return the index in THRESHOLDS of the one nearest to `threshold`."""
    return int(np.clip(round(threshold * LEVELS), 1, LEVELS - 1)) - 1


def require_probabilities(probabilities: Floats) -> None:
    """Raise ArtifactError unless all are numbers from 0 to 1."""
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ArtifactError(
            "a prediction is not a probability",
            found=f"from {probabilities.min()} to {probabilities.max()}",
            expected="numbers from 0 to 1",
            fix="train again, with a lower learning rate if the loss was not a number",
        )
