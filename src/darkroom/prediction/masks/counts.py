"""Counts of predicted masks against their raw masks, at their final size.

Pixels are counted an image, a class and a threshold at a time, so that memory grows with the images
by a few kilobytes each. Where counting is cheap, it is done at all of THRESHOLDS; where each
threshold costs (objects, cleaned masks, stacks), at fifteen of them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.images.geometry import Fit, cv2, fit_mask, restore
from darkroom.images.objects import NO_CLEANUP, Cleanup, plane_objects
from darkroom.params.section import OBJECT_METRICS
from darkroom.prediction import thresholds
from darkroom.prediction.decision import DEFAULT_THRESHOLD
from darkroom.prediction.masks.stacks import STACKED, Stacks
from darkroom.prediction.parts import Arrays
from darkroom.prediction.scoring import LabelledPredictions
from darkroom.prediction.thresholds import THRESHOLDS, Floats, Levels
from darkroom.project.processes import MOST_AT_FULL_SIZE, cores, map_ahead
from darkroom.raw.archives import Archives
from darkroom.raw.masks import ONE_MASK, MaskForm, read_masks, read_objects
from darkroom.store.store import Store
from darkroom.tasks.metrics.objects import count_objects
from darkroom.tasks.metrics.specs import METRICS, MetricSpec
from darkroom.tasks.planes import OVERLAPPING, MaskClasses

Array = NDArray[Any]

_FEW = np.arange(15, len(THRESHOLDS), 16)  # every 1/16


@dataclass(frozen=True)
class MaskRules:
    """What is counted, and how masks are made of probabilities.

    Attributes:
        spec: The metric.
        names: Of the mask classes; () for one.
        form: How the raw masks are read.
        classes: How the classes share the pixels.
        cleanup: What is done to a mask before it is scored.
        size: (height, width) of the submission's masks, px; None: that of each image.
        threshold: A number, taken to the nearest 1/256; "auto": the best for the metric, one a
            class. None: one half for the Dice of one class, else "auto".
    """

    spec: MetricSpec = METRICS["dice"]
    names: tuple[str, ...] = ()
    form: MaskForm = ONE_MASK
    classes: MaskClasses = OVERLAPPING
    cleanup: Cleanup = NO_CLEANUP
    size: tuple[int, int] | None = None
    threshold: float | Literal["auto"] | None = None

    @property
    def planes(self) -> int:
        """The number of classes."""
        return max(1, len(self.names))

    @property
    def fixed(self) -> float | None:
        """The threshold that is not chosen; None: it is."""
        if self.classes.exclusive:
            return DEFAULT_THRESHOLD  # a pixel has the most probable class
        if self.threshold == "auto":
            return None
        if self.threshold is None and self.spec.threshold == "half" and self.planes == 1:
            return DEFAULT_THRESHOLD
        return float(self.threshold) if self.threshold is not None else None

    @property
    def all_levels(self) -> bool:
        """Whether all of THRESHOLDS are counted."""
        return len(self.levels) == len(THRESHOLDS)

    @property
    def levels(self) -> NDArray[np.intp]:
        """The positions in THRESHOLDS that are counted."""
        fixed = None if self.fixed is None else np.array([thresholds.index_of(self.fixed)])
        if self.classes.exclusive:
            assert fixed is not None
            return fixed
        is_cheap = self.spec.name not in (*OBJECT_METRICS, STACKED)
        if is_cheap and not self.cleanup.changes_masks:
            return np.arange(len(THRESHOLDS))
        return _FEW if fixed is None else fixed


def count_fold(
    fold: LabelledPredictions, shards: Store, archives: Archives, rules: MaskRules, done: int
) -> Iterator[Arrays]:
    """Yield the counts of each batch of a fold, but for its first rows, which are done.

    Of each image: `hits` and `answered`, int32 (K, T), pixels of its answer at each level;
    `mean_hits` and `mean_answered`, those of the mean mask; `areas`, int64 (K,), of its truth;
    `pixels`, how many are known; `covered`, the share that its masks cover. `objects`, int32 (T,
    10, 3), and `distances`, float64 (K, T), for the metrics that need them.
    """
    if done == len(fold.rows):
        return
    mean_mask = _MeanMask(_mean_mask(shards, fold.training)[: rules.planes], shards.fit, rules)
    stacks = Stacks(fold.rows["id"].tolist()) if rules.spec.name == STACKED else None
    columns = fold.rows[["image", "mask", "mask_digest"]].iloc[done:]
    paths = columns.itertuples(index=False, name=None)
    sizes: deque[int] = deque()  # of the batches whose images are being counted

    def images() -> Iterator[_Image]:
        for batch in fold.predictions:
            sizes.append(len(batch.ids))
            originals = batch.originals.tolist()
            for each in zip(batch.ids, batch.probabilities, originals, strict=True):
                yield _Image(*each, *next(paths))

    count = partial(_count, archives=archives, mean_mask=mean_mask, rules=rules)
    threads = min(cores(), MOST_AT_FULL_SIZE)
    counted = map_ahead(count, images(), 2 * threads, threads=threads)
    for first in counted:
        batch = [first, *islice(counted, sizes.popleft() - 1)]
        if stacks is not None:
            for one in batch:
                one.counts["distances"] = stacks.add(one.id, *one.masks)
        yield {key: np.array([one.counts[key] for one in batch]) for key in first.counts}


class _Image(NamedTuple):
    """The stored probabilities (K, h, w) of an image, its (height, width), and its row's cells."""

    id: str
    probabilities: Floats
    original: tuple[int, int]
    image: str
    mask: str
    mask_digest: str


