"""The score of weighted masks on a bounded sample: some images, some of their stored pixels.

Only weights are chosen by it. The blend is then scored as a network is: at full size, and on all
images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from darkroom.params.section import OBJECT_METRICS
from darkroom.prediction.blending.mixes import Scale
from darkroom.prediction.blending.search import Score
from darkroom.prediction.masks.stacks import STACKED
from darkroom.prediction.thresholds import Doubles
from darkroom.tasks.metrics.masks import masks_score
from darkroom.tasks.planes import OVERLAPPING, MaskClasses

PIXELS = 1 << 21  # of all images and classes of the sample
IMAGES = 256
_LEVELS = 16  # thresholds k/16 are tried where none is given

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
"""`hits` and `answered`, (n, K, T): see `darkroom.tasks.metrics.masks`."""


@dataclass(frozen=True)
class MaskSample:
    """Some pixels of some images, as each member predicts them, with the truth.

    Attributes:
        metric: Its name. Those of objects and stacks are stood for by Dice: parts of masks have no
            whole objects.
        truth: uint8 (n, K, P) of 0 and 1.
        members: uint8 (n, K, P) of each, round(255 p).
        is_known: bool (n, P), or None: all pixels are.
        folds: The fold (n,) that validates each image.
        classes: How mask classes share the pixels.
        threshold: Of a pixel; None: the best of a few.
    """

    metric: str
    truth: NDArray[np.uint8]
    members: tuple[NDArray[np.uint8], ...]
    is_known: NDArray[np.bool_] | None
    folds: NDArray[np.int64]
    classes: MaskClasses = OVERLAPPING
    threshold: float | None = None
    _counts: dict[tuple[float, ...], Counts] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.truth)

    @property
    def scale(self) -> Scale:
        """Of the means: that of pixels' probabilities."""
        return "plain"

    def scorer(self, rows: NDArray[np.int64]) -> Score:
        """Return the score of weights on some images, at the threshold that is best for them."""
        name = "dice" if self.metric in (*OBJECT_METRICS, STACKED) else self.metric
        areas = self._areas[rows]

        def score(weights: Doubles) -> float:
            hits, answered = (counts[rows] for counts in self._count(weights))
            scores = [
                masks_score(name, hits[..., t], answered[..., t], areas)
                for t in range(hits.shape[-1])
            ]
            return max((value for value in scores if value is not None), default=-np.inf)

        return score

    @property
    def _areas(self) -> NDArray[np.int64]:
        truth = self.truth if self.is_known is None else self.truth * self.is_known[:, None]
        return np.asarray(truth.sum(axis=2, dtype=np.int64))

    def _count(self, weights: Doubles) -> Counts:
        """Return the counts of all images. Searches on parts of them ask for the same weights."""
        key = tuple(weights.round(9).tolist())
        if key not in self._counts:
            parts = [self._count_image(weights, number) for number in range(len(self))]
            hits, answered = (np.stack(each) for each in zip(*parts, strict=True))
            self._counts[key] = hits, answered
        return self._counts[key]

    def _count_image(self, weights: Doubles, number: int) -> Counts:
        """Return `hits` and `answered` (K, T) of an image."""
        pairs = zip(weights.tolist(), self.members, strict=True)
        mixed = np.sum([np.float32(w / 255) * m[number] for w, m in pairs if w], axis=0)
        truth = self.truth[number]
        if self.is_known is not None:
            mixed, truth = mixed[:, self.is_known[number]], truth[:, self.is_known[number]]
        if self.classes.exclusive or self.threshold is not None:
            limit = 0.5 if self.threshold is None else self.threshold
            answers = self.classes.decode(np.ascontiguousarray(mixed[..., None]), limit)[..., 0]
            return (answers & truth).sum(1, dtype=np.int64)[:, None], answers.sum(
                1, dtype=np.int64
            )[:, None]
        cells = np.ceil(mixed * _LEVELS).astype(np.int64).clip(0, _LEVELS)
        cells += truth * (_LEVELS + 1)
        histograms = np.stack([np.bincount(row, minlength=2 * (_LEVELS + 1)) for row in cells])
        by_truth = histograms.reshape(-1, 2, _LEVELS + 1)
        # Above k/16 are the levels from k + 1 on.
        above = by_truth[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 2:]
        return above[:, 1], above.sum(axis=1)


def choose_images(folds: Sequence[int]) -> NDArray[np.int64]:
    """Return the positions, ascending, of at most `IMAGES` images, evenly spread over the folds."""
    by_fold = np.argsort(np.asarray(folds), kind="stable")
    places = np.linspace(0, len(by_fold) - 1, min(IMAGES, len(by_fold))).round().astype(np.int64)
    return np.sort(by_fold[places]).astype(np.int64)


def choose_pixels(images: int, classes: int, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of stored masks that a sample holds: every n-th of both.

    Example:
        >>> choose_pixels(256, 1, 640, 960)
        (slice(4, None, 9), slice(4, None, 9))
    """
    step = 1
    while images * classes * -(-height // step) * -(-width // step) > PIXELS:
        step += 1
    return slice(step // 2, None, step), slice(step // 2, None, step)
