"""Collect what weights are fitted to from the members' files: some images, batch by batch.

Members' masks may be stored at different sizes. All are brought to the stored size of the first.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.images.geometry import Fit, fit_placement, restore
from darkroom.prediction.averaging import aligned
from darkroom.prediction.predictions import Header, Prediction
from darkroom.prediction.thresholds import Floats

Array = NDArray[Any]
Sources = Mapping[int, Sequence[Iterable[Prediction]]]
"""By fold, the validation predictions of each member."""


def collect(
    sources: Sources, numbers: Array, take: Callable[[Floats], Array] = lambda values: values
) -> tuple[Array, ...]:
    """Return what is taken of some images' predictions, an array of each member.

    Args:
        sources: The images of the folds, one behind the other, are numbered from 0 on.
        numbers: The numbers of the images that count, ascending.
        take: Predictions (n, ...) to what counts of them, (n, ...).

    Raises:
        ArtifactError: The members' predictions are of different images.
    """
    parts: list[list[Array]] = []
    done = 0
    for members in sources.values():
        for batches in aligned(members):
            count = len(batches[0].ids)
            low, high = np.searchsorted(numbers, [done, done + count])
            if low < high:
                rows = numbers[low:high] - done
                parts.append([take(batch.probabilities[rows]) for batch in batches])
            done += count
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def same_size(source: Iterable[Prediction], own: Header, first: Header) -> Iterable[Prediction]:
    """Return masks at the stored size of the first member; of other tasks what is there.

    Args:
        source: The predictions.
        own: Of them.
        first: Of the first member's.
    """
    if own.task != "segmentation" or (own.shape[1:], own.fit) == (first.shape[1:], first.fit):
        return source
    return _resized(source, own.fit, (first.shape[1], first.shape[2]), first.fit)


def _resized(
    source: Iterable[Prediction], own: Fit, size: tuple[int, int], fit: Fit
) -> Iterator[Prediction]:
    for ids, masks, originals in source:
        resized = np.zeros((*masks.shape[:2], *size), np.float32)
        for image, planes, original in zip(resized, masks, originals.tolist(), strict=True):
            for plane, whole in zip(planes, image, strict=True):
                whole[:] = _refitted(plane, own, size, fit, (original[0], original[1]))
        yield Prediction(ids, resized, originals)


def _refitted(
    plane: Floats, own: Fit, size: tuple[int, int], fit: Fit, original: tuple[int, int]
) -> Floats:
    """Return a class's probabilities, stored by one fit, at another stored size and fit.

    Shrinking averages areas; what either fit cuts off is 0.
    """
    if own == fit == "stretch":
        return np.clip(restore(plane, *size, "stretch", size=size), 0, 1)
    shown = restore(plane, *original, own)
    placement = fit_placement(*original, *size, fit)
    part = np.ascontiguousarray(shown[placement.source.slices])
    inner = (placement.stored.height, placement.stored.width)
    whole = np.zeros(size, np.float32)
    whole[placement.stored.slices] = restore(part, *inner, "stretch", size=inner)
    return np.clip(whole, 0, 1)