class _Counted(NamedTuple):
    """The counts of an image; of a stack's slice also its truth (K, H, W), and answers a level."""

    id: str
    counts: dict[str, Any]
    masks: tuple[Array, list[Array]]


def _count(image: _Image, archives: Archives, mean_mask: "_MeanMask", rules: MaskRules) -> _Counted:
    """Return the counts of an image; see `count_fold`."""
    height, width = image.original
    options: dict[str, Any] = {"form": rules.form, "name": image.image, "digest": image.mask_digest}
    raw = read_masks(archives, image.mask, height, width, **options)
    truth, is_known = _truth(raw.planes, raw.unknown, rules)
    restored = _restored(image.probabilities, height, width, mean_mask.fit, rules.size)
    counts = _counts(restored, truth, is_known, rules)
    constant = mean_mask.counts(truth, is_known, height, width)
    counts |= {f"mean_{key}": value for key, value in constant.items()}
    counts["areas"] = np.array([np.count_nonzero(plane) for plane in truth], np.int64)
    counts["pixels"] = truth[0].size if is_known is None else int(is_known.sum())
    counts["covered"] = float(counts["areas"].sum() / truth.size)
    if rules.spec.name in OBJECT_METRICS:
        objects = read_objects(archives, image.mask, height, width, **options)
        labels = _resized(objects, rules)
        counts["objects"] = _count_objects(restored, labels, is_known, rules)
    levels = rules.levels if rules.spec.name == STACKED else ()
    answers = [_masks(restored, is_known, i, rules) for i in levels]
    return _Counted(image.id, counts, (truth, answers))


class _MeanMask:
    """The mean of the training masks as an answer for every image: a baseline.

    Args:
        stored: Its probabilities (K, h, w), at the stored size.
        fit: How images were fitted to that size.
        rules: What is counted.
    """

    def __init__(self, stored: Floats, fit: Fit, rules: MaskRules) -> None:
        self.stored, self.fit = stored, fit
        self.rules = replace(rules, cleanup=NO_CLEANUP)
        self._levels_at = lru_cache(maxsize=4)(self._levels)  # most images have one size

    def counts(
        self, truth: Array, is_known: Array | None, height: int, width: int
    ) -> dict[str, Any]:
        """Return what `_counts` gives of it for an image (height, width)."""
        if self.rules.all_levels:
            return _level_counts(self._levels_at(height, width), truth, is_known)
        return _counts(self._restored(height, width), truth, is_known, self.rules)

    def _levels(self, height: int, width: int) -> Levels:
        return thresholds.thresholds_exceeded(self._restored(height, width))

    def _restored(self, height: int, width: int) -> Floats:
        return _restored(self.stored, height, width, self.fit, self.rules.size)


def _truth(planes: Array, unknown: Array | None, rules: MaskRules) -> tuple[Array, Array | None]:
    """Return masks uint8 (K, H, W) at their final size, and which pixels are known, (H, W)."""
    if rules.size is not None:
        size = rules.size
        planes = np.stack([fit_mask(plane, *size, "stretch") for plane in planes])
        unknown = None if unknown is None else fit_mask(unknown, *size, "stretch")
    is_known = None if unknown is None else unknown == 0
    if rules.classes.exclusive and not rules.classes.background:
        of_a_class = planes.any(axis=0)
        is_known = of_a_class if is_known is None else is_known & of_a_class
    return planes if is_known is None else planes * is_known.astype(np.uint8), is_known


