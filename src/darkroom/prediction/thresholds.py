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
_LEAST_PAIRS = 1 << 18  # pixels from which a histogram of pairs is faster (measured)
THRESHOLDS: npt.NDArray[np.float64] = np.arange(1, LEVELS) / LEVELS

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Levels = npt.NDArray[np.uint8]


def thresholds_exceeded(probabilities: Floats) -> Levels:
    """Return how many of THRESHOLDS each probability exceeds, uint8 of the same shape.

    Args:
        probabilities: float32, 0 to 1.

    Raises:
        ArtifactError: A probability is not a number from 0 to 1.

    Example:
        >>> thresholds_exceeded(np.array([0, 0.5, 0.51, 1], np.float32)).tolist()
        [0, 127, 130, 255]
    """
    require_probabilities(probabilities)
    levels = np.multiply(probabilities, np.float32(LEVELS), dtype=np.float32)
    np.ceil(levels, out=levels)
    np.maximum(levels, 1, out=levels)
    levels -= 1
    return levels.astype(np.uint8)


def counts_exceeding(levels: Levels) -> Counts:
    """Return how many pixels exceed each of THRESHOLDS, int64 (255,).

    Args:
        levels: From `thresholds_exceeded`, of any shape.
    """
    flat = levels.ravel()
    whole = 0 if flat.size < _LEAST_PAIRS else flat.size // 2 * 2
    histogram = np.bincount(flat[whole:], minlength=LEVELS)
    if whole:  # two pixels at a time: half as many steps, each of which waits for the one before
        pairs = np.bincount(flat[:whole].view(np.uint16), minlength=LEVELS**2)
        by_pixel = pairs.reshape(LEVELS, LEVELS)
        histogram += by_pixel.sum(axis=0) + by_pixel.sum(axis=1)
    return histogram[::-1].cumsum()[::-1][1:].astype(np.int64)


def column_counts_above(
    probabilities: Floats, present: npt.NDArray[np.bool_], is_known: npt.NDArray[np.bool_]
) -> tuple[Counts, Counts]:
    """Return how many negatives and positives exceed 0/256, 1/256 ... 255/256, two int64 (K, 256).

    Of each label's known images.

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
    if probabilities.shape != mask.shape:
        raise ValueError(f"probabilities {probabilities.shape} for a mask {mask.shape}")
    levels = thresholds_exceeded(probabilities)
    hits = counts_exceeding(levels[mask > 0])
    area = counts_exceeding(levels) + np.count_nonzero(mask)
    return np.where(area == 0, 1.0, 2 * hits / np.maximum(area, 1))


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
