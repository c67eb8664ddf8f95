"""Metrics of objects matched one to one, and of stacks of masks.

An object of the truth is matched at a level if an object of the answer overlaps it with a greater
IoU. Objects of one image do not overlap, so from one half on, no two can match the same.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.tasks.metrics.masks import IOU_LEVELS

Array = NDArray[Any]
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

_BLOCKS = (16, 64)  # along each axis of a stack, one after the other
_ROUNDING = 1e-9
_F2 = (5.0, 4.0)  # (1 + b²) TP / ((1 + b²) TP + b² FN + FP) with b = 2


def count_objects(truth: Array, answer: Array) -> Ints:
    """Return how many objects match, are invented and are missed, int64 (10, 3): a row a level.

    Args:
        truth: The number of each pixel's object, (H, W): 0 for background, else 1 to N.
        answer: Likewise.
    """
    columns = int(answer.max(initial=0)) + 1
    pairs = truth.astype(np.int64) * columns + answer
    # Of those that meet alone: thousands of specks meet few objects.
    pairs, shared = np.unique(pairs[(truth > 0) & (answer > 0)], return_counts=True)
    own, other = np.divmod(pairs, columns)
    areas, answered = np.bincount(truth.ravel()), np.bincount(answer.ravel())
    best = np.zeros(len(areas))
    np.maximum.at(best, own, shared / (areas[own] + answered[other] - shared))
    # Numbers may be missing.
    truths, answers = np.count_nonzero(areas[1:]), np.count_nonzero(answered[1:])
    matched = np.array([(best > level).sum() for level in IOU_LEVELS], np.int64)
    return np.stack([matched, answers - matched, truths - matched], axis=1)


def object_scores(name: str, counts: Ints) -> Doubles:
    """Return the score of each image, (n, ...), from counts (n, ..., 10, 3): the mean over levels.

    "iou_precision": matched / (matched + invented + missed) (2018 Data Science Bowl). "f2_iou":
    F2 of them (Airbus Ship Detection Challenge, 2018). 1 where there is nothing at all.

    Example:
        >>> object_scores("iou_precision", np.array([[[1, 1, 0]] * 10]))
        array([0.5])
    """
    matched, invented, missed = np.moveaxis(counts, -1, 0).astype(np.float64)
    if name == "f2_iou":
        part, whole = _F2[0] * matched, _F2[0] * matched + _F2[1] * missed + invented
    else:
        part, whole = matched, matched + missed + invented
    scores = np.where(whole > 0, part / np.maximum(whole, 1), 1.0)
    return np.asarray(scores.mean(axis=-1), np.float64)


def stack_distance(truth: Array, answer: Array) -> float:
    """Return the Hausdorff distance of two stacks (slices, H, W), divided by that of a cube's ends.

    The greatest distance of a pixel of one to the nearest of the other, in a stack of side 1: 0 to
    1; 1 where one of them is empty (UW-Madison GI Tract Image Segmentation, 2022).
    """
    if not truth.any() or not answer.any():
        return 1.0
    either = (truth > 0) | (answer > 0)
    box = []
    for axis in range(truth.ndim):
        places = np.flatnonzero(either.any(axis=tuple({0, 1, 2} - {axis})))
        box.append(slice(places[0], places[-1] + 1))
    a, b = truth[tuple(box)] > 0, answer[tuple(box)] > 0
    spacing = 1 / np.array(truth.shape)
    return max(_farthest(a, b, spacing), _farthest(b, a, spacing)) / float(np.sqrt(3))


def _farthest(voxels: Bools, others: Bools, spacing: Doubles) -> float:
    """Return the greatest distance of a voxel to the nearest of others; both (slices, H, W).

    Whole blocks are left out that lie nearer than the middle of another block: a fifth to a tenth
    of the time of a distance transform of the volume, and no doubles of its size.
    """
    voxels = voxels & ~others
    if not voxels.any():
        return 0.0
    from scipy.spatial import KDTree  # noqa: PLC0415  (0.2 s, for what few metrics need)

    tree = KDTree(np.argwhere(_surface(others)) * spacing)
    for parts in _BLOCKS:
        size = np.maximum(1, np.array(voxels.shape) // parts)
        blocks = voxels
        for axis, length in enumerate(voxels.shape):
            starts = np.arange(0, length, size[axis])
            blocks = np.logical_or.reduceat(blocks, starts, axis=axis)
        middles = np.argwhere(blocks) * size + (size - 1) / 2
        distances, _ = tree.query(middles * spacing)
        reach = np.linalg.norm((size - 1) / 2 * spacing) + _ROUNDING
        blocks[blocks] = distances + reach >= distances.max() - reach
        for axis in range(voxels.ndim):
            blocks = blocks.repeat(size[axis], axis=axis)
        voxels = voxels & blocks[tuple(map(slice, voxels.shape))]
    return float(tree.query(np.argwhere(voxels) * spacing)[0].max())


def _surface(voxels: Bools) -> Bools:
    """Return the voxels with a face to none: to what lies outside, one of them is the nearest."""
    inner = voxels.copy()
    for axis in range(voxels.ndim):
        inside, whole = np.moveaxis(inner, axis, 0), np.moveaxis(voxels, axis, 0)
        inside[1:] &= whole[:-1]
        inside[:-1] &= whole[1:]
    return voxels & ~inner


def stack_name(image_id: str) -> str:
    """Return the stack of a slice: its id without the last run of digits.

    Example:
        >>> stack_name("case2_day0_slice_0001")
        'case2_day0_slice_'
    """
    ends = [i + 1 for i, letter in enumerate(image_id) if letter.isdigit()]
    if not ends:
        return image_id
    stem = image_id[: ends[-1]].rstrip("0123456789")
    return stem + image_id[ends[-1] :]