def _resized(labels: NDArray[np.int32], rules: MaskRules) -> NDArray[np.int32]:
    if rules.size is None:
        return labels
    shape = (rules.size[1], rules.size[0])
    return np.stack([cv2.resize(part, shape, interpolation=cv2.INTER_NEAREST) for part in labels])


def _restored(
    stored: Floats, height: int, width: int, fit: Fit, size: tuple[int, int] | None
) -> Floats:
    """Return probabilities (K, H, W) at their final size."""
    planes = [restore(plane, height, width, fit, size=size) for plane in stored]
    whole = np.empty((len(planes), *planes[0].shape), np.float32)
    for plane, place in zip(planes, whole, strict=True):
        np.clip(plane, 0, 1, out=place)  # rounding in the interpolation can leave it by a little
    return whole


def _masks(
    restored: Floats, is_known: Array | None, level: int, rules: MaskRules
) -> NDArray[np.uint8]:
    """Return the known pixels of an answer's masks (K, H, W), uint8 of 0 and 1."""
    masks = rules.classes.decode(restored, THRESHOLDS[level])
    if rules.cleanup.changes_masks:
        # As the submission writes them: what is filled leaves out what another class has.
        planes = plane_objects(masks > 0, rules.cleanup, exclusive=rules.classes.exclusive)
        masks = (np.stack(planes) > 0).astype(np.uint8)
    return masks if is_known is None else masks * is_known.astype(np.uint8)


def _counts(
    restored: Floats, truth: Array, is_known: Array | None, rules: MaskRules
) -> dict[str, Any]:
    """Return `hits` and `answered`, int32 (K, T), of probabilities (K, H, W)."""
    if rules.all_levels:
        return _level_counts(thresholds.thresholds_exceeded(restored), truth, is_known)
    thresholds.require_probabilities(restored)
    answers = np.stack([_masks(restored, is_known, i, rules) for i in rules.levels], axis=1)
    hits = (answers & truth[:, None]).sum(axis=(2, 3))
    answered = answers.sum(axis=(2, 3), dtype=np.int64)
    return {"hits": hits.astype(np.int32), "answered": answered.astype(np.int32)}


def _level_counts(levels: Levels, truth: Array, is_known: Array | None) -> dict[str, Any]:
    """Return what `_counts` gives at all of THRESHOLDS, from how many of them a pixel exceeds."""
    hits, answered = [], []
    for plane, mask in zip(levels, truth, strict=True):  # an unknown pixel is in no truth
        hits.append(thresholds.counts_exceeding(plane[mask.view(np.bool_)]))
        known = plane if is_known is None else plane[is_known]
        answered.append(thresholds.counts_exceeding(known))
    return {"hits": np.array(hits, np.int32), "answered": np.array(answered, np.int32)}


def _count_objects(
    restored: Floats, labels: NDArray[np.int32], is_known: Array | None, rules: MaskRules
) -> NDArray[np.int32]:
    """Return the objects matched, invented and missed, int32 (T, 10, 3), of all classes.

    Of an object the known pixels count: one that lies in unknown ones alone is none.
    """
    labels = labels if is_known is None else labels * is_known
    counts = []
    for i in rules.levels:
        masks = rules.classes.decode(restored, THRESHOLDS[i])
        answers = plane_objects(masks > 0, rules.cleanup, exclusive=rules.classes.exclusive)
        if is_known is not None:
            answers = [plane * is_known for plane in answers]
        each = [count_objects(*pair) for pair in zip(labels, answers, strict=True)]
        counts.append(np.sum(each, axis=0))
    return np.array(counts, np.int32)


def _mean_mask(shards: Store, training: pd.DataFrame) -> Floats:
    """Return the mean of the training masks, float32 (K, H, W), at the stored size."""
    number_of = {image_id: number for number, image_id in enumerate(shards.ids)}
    total = np.zeros((shards.planes, shards.height, shards.width), np.float64)
    for image_id in training["id"]:
        mask = shards.mask(number_of[image_id])
        assert mask is not None, "a training row without a mask is refused by the index"
        total += mask
    return (total / len(training)).astype(np.float32)
