"""Stacks of slices, whose masks are compared as one volume once their last slice is there."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.tasks.metrics.objects import stack_distance, stack_name

Array = NDArray[Any]

STACKED = "dice_hausdorff"


class Stacks:
    """Holds the slices of stacks that are not complete; see `stack_name`.

    Ids that are in order keep the slices of a stack together, so that few are held.

    Args:
        ids: All slices that will come.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._missing = Counter(map(stack_name, ids))
        self._slices: dict[str, list[tuple[int, Array, Array]]] = {}

    def add(self, image_id: str, truth: Array, answers: Sequence[Array]) -> NDArray[np.float64]:
        """Return the distances of a slice's stack, float64 (K, T), if it is the last of it.

        NaN if it is not, and where truth and answer of a class are empty in all slices.

        Args:
            image_id: Of the slice; the last number in it is its place.
            truth: uint8 (K, H, W) of 0 and 1.
            answers: One at each of T thresholds, likewise.

        Raises:
            DataError: The slices of the stack differ in size.
        """
        stack = stack_name(image_id)
        slices = self._slices.setdefault(stack, [])
        # By planes and thresholds, packed to bits: a stack may hold hundreds of slices.
        packed = np.packbits(np.stack(answers, axis=1), axis=-1)
        slices.append((_place(image_id), truth, packed))
        self._missing[stack] -= 1
        distances = np.full((len(truth), len(answers)), np.nan)
        if self._missing[stack]:
            return distances
        ordered = sorted(self._slices.pop(stack), key=lambda one: one[0])
        sizes = {one[1].shape for one in ordered}
        if len(sizes) > 1:
            raise DataError(
                "dice_hausdorff: the slices of a stack differ in size",
                found=f"{stack}: {', '.join(f'{h} x {w}' for _, h, w in sorted(sizes))}",
                expected="one size",
            )
        truths = np.stack([one[1] for one in ordered], axis=1)  # (K, slices, H, W)
        for k, volume in enumerate(truths):
            for t in range(len(answers)):
                packed = np.stack([one[2][k, t] for one in ordered])
                answer = np.unpackbits(packed, axis=-1, count=truth.shape[-1])
                if volume.any() or answer.any():
                    distances[k, t] = stack_distance(volume, answer)
        return distances


def refuse_parted_stacks(folds: Sequence[Sequence[str]]) -> None:
    """Raise DataError if the slices of a stack lie in several folds: each would be half a volume.

    Args:
        folds: The ids of each, and of the images that none validates.
    """
    names = [set(map(stack_name, ids)) for ids in folds]
    counts = Counter(name for of_fold in names for name in of_fold)
    if parted := sorted(name for name, count in counts.items() if count > 1):
        raise DataError(
            f"{STACKED}: the slices of a stack lie in several folds",
            found=f"{len(parted)} stacks, such as {parted[0]}",
            expected="all slices of a stack in one fold",
            fix="set split.by: group, and data.train.group to what names a stack, such as "
            'group: "{case}"',
        )


def _place(image_id: str) -> int:
    """Return the last number in a slice's id."""
    stem, start = image_id.rstrip(), stack_name(image_id)
    digits = "".join(c if c.isdigit() else " " for c in stem).split()
    return int(digits[-1]) if digits and start != image_id else 0
