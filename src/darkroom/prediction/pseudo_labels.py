"""Pseudo-labels: what a network says of a test image, as the target of another's training.

Lee 2013, Pseudo-Label. Only where the network is sure: the confidence of a row of labels is its
greatest class probability, of a column the probability of what is more probable, present or absent,
of a mask the mean of that over its pixels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.images.geometry import Fit, fit_placement
from darkroom.tasks.planes import MaskClasses

Floats = NDArray[np.float32]

ONE_HALF = 0.5


def label_targets(
    probabilities: Floats, task: str, confidence: float | None, *, soft: bool = False
) -> tuple[NDArray[Any], Floats]:
    """Return the targets of images, and how sure of each image the network is.

    Args:
        probabilities: (n, K), or values.
        task: "multiclass": the most probable class, the first of equals. "multilabel" or "binary":
            1 from the confidence on, 0 up to 1 less it, else unknown. "regression": the values.
        confidence: The least one, 0.5 to 1; read for "multilabel" and "binary".
        soft: Multiclass: whether targets are shares of the classes; then they are the
            probabilities.

    Returns:
        int64 (n,) for classes; else float32 (n, K), NaN where unknown. Then (n,): the probability
        of the most probable class, or of the surest column, present or absent; 1 for values.

    Example:
        >>> values = np.array([[0.95], [0.5], [0.0625]], np.float32)
        >>> targets, certainty = label_targets(values, "binary", 0.9)
        >>> targets.ravel().tolist(), certainty[1:].tolist()
        ([1.0, nan, 0.0], [0.5, 0.9375])
    """
    if task == "regression":
        return probabilities, np.ones(len(probabilities), np.float32)
    if task == "multiclass":
        targets = probabilities if soft else probabilities.argmax(axis=1).astype(np.int64)
        return targets, probabilities.max(axis=1)
    absent = 1 - probabilities
    targets = np.full(probabilities.shape, np.nan, np.float32)
    targets[absent >= np.float32(confidence or 1)] = 0
    targets[probabilities >= np.float32(confidence or 1)] = 1
    return targets, np.maximum(probabilities, absent).max(axis=1)


def mask_targets(
    probabilities: Floats, originals: NDArray[np.int64], fit: Fit, classes: MaskClasses
) -> tuple[NDArray[np.uint8], Floats]:
    """Return the masks of images, and how sure of each the network is.

    Args:
        probabilities: (n, K, H, W), at the stored size.
        originals: (n, 2): heights and widths of the original images, px. Pixels of padding do not
            count, and are of no class.
        fit: How the images were fitted to the stored size.
        classes: How they share the pixels.

    Returns:
        uint8 (n, K, H, W) of 0 and 1, at one half or by the most probable class; float32 (n,), 0.5
        to 1, or from 1 / K on of exclusive classes.
    """
    masks = classes.decode(probabilities, ONE_HALF)
    certainty = np.empty(len(masks), np.float32)
    for number, (planes, original) in enumerate(zip(probabilities, originals, strict=True)):
        height, width = planes.shape[1:]
        of_height, of_width = original.tolist()
        shown = fit_placement(of_height, of_width, height, width, fit).stored.slices
        certainty[number] = _certainty(planes[:, *shown], classes).mean(dtype=np.float64)
        inside = np.zeros((height, width), np.uint8)
        inside[shown] = 1
        masks[number] *= inside
    return masks, certainty


def _certainty(planes: Floats, classes: MaskClasses) -> Floats:
    """Return how sure each pixel is: of each class, or of the exclusive one that it has."""
    if not classes.exclusive:
        return np.maximum(planes, 1 - planes)
    most: Floats = planes.max(axis=0)
    return np.maximum(most, 1 - planes.sum(axis=0)) if classes.background else most
